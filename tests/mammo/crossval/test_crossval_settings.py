"""A work dir remembers its settings and refuses others."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config

from mammo.crossval.settings import RECORD, config_of, describe, keep, start_weights, tasks_of
from mammo.errors import DataError, UserError
from mammo.records.differences import differences

ROOT = Path(__file__).resolve().parents[3]
DEMO = ROOT / 'configs/demo/full_breast_224x128_transformer.py'


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / 'table.csv'
    path.write_text('a')
    return path


def start(work_dir: Path, *options: str, amp: bool = False, **files: Path) -> dict:
    cfg = config_of(DEMO, options)
    return keep(work_dir, cfg, describe(cfg, [], files, amp=amp))


def test_the_same_settings_are_taken_up_again(tmp_path: Path, table: Path) -> None:
    assert start(tmp_path / 'run', clinical=table) == start(tmp_path / 'run', clinical=table)


def test_the_kept_config_is_a_config_with_the_options_merged(tmp_path: Path) -> None:
    start(tmp_path, 'model.neck.depth=3')
    assert config_of(tmp_path / 'config.py', []).model.neck.depth == 3


def test_a_changed_option_is_refused_with_both_values(tmp_path: Path) -> None:
    start(tmp_path)
    with pytest.raises(DataError, match=r'config.model.neck.depth: 1 -> 2\n.*another --work-dir, or --fresh'):
        start(tmp_path, 'model.neck.depth=2')


def test_a_changed_flag_is_refused(tmp_path: Path) -> None:
    start(tmp_path)
    with pytest.raises(DataError, match='amp: false -> true'):
        start(tmp_path, amp=True)


def test_a_file_with_other_content_is_refused(tmp_path: Path, table: Path) -> None:
    start(tmp_path, clinical=table)
    table.write_text('b')
    with pytest.raises(DataError, match=r'files\.clinical: "ca978112'):
        start(tmp_path, clinical=table)


def test_a_file_may_be_added_but_not_taken_away(tmp_path: Path, table: Path) -> None:
    start(tmp_path)
    assert 'external b' in start(tmp_path, **{'external b': table})['settings']['files']
    with pytest.raises(DataError, match=r'files\.external b: "ca978112.*" -> absent'):
        start(tmp_path)


@pytest.mark.parametrize('key', ['load_from', 'model.backbone.init_cfg'])
def test_other_start_weights_under_the_same_name_are_refused(tmp_path: Path, table: Path, key: str) -> None:
    def begin() -> None:
        cfg = config_of(DEMO, [])
        weights = str(table) if key == 'load_from' else [dict(type='Pretrained', checkpoint=str(table))]
        cfg.merge_from_dict({key: weights})
        keep(tmp_path / 'run', cfg, describe(cfg, [], start_weights(cfg)))

    begin()
    begin()
    table.write_text('b')
    with pytest.raises(DataError, match=r'files\.weights \S+table.csv: "ca978112'):
        begin()


def test_weights_that_are_no_local_file_are_left_to_training() -> None:
    assert start_weights(config_of(DEMO, ['load_from=https://example.org/a.pth'])) == {}


def test_a_record_with_the_preprocessor_at_the_top_level_alone_is_taken_up_again(tmp_path: Path) -> None:
    grey = dict(type='ClsDataPreprocessor', mean=[1.0])
    now, older = (
        dict(data_preprocessor=grey, model=dict(data_preprocessor=grey)),
        dict(data_preprocessor=grey, model={}),
    )
    settings = dict(files={}, config=now)
    keep(tmp_path, Config(older), dict(settings, config=older))
    keep(tmp_path, Config(now), settings)
    with pytest.raises(DataError, match=r'config\.model\.data_preprocessor\.mean\[0\]: 1\.0 -> 2\.0'):
        keep(
            tmp_path,
            Config(now),
            dict(settings, config=dict(now, model=dict(data_preprocessor=dict(grey, mean=[2.0])))),
        )


def test_the_label_is_compared_with_a_fusion_only(tmp_path: Path, table: Path) -> None:
    cfg = config_of(DEMO, [])
    keep(tmp_path, cfg, describe(cfg, [], {}, label='N'))
    keep(tmp_path, cfg, describe(cfg, [], dict(schema=table), label='LVI'))
    with pytest.raises(DataError, match='label: "LVI" -> "N"'):
        keep(tmp_path, cfg, describe(cfg, [], dict(schema=table), label='N'))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'no.csv: No such file or directory; check the path'):
        start(tmp_path, clinical=tmp_path / 'no.csv')


def test_many_differences_are_shortened(tmp_path: Path) -> None:
    start(tmp_path)
    with pytest.raises(DataError, match=r'and \d+ more'):
        start(tmp_path, *(f'+a{i}={i}' for i in range(12)))


@pytest.mark.parametrize('text', ['{', '{}', '[]'])
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(UserError, match=r'cross_validate.json: .*take another --work-dir'):
        start(tmp_path)


def test_a_record_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text(json.dumps(dict(format_version=9)))
    with pytest.raises(UserError, match='format_version is 9, this release reads 1'):
        start(tmp_path)


def test_checkpoints_of_folds_never_share_a_folder() -> None:
    assert 'out_dir' not in config_of(DEMO, ['default_hooks.checkpoint.out_dir=x']).default_hooks.checkpoint


def test_tasks_come_from_the_list_or_from_the_heads() -> None:
    assert list(tasks_of(config_of(DEMO, [])).items())[::3] == [('N', 'binary'), ('NumPos', 'regression')]
    gap = ROOT / 'configs/ROIs_N_SSL_evaluation/resnet50-expan2_SSL_finetune_Gap_Aug3_ep20.py'
    assert tasks_of(config_of(gap, [])) == dict(N='binary')
    lone = dict(type='ImageTabClassifier', task='LVI', head=dict(type='SingleLinearClsHead'))
    assert tasks_of(Config(dict(model=lone))) == dict(LVI='binary')


def test_a_config_without_tasks_is_refused() -> None:
    with pytest.raises(DataError, match=r'model\.tasks is empty'):
        tasks_of(config_of(DEMO, ['model.tasks=None']))


def test_a_missing_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'no.py: no such config'):
        config_of(tmp_path / 'no.py', [])


def test_one_folder_of_images_serves_all_parts(tmp_path: Path) -> None:
    cfg = config_of(DEMO, ['val_dataloader.dataset.data_root=/other'], tmp_path / 'my study')
    roots = [cfg[f'{part}_dataloader'].dataset.data_root for part in ('train', 'val', 'test')]
    assert roots == [str(tmp_path / 'my study'), '/other', str(tmp_path / 'my study')]


def test_differences_name_added_removed_and_changed_values() -> None:
    old, new = dict(a=1, b=[1, dict(c=2)], d=1), dict(a=1, b=[1, dict(c=3)], e=[1])
    assert list(differences(old, new)) == [('b[1].c', 2, 3), ('d', 1, None), ('e', None, [1])]
