"""Members with equal backbones share one pass; the predictions are those of each model alone."""

import copy

import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import MultiTaskDataSample
from torch import nn

from models.ensemble import Ensemble, equal_weights

TASKS = [dict(name='N', kind='binary'), dict(name='NumPos', kind='regression')]
NECK = dict(type='TransformerNeck', in_dims=128, head_dim=4, map_size=(4, 2))


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    backbone = dict(type='ResNetWs', depth=50, expansion=2, stem_channels=8, base_channels=8, frozen_stages=4)
    return MODELS.build(dict(type='ImageTabClassifier', backbone=backbone, neck=NECK, tasks=TASKS))


def another(model: nn.Module, *, backbone: bool) -> nn.Module:
    model = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in (model.backbone if backbone else model.neck).parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


def run(models: list[nn.Module], inputs: torch.Tensor) -> tuple[Ensemble, list[list[MultiTaskDataSample]]]:
    ensemble = Ensemble()
    for model in models:
        ensemble.add(model)
    return ensemble, ensemble.predict(inputs, [MultiTaskDataSample(metainfo=dict(n=i)) for i in range(2)])


@pytest.mark.parametrize(('backbones', 'expected'), [((0, 0, 0), 1), ((0, 1, 0), 2), ((1, 1, 1), 3)])
def test_members_predict_as_alone_and_equal_backbones_run_once(
    model: nn.Module, backbones: tuple[int, ...], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = [another(another(model, backbone=False), backbone=True) if b else another(model, backbone=False)
              for b in backbones]  # fmt: skip
    inputs = torch.randn(2, 3, 128, 64)
    passes = []
    maps = type(model).maps
    monkeypatch.setattr(type(model), 'maps', lambda self, x: passes.append(1) or maps(self, x))
    ensemble, predicted = run(models, inputs)
    assert ensemble.num_backbones == len(passes) == expected
    for member, samples in zip(models, predicted, strict=True):
        with torch.no_grad():
            alone = member.eval()(inputs, [MultiTaskDataSample() for _ in range(2)], mode='predict')
        for sample, expect in zip(samples, alone, strict=True):
            for task in ('N', 'NumPos'):
                for field in ('logit', 'pred_score'):
                    found = sample.get(task).get(field)
                    torch.testing.assert_close(found, expect.get(task).get(field), atol=1e-6, rtol=0)
    assert len({float(samples[0].N.logit) for samples in predicted}) == 3  # members differ
    assert [sample.n for sample in predicted[0]] == [0, 1]  # and keep what is known of the image


def test_a_member_is_a_copy(model: nn.Module) -> None:
    ensemble = Ensemble()
    ensemble.add(model)
    before = ensemble.members[0].neck.fc.weight.clone()
    with torch.no_grad():
        model.neck.fc.weight.zero_()
    assert torch.equal(ensemble.members[0].neck.fc.weight, before)


@pytest.mark.parametrize(('key', 'equal'), [('conv1.weight', False), ('bn1.running_var', False),
                                            ('bn1.num_batches_tracked', True)])  # fmt: skip
def test_a_backbone_is_equal_up_to_its_count_of_batches(model: nn.Module, key: str, equal: bool) -> None:
    other = copy.deepcopy(model.backbone)
    other.state_dict()[key].flatten()[:1].add_(1)
    assert equal_weights(model.backbone, other) is equal
