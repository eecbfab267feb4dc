"""SwAV's queue: its length, fresh and resumed runs, frozen prototypes."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmpretrain.registry import HOOKS, MODELS
from torch import nn

from mammo.engine.pretrain import SwAVHook
from mammo.engine.pretrain.swav_queue import whole_batches
from mammo.errors import DataError

HOOK = dict(type='SwAVHook', epoch_queue_starts=2, queue_length=20, frozen_layers_cfg=dict(prototypes=7))


def runner(*, epoch: int = 0, iteration: int = 0, batch_size: int = 4, world_size: int = 2) -> Any:
    loss = MODELS.build(dict(type='SwAVLoss', feat_dim=6, num_crops=[2], num_prototypes=5))
    model = nn.Module()
    model.head = nn.Module()
    model.head.loss_module = loss
    loader = SimpleNamespace(batch_size=batch_size)
    return SimpleNamespace(
        model=model, epoch=epoch, iter=iteration, world_size=world_size, train_dataloader=loader
    )


def queue_of(run: Any) -> torch.Tensor | None:
    return run.model.head.loss_module.queue


def test_hook_of_published_configs_is_ours_and_takes_their_batch_size() -> None:
    hook = HOOKS.build(dict(HOOK, batch_size=256, feat_dim=128))
    assert type(hook) is SwAVHook
    run = runner(epoch=2)
    hook.before_train(run)
    assert hook.queue_length == 16  # whole batches of 4 x 2, from the dataloader


def test_queue_is_rounded_down_to_whole_batches_with_a_log_line(log_lines: list[str]) -> None:
    assert whole_batches(1280, 2 * 256) == 1024
    assert any('1280 rows is shortened to 1024' in line for line in log_lines)
    log_lines.clear()
    assert whole_batches(1280, 256) == 1280
    assert whole_batches(0, 256) == 0
    assert log_lines == []


def test_queue_shorter_than_a_batch_is_refused() -> None:
    with pytest.raises(
        DataError, match=r'queue_length is 1280, shorter than one batch of 2048 .* at least 2048'
    ):
        whole_batches(1280, 8 * 256)


def test_queue_starts_at_its_epoch_with_the_rows_of_all_processes(log_lines: list[str]) -> None:
    hook = HOOKS.build(HOOK)
    run = runner()
    hook.before_train(run)
    for run.epoch in (0, 1):
        hook.before_train_epoch(run)
        assert queue_of(run) is None
    run.epoch = 2
    hook.before_train_epoch(run)
    assert queue_of(run).shape == (2, 16, 6)
    assert not queue_of(run).any()
    assert len([line for line in log_lines if 'ln(5) = 1.609' in line]) == 1


def test_queue_travels_in_the_checkpoint_of_a_resumed_run_only() -> None:
    first, run = HOOKS.build(HOOK), runner(epoch=2, iteration=8)
    first.before_train(run)
    first.before_train_epoch(run)
    queue_of(run)[:] = torch.rand(2, 16, 6)  # as the loss fills it
    checkpoint: dict = {}
    first.before_save_checkpoint(run, checkpoint)
    for iteration, epoch in ((9, 2), (0, 2)):
        hook, again = HOOKS.build(HOOK), runner(epoch=epoch, iteration=iteration)
        hook.after_load_checkpoint(again, checkpoint)
        hook.before_train(again)
        hook.before_train_epoch(again)
        expected = queue_of(run) if iteration else torch.zeros(2, 16, 6)
        assert torch.equal(queue_of(again), expected)


def test_queue_file_of_another_run_is_not_read(tmp_path: Any) -> None:
    torch.save(dict(queue=torch.ones(2, 16, 6)), tmp_path / 'queue.pth')
    hook, run = HOOKS.build(HOOK), runner()
    run.work_dir = str(tmp_path)
    hook.before_run(run)
    hook.before_train(run)
    hook.before_train_epoch(run)
    assert queue_of(run) is None
    hook.after_train_epoch(run)
    assert [file.name for file in tmp_path.iterdir()] == ['queue.pth']


def test_queue_of_another_length_starts_anew_when_resumed() -> None:
    hook, run = HOOKS.build(HOOK), runner(epoch=2, iteration=9)
    hook.after_load_checkpoint(run, dict(swav_queue=torch.rand(2, 8, 6)))
    hook.before_train(run)
    hook.before_train_epoch(run)
    assert torch.equal(queue_of(run), torch.zeros(2, 16, 6))


@pytest.mark.parametrize('start', [0, 5, 7, 9])
def test_prototypes_are_frozen_up_to_their_iteration_also_when_resumed(start: int) -> None:
    hook, run = HOOKS.build(HOOK), runner()
    for run.iter in range(start, 12):
        hook.before_train_iter(run, 0)
        weight = run.model.head.loss_module.prototypes.weight
        assert weight.requires_grad == (run.iter >= 7)
