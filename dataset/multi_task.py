"""Multi-task dataset: a meta file and a folder of images become labelled samples.

meta.json + data_root -> dicts with img_path (readable), img_name (as in the file), gt_label, identity
"""

import os
from typing import Any

from mmengine.registry import DefaultScope
from mmpretrain.datasets import MultiTaskDataset
from mmpretrain.registry import DATASETS

from dataset.packed_list import PackedList
from dataset.replacement import ReplaceDamagedMixin
from mammo.records.meta import MetaError, read_meta
from models.registry import SCOPE


@DATASETS.register_module()
class MammoMultiTaskDataset(ReplaceDamagedMixin, MultiTaskDataset):
    """Stock multi-task dataset with validation, missing labels and patient identity.

    Items keep every field of the meta file; ``gt_label`` holds the known labels only.

    Args:
        ann_file: meta file, relative to ``data_root``.
        data_root: folder that ``ann_file`` and, without ``data_prefix``, the image paths start from.
        **kwargs: those of :class:`mmpretrain.datasets.MultiTaskDataset`; ``metainfo`` overrides the
            file's own.

    Raises:
        mammo.records.meta.MetaError: the meta file breaks the format or lists no image.
    """

    def __init__(self, ann_file: str, data_root: str | None = None, **kwargs: Any) -> None:
        with DefaultScope.overwrite_default_scope(SCOPE):  # of the transforms, wherever it is built itself
            super().__init__(ann_file, data_root=data_root or '', **kwargs)

    def load_data_list(self, ann_file: str, metainfo_override: dict | None = None) -> PackedList:
        """Read a meta file, whose list is packed so that workers share it.

        Raises:
            MetaError: it breaks the format, or lists no image.
        """
        meta = self.read_annotations(ann_file)
        if not meta['data_list']:
            raise MetaError(f'{ann_file}: "data_list" is empty, there is nothing to load')
        self._metainfo = self._get_meta_info({**meta['metainfo'], **(metainfo_override or {})})
        self._folder = os.path.join(self.data_prefix, '')
        return PackedList(meta['data_list'], self.parse_data_info)

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """An item, under the name that other datasets of the framework use."""
        return self.data_list[idx]

    def read_annotations(self, ann_file: str) -> dict[str, Any]:
        """The content of the meta file; see :func:`mammo.records.meta.read_meta`."""
        return read_meta(ann_file)

    def parse_data_info(self, raw_data: dict[str, Any]) -> dict[str, Any]:
        """An item with ``img_path`` as it can be opened, and ``img_name`` as it stands in the file."""
        name = raw_data['img_path']
        path = name if os.path.isabs(name) else f'{self._folder}{name}'
        return {**raw_data, 'img_path': path, 'img_name': name}
