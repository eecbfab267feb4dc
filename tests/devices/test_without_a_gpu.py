"""What would fail or wait on a GPU fails here without one.

Forward passes and predictions run on fake CUDA tensors, which refuse tensors of two devices in one operator;
whole training steps run on the meta device, which autograd takes without a GPU. Neither has values, so what
reads one (`.item()`, `.tolist()`, a boolean mask), and would therefore let a GPU wait, fails.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.model import BaseAveragedModel, BaseModel, ExponentialMovingAverage
from mmengine.optim import build_optim_wrapper
from mmpretrain.models.selfsup import SwAV
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample, MultiTaskDataSample
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

import models.backbones.folding
from mammo.engine.faults import FiniteOptimWrapper, finite_steps
from models.heads.task_heads import TaskHead

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
SUPERVISED = 'multi_task_SL/fullimage1792x1024_resnet50-expan2_barlowtwin_finetune_transformer_Aug3.py'
UNFROZEN = 'multi_task_SL/fullimage1792x1024_resnet50-expan2_barlowtwin_phase2_transformer_Aug3.py'
PRETRAINING = {
    'pretrain/barlowtwins_resnet50-exp2_-coslr-100e_MMpatches.py': [64, 64],
    'pretrain/byol_resnet50-exp2_coslr-120e_MMpatches.py': [64, 64],
    'pretrain/swav_resnet50-exp2_mcrop-coslr-100e_MMpatches-224px-96px.py': [64] * 2 + [32] * 6,
}


@pytest.fixture(autouse=True)
def overwritten_parameters() -> Iterator[None]:
    """Modules that change their device get new parameters, as fake ones need."""
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    yield
    torch.__future__.set_overwrite_module_params_on_conversion(before)


def build(name: str) -> tuple[BaseModel, Config]:
    cfg = Config.fromfile(CONFIGS / name)
    cfg.model.backbone.init_cfg = None
    return MODELS.build(cfg.model), cfg


def moved(model: nn.Module, device: str) -> nn.Module:
    """The model on a device that is not there; called within FakeTensorMode for CUDA."""
    for module in model.modules():
        if isinstance(module, BaseAveragedModel):  # the stock class reads its counter: one wait in each step
            del module.steps
            module.steps = 1
    model._apply(lambda t: torch.empty_strided(t.shape, t.stride(), dtype=t.dtype, device=device))
    for module in model.modules():
        if isinstance(module, BaseAveragedModel):
            module.avg_parameters = dict(module.module.named_parameters())
    if hasattr(model, 'data_preprocessor'):
        model.data_preprocessor._device = torch.device(device)
    return model


def supervised_batch(height: int = 1792, width: int = 1024) -> dict[str, Any]:
    """Two images: one with a label of N alone, one with N and NumPos; LVI has none."""
    samples = []
    for tasks in (('N',), ('N', 'NumPos')):
        sample = MultiTaskDataSample()
        for task in tasks:
            part = DataSample()
            part.set_field(torch.ones(1), 'gt_label')
            sample.set_field(part, task)
        samples.append(sample)
    return dict(inputs=torch.zeros(2, 1, height, width, dtype=torch.uint8), data_samples=samples)


def views_batch(sizes: list[int]) -> dict[str, Any]:
    views = [torch.zeros(4, 1, size, size, dtype=torch.uint8) for size in sizes]
    return dict(inputs=views, data_samples=[DataSample() for _ in range(4)])


def batch_of(name: str) -> dict[str, Any]:
    return views_batch(PRETRAINING[name]) if name in PRETRAINING else supervised_batch()


@pytest.fixture
def valueless(monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads values on purpose or on the CPU alone, and what the meta device lacks, is set aside."""
    monkeypatch.setattr(
        models.backbones.folding, 'is_constant', lambda *_: False
    )  # the folded copy has a test of its own
    monkeypatch.setattr(SwAV, 'loss', swav_loss)
    monkeypatch.setitem(
        MessageHub.get_current_instance().runtime_info, 'max_iters', 100
    )  # of BYOL's momentum
    autocast = torch.autocast
    monkeypatch.setattr(
        torch,
        'autocast',
        lambda device, *a, **k: nullcontext() if device == 'meta' else autocast(device, *a, **k),
    )


