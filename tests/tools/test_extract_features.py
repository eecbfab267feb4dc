"""tools/extract_features.py: per image and per patient, the numbers that the heads give."""

import json
from pathlib import Path

import numpy as np
import pytest

from mammo.records.predictions import read_predictions
from tests.support.toy_config import write_config


@pytest.fixture(scope='module')
def trained(toy_data: Path, tmp_path_factory: pytest.TempPathFactory, call) -> list[Path]:
    """Config and checkpoint."""
    folder = tmp_path_factory.mktemp('features')
    config = write_config(folder / 'own.py', toy_data)
    call('train.py', config, '--work-dir', folder / 'work')
    return [config, folder / 'work' / 'epoch_2.pth']


def test_head_features_are_the_logits_of_the_predictions(trained: list[Path], tmp_path: Path, call) -> None:
    call('test.py', *trained, '--work-dir', tmp_path, '--out', tmp_path / 'pred.json')
    call('extract_features.py', *trained, '--work-dir', tmp_path, '--out', tmp_path / 'features.npz')
    records = read_predictions(tmp_path / 'pred.json')
    with np.load(tmp_path / 'features.npz', allow_pickle=False) as features:
        assert list(features['column']) == ['N', 'LVI', 'multifocality', 'NumPos', 'tumor_size']
        assert list(features['image_id']) == [record['img_path'] for record in records]
        logits = [[record['tasks'][task]['logit'] for task in features['column']] for record in records]
        np.testing.assert_allclose(features['image_x'], logits, atol=1e-6)
        for patient, x in zip(features['patient_id'], features['x'], strict=True):
            of_patient = features['image_patient_id'] == patient
            np.testing.assert_allclose(x, features['image_x'][of_patient].mean(axis=0), atol=1e-6)


def test_backbone_features_come_from_several_meta_files_and_the_tumor_side_only(
    trained: list[Path], toy_data: Path, tmp_path: Path, call
) -> None:
    meta = json.loads((toy_data / 'test.json').read_text())
    for i, item in enumerate(meta['data_list']):
        item.update(tumor_side='L', laterality='LR'[i % 2], img_path=str(toy_data / item['img_path']))
    (tmp_path / 'sides.json').write_text(json.dumps(meta))
    out = tmp_path / 'new' / 'features.npz'
    files = ['--ann-file', 'val.json', tmp_path / 'sides.json']
    call(
        'extract_features.py', *trained, '--work-dir', tmp_path, '--out', out, '--stage', 'backbone',
        '--aggregate', 'max', *files,
    )  # fmt: skip
    with np.load(out, allow_pickle=False) as features:
        assert features['image_x'].shape == (8 + 4, 128)
        assert len(features['patient_id']) == len(set(features['image_patient_id']))
        assert features['x'].max() == features['image_x'].max()
