"""The runner: mmengine's, strict about checkpoints and at home on machines without a GPU.

config -> training, validation and test loops
"""

from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_distributed
from mmengine.hooks import EMAHook
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from mmengine.registry import RUNNERS
from mmengine.runner import BaseLoop, Runner
from mmpretrain.utils import get_ori_model
from torch import nn

from mammo.engine.config.complete import complete
from mammo.engine.config.keys import building
from mammo.engine.faults import resources_explained
from mammo.engine.launch import adapt_to_cpu, init_cpu_group, use_cpu, without_sync_bn
from mammo.engine.learning_rate import scale_lr
from mammo.engine.loading.checkpoint import CheckpointError, report_pretrained, require_pretrained
from mammo.engine.log import use_terminal
from mammo.engine.pretrain import check_batches
from mammo.engine.saving.files import find_intact
from mammo.engine.saving.schedule import resume_schedule
from mammo.engine.saving.stop import handling_signals, wrappers_of
from mammo.engine.targets import fit_scales


@RUNNERS.register_module()
class MammoRunner(Runner):
    """Runner that runs the same config on CPU and GPU, one process and several.

    A checkpoint fits its model completely or is refused; what training starts from is looked for
    before any data is read.
    """

    _resume: bool
    _load_from: str | None
    _needed: tuple[str, ...] = ()  # what a checkpoint must hold besides weights

    @classmethod
    def from_cfg(cls, cfg: Config) -> 'MammoRunner':
        """Build a runner of a completed config: tasks, loaders, what a machine without a GPU needs.

        Raises:
            UserError: the config cannot be used.
        """
        complete(cfg)
        if use_cpu():
            adapt_to_cpu(cfg)
        return super().from_cfg(cfg)

    def setup_env(self, env_cfg: dict) -> None:
        """As mmengine, with a gloo group where there is no GPU."""
        if self.distributed and use_cpu() and not is_distributed():
            init_cpu_group(self.launcher)
        super().setup_env(env_cfg)

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """The logger of a run: all lines to its file, few to the terminal."""
        logger = super().build_logger(*args, **kwargs)
        use_terminal(logger)
        return logger

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """As mmengine, with BN in the place of SyncBN where there is no GPU."""
        with building(model if isinstance(model, dict) else {}, 'model'):
            built: nn.Module = super().build_model(model)
        return without_sync_bn(built) if use_cpu() else built

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """As mmengine, with DistributedDataParallel on CPU too."""
        if self.distributed and use_cpu():
            defaults = dict(
                type='MMDistributedDataParallel',
                broadcast_buffers=False,
                find_unused_parameters=self.cfg.get('find_unused_parameters', False),
            )
            model_wrapper_cfg = {**defaults, **(model_wrapper_cfg or {}), 'device_ids': None}
        return super().wrap_model(model_wrapper_cfg, model)

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """A loop that can go on within an epoch; batches and scales of targets are checked and set with it.

        Raises:
            UserError: the batches do not suit the model.
        """
        if isinstance(loop, dict) and loop.get('by_epoch'):
            loop = {**loop, 'type': 'ResumableTrainLoop'}
            del loop['by_epoch']
        loop = super().build_train_loop(loop)
        check_batches(loop.dataloader, self.model, num_processes=self.world_size)
        fit_scales(self.model, loop.dataloader.dataset)
        return loop

    def scale_lr(self, optim_wrapper: OptimWrapper, auto_scale_lr: dict | None = None) -> None:
        """As mmengine, if enabled, with accumulated batches among the images of a step."""
        if not (auto_scale_lr or {}).get('enable'):
            return
        assert auto_scale_lr is not None
        loader = self._train_dataloader
        batch_size = loader['batch_size'] if isinstance(loader, dict) else loader.batch_size
        for wrapper in wrappers_of(optim_wrapper):
            scale_lr(wrapper, self.world_size, batch_size, auto_scale_lr['base_batch_size'])

    def train(self) -> nn.Module:
        """Train until the end, from the start or from where the run was stopped.

        Raises:
            UserError: a start weight is missing, memory ran out, or the training diverged.
        """
        asked = self.cfg.get('auto_resume') or (self._resume and not self._load_from)
        if asked and (checkpoint := find_intact(self.cfg)):
            self._resume, self._load_from = True, checkpoint
        # a checkpoint to go on from replaces what training once started from
        if not (self._resume and self._load_from):
            require_pretrained(self.cfg.model, self._load_from)
        with resources_explained(self), handling_signals():
            return super().train()

    def val(self) -> dict:
        """Validate once -> metrics."""
        with resources_explained(self):
            return super().val()

    def test(self) -> dict:
        """Test once -> metrics."""
        with resources_explained(self):
            return super().test()

    def load_or_resume(self) -> None:
        """Load or resume; without the name of a checkpoint, resume from the newest intact one."""
        if self._resume and self._load_from is None and not self._has_loaded:
            self._load_from = find_intact(self.cfg)
        super().load_or_resume()

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        """Go on from a checkpoint exactly: optimizer, schedule, random numbers, place within the epoch.

        Raises:
            CheckpointError: it holds weights only.
            UserError: the schedule of the config is another one.
        """
        sampler, seed = self.train_dataloader.sampler, self.seed
        self._needed = ('meta', 'message_hub', 'optimizer')
        super().resume(filename, *args, **dict(kwargs, resume_param_scheduler=False))
        if getattr(sampler, 'seed', None) == seed:
            sampler.seed = self.seed  # the checkpoint's
        resume_schedule(self, self._saved_schedulers)

    def _init_model_weights(self) -> None:
        report_pretrained(get_ori_model(self.model))
        super()._init_model_weights()

    def load_checkpoint(
        self, filename: str, map_location: Any = 'cpu', strict: bool = True, **kwargs: Any
    ) -> dict:
        """Load a checkpoint that fits the model.

        Raises:
            CheckpointError: keys are missing or unexpected, or shapes differ; or training is to go on from
                it, and it holds weights only.
        """
        # Outside of a loop nothing has set up the averaging, and the state dict of a file is the average.
        self._hooks = [h for h in self.hooks if not isinstance(h, EMAHook) or hasattr(h, 'ema_model')]
        try:
            with redirect_stdout(StringIO()):  # mmengine prints the name of the file
                checkpoint = super().load_checkpoint(filename, map_location, strict, **kwargs)
        except RuntimeError as error:
            raise CheckpointError(
                f'{filename}: made by another model, and refused. {error}To start from parts of it, '
                'use init_cfg=dict(type="Pretrained", ...) of a module'
            ) from None
        if missing := [key for key in self._needed if key not in checkpoint]:
            raise CheckpointError(
                f'{filename}: not the state of a training run: it holds no {", ".join(missing)}. Resume from '
                f'an epoch_*.pth, or start a new run from its weights with --cfg-options load_from={filename}'
            )
        self._saved_schedulers = checkpoint.pop('param_schedulers', None)
        checkpoint.get('meta', {}).pop('config', None)  # mmengine would run this text as a config
        return checkpoint
