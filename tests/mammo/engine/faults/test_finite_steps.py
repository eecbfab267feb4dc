"""Steps whose loss or gradients are not finite are skipped on all processes, named, and leave no trace."""

import copy
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import Tensor, nn

from mammo.engine.faults import (
    BatchWatchHook,
    Bf16OptimWrapper,
    FiniteAmpOptimWrapper,
    FiniteOptimWrapper,
    NotFiniteError,
)
from mammo.engine.faults.batch_watch import in_words

STEPS = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9))
NAN, INF = float('nan'), float('inf')


class Net(BaseModel):
    """Batch norm, a linear layer, a queue as SwAV has it; ``factor`` in the batch multiplies the loss."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.fc = nn.BatchNorm1d(4), nn.Linear(4, 2)
        self.queue = torch.zeros(3, 4)

    def forward(self, inputs: list[Tensor], data_samples: Any = None, mode: str = 'loss') -> dict:
        x = torch.stack(inputs)
        self.queue[0] = x[0].detach()
        y = self.fc(self.norm(x))
        zero = (self.fc.weight * 0).abs().sum()
        # of value 0, and of gradient NaN where a sample asks for it
        root = zero.sqrt() if any(sample.get('bad_gradient') for sample in data_samples or ()) else zero
        return dict(loss=y.square().mean() * data_samples[0].factor + root)


class Sample(SimpleNamespace):
    def get(self, key: str) -> Any:
        return getattr(self, key, None)


def batch(seed: int, factor: float = 1.0, poison: float | None = None, **extra: Any) -> dict:
    inputs = torch.randn(3, 4, generator=torch.Generator().manual_seed(seed))
    if poison is not None:
        inputs[1, 2] = poison
    samples = [Sample(img_path=f'image{seed}_{i}.png', factor=factor, **extra) for i in range(3)]
    return dict(inputs=list(inputs), data_samples=samples)


class Loop:
    """What mmengine's runner does in an iteration, with the hook under test."""

    def __init__(
        self, wrapper: dict = STEPS, max_in_a_row: int = 10, wrap: Callable = lambda net: net
    ) -> None:
        self.net = Net().train()
        self.model = wrap(self.net)
        self.optim_wrapper = build_optim_wrapper(self.net, copy.deepcopy(wrapper))
        self.optim_wrapper.initialize_count_status(self.net, 0, 100)
        self.message_hub = MessageHub.get_instance('test_finite_steps')
        self.epoch, self.iter, self.hook = 0, 0, BatchWatchHook(max_in_a_row)

    def run(self, *batches: dict) -> 'Loop':
        for data in batches:
            self.hook.before_train_iter(self, self.iter, data)
            outputs = self.model.train_step(data, self.optim_wrapper)
            self.hook.after_train_iter(self, self.iter, data, outputs)
            self.iter += 1
        return self

    def state(self) -> dict[str, Tensor]:
        momentum = self.optim_wrapper.optimizer.state_dict()['state']
        return {
            **self.net.state_dict(),
            'queue': self.net.queue,
            **{f'momentum{i}': value['momentum_buffer'] for i, value in momentum.items()},
        }


def assert_same(a: Loop, b: Loop) -> None:
    one, two = a.state(), b.state()
    assert one.keys() == two.keys()
    for key in one:
        assert torch.equal(one[key], two[key]), key


BAD = {
    'loss NaN': dict(factor=NAN),
    'loss infinite': dict(factor=INF),
    'image NaN': dict(poison=NAN),
    'image infinite': dict(poison=INF),
    'gradient NaN at a finite loss': dict(bad_gradient=True),
}


@pytest.mark.parametrize('bad', BAD.values(), ids=BAD.keys())
def test_a_bad_batch_leaves_no_trace(bad: dict, log_lines: list[str]) -> None:
    with_bad = Loop().run(batch(1), batch(2, **bad), batch(3))
    without = Loop().run(batch(1), batch(3))
    assert_same(with_bad, without)
    (line,) = [line for line in log_lines if 'step skipped' in line]
    assert line.startswith('WARNING epoch 1, iteration 2: ')
    assert 'image2_0.png, image2_1.png, image2_2.png' in line
    assert ('gradients of a finite loss' in line) == bool(bad.get('bad_gradient'))


