"""Tasks that a config leaves to the data: names, kinds, and what is said about them."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mammo.engine.config.keys import ConfigError
from mammo.engine.config.tasks import name_tasks, resolve_tasks
from mammo.records.meta import write_meta


@pytest.fixture
def meta(tmp_path: Path) -> list[Path]:
    """Labels of two tasks, and a third without any."""
    labels = [dict(met=0.0, size_mm=12.0), dict(met=1.0), dict(met=1.0, size_mm=20.0), {}]
    items = [dict(img_path=f'{i}.png', gt_label=label) for i, label in enumerate(labels)]
    write_meta(tmp_path / 'train.json', items, ['met', 'size_mm', 'empty'])
    return [tmp_path / 'train.json']


def _config(*tasks: dict) -> Config:
    return Config(dict(model=dict(tasks=[*tasks])))


N = dict(name='N', kind='binary')
SIZE = dict(name='size_mm', kind='regression', standardise=True)


def test_data_without_the_configs_tasks_bring_their_own(meta, monkeypatch) -> None:
    told: list[str] = []
    monkeypatch.setattr('mammo.engine.config.tasks.tell', lambda text, *_: told.append(text))
    cfg = _config(N)
    resolve_tasks(cfg, meta)
    assert cfg.model.tasks == [dict(name='met', kind='binary'), SIZE]
    assert told[1:] == [
        'task met: binary, since its labels are 0 and 1, 2 of 3 are 1',
        'task size_mm: regression, since its labels are 12 to 20, mean 16; standardised',
    ]


@pytest.mark.parametrize('labels', [[dict(met=1.0)], [dict(N=1.0), dict(met=0.0)]])
def test_config_that_shares_a_task_or_is_fully_told_stays(tmp_path, labels) -> None:
    items = [dict(img_path=f'{i}.png', gt_label=label) for i, label in enumerate(labels)]
    write_meta(tmp_path / 'a.json', items, ['N', 'met'])
    cfg = _config(N)
    resolve_tasks(cfg, [tmp_path / 'a.json'])
    assert cfg.model.tasks == [N]


def test_named_tasks_keep_the_entries_of_the_config_and_their_order(meta) -> None:
    cfg = _config(N, dict(name='met', kind='binary', loss_weight=0.3))
    name_tasks(cfg, ['size_mm', 'met'])
    resolve_tasks(cfg, meta)
    assert cfg.model.tasks == [SIZE, dict(name='met', kind='binary', loss_weight=0.3)]


def test_kind_is_guessed_from_all_files_together(meta, tmp_path) -> None:
    write_meta(tmp_path / 'b.json', [dict(img_path='b.png', gt_label=dict(met=2.0))], ['met'])
    cfg = _config(dict(name='met'))
    resolve_tasks(cfg, [*meta, tmp_path / 'b.json'])
    assert cfg.model.tasks == [dict(name='met', kind='regression', standardise=True)]


@pytest.mark.parametrize('name', ['empty', 'unheard'])
def test_kind_of_a_task_without_labels_cannot_be_guessed(meta, name: str) -> None:
    cfg = _config(dict(name=name))
    with pytest.raises(
        ConfigError, match=f"train.json: no image has a label '{name}'; there are labels of met, s"
    ):
        resolve_tasks(cfg, meta)


def test_heads_of_published_configs_have_no_list_to_replace() -> None:
    with pytest.raises(ConfigError, match='--tasks: the config has no model'):
        name_tasks(Config(dict(model=dict(head=dict(task_heads={})))), ['N'])
