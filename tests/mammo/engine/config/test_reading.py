"""Options of a config do what they say, or are refused; so are variables that a config sets in vain."""

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from mmengine.config import Config

import mammo.engine  # noqa: F401  (registers what configs name)
from mammo.engine.config.reading import ConfigError, read_config, set_options

ROOT = Path(__file__).resolve().parents[4]
LEAVES = sorted(path for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts)
BASE = """
data_root = 'data/a/'
batch = 4
pipeline = [dict(type='LoadMammogram')]
model = dict(tasks=[dict(name='N', kind='binary')], backbone=dict(type='ResNetWs', depth=50))
data = dict(type='MammoMultiTaskDataset', data_root=data_root, pipeline=pipeline)
train_dataloader = dict(batch_size=batch, dataset=dict(ann_file='train.json', **data))
test_dataloader = dict(batch_size=4, dataset=dict(ann_file='test.json', **data))
del data
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=0.1), clip_grad=dict(max_norm=35))
default_hooks = dict(checkpoint=dict(type='CheckpointHook', interval=1))
train_cfg = dict(by_epoch=True, max_epochs=3)
load_from = None
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / 'base.py').write_text(BASE)
    return tmp_path / 'base.py'


@pytest.fixture
def cfg(base: Path) -> Config:
    return read_config(base)


def derived(base: Path, text: str) -> Config:
    (base.parent / 'leaf.py').write_text(f"_base_ = 'base.py'\n{text}\n")
    return read_config(base.parent / 'leaf.py')


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('my study/a b', 'my study/a b'),
        (' padded ', 'padded'),
        ('a  b', 'a  b'),
        ('1', 1),
        ('1e-3', 1e-3),
        ('true', True),
        ('None', None),
        ('1,2', [1, 2]),
        ('[1, 2]', [1, 2]),
        ('(1, 2.5)', (1, 2.5)),
        ('[(a b, 1), (c, None)]', [('a b', 1), ('c', None)]),
        ('', ''),
        ('a=b', 'a=b'),
        ('/data/a (old)', '/data/a (old)'),
    ],
)
def test_values_are_read_as_mmengine_reads_them_but_keep_their_blanks(
    cfg: Config, text: str, value: Any
) -> None:
    set_options(cfg, [f'load_from={text}'])
    assert cfg.load_from == value


def test_a_path_that_exists_is_one_text_whatever_is_in_it(cfg: Config, tmp_path: Path) -> None:
    folder = tmp_path / 'a, b (1'
    folder.mkdir()
    set_options(cfg, [f'train_dataloader.dataset.data_root={folder}'])
    assert cfg.train_dataloader.dataset.data_root == str(folder)


def test_that_an_option_replaces_an_earlier_one_is_said(cfg: Config) -> None:
    with patch('mammo.engine.config.reading.warn') as warn:
        set_options(cfg, ['train_cfg.max_epochs=9', 'train_cfg.max_epochs=9'])
        warn.assert_not_called()
        set_options(cfg, ['train_cfg.max_epochs=9', 'train_cfg.max_epochs=3'])
    assert cfg.train_cfg.max_epochs == 3
    warn.assert_called_once_with('--cfg-options train_cfg.max_epochs is given twice; 3 is taken, not 9')


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ('trian_cfg.max_epochs=3', r"the config has no 'trian_cfg', the nearest is train_cfg.*\+trian_cfg"),
        ('train_cfg.max_epoch=3', r"train_cfg has no 'max_epoch', the nearest is max_epochs"),
        ('model.backbone.dept=50', r"model.backbone has no 'dept', the nearest is depth"),
        ('model.tasks.0.loss_wieght=0', r"model.tasks.0 has no 'loss_wieght', the nearest is loss_weight"),
        ('model.tasks.1.name=M', r'model.tasks has 1 items'),
        ('model.tasks.first.name=M', r'model.tasks has 1 items'),
        ('optim_wrapper.clip_grad.max_nrom=1', 'the nearest is max_norm'),
        ('train_dataloader.batchsize=1', 'the nearest is batch_size'),
        ('load_from.a=1', 'load_from is None and has no parts'),
        ('zzz.y=1', "has no 'zzz'; there are "),
        ('train_cfg.max_epochs', 'expected KEY=VALUE'),
        ('=3', 'expected KEY=VALUE'),
        ('load_from=[1,(2', 'Imbalanced brackets'),
    ],
)
def test_an_option_without_effect_is_refused_with_the_nearest(cfg: Config, option: str, message: str) -> None:
    before = cfg.to_dict()
    with pytest.raises(ConfigError, match=message):
        set_options(cfg, ['train_cfg.max_epochs=9', option])
    assert cfg.to_dict() == before


@pytest.mark.parametrize(
    'option',
    [
        'model.backbone.frozen_stages=4',  # arguments of what a section builds
        'model.tasks.0.loss_weight=2',
        'model.tasks.0.loss.pos_weight=3',
        'default_hooks.checkpoint.out_dir=x',
        'optim_wrapper.accumulative_counts=4',
        'optim_wrapper.clip_grad.norm_type=1',
        'train_dataloader.drop_last=true',
        'train_dataloader.dataset.test_mode=true',
        'experiment_name=x',
        'custom_hooks=[]',
        'find_unused_parameters=true',
    ],
)
def test_an_argument_that_the_config_leaves_at_its_default_can_be_set(cfg: Config, option: str) -> None:
    set_options(cfg, [option])
    node: Any = cfg.to_dict()
    for part in option.split('=')[0].split('.'):
        node = node[int(part) if part.isdigit() else part]
    assert str(node).lower() == option.split('=')[1]


def test_a_new_key_is_set_after_a_plus(cfg: Config) -> None:
    set_options(cfg, ['+model.backbone.own.deep=1', '+own=2'])
    assert (cfg.model.backbone.own.deep, cfg.own) == (1, 2)


def test_a_variable_reaches_its_copies(cfg: Config) -> None:
    set_options(cfg, ['data_root=my study/b'])
    assert cfg.train_dataloader.dataset.data_root == cfg.test_dataloader.dataset.data_root == 'my study/b'


def test_the_preprocessor_of_a_published_config_is_set_in_its_model_too(base: Path) -> None:
    base.write_text(base.read_text() + "\ndata_preprocessor = dict(type='ClsDataPreprocessor', mean=[1.0])\n")
    cfg = read_config(base)
    set_options(cfg, ['data_preprocessor.mean=[9.0]'])
    assert cfg.model.data_preprocessor.mean == cfg.data_preprocessor.mean == [9.0]


def test_a_variable_that_became_something_else_is_refused(cfg: Config) -> None:
    cfg.root = cfg.data_root
    with pytest.raises(ConfigError, match=r'was copied .*set data_root, train_dataloader\.dataset'):
        set_options(cfg, ['root=/new'])


def test_a_variable_that_nothing_reads_is_refused(base: Path) -> None:
    with pytest.raises(ConfigError, match='batch: to set it has no effect: it is read by nothing'):
        set_options(read_config(base), ['batch=8'])


def test_a_derived_config_that_sets_a_variable_alone_is_refused(base: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=r'leaf.py: to set data_root alone has no effect: \S+base.py has copied '
        'its old value to train_dataloader.dataset.data_root, test_dataloader.dataset.data_root',
    ):
        derived(base, "data_root = '/new'")
    with pytest.raises(ConfigError, match='to set pipeline alone has no effect'):
        derived(base, 'pipeline = []')


def test_a_config_two_steps_up_is_checked_as_well(base: Path) -> None:
    (base.parent / 'middle.py').write_text("_base_ = ['base.py']\ndata_root = '/new'\n")
    (base.parent / 'top.py').write_text("_base_ = ['middle.py']\n")
    with pytest.raises(ConfigError, match=r'middle\.py: to set data_root alone'):
        read_config(base.parent / 'top.py')


@pytest.mark.parametrize(
    'text',
    [
        "data_root = '/new'\ntrain_dataloader = dict(dataset=dict(data_root=data_root))\n"
        'test_dataloader = dict(dataset=dict(data_root=data_root))',
        "data_root = 'data/a/'",
        "other = '/new'",
        'train_cfg = dict(max_epochs=9)',
        "data_root = '/new'\ntrain_dataloader = None\ntest_dataloader = None",
    ],
)
def test_a_derived_config_whose_settings_have_effect_passes(base: Path, text: str) -> None:
    derived(base, text)


@pytest.mark.parametrize('leaf', LEAVES, ids=lambda path: path.stem)
def test_every_config_sets_nothing_in_vain(leaf: Path) -> None:
    read_config(leaf)


@pytest.mark.parametrize(
    ('text', 'message'),
    [('a = (', 'SyntaxError'), ('a = b', 'NameError'), ('a = 1 / 0', 'ZeroDiv')],
)
def test_a_config_that_cannot_be_read_is_one_message(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / 'c.py').write_text(text)
    with pytest.raises(ConfigError, match=rf'c.py: cannot be read as a config: .*{message}'):
        read_config(tmp_path / 'c.py')


def test_a_missing_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'no.py: no such config'):
        read_config(tmp_path / 'no.py')
