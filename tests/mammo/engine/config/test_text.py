"""The text of a config is formatted once, and never stale."""

import copy

import pytest
from mmengine.config import Config

from mammo.engine.config.text import format_once


@pytest.fixture
def formatted(monkeypatch):
    """Texts that the stock property was asked for, one entry each."""
    stock, found = Config.pretty_text.fget, []
    monkeypatch.setattr(Config, 'pretty_text', property(lambda cfg: found.append(stock(cfg)) or found[-1]))
    return found


def test_text_is_the_stock_one_and_made_once_also_for_copies(formatted):
    cfg = Config(dict(name='once', model=dict(type='Net', depth=50)))
    expected = cfg.pretty_text
    format_once(cfg)
    assert [cfg.pretty_text, cfg.pretty_text, copy.deepcopy(cfg).pretty_text] == [expected] * 3
    assert len(formatted) == 2


def test_changed_config_has_a_new_text(formatted):
    cfg = Config(dict(name='changed', model=dict(type='Net', depth=50)))
    format_once(cfg)
    before = cfg.pretty_text
    cfg.model.depth = 101
    assert cfg.pretty_text == before.replace('50', '101') != before


def test_content_and_attributes_stay(formatted):
    cfg = Config(dict(name='same'))
    format_once(cfg)
    cfg.later = 3
    assert cfg.to_dict() == dict(name='same', later=3)
    assert isinstance(copy.deepcopy(cfg), type(cfg))
