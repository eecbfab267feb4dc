"""Configs of several views at small size: trained, tested, drawn, bundled, exported, asked."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from mmengine.config import Config

from mammo.inference import Predictor
from mammo.records.predictions import read_predictions

FOLDER = Path(__file__).resolve().parents[2] / 'configs/multi_view'
FILES = sorted(path.stem for path in FOLDER.glob('*.py'))
SMALL = """
_base_ = '{folder}/{name}.py'
steps = [dict(type='LoadMammogram'), dict(type='Resize', scale=(64, 96))]
pipeline = [dict(type='LoadViews', transforms=steps), dict(type='MammoPackMultiTaskInputs')]
model = dict(
    image_size=(96, 64),
    backbone=dict(stem_channels=8, base_channels=8, init_cfg=None),
    neck=dict(in_dims=128, pooling_size=4),
)
train_cfg = dict(max_epochs=1)
data = dict(data_root='{data}', pipeline=pipeline)
train_dataloader = dict(batch_size={batch}, num_workers=0, dataset=data)
val_dataloader = dict(num_workers=0, dataset=data)
test_dataloader = dict(num_workers=0, dataset=data)
"""


@pytest.fixture(scope='module')
def data(toy_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy data without the labels that differ between the images of a patient."""
    folder = tmp_path_factory.mktemp('views') / 'data'
    shutil.copytree(toy_data, folder)
    for meta in folder.glob('*.json'):
        content = json.loads(meta.read_text())
        for item in content['data_list']:
            (item.get('gt_label') or {}).pop('LVI', None)
        meta.write_text(json.dumps(content))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize('name', FILES)
def test_config_goes_through_all_stages(name: str, data: Path, tmp_path: Path, call: Callable) -> None:
    config = tmp_path / 'config.py'
    config.write_text(SMALL.format(folder=FOLDER, name=name, data=data, batch=5))
    work, checkpoint = tmp_path / 'work', tmp_path / 'work/epoch_1.pth'
    call('train.py', config, '--work-dir', work)  # two iterations
    call('test.py', config, checkpoint, '--out', tmp_path / 'p.json', '--work-dir', work)
    records = read_predictions(tmp_path / 'p.json')
    assert [record['patient_id'] for record in records] == [
        'p14',
        'p15',
        'p16',
        'p17',
    ]  # left CC and MLO each
    call('attention_maps.py', config, checkpoint, '--out-dir', tmp_path / 'maps', '--work-dir', work)
    assert len(json.loads((tmp_path / 'maps/attention.json').read_text())['images']) == 8
    call('make_bundle.py', '--config', config, '--checkpoint', checkpoint, '--out', tmp_path / 'bundle')
    predictor = Predictor.load(tmp_path / 'bundle', 'cpu')
    items = json.loads((data / 'test.json').read_text())['data_list'][:2]
    exam = {f'L_{item["view"]}': data / item['img_path'] for item in items}
    answer = predictor.predict(exam, cropped_png=True)
    for task, values in records[0]['tasks'].items():
        assert answer.tasks[task].value == pytest.approx(values['pred_score'], abs=1e-5)
    assert sorted(answer.overlays()) == ['L_CC', 'L_MLO']
    alone = predictor.predict({'L_CC': exam['L_CC']}, cropped_png=True)
    assert alone.tasks['N'].value != answer.tasks['N'].value

    call('export.py', config, checkpoint, '--out', tmp_path / 'net.onnx', '--work-dir', work)
    n_views = Config.fromfile(config).model.neck.n_views
    session = onnxruntime.InferenceSession(tmp_path / 'net.onnx')
    image = np.zeros((1, 1, 96 * n_views, 64), np.float32)
    image[:, :, :96] = np.random.default_rng(0).integers(0, 255, (96, 64))
    assert all(np.isfinite(output).all() for output in session.run(None, {'image': image}))


@pytest.mark.slow
def test_cross_validation_from_cached_maps_ends_in_a_bundle_that_answers_alike(
    data: Path, tmp_path: Path, call: Callable
) -> None:
    """With fusion; its models say of their test patients what they said in the folds."""
    metas = [json.loads((data / f'{part}.json').read_text()) for part in ('train', 'val', 'test')]
    items = [item for meta in metas for item in meta['data_list']]
    patients = sorted({item['patient_id'] for item in items})
    (data / 'all.json').write_text(json.dumps(metas[0] | dict(data_list=items)))
    (tmp_path / 'ages.csv').write_text('patient_id,age\n' + ''.join(f'{p},{40 + i}\n' for i, p in enumerate(patients)))  # fmt: skip  # noqa: E501
    variables = '- {name: age, column: age, kind: continuous, unit: years, range: [18, 110]}'
    (tmp_path / 'schema.yaml').write_text(f"patient_id: patient_id\nmissing: ['']\nvariables:\n{variables}\n")
    config, run = tmp_path / 'config.py', tmp_path / 'run'
    config.write_text(SMALL.format(folder=FOLDER, name=FILES[0], data=data, batch=5))
    folds, schema, ages = tmp_path / 'folds', tmp_path / 'schema.yaml', tmp_path / 'ages.csv'
    call('split.py', data / 'all.json', '--out-dir', folds, '--outer', 2, '--inner', 2, '--stratify', 'N')
    fusion = ['--with-fusion', schema, '--clinical', ages, '--bootstrap', 100]
    call('cross_validate.py', config, '--folds', folds, '--work-dir', run, '--cache', 1, *fusion)
    report = json.loads((run / 'report/report.json').read_text())
    assert {model: about['n_patients'] for model, about in report['models'].items()} == dict.fromkeys(
        report['models'], 18
    )
    assert len(report['models']) == 5
    call('make_bundle.py', '--cv', run, '--out', tmp_path / 'bundle')
    predictor = Predictor.load(tmp_path / 'bundle', 'cpu')
    tested = [read_predictions(run / f'0/{inner}/predictions_test.json')[0] for inner in (0, 1)]
    exam = {f'L_{item["view"]}': data / item['img_path'] for item in items
            if item['patient_id'] == tested[0]['patient_id']}  # fmt: skip
    answer = predictor.predict(exam, cropped_png=True)
    for task, values in answer.tasks.items():
        expected = [record['tasks'][task]['pred_score'] for record in tested]
        assert values.members[:2] == pytest.approx(expected, abs=1e-5)
    alone = predictor.predict({'L_CC': exam['L_CC']}, clinical={'age': 50}, cropped_png=True)
    assert alone.tasks['N'].value != answer.tasks['N'].value
    assert sorted(alone.overlays()) == ['L_CC']


def test_network_and_data_must_have_the_same_number_of_views(
    data: Path, tmp_path: Path, call: Callable, capsys: pytest.CaptureFixture
) -> None:
    config = tmp_path / 'config.py'
    config.write_text(SMALL.format(folder=FOLDER, name=FILES[0], data=data, batch=5))
    torch.manual_seed(0)
    with pytest.raises(SystemExit):
        call('train.py', config, '--work-dir', tmp_path, '--cfg-options', 'model.neck.n_views=4')
    assert 'train: samples have n_views 2, model.neck takes 4' in capsys.readouterr().err
