"""ONNX export: equal to PyTorch, self-describing, refused where it could not be."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from mammo.errors import UserError
from mammo.inference.export import TaskOutputs, constant_of, export, input_size, size_steps

STEPS = [dict(type='Resize', scale=(72, 104)), dict(type='CenterCrop', crop_size=(64, 96))]
PIPELINE = [dict(type='LoadMammogram'), *STEPS, dict(type='MammoPackMultiTaskInputs')]
TASKS = [dict(name='N', kind='binary'), dict(name='tumor_size', kind='regression')]


@pytest.fixture(scope='module')
def model():
    import models  # noqa: F401  registers

    init_default_scope('mammo')
    torch.manual_seed(0)
    built = MODELS.build(
        dict(
            type='ImageTabClassifier',
            tasks=TASKS,
            backbone=dict(type='ResNetWs', depth=50, stem_channels=8, base_channels=8, expansion=2),
            neck=dict(type='TransformerNeck', in_dims=128, pooling_size=4, map_size=(3, 2), is_LSA=True),
            data_preprocessor=dict(type='ClsDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3),
        )
    )
    built.init_weights()
    return built.eval()


@pytest.fixture(scope='module')
def exported(model, tmp_path_factory):
    path = tmp_path_factory.mktemp('onnx') / 'sub' / 'model.onnx'
    export(model, PIPELINE, path, dict(preprocess=dict(spacing_mm=0.0941)))
    return path


@pytest.mark.parametrize('batch', [1, 2, 5])
def test_onnxruntime_gives_the_numbers_of_the_model_for_any_batch(batch, model, exported):
    image = np.random.default_rng(batch).uniform(0, 255, (batch, 1, 96, 64)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(exported), providers=['CPUExecutionProvider'])
    found = dict(
        zip([o.name for o in session.get_outputs()], session.run(None, {'image': image}), strict=True)
    )
    three = torch.from_numpy(image).repeat(1, 3, 1, 1)
    with torch.inference_mode():
        expected = model.head(model.extract_feat((three - 127.5) / 127.5))
    np.testing.assert_allclose(found['N'], torch.sigmoid(expected['N']), atol=1e-4)
    np.testing.assert_allclose(found['tumor_size'], expected['tumor_size'], atol=1e-4)


def test_onnxruntime_leaves_out_the_background_as_the_model_does(tmp_path):
    init_default_scope('mammo')
    torch.manual_seed(0)
    backbone = dict(type='ResNetWs', depth=50, stem_channels=8, base_channels=8)
    neck = dict(type='AttentionPoolingNeck', breast_margin=0)
    grey = dict(type='ClsDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3)
    parts = dict(backbone=backbone, neck=neck, data_preprocessor=grey, image_size=(96, 64))
    model = MODELS.build(dict(type='ImageTabClassifier', tasks=TASKS, **parts)).eval()
    export(model, PIPELINE, tmp_path / 'model.onnx', {})
    image = np.zeros((2, 1, 96, 64), np.float32)
    image[:, :, 20:, :40] = np.random.default_rng(0).uniform(1, 255, (2, 1, 76, 40))
    session = onnxruntime.InferenceSession(str(tmp_path / 'model.onnx'), providers=['CPUExecutionProvider'])
    with torch.inference_mode():
        maps = model.maps((torch.from_numpy(image).repeat(1, 3, 1, 1) - 127.5) / 127.5)
        expected = torch.sigmoid(model.head(model.neck(maps))['N'])
    assert (maps[0] == 0).all(dim=1).any()
    np.testing.assert_allclose(session.run(['N'], {'image': image})[0], expected, atol=1e-4)


def test_metadata_tells_how_to_make_the_input_and_read_the_output(exported):
    props = {entry.key: entry.value for entry in onnx.load(str(exported)).metadata_props}
    described = json.loads(props['mammogram'])
    assert described['tasks'] == dict(N='binary', tumor_size='regression')
    assert described['input'] == dict(shape=['batch', 1, 96, 64], grey_range=[0, 255])
    assert [step['type'] for step in described['steps']] == ['Resize', 'CenterCrop']
    assert described['normalisation'] == dict(mean=127.5, std=127.5, inside=True)
    assert described['preprocess'] == dict(spacing_mm=0.0941)


def test_network_sees_exactly_one_normalisation(model):
    grey = torch.full((1, 1, 96, 64), 127.5)
    with torch.inference_mode():
        black_centre = model.head(model.extract_feat(torch.zeros(1, 3, 96, 64)))
        found = TaskOutputs(model).eval()(grey)
    assert found[1] == pytest.approx(black_centre['tumor_size'], abs=1e-6)


def test_pipeline_that_cannot_be_described_is_refused():
    with pytest.raises(UserError, match=r"the test pipeline has \['RandomFlip'\]"):
        size_steps([*PIPELINE, dict(type='RandomFlip')])
    with pytest.raises(UserError, match='ends with None, which leaves the size open'):
        input_size(size_steps([PIPELINE[0], PIPELINE[-1]]))


def test_channels_of_their_own_normalisation_are_refused():
    preprocessor = torch.nn.Module()
    preprocessor.mean = torch.tensor([1.0, 2.0, 3.0])[:, None, None]
    with pytest.raises(UserError, match=r'data_preprocessor.mean is \[1.0, 2.0, 3.0\], expected one value'):
        constant_of(preprocessor, 'mean')