def test_the_stock_wrapper_is_destroyed_by_such_a_batch() -> None:
    """The trap itself: with clipping, one NaN makes every weight NaN."""
    stock = dict(STEPS, type='mmengine.OptimWrapper', clip_grad=dict(max_norm=1.0))
    loop = Loop(stock).run(batch(1), batch(2, factor=NAN))
    assert loop.net.fc.weight.isnan().all()


@pytest.mark.parametrize('clip', [dict(max_norm=1.0), dict(type='value', clip_value=1.0)])
def test_clipping_does_not_spread_a_bad_gradient(clip: dict) -> None:
    wrapper = dict(STEPS, clip_grad=clip)
    with_bad = Loop(wrapper).run(batch(1), batch(2, bad_gradient=True), batch(3, factor=INF), batch(4))
    assert_same(with_bad, Loop(wrapper).run(batch(1), batch(4)))


def test_finite_steps_are_those_of_the_stock_wrapper() -> None:
    ours, stock = Loop(), Loop(dict(STEPS, type='mmengine.OptimWrapper'))
    assert type(ours.optim_wrapper) is FiniteOptimWrapper
    assert type(stock.optim_wrapper) is not FiniteOptimWrapper
    assert_same(ours.run(batch(1), batch(2)), stock.run(batch(1), batch(2)))


def test_with_accumulation_the_whole_step_is_left_out() -> None:
    wrapper = dict(STEPS, accumulative_counts=2)
    good = [batch(i) for i in range(4)]
    with_bad = Loop(wrapper).run(*good[:2], batch(8), batch(9, factor=NAN), *good[2:])
    bad_first = Loop(wrapper).run(*good[:2], batch(9, factor=NAN), batch(8), *good[2:])
    without = Loop(wrapper).run(*good)
    assert_same(with_bad, without)
    assert_same(bad_first, without)


def test_several_in_a_row_end_the_run_and_name_images_and_checkpoint() -> None:
    loop = Loop(max_in_a_row=3)
    loop.message_hub.update_info('last_ckpt', 'work/epoch_7.pth')
    loop.run(batch(1, factor=NAN), batch(2, factor=NAN), batch(3), batch(4, factor=NAN), batch(5, factor=NAN))
    before = copy.deepcopy(loop.state())
    message = (
        r'iteration 6: the loss is not finite, in 3 steps in a row; images: image6_0\.png.*work/epoch_7\.pth'
    )
    with pytest.raises(NotFiniteError, match=message):
        loop.run(batch(6, factor=INF))
    assert all(torch.equal(before[key], value) for key, value in loop.state().items())


def test_without_a_checkpoint_the_message_says_so() -> None:
    loop = Loop(max_in_a_row=1)
    loop.message_hub.update_info('last_ckpt', None)
    with pytest.raises(NotFiniteError, match='none is saved yet'):
        loop.run(batch(1, factor=NAN))


def test_bfloat16_skips_alike() -> None:
    wrapper = dict(STEPS, type='Bf16OptimWrapper')
    with_bad = Loop(wrapper)
    assert isinstance(with_bad.optim_wrapper, Bf16OptimWrapper)
    with_bad.run(batch(1), batch(2, poison=NAN), batch(3))
    assert_same(with_bad, Loop(wrapper).run(batch(1), batch(3)))


@pytest.fixture
def amp(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Loop]:
    """A loop with the wrapper of a GPU, and torch's own loss scaler on the CPU."""
    import mmengine.optim.optimizer.amp_optimizer_wrapper as module

    monkeypatch.setattr(module, 'is_cuda_available', lambda: True)
    monkeypatch.setattr('mmengine.runner.amp.autocast', lambda **_: torch.autocast('cpu', torch.bfloat16))

    def make(scale: float) -> Loop:
        loop = Loop(dict(STEPS, type='AmpOptimWrapper', clip_grad=dict(max_norm=35.0)))
        assert isinstance(loop.optim_wrapper, FiniteAmpOptimWrapper)
        loop.optim_wrapper.loss_scaler = torch.amp.GradScaler('cpu', init_scale=scale)
        return loop

    return make


