"""Pictures of test images with what was predicted of each, by the framework's own hook.

config -> config whose test run draws; image and multi-task data sample -> picture
"""

import os
import sys
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmengine.config import Config
from mmengine.dist import master_only
from mmpretrain.structures import DataSample, MultiTaskDataSample
from mmpretrain.visualization import UniversalVisualizer as StockVisualizer
from numpy.typing import NDArray

from mammo.engine.scoring.metrics import predicted_tasks, task_result
from mammo.errors import UserError
from models.registry import VISUALIZERS

TEXT_FRAC = 0.03  # height of the letters, of the width of the image


# Under the stock name: configs name the stock class, which writes nothing of several tasks.
@VISUALIZERS.register_module()
class UniversalVisualizer(StockVisualizer):
    """The stock class; of samples of several tasks it writes each prediction, and the label if known."""

    @master_only
    def visualize_cls(
        self, image: NDArray, data_sample: DataSample, *args: Any, **kwargs: Any
    ) -> NDArray[np.uint8]:
        """As the stock method: image (H, W, C) -> picture (H, W, 3)."""
        if not isinstance(data_sample, MultiTaskDataSample):
            return super().visualize_cls(image, data_sample, *args, **kwargs)
        return self._draw(image, data_sample, **kwargs)

    def _draw(
        self, image: NDArray, sample: MultiTaskDataSample, *, show: bool = False, wait_time: float = 0,
        out_file: str | None = None, name: str = '', step: int = 0, **_: Any,
    ) -> NDArray[np.uint8]:  # fmt: skip
        self.set_image(np.broadcast_to(image, (*image.shape[:2], 3)))
        size = TEXT_FRAC * image.shape[1]
        self.draw_texts(
            '\n'.join(lines_of(sample)), np.array([size, size]), font_sizes=size, colors='white',
            vertical_alignments='top', bboxes=dict(facecolor='black', alpha=0.5),
        )  # fmt: skip
        drawn: NDArray[np.uint8] = self.get_image()
        if show:
            self.show(drawn, win_name=name, wait_time=wait_time)
        if out_file is None:
            self.add_image(name, drawn, step=step)
        else:
            mmcv.imwrite(drawn[..., ::-1], str(file_of(sample, Path(out_file))))
        return drawn


def lines_of(sample: MultiTaskDataSample) -> list[str]:
    """A line per task: what is predicted, and the label if it is known."""
    content = sample.to_dict()
    results = {task: task_result(content[task]) for task in predicted_tasks(content)}
    labels = {task: '' if np.isnan(r.label) else f' (label {r.label:g})' for task, r in results.items()}
    return [f'{task} {r.prob:.3g}{labels[task]}' for task, r in results.items()]


def file_of(sample: MultiTaskDataSample, file: Path) -> Path:
    """The stock hook names a picture by the last part of a path, which images of two folders may share."""
    name = Path(str(sample.get('img_name', '')))
    return file.parent / name.relative_to(name.anchor).parent / file.name


def add_pictures(
    cfg: Config, *, out_dir: str | Path | None, show: bool, interval: int, wait_time: float
) -> None:
    """Let a test run draw every ``interval``-th image.

    Args:
        out_dir: folder of the pictures; None: where the visualizer keeps them, in the work dir.
        show: in a window, ``wait_time`` seconds each.

    Raises:
        UserError: there is no screen for a window, or the interval is none.
    """
    if interval < 1:
        raise UserError(f'--interval is {interval}, expected 1 or more')
    if show and sys.platform == 'linux' and not {'DISPLAY', 'WAYLAND_DISPLAY'} & {*os.environ}:
        raise UserError('--show: this machine has no screen; --show-dir DIR writes the pictures to a folder')
    cfg.default_hooks.visualization = dict(
        type='VisualizationHook', enable=True, show=show, wait_time=wait_time, interval=interval,
        out_dir=None if out_dir is None else str(out_dir),
    )  # fmt: skip
