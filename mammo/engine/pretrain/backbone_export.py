"""Hand-over of a pretraining: its backbone alone, small enough to pass on.

checkpoint of stage a -> WORK_DIR/backbone.pth, which `init_cfg` of stage b loads
"""

from pathlib import Path

import mmengine
import mmpretrain
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mammo.engine.loading.checkpoint import weights_sha256
from mammo.records.storage.files import replacing
from mammo.records.versions import VERSIONS

PREFIX = 'backbone.'


@HOOKS.register_module()
class BackboneExportHook(Hook):
    """Writes the (online) backbone whenever a checkpoint is saved, over that of the one before.

    Keys keep their ``backbone.``, so that one line of a config loads this file and the checkpoint:
    ``init_cfg=dict(type='Pretrained', checkpoint=FILE, prefix='backbone')``. ``meta.sha256`` is that of
    the weights, the same for both files.
    """

    priority = 'LOWEST'  # after hooks that change what is saved

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Write the backbone of the checkpoint alone, with epoch and run, to ``backbone.pth``."""
        state = checkpoint['state_dict']
        backbone = {key.removeprefix(PREFIX): state[key] for key in state if key.startswith(PREFIX)}
        meta = dict(
            epoch=checkpoint['meta']['epoch'],
            iter=checkpoint['meta']['iter'],
            run=Path(runner.cfg.filename or runner.experiment_name).stem,
            sha256=weights_sha256(backbone),
            versions={m.__name__: str(m.__version__) for m in (torch, mmengine, mmpretrain)},
        )
        content = dict(format_version=VERSIONS['backbone'], meta=meta)
        content['state_dict'] = {PREFIX + key: value for key, value in backbone.items()}
        with replacing(Path(runner.work_dir) / 'backbone.pth') as tmp, tmp.open('wb') as file:
            torch.save(content, file)  # given a path, torch would put the temporary name into the file
