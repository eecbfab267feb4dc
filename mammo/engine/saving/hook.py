"""Checkpoints are safe before what they replace goes, and hold all that a resumed run needs.

state of a run -> epoch_3.pth, best_*.pth, last_checkpoint
"""

import os
from collections import deque
from pathlib import Path
from typing import Any

from mmengine.dist import barrier, is_main_process
from mmengine.hooks import CheckpointHook as StockCheckpointHook
from mmengine.hooks import EMAHook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from mammo.engine.launch import on_main_process
from mammo.engine.saving.files import INTERRUPTED, clean, remove_interrupted, saving, set_aside
from mammo.engine.saving.stop import (
    ResumableTrainLoop,
    StopSignal,
    gradients_are_pending,
    position,
    warn_of_lost_gradients,
)
from mammo.errors import Exit, UserError
from mammo.records.storage.files import write_text


@HOOKS.register_module()
class CheckpointHook(StockCheckpointHook):
    """CheckpointHook of a run that may be killed at any moment, or told to stop.

    Told by SIGTERM, SIGUSR1 or Ctrl-C, all processes finish their batch, the main one saves
    ``epoch_3_interrupted.pth`` (three epochs and a part of the fourth), and they end with exit code 75.
    A run goes on exactly where a checkpoint was saved, within an epoch too.

    NOTE[DIFF]: mmengine removes the old best and the oldest checkpoint before it writes the new one, and
    writes that in place. A run that it resumes leaves out the validation before which it was killed.
    """

    backend_args: dict | None
    keep_ckpt_ids: deque
    last_ckpt: str | None
    out_dir: str
    stop = StopSignal()
    position: dict[str, Any] | None = None  # within an epoch; only while a checkpoint is saved there

    def before_train(self, runner: Runner) -> None:
        """Find the folder, remove what a kill left half-written, and start to listen for signals."""
        if self.backend_args is None and self.file_client_args is None and '://' not in str(self.out_dir):
            self.backend_args = dict(backend='hashed')
        own_dir = self.out_dir
        super().before_train(runner)
        # NOTE[DIFF]: mmengine adds the name of the work dir; here out_dir is the folder that it names
        self.out_dir = own_dir or self.out_dir
        if '://' not in str(self.out_dir):  # what is not of this folder is never removed
            self._set_best({key: self._in_out_dir(path) for key, path in self._best().items()})
        if runner._resume and runner._load_from:
            runner.message_hub.update_info('last_ckpt', runner._load_from)
        on_main_process(lambda: self._make_room(runner))
        warn_of_lost_gradients(runner)
        self.stop = StopSignal()
        self.stop.watch()
        if runner._resume and _validation_is_due(runner):
            runner.val_loop.run()

    def _make_room(self, runner: Runner) -> None:
        if os.path.isdir(self.out_dir):
            clean(Path(self.out_dir))
            if not runner._resume:
                set_aside(Path(self.out_dir), Path(runner.work_dir), self.filename_tmpl)

    def after_train(self, runner: Runner) -> None:
        """Save what is due at the end; signals mean again what they meant before."""
        self.stop.release()
        super().after_train(runner)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Save what is due; told to stop, save within the epoch and end with exit code 75."""
        stopping = self.stop.agreed() and not gradients_are_pending(runner.optim_wrapper)
        if (stopping or not self.by_epoch) and isinstance(runner.train_loop, ResumableTrainLoop):
            self.position = position(batch_idx + 1, len(runner.train_dataloader))
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        if stopping:
            self._stop(runner, iters_done=runner.iter + 1)
        self.position = None

    def after_val_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        """Told to stop during a validation: save, with the weights of training, and end."""
        if self.stop.agreed():
            for hook in runner.hooks:
                if isinstance(hook, EMAHook):
                    hook.after_val_epoch(runner)  # gives the weights back that it replaced for validation
            self._stop(runner, iters_done=runner.iter)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, Any]) -> None:
        """Save the best checkpoint if this is one; the last one then remembers it."""
        runner.message_hub.update_info('epoch_validated', runner.epoch)
        old_best = self._best()
        super().after_val_epoch(runner, metrics)
        step = runner.epoch if self.by_epoch else runner.iter
        if self.last_ckpt and (self._best() != old_best or self.last_ckpt == self._path(step)):
            self._save_checkpoint_with_step(runner, step, dict(epoch=runner.epoch, iter=runner.iter))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the place within the epoch, if it is saved there."""
        if self.position:
            checkpoint['position'] = self.position

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Tell the loop where within the epoch to go on."""
        if runner._resume and isinstance(runner.train_loop, ResumableTrainLoop):
            runner.train_loop.go_on_from(checkpoint.get('position'))

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        outdated: list[int] = []
        if self.max_keep_ckpts > 0:
            steps = [other for other in self.keep_ckpt_ids if other != step] + [step]
            outdated = steps[: -self.max_keep_ckpts]
            # with the outdated ones: a run that is killed before they are gone removes them later
            runner.message_hub.update_info('keep_ckpt_ids', steps)
            self.keep_ckpt_ids = deque(steps[len(outdated) :], self.max_keep_ckpts)
        self._save(runner, self.filename_tmpl.format(step), meta)
        for old in outdated if is_main_process() else ():
            self.file_backend.remove(self._path(old))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, Any]) -> None:
        missing = sorted({*self.key_indicators} - {'auto', *metrics}) if self.save_best else []
        if missing:
            raise UserError(f'save_best: no metric {missing}, validation gives {[*metrics]}')
        if not (self.save_best and metrics):
            return
        old, last = self._best(), self.last_ckpt
        self._set_best(dict.fromkeys(old))  # so that the stock method does not remove them yet
        self.last_ckpt = None  # nor saves the epoch again; that is done once the old best is gone
        super()._save_best_checkpoint(runner, metrics)
        self.last_ckpt = last
        self._set_best({key: path or old.get(key) for key, path in self._best().items()})
        for path in {*old.values()} - {*self._best().values(), None} if is_main_process() else ():
            self.file_backend.remove(path)

    def _save(self, runner: Runner, name: str, meta: dict) -> None:
        """Save a checkpoint, and only then name it as the one to go on from."""
        path = self.file_backend.join_path(self.out_dir, name)
        self.last_ckpt = path
        runner.message_hub.update_info('last_ckpt', path)
        on_main_process(lambda: self._write(runner, path, meta))

    def _write(self, runner: Runner, path: str, meta: dict) -> None:
        runner.save_checkpoint(
            self.out_dir, os.path.basename(path), self.file_client_args, save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
            backend_args=self.backend_args, **self.args,
        )  # fmt: skip
        pointer = Path(runner.work_dir, 'last_checkpoint')
        with saving(pointer):
            write_text(pointer, path)
        remove_interrupted(Path(self.out_dir), Path(path))

    def _stop(self, runner: Runner, iters_done: int) -> None:
        stem, suffix = os.path.splitext(
            self.filename_tmpl.format(runner.epoch if self.by_epoch else iters_done)
        )
        self._save(runner, f'{stem}{INTERRUPTED}{suffix}', dict(epoch=runner.epoch, iter=iters_done))
        barrier()  # the first process to end takes the others with it
        runner.logger.warning(f'stopped as told; --resume goes on from {self.last_ckpt}')
        raise SystemExit(Exit.STOPPED)

    def _in_out_dir(self, best: str | None) -> str | None:
        """Where the best checkpoint that a loaded one names lies in this folder; None if it does not."""
        path = Path(self.out_dir, os.path.basename(str(best)))
        return str(path) if path.name.startswith('best_') and path.is_file() else None

    def _path(self, step: int) -> str:
        return self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(step))

    def _best(self) -> dict[str, str | None]:
        """The best checkpoint by metric."""
        if hasattr(self, 'best_ckpt_path_dict'):
            return dict(self.best_ckpt_path_dict)
        return dict(best=getattr(self, 'best_ckpt_path', None))

    def _set_best(self, paths: dict[str, str | None]) -> None:
        if hasattr(self, 'best_ckpt_path_dict'):
            self.best_ckpt_path_dict = paths
        else:
            self.best_ckpt_path = paths['best']


def _validation_is_due(runner: Runner) -> bool:
    """Whether a run was killed between the end of an epoch and that of its validation."""
    loop, epoch = runner.train_loop, runner.epoch
    if runner.val_loop is None or epoch < max(1, loop.val_begin):
        return False
    due = epoch % loop.val_interval == 0 or epoch == loop.max_epochs
    return due and runner.message_hub.runtime_info.get('epoch_validated') != epoch