def test_overflow_of_loss_scaling_is_left_to_the_scaler(
    amp: Callable[..., Loop], log_lines: list[str]
) -> None:
    loop = amp(scale=2.0**127)
    weight = loop.net.fc.weight.clone()
    for _ in range(3):
        loop.run(batch(1, factor=100.0))
    assert torch.equal(loop.net.fc.weight, weight)  # no step yet
    assert loop.optim_wrapper.loss_scaler.get_scale() == 2.0**124
    assert loop.hook.skipped == 0
    assert not [line for line in log_lines if 'skipped' in line]
    for _ in range(20):
        loop.run(batch(1, factor=100.0))
    assert not torch.equal(loop.net.fc.weight, weight)
    assert loop.net.fc.weight.isfinite().all()


def test_a_loss_that_is_not_finite_counts_and_leaves_the_scale(amp: Callable[..., Loop]) -> None:
    loop = amp(scale=1024.0).run(batch(1), batch(2, factor=NAN))
    assert loop.optim_wrapper.loss_scaler.get_scale() == 1024.0
    assert loop.hook.skipped == 1
    loop.run(batch(3))
    assert loop.hook.skipped == 0


def test_gradients_that_no_scale_makes_finite_count_in_the_end(amp: Callable[..., Loop]) -> None:
    loop = amp(scale=4.0)
    weight = loop.run(batch(1)).net.fc.weight.clone()
    with pytest.raises(NotFiniteError, match='gradients of a finite loss'):
        loop.run(*[batch(2, bad_gradient=True)] * 20)
    assert torch.equal(loop.net.fc.weight, weight)
    assert loop.iter < 15


def two_processes(rank: int, folder: Path, bad: dict) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/meet', rank=rank, world_size=2,
    )  # fmt: skip
    loop = Loop(
        dict(STEPS, clip_grad=dict(max_norm=35.0)),
        max_in_a_row=2,
        wrap=lambda net: MMDistributedDataParallel(module=net, broadcast_buffers=False),
    )
    loop.run(batch(10 + rank))
    loop.run(batch(20 + rank, **(bad if rank == 1 else {})))
    skipped = loop.hook.skipped
    loop.run(batch(30 + rank))
    message = ''
    try:
        for i in (40, 50):
            loop.run(batch(i + rank, **(bad if rank == 1 else {})))
    except NotFiniteError as error:
        message = str(error)
    torch.save(dict(skipped=skipped, message=message, state=loop.state()), folder / f'{rank}.pth')


@pytest.mark.parametrize('bad', [dict(poison=NAN), dict(factor=INF), dict(bad_gradient=True)], ids=str)
def test_one_bad_process_skips_the_step_on_all(bad: dict, tmp_path: Path) -> None:
    torch.multiprocessing.start_processes(two_processes, (tmp_path, bad), nprocs=2, start_method='fork')
    one, two = (torch.load(tmp_path / f'{rank}.pth') for rank in (0, 1))
    assert (one['skipped'], two['skipped']) == (1, 1)
    assert 'in 2 steps in a row' in one['message']
    assert one['message'] == two['message']
    assert 'image51_0.png' in one['message']
    assert ('image50_0.png' in one['message']) == bool(bad.get('bad_gradient'))  # then none can be told
    for key, value in one['state'].items():
        assert value.isfinite().all(), key
        if ('norm' not in key and key != 'queue') or 'weight' in key:
            assert torch.equal(value, two['state'][key]), key


def test_other_optimizer_wrappers_are_left_alone() -> None:
    assert OPTIM_WRAPPERS.get('mmengine.OptimWrapper') is not FiniteOptimWrapper
    assert Loop(dict(STEPS, type='mmengine.OptimWrapper')).run(batch(1)).hook.skipped == 0


@pytest.mark.parametrize(
    ('inputs', 'words'),
    [
        ([torch.zeros(3, 8, 4)] * 5, '5 images of 8 x 4 (height x width)'),
        (torch.zeros(5, 3, 8, 4), '5 images of 8 x 4 (height x width)'),
        ([[torch.zeros(3, 8, 8)] * 2, [torch.zeros(3, 4, 4)] * 2], '2 images of 8 x 8 and 2 images of 4 x 4'),
        (None, 'a batch of unknown size'),
    ],
)
def test_a_batch_is_described_by_number_and_size(inputs: Any, words: str) -> None:
    assert words in in_words(dict(inputs=inputs))
    assert math.isfinite(len(in_words(None)))
