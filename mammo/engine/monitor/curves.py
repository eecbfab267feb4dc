"""The curves of a run as one picture, across all its resumptions.

WORK_DIR/*/vis_data/scalars.json -> {panel: {line: (epochs, values)}} -> WORK_DIR/curves.png
"""

import math
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mammo.engine.monitor.panels import RC, Line, draw
from mammo.records.storage.files import read_json_lines, replacing
from models.heads.tasks import heads_of

NOT_DRAWN = {'epoch', 'iter', 'step', 'time', 'data_time', 'memory', 'base_lr'}


@HOOKS.register_module()
class CurvesHook(Hook):
    """Draws ``curves.png`` in the work dir after an epoch and its validation, and at the end.

    Args:
        pause_s: seconds that lie between two pictures at least; epochs shorter than that share one.
    """

    priority = 'LOWEST'

    def __init__(self, pause_s: float = 10) -> None:
        self.pause_s = pause_s

    def before_train(self, runner: Runner) -> None:
        """Start the clock of the pauses."""
        self.drawn_s = time.monotonic()

    def before_train_epoch(self, runner: Runner) -> None:
        """Draw what the epoch before has added, if the last picture is old enough."""
        if runner.epoch > 0 and time.monotonic() - self.drawn_s >= self.pause_s:
            self._draw(runner)
            self.drawn_s = time.monotonic()

    def after_train(self, runner: Runner) -> None:
        """Draw the whole run."""
        self._draw(runner)

    @master_only
    def _draw(self, runner: Runner) -> None:
        work_dir = Path(runner.work_dir)
        panels = read_panels(work_dir)
        if panels:
            with mpl.rc_context(RC), replacing(work_dir / 'curves.png') as tmp:
                draw(panels, _factors(runner), _chosen(runner)).savefig(tmp)


def _factors(runner: Runner) -> dict[str, float]:
    """By task: the unit of its validation loss over that of its training loss."""
    heads = heads_of(getattr(runner, 'model', None))
    scales = {task: float(getattr(head, 'target_std', 1.0)) for task, head in heads.items()}
    return {task: scales[task] ** 2 / head.loss_weight for task, head in heads.items() if head.loss_weight}


def _chosen(runner: Runner) -> int | None:
    """Epoch of the best checkpoint, from its name; None without one."""
    hub = getattr(runner, 'message_hub', None)
    best = hub.runtime_info.get('best_ckpt') if hub else None
    epoch = re.search(r'epoch_(\d+)', Path(best).name) if best else None
    return int(epoch[1]) if epoch else None


def read_panels(work_dir: Path) -> dict[str, dict[str, Line]]:
    """All that a run and its resumptions logged; what a resumption does again counts once, as it did it."""
    lines: dict[tuple[str, str], Line] = defaultdict(dict)
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):  # folders are named by time
        records = list(read_json_lines(path))
        start = min((record['epoch'] for record in records if 'iter' in record), default=math.inf)
        for line in lines.values():
            for epoch in [epoch for epoch in line if epoch >= start or start == 1]:  # 1: a fresh run
                del line[epoch]
        for name, epoch, value in _scalars(records):
            lines[name][epoch] = value
    panels: dict[str, dict[str, Line]] = defaultdict(dict)
    for (panel, label), line in lines.items():
        if line:
            panels[panel][label] = line
    return panels


def _scalars(records: Iterable[dict[str, Any]]) -> Iterator[tuple[tuple[str, str], int, float]]:
    """(panel, label), epoch, value; the last word of a name is its panel. Training: mean of the epoch."""
    values_of: dict[tuple[tuple[str, str], int], list[float]] = defaultdict(list)
    for record in records:
        mode, epoch = ('train', record['epoch']) if 'iter' in record else ('val', record['step'])
        for key, value in record.items():
            if key not in NOT_DRAWN and isinstance(value, int | float):
                panel = f'{mode} {key.rsplit("_", 1)[-1]}'
                values_of[(panel, key.removeprefix('monitor/')), epoch].append(value)
    for (name, epoch), values in values_of.items():
        yield name, epoch, sum(values) / len(values)
