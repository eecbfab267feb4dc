"""What a GPU computes is what the CPU computes; skipped where there is none."""

import copy
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from mmengine.optim import build_optim_wrapper
from torch import nn

from tests.devices.test_without_a_gpu import PRETRAINING, SUPERVISED, UNFROZEN, batch_of, build

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason='this machine has no GPU')
NAMES = [SUPERVISED, UNFROZEN, *PRETRAINING]


def random_batch(name: str) -> dict:
    torch.manual_seed(0)
    batch = batch_of(name)
    views = batch['inputs'] if isinstance(batch['inputs'], list) else [batch['inputs']]
    views = [torch.randint(0, 255, view.shape, dtype=torch.uint8) for view in views]
    return batch | dict(inputs=views if isinstance(batch['inputs'], list) else views[0])


@pytest.mark.parametrize('name', NAMES)
def test_losses_are_those_of_the_cpu(name: str) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    model, _ = build(name)
    models = dict(cpu=model.train(), cuda=copy.deepcopy(model).cuda().train())
    for module in (module for model in models.values() for module in model.modules()):
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    losses = {}
    for device, model in models.items():
        data = model.data_preprocessor(random_batch(name), training=True)
        losses[device] = torch.stack([loss.cpu() for loss in model(**data, mode='loss').values()])
    assert torch.allclose(losses['cpu'], losses['cuda'], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('name', NAMES)
def test_step_in_mixed_precision_is_taken(name: str, dtype: torch.dtype) -> None:
    model, cfg = build(name)
    model = model.cuda().train()
    before = [p.detach().clone() for p in model.parameters() if p.requires_grad]
    options = dict(type='AmpOptimWrapper', dtype=str(dtype).removeprefix('torch.'), loss_scale=1.0)
    wrapper = build_optim_wrapper(model, {**cfg.optim_wrapper, **options})
    model.train_step(random_batch(name), wrapper)
    after = [p.detach() for p in model.parameters() if p.requires_grad]
    assert wrapper.problem == ''
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_sync_bn_and_nccl_run_on_one_process(tmp_path: Path) -> None:
    dist.init_process_group('nccl', init_method=f'file://{tmp_path}/rendezvous', rank=0, world_size=1)
    try:
        model, _ = build(next(iter(PRETRAINING)))
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model).cuda().train()
        parallel = nn.parallel.DistributedDataParallel(model)
        data = model.data_preprocessor(random_batch(next(iter(PRETRAINING))), training=True)
        loss = sum(parallel(**data, mode='loss').values())
        loss.backward()
        assert torch.isfinite(loss)
    finally:
        dist.destroy_process_group()
