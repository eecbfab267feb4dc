"""Validation metrics are logged as they are, training losses smoothed."""

from types import SimpleNamespace

import pytest
from mmengine.logging import MessageHub
from mmengine.registry import LOG_PROCESSORS
from mmengine.runner import LogProcessor

from mammo.engine.log import MammoLogProcessor


@pytest.fixture
def runner() -> SimpleNamespace:
    hub = MessageHub.get_instance('test_log', log_scalars={})
    hub.log_scalars.clear()
    for value in (4.0, 2.0, 1.0):
        hub.update_scalar('val/N_loss', value)
        hub.update_scalar('val/time', value)
        hub.update_scalar('train/loss', value)
    return SimpleNamespace(message_hub=hub)


def test_last_validation_loss_is_logged_not_the_mean(runner: SimpleNamespace) -> None:
    processor = LOG_PROCESSORS.build(dict(type='MammoLogProcessor'))
    assert isinstance(processor, MammoLogProcessor)
    assert processor._collect_scalars([], runner, 'val')['N_loss'] == 1.0
    assert LogProcessor()._collect_scalars([], runner, 'val')['N_loss'] != 1.0  # what is mended


def test_training_loss_and_times_stay_means(runner: SimpleNamespace) -> None:
    processor = MammoLogProcessor()
    for _ in range(2):  # validation in between leaves training as it was
        assert processor._collect_scalars([], runner, 'train')['loss'] == pytest.approx(7 / 3)
        assert processor._collect_scalars([], runner, 'val')['time'] == pytest.approx(7 / 3)


def test_pattern_is_restored_after_an_error(runner: SimpleNamespace) -> None:
    processor = MammoLogProcessor()
    before = processor.mean_pattern
    with pytest.raises(AttributeError):
        processor._collect_scalars([], SimpleNamespace(), 'val')
    assert processor.mean_pattern == before
