"""Exhausted memory and lost workers end as one message that says what to change; the run can go on."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import RUNNERS
from mmpretrain.registry import DATASETS, MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mammo.command import one_line_errors
from mammo.engine.faults import NotFiniteError, ResourceError, resources_explained
from mammo.errors import Exit

CUDA = 'CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 10 GiB'
LARGEST_BATCH = 3  # what fits into the memory of the model below


@MODELS.register_module()
class HungryNet(BaseModel):
    """One convolution; more than three images do not fit after ``full_from`` batches."""

    def __init__(self, full_from: int = 0, error: str = 'torch') -> None:
        super().__init__()
        self.conv, self.full_from, self.seen = nn.Conv2d(1, 1, 3), full_from, 0
        self.error = dict(
            torch=torch.OutOfMemoryError(CUDA), python=MemoryError(), other=RuntimeError('else')
        )[error]

    def forward(self, inputs: list[Tensor], data_samples: Any = None, mode: str = 'loss') -> Any:
        self.seen += 1
        if len(inputs) > LARGEST_BATCH and self.seen > self.full_from:
            raise self.error
        y = self.conv(torch.stack(inputs)).mean()
        return dict(loss=y.square() * (float('nan') if self.full_from < 0 else 1))


@DATASETS.register_module()
class EightImages(torch.utils.data.Dataset):
    """Eight images of 6 x 5; in a worker, the third one may end the process."""

    def __init__(self, fatal: int = 0) -> None:
        self.fatal = fatal

    def __len__(self) -> int:
        return 8

    def __getitem__(self, i: int) -> dict:
        if i == 2 and self.fatal and torch.utils.data.get_worker_info():
            os.kill(os.getpid(), self.fatal) if self.fatal > 0 else os._exit(1)
        return dict(
            inputs=torch.full((1, 6, 5), float(i)),
            data_samples=DataSample(metainfo=dict(img_path=f'{i}.png')),
        )


def runner(work_dir: Path, batch_size: int = 4, resume: bool = False, fatal: int = 0, **model: Any) -> Any:
    loader = dict(
        batch_size=batch_size,
        num_workers=1 if fatal else 0,
        dataset=dict(type='EightImages', fatal=fatal),
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='pseudo_collate'),
    )
    return RUNNERS.build(
        Config(
            dict(
                runner_type='MammoRunner',
                default_scope='mammo',
                model=dict(type='HungryNet', **model),
                train_dataloader=loader,
                train_cfg=dict(by_epoch=True, max_epochs=2),
                optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01)),
                default_hooks=dict(batch_watch=dict(type='BatchWatchHook', max_in_a_row=2)),
                custom_hooks=[dict(type='PlainCheckpointHook')],
                work_dir=str(work_dir),
                experiment_name=f'{work_dir.parent.name}{work_dir.name}{resume}',
                resume=resume,
                randomness=dict(seed=0),
            )
        )
    )


@pytest.mark.parametrize('error', ['torch', 'python'])
def test_out_of_memory_names_batch_and_image_size_and_what_to_change(tmp_path: Path, error: str) -> None:
    with pytest.raises(ResourceError) as end:
        runner(tmp_path, error=error).train()
    message = str(end.value)
    for part in (
        'memory ran out with 4 images of 6 x 5 (height x width)',
        'lower train_dataloader.batch_size (now 4)',
        'raise optim_wrapper.accumulative_counts (now 1)',
        '--amp',
        'none is saved yet',
        'Tried to allocate' if error == 'torch' else 'MemoryError',
    ):
        assert part in message


def test_the_run_goes_on_with_the_change_that_the_message_asks_for(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r'go on with --resume; the last checkpoint is .*epoch_1\.pth'):
        runner(tmp_path, full_from=2).train()  # in the second epoch
    go_on = runner(tmp_path, batch_size=2, resume=True)
    go_on.train()
    assert (tmp_path / 'epoch_2.pth').exists()
    assert go_on.model.seen == 4  # not anew: the batches of the second epoch only


@pytest.mark.parametrize('fatal', [signal.SIGKILL, signal.SIGBUS, -1], ids=['killed', 'bus error', 'exited'])
def test_a_lost_worker_says_what_to_change(tmp_path: Path, fatal: int) -> None:
    with pytest.raises(ResourceError) as end:
        runner(tmp_path, batch_size=2, fatal=int(fatal)).train()
    message = str(end.value)
    for part in (
        'worker was killed',
        'train_dataloader.num_workers (now 1)',
        '/dev/shm',
        'none is saved yet',
    ):
        assert part in message


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match='else'):
        runner(tmp_path, error='other').train()


@pytest.mark.parametrize(
    'text',
    [
        'CUDA error: out of memory',
        "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory",
        'CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)',
        'Caught RuntimeError in DataLoader worker process 0.\nunable to write to file </torch_12_1>',
        'DataLoader worker (pid 12) is killed by signal: Killed. ',
        'DataLoader worker (pid(s) 12) exited unexpectedly',
    ],
)
def test_known_forms_of_the_errors_are_recognised(text: str) -> None:
    with pytest.raises(ResourceError, match='batch_size'), resources_explained():
        raise RuntimeError(text)


@pytest.mark.parametrize(
    ('error', 'code', 'text'),
    [
        (torch.OutOfMemoryError(CUDA), Exit.NO_RESOURCES, 'error: process 0: memory ran out'),
        (
            ResourceError('memory ran out with x'),
            Exit.NO_RESOURCES,
            'error: process 0: memory ran out with x\n',
        ),
        (NotFiniteError('the loss is not finite'), Exit.NOT_FINITE, 'error: the loss is not finite\n'),
    ],
)
def test_commands_end_with_a_code_of_their_own(
    error: Exception, code: int, text: str, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as end, one_line_errors(), resources_explained():
        raise error
    assert end.value.code == code
    assert capsys.readouterr().err.startswith(text)


def test_a_run_whose_loss_stays_nan_ends_with_finite_weights(tmp_path: Path) -> None:
    run = runner(tmp_path, batch_size=2, full_from=-1)
    with pytest.raises(NotFiniteError, match=r'in 2 steps in a row; images: 2\.png, 3\.png'):
        run.train()
    assert all(p.isfinite().all() for p in run.model.parameters())
