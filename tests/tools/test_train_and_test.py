"""tools/train.py and tools/test.py, as a user calls them, in one process."""

import json
import math
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.visualization import Visualizer

from mammo.records.meta import write_meta
from mammo.records.predictions import read_predictions
from tests.conftest import TASKS
from tests.support.toy_config import write_config

ROOT = Path(__file__).resolve().parents[2]
LEAF = 'configs/multi_task_SL/fullimage1792x1024_resnet50-expan2_barlowtwin_finetune_transformer_Aug3.py'


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Runs a tool in this process; the exit code."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.delenv('LOCAL_RANK', raising=False)

    def run(*command: str | Path) -> int:
        # mmengine keeps one by name, which is the config's and the second in which a run began
        Visualizer._instance_dict.clear()
        monkeypatch.setattr(sys, 'argv', [str(part) for part in command])
        try:
            runpy.run_path(str(command[0]), run_name='__main__')
        except SystemExit as exit_:
            return int(exit_.code or 0)
        return 0

    return run


@pytest.fixture(scope='module')
def trained(toy_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work dir after two epochs; config.py lies beside the checkpoints."""
    folder = tmp_path_factory.mktemp('trained')
    config = write_config(folder / 'config.py', toy_data)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(sys, 'argv', ['tools/train.py', str(config), '--work-dir', str(folder)])
        runpy.run_path('tools/train.py', run_name='__main__')
    return folder


def test_training_leaves_the_last_and_the_best_checkpoint_of_the_main_task(trained: Path) -> None:
    assert (trained / 'epoch_2.pth').is_file()
    assert len(list(trained.glob('best_N_loss_epoch_*.pth'))) == 1


def test_checkpoints_load_without_running_code(trained: Path) -> None:
    assert {'state_dict', 'optimizer', 'message_hub'} <= torch.load(
        trained / 'epoch_2.pth', weights_only=True
    ).keys()


@pytest.mark.parametrize('suffix', ['pkl', 'json', 'csv'])
def test_predictions_are_written_by_default_in_the_form_the_suffix_names(
    trained: Path, toy_data: Path, tmp_path: Path, call, suffix: str
) -> None:
    out = tmp_path / 'new' / 'folder' / f'best.{suffix}'
    code = call(
        'tools/test.py', trained / 'config.py', trained / 'epoch_2.pth', '--work-dir', tmp_path, '--out', out
    )
    assert code == 0
    records = read_predictions(out)
    items = json.loads((toy_data / 'test.json').read_text())['data_list']
    assert [record['img_path'] for record in records] == [item['img_path'] for item in items]
    assert [record['patient_id'] for record in records] == [item['patient_id'] for item in items]
    for record, item in zip(records, items, strict=True):
        task = record['tasks']['N']
        assert task['pred_score'] == pytest.approx(1 / (1 + 2.718281828459045 ** -task['logit']), abs=1e-6)
        assert task['gt_label'] == item['gt_label']['N']
        assert record['tasks']['multifocality']['gt_label'] is None
        assert record['tasks']['NumPos']['pred_score'] == record['tasks']['NumPos']['logit']


def test_metrics_are_written_as_json_with_null_for_what_is_undefined(
    trained: Path, tmp_path: Path, call
) -> None:
    out = tmp_path / 'new' / 'best.json'
    command = ['tools/test.py', trained / 'config.py', trained / 'epoch_2.pth', '--work-dir', tmp_path]
    assert call(*command, '--out', out, '--out-item', 'metrics') == 0
    metrics = json.loads(out.read_text())
    assert metrics['multifocality_roc_auc'] is None
    assert 0 <= metrics['N_roc_auc'] <= 1
    assert {'N_loss', 'N_pr_auc', 'NumPos_loss', 'NumPos_r2_score'} <= metrics.keys()


def test_tta_is_the_mean_prediction_of_an_image_and_its_mirror_image(
    trained: Path, tmp_path: Path, call
) -> None:
    mirrored = trained / 'mirrored.py'
    mirrored.write_text(
        "_base_ = './config.py'\n"
        'pipeline = [*_base_.pipeline[:-1], dict(type="RandomFlip", prob=1.0), _base_.pipeline[-1]]\n'
        'test_dataloader = dict(dataset=dict(pipeline=pipeline))\n'
    )
    tasks = {}
    for name, config, options in [('plain', 'config.py', []), ('mirrored', mirrored, []),
                                  ('tta', 'config.py', ['--tta'])]:  # fmt: skip
        out = tmp_path / f'{name}.json'
        code = call('tools/test.py', trained / config, trained / 'epoch_2.pth', '--work-dir', tmp_path,
                    '--out', out, *options)  # fmt: skip
        assert code == 0
        tasks[name] = [record['tasks'] for record in read_predictions(out)]
    for plain, mirror, tta in zip(tasks['plain'], tasks['mirrored'], tasks['tta'], strict=True):
        assert plain['N']['pred_score'] != mirror['N']['pred_score']
        for task in ('N', 'NumPos'):
            mean = (plain[task]['pred_score'] + mirror[task]['pred_score']) / 2
            assert tta[task]['pred_score'] == pytest.approx(mean, abs=1e-6)
            assert tta[task]['gt_label'] == plain[task]['gt_label']
        prob = tta['N']['pred_score']
        assert tta['N']['logit'] == pytest.approx(math.log(prob / (1 - prob)), abs=1e-5)


def test_pictures_lie_under_the_folders_of_their_images_and_stay_grey(
    trained: Path, toy_data: Path, tmp_path: Path, call
) -> None:
    root = tmp_path / 'data'
    items = json.loads((toy_data / 'test.json').read_text())['data_list'][:4]
    for i, item in enumerate(items):  # two folders with files of one name
        (root / f'p{i // 2}').mkdir(parents=True, exist_ok=True)
        (root / f'p{i // 2}/{i % 2}.png').write_bytes((toy_data / item['img_path']).read_bytes())
    moved = [item | dict(img_path=f'p{i // 2}/{i % 2}.png') for i, item in enumerate(items)]
    write_meta(root / 'test.json', moved, TASKS)
    code = call('tools/test.py', trained / 'config.py', trained / 'epoch_2.pth', '--work-dir', tmp_path,
                '--show-dir', tmp_path / 'shown', '--interval', '1', '--wait-time', '0', '--no-pin-memory',
                '--cfg-options', f'test_dataloader.dataset.data_root={root}')  # fmt: skip
    assert code == 0
    pictures = sorted(path.relative_to(tmp_path / 'shown') for path in (tmp_path / 'shown').rglob('*.png'))
    assert [*map(str, pictures)] == [f'p{i}/{j}.png_0.png' for i in range(2) for j in range(2)]
    picture = cv2.imread(str(tmp_path / 'shown' / pictures[0]))
    assert picture.shape == (96, 64, 3)
    assert (picture == picture[..., :1]).all()
    image = cv2.imread(str(root / 'p0/0.png'), 0)
    tested = cv2.resize(image, (64, 96))
    assert np.abs(picture[60:, :, 0].astype(int) - tested[60:]).mean() < 3  # text is above


def test_a_window_without_a_screen_is_refused(trained: Path, call, capsys, monkeypatch) -> None:
    monkeypatch.delenv('DISPLAY', raising=False)
    monkeypatch.delenv('WAYLAND_DISPLAY', raising=False)
    assert call('tools/test.py', trained / 'config.py', trained / 'epoch_2.pth', '--show') == 2
    assert 'no screen; --show-dir DIR' in capsys.readouterr().err
    command = ('tools/test.py', trained / 'config.py', trained / 'epoch_2.pth', '--show-dir', 'x')
    assert call(*command, '--interval', '0') == 2
    assert 'interval is 0' in capsys.readouterr().err
    assert call(*command, '--tta') == 2


@pytest.mark.parametrize(
    ('model', 'words'),
    [
        ("backbone=dict(dept=50),", "ResNet takes no argument 'dept', which stands at model.backbone.dept "
         '(the nearest is depth)'),
        ("head=dict(type='NoHead'),", 'NoHead is not in the'),
        ("tasks=[dict(name='N', kind='yes')],", "kind is 'yes', expected one of"),
        ("neck=dict(pooling_size=9),", 'pooling_size is 9, expected one of'),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_built_is_one_line(
    toy_data: Path, tmp_path: Path, call, capsys, model: str, words: str
) -> None:
    write_config(tmp_path / 'config.py', toy_data)
    leaf = tmp_path / 'leaf.py'
    leaf.write_text(f"_base_ = './config.py'\nmodel = dict({model})\n")
    assert call('tools/train.py', leaf, '--work-dir', tmp_path) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith('error: ')]
    assert line.startswith('error: model cannot be built: ')
    assert words in line


def test_amp_on_cpu_gives_nearly_the_same_probabilities(trained: Path, tmp_path: Path, call) -> None:
    command = ['tools/test.py', trained / 'config.py', trained / 'epoch_2.pth', '--work-dir', tmp_path]
    assert call(*command, '--out', tmp_path / 'a.json') == 0
    assert call(*command, '--out', tmp_path / 'b.json', '--amp') == 0
    a, b = (
        [r['tasks']['N']['pred_score'] for r in read_predictions(tmp_path / f'{name}.json')] for name in 'ab'
    )
    assert a != b
    assert a == pytest.approx(b, abs=0.02)


def test_resume_goes_on_from_the_latest_checkpoint_in_training_with_amp(
    trained: Path, toy_data: Path, tmp_path: Path, call
) -> None:
    config = write_config(tmp_path / 'own.py', toy_data)
    work_dir = tmp_path / 'work'
    command = ['tools/train.py', config, '--work-dir', work_dir, '--amp', '--no-validate']
    assert call(*command, '--cfg-options', 'train_cfg.max_epochs=1', '+param_scheduler.end=2') == 0
    first = torch.load(work_dir / 'epoch_1.pth', weights_only=True)
    assert (
        call(
            *command, '--resume', '--cfg-options', f'default_hooks.checkpoint.out_dir={tmp_path}/check points'
        )
        == 0
    )
    second = torch.load(tmp_path / 'check points/epoch_2.pth', weights_only=True)
    assert (first['meta']['iter'], second['meta']['iter']) == (2, 4)
    assert not list(work_dir.glob('best_*'))


def test_own_tasks_need_one_list_and_the_minimal_meta_file(toy_data: Path, tmp_path: Path, call) -> None:
    labels = [{'Tumor size': 0.765, 'LNM': 0}, {'Tumor size': 0.2, 'LNM': 1}]
    meta = {
        'data_list': [dict(img_path=f'{toy_data}/image{i}.png', gt_label=labels[i % 2]) for i in range(10)]
    }
    for split in ('train', 'val', 'test'):
        (tmp_path / f'{split}.json').write_text(json.dumps(meta))
    tasks = "tasks=[dict(name='LNM', kind='binary'), dict(name='Tumor size', kind='regression')], "
    config = write_config(tmp_path / 'config.py', tmp_path, tasks)
    assert call('tools/train.py', config, '--work-dir', tmp_path) == 0
    (best,) = tmp_path.glob('best_LNM_loss_epoch_*.pth')
    out = tmp_path / 'metrics.json'
    assert (
        call('tools/test.py', config, best, '--work-dir', tmp_path, '--out', out, '--out-item', 'metrics')
        == 0
    )
    metrics = ['LNM_loss', 'LNM_roc_auc', 'LNM_pr_auc', 'Tumor size_loss', 'Tumor size_r2_score']
    assert list(json.loads(out.read_text())) == metrics


def test_a_missing_pretrained_checkpoint_is_said_before_data_are_read(tmp_path: Path, call, capsys) -> None:
    code = call(
        'tools/train.py', LEAF, '--work-dir', tmp_path, '--cfg-options', 'train_dataloader.batch_size=2'
    )
    assert code == 2
    message = capsys.readouterr().err
    assert 'model.backbone.init_cfg.checkpoint' in message
    assert 'configs/pretrain/' in message
    assert '--cfg-options model.backbone.init_cfg=None' in message


def test_the_remedy_for_a_missing_pretrained_checkpoint_works_and_a_missing_meta_file_is_named(
    tmp_path: Path, call, capsys
) -> None:
    options = ['model.backbone.init_cfg=None', f'train_dataloader.dataset.data_root={tmp_path}']
    assert call('tools/train.py', LEAF, '--work-dir', tmp_path, '--cfg-options', *options) == 2
    assert f'{tmp_path}/train.json: no such meta file' in capsys.readouterr().err


def test_damaged_and_missing_images_are_listed_together_before_training(
    toy_data: Path, tmp_path: Path, call, capsys
) -> None:
    whole = (toy_data / 'image0.png').read_bytes()
    (tmp_path / 'cut.png').write_bytes(whole[: len(whole) // 2])
    (tmp_path / 'whole.png').write_bytes(whole)
    items = [dict(img_path=f'{name}.png', gt_label={'N': 1}) for name in ('whole', 'cut', 'gone')]
    for split in ('train', 'val', 'test'):
        write_meta(tmp_path / f'{split}.json', items, ['N'])
    assert call('tools/train.py', write_config(tmp_path / 'config.py', tmp_path), '--work-dir', tmp_path) == 2
    message = capsys.readouterr().err
    assert '2 of 3 images' in message
    assert 'cut.png' in message
    assert 'gone.png' in message
    assert not list(tmp_path.glob('*.pth'))


def test_strict_split_refuses_a_patient_in_two_splits(toy_data: Path, tmp_path: Path, call, capsys) -> None:
    config = write_config(tmp_path / 'config.py', toy_data)
    options = ['--strict-split', '--cfg-options', 'val_dataloader.dataset.ann_file=train.json']
    assert call('tools/train.py', config, '--work-dir', tmp_path, *options) == 2
    assert 'patients are in train and val: p0, p1' in capsys.readouterr().err


def test_a_checkpoint_of_another_architecture_is_refused_with_its_keys(
    trained: Path, toy_data: Path, tmp_path: Path, call, capsys
) -> None:
    neck = "dict(_delete_=True, type='DwiseConvResBlockPooling', in_channels=128)"
    config = write_config(tmp_path / 'config.py', toy_data)
    config.write_text(config.read_text().replace('neck=dict(in_dims=128, map_size=(3, 2))', f'neck={neck}'))
    assert call('tools/test.py', config, trained / 'epoch_2.pth', '--work-dir', tmp_path) == 2
    message = capsys.readouterr().err
    assert 'neck.pos_embedding' in message
    assert 'neck.res_blocks.0.conv1.0.weight' in message


def test_wrong_usage_of_out_is_refused_at_once(trained: Path, call, capsys) -> None:
    assert call('tools/test.py', trained / 'config.py', trained / 'epoch_2.pth', '--out-item', 'pred') == 2
    assert '--out-item needs --out' in capsys.readouterr().err
    assert call('tools/test.py', trained / 'config.py', trained / 'epoch_2.pth', '--out', 'a.txt') == 2
    assert 'expected a file that ends in .pkl or .json or .csv' in capsys.readouterr().err


def test_resume_without_a_checkpoint_starts_as_without_resume(
    trained: Path, toy_data: Path, tmp_path: Path, call, capsys
) -> None:
    config = write_config(tmp_path / 'own.py', toy_data)
    command = ['tools/train.py', config, '--work-dir', tmp_path / 'work', '--resume', '--cfg-options']
    assert call(*command, f'load_from={tmp_path}/nowhere.pth') == 2
    assert 'nowhere.pth: no such checkpoint' in capsys.readouterr().err
    assert call(*command, f'load_from={trained}/epoch_2.pth', 'train_cfg.max_epochs=1') == 0
    assert (tmp_path / 'work' / 'epoch_1.pth').is_file()


def test_no_validate_goes_with_options_of_the_validation_set(toy_data: Path, tmp_path: Path, call) -> None:
    config = write_config(tmp_path / 'own.py', toy_data)
    options = [f'val_dataloader.dataset.data_root={tmp_path}', 'train_cfg.max_epochs=1']
    assert (
        call(
            'tools/train.py', config, '--work-dir', tmp_path / 'w', '--no-validate', '--cfg-options', *options
        )
        == 0
    )
    assert not list((tmp_path / 'w').glob('best_*'))


def test_best_by_auc_is_the_highest(toy_data: Path, tmp_path: Path, call) -> None:
    config = write_config(tmp_path / 'own.py', toy_data)
    options = ['default_hooks.checkpoint.save_best=N_roc_auc', 'train_cfg.max_epochs=3']
    assert call('tools/train.py', config, '--work-dir', tmp_path / 'w', '--cfg-options', *options) == 0
    (scalars,) = (tmp_path / 'w').glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    aucs = [line['N_roc_auc'] for line in lines if 'N_roc_auc' in line]
    (best,) = (tmp_path / 'w').glob('best_N_roc_auc_epoch_*.pth')
    assert aucs[int(best.stem.rsplit('_', 1)[1]) - 1] == max(aucs)


def test_a_diverged_run_reports_null_and_says_why(toy_data: Path, tmp_path: Path, call, capfd) -> None:
    config = write_config(tmp_path / 'own.py', toy_data)
    options = ['optim_wrapper.optimizer.lr=1e30', 'optim_wrapper.clip_grad=None', 'train_cfg.max_epochs=1']
    assert call('tools/train.py', config, '--work-dir', tmp_path / 'w', '--cfg-options', *options) == 0
    out, err = capfd.readouterr()
    assert 'outputs are not finite: the training diverged' in out + err


def test_frozen_random_weights_are_said(toy_data: Path, tmp_path: Path, call, capfd) -> None:
    config = write_config(tmp_path / 'own.py', toy_data)
    options = ['model.backbone.frozen_stages=4', 'train_cfg.max_epochs=1']
    assert call('tools/train.py', config, '--work-dir', tmp_path / 'w', '--cfg-options', *options) == 0
    out, err = capfd.readouterr()
    assert 'frozen at random values (backbone.conv1.weight ...)' in out + err


def test_a_config_inside_a_checkpoint_is_never_run(
    trained: Path, toy_data: Path, tmp_path: Path, call
) -> None:
    checkpoint = torch.load(trained / 'epoch_2.pth', weights_only=True)
    checkpoint['meta']['config'] = f"open({str(tmp_path / 'executed')!r}, 'w')"
    torch.save(checkpoint, tmp_path / 'evil.pth')
    config = write_config(tmp_path / 'own.py', toy_data)
    command = ['tools/train.py', config, '--work-dir', tmp_path / 'w', '--resume', tmp_path / 'evil.pth']
    assert call(*command, '--cfg-options', 'train_cfg.max_epochs=3', '+param_scheduler.end=2') == 0
    assert (tmp_path / 'w' / 'epoch_3.pth').is_file()
    assert not (tmp_path / 'executed').exists()