def swav_loss(self: SwAV, inputs: list[Tensor], data_samples: list, **_: Any) -> dict[str, Tensor]:
    """The stock method, which counts crops of one size in CPU tensors, with these counts as numbers."""
    crops = [torch.cat(list(views)) for _, views in groupby(inputs, key=lambda view: view.shape[-1])]
    return dict(loss=self.head.loss(self.neck([self.backbone(crop) for crop in crops])))


def cuda_losses(name: str) -> dict[str, Tensor]:
    model, _ = build(name)
    with FakeTensorMode():
        moved(model.train(), 'cuda')
        return model(**model.data_preprocessor(batch_of(name), training=True), mode='loss')


@pytest.mark.usefixtures('valueless')
@pytest.mark.parametrize('name', [SUPERVISED, UNFROZEN, *PRETRAINING])
def test_losses_need_one_device_and_no_value(name: str) -> None:
    assert {tensor.device.type for tensor in cuda_losses(name).values()} == {'cuda'}


@pytest.mark.usefixtures('valueless')
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('name', [SUPERVISED, *PRETRAINING])
def test_losses_are_float32_under_autocast(name: str, dtype: torch.dtype) -> None:
    with torch.autocast('cuda', dtype):
        assert {tensor.dtype for tensor in cuda_losses(name).values()} == {torch.float32}


def mask_of_labels(self: Any, feats: tuple[Tensor, ...], samples: list[DataSample]) -> tuple[Tensor, Tensor]:
    logits = self(feats)
    known = torch.tensor(['gt_label' in sample for sample in samples], device=logits.device)
    return logits[known][:, None], logits[known][:, None]


def labels_on_the_cpu(
    self: Any, feats: tuple[Tensor, ...], samples: list[DataSample]
) -> tuple[Tensor, Tensor]:
    return self(feats)[:, None], torch.zeros(len(samples), 1)


def labels_counted_by_value(
    self: Any, feats: tuple[Tensor, ...], samples: list[DataSample]
) -> tuple[Tensor, Tensor]:
    logits = self(feats)[:, None]
    return logits, logits * (logits.sum().item() > 0)


@pytest.mark.usefixtures('valueless')
@pytest.mark.parametrize(
    ('fault', 'message'),
    [
        (mask_of_labels, 'nonzero'),
        (labels_on_the_cpu, 'device'),
        (labels_counted_by_value, '_local_scalar_dense'),
    ],
)
def test_fault_in_the_head_is_caught(fault: Callable, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TaskHead, 'labelled', fault)
    with pytest.raises(RuntimeError, match=message):
        cuda_losses(SUPERVISED)


def test_predictions_stay_on_their_device() -> None:
    model, _ = build(SUPERVISED)
    model.eval()
    folded = models.backbones.folding.fold(model.backbone)
    with FakeTensorMode(), torch.no_grad():
        moved(model, 'cuda')
        data = model.data_preprocessor(supervised_batch())
        maps = moved(folded, 'cuda')(data['inputs'])
        samples = model.head.predict(model.neck(maps), data['data_samples'])
        assert samples[0].N.pred_score.device.type == 'cuda'


@pytest.mark.usefixtures('valueless')
@pytest.mark.parametrize('name', [SUPERVISED, UNFROZEN, *PRETRAINING])
def test_whole_training_step_reads_a_value_only_where_it_must(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []

    def finite(flags: Tensor) -> list[list[float]]:
        reads.append('finite')
        return torch.zeros(flags.shape).tolist()

    monkeypatch.setattr(finite_steps, 'fetched', finite)
    monkeypatch.setattr(FiniteOptimWrapper, '_clip_grad', lambda _: reads.append('norm of the gradients'))
    model, cfg = build(name)
    moved(model.train(), 'meta')
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    if name in PRETRAINING:  # the stock LARS reads two norms of each parameter
        monkeypatch.setattr(wrapper.optimizer, 'step', lambda: reads.append('LARS'))
    averaged = ExponentialMovingAverage(model, momentum=0.1)
    model.train_step(batch_of(name), wrapper)
    moved(averaged, 'meta').update_parameters(model)
    assert all(p.grad.device.type == 'meta' for p in model.parameters() if p.grad is not None)
    assert reads == ['finite', 'LARS' if name in PRETRAINING else 'norm of the gradients']
