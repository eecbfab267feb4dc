"""Several views of a breast, or of both, as one sample.

meta.json + data_root -> dicts with the items of all views; these -> img (views * H, W), one below the other
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.dataset import Compose
from mmpretrain.registry import DATASETS, TRANSFORMS

from dataset.multi_task import MammoMultiTaskDataset
from dataset.packed_list import PackedList
from mammo.patients import shown_together
from mammo.records.meta import MetaError

OF_VIEW = ('img_name', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')  # kept of each


@DATASETS.register_module()
class MammoMultiViewDataset(MammoMultiTaskDataset):
    """Samples of the images that :func:`mammo.patients.shown_together` puts together.

    A sample has the labels of its images, which must not contradict one another, and is named by all of them.

    Args:
        n_views: 2 for CC and MLO of a breast, 4 for those of both.

    Raises:
        UserError: an image has another view, or images of one sample differ in a label.
    """

    def __init__(self, *args: Any, n_views: int = 2, **kwargs: Any) -> None:
        self.n_views = n_views
        super().__init__(*args, **kwargs)

    def load_data_list(self, ann_file: str, metainfo_override: dict | None = None) -> PackedList:
        """Samples of the images of the meta file, which stay in ``images``."""
        self.images = super().load_data_list(ann_file, metainfo_override)
        # without img_path an image is named by its number
        rows = [{k: item.get(k) for k in ('img_name', 'patient_id', 'exam_id', 'view', 'laterality')}
                for item in self.images]  # fmt: skip
        together = shown_together([row | dict(img_path=row['img_name']) for row in rows], self.n_views)
        return PackedList(
            _sample([None if i is None else self.images[i] for i in numbers]) for numbers in together
        )


def _sample(views: list[dict[str, Any] | None]) -> dict[str, Any]:
    """Items of the views -> one item."""
    shown = [view for view in views if view is not None]
    labels: dict[str, Any] = {}
    for view in shown:
        for task, value in view['gt_label'].items():
            if labels.setdefault(task, value) != value:
                names = ', '.join(view['img_name'] for view in shown)
                raise MetaError(
                    f'{task} is {labels[task]} and {value} for one sample ({names}); give all the same'
                )
    about = {key: value for view in reversed(shown) for key, value in view.items() if value is not None}
    sides = {view['laterality'] for view in shown}
    named = {key: ' + '.join(view[key] for view in shown) for key in ('img_path', 'img_name')}
    side = sides.pop() if len(views) == 2 else None
    return about | named | dict(view=None, laterality=side, gt_label=labels, views=views)


@TRANSFORMS.register_module()
class LoadViews(BaseTransform):
    """Load and change each view by itself, and put them one below the other; a missing one is black.

    Args:
        transforms: from loading to the size that all views have.
    """

    def __init__(self, transforms: Sequence[dict]) -> None:
        self.transforms = Compose([TRANSFORMS.build(transform) for transform in transforms])

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Items of the views -> image of all (views * H, W), and what is known of each."""
        views = [None if item is None else self.transforms(item) for item in results['views']]
        shapes = {view['img'].shape for view in views if view is not None}
        if len(shapes) != 1:
            raise MetaError(
                f'LoadViews: views have shapes {sorted(shapes)}; end its transforms with one size'
            )
        (shape,) = shapes
        img = np.concatenate([np.zeros(shape, np.uint8) if v is None else v['img'] for v in views])
        kept = [None if v is None else {key: v[key] for key in OF_VIEW if key in v} for v in views]
        return dict(results, img=img, img_shape=img.shape[:2], ori_shape=img.shape[:2], views=kept)
