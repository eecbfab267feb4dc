"""Single-task dataset for the evaluation of pretraining on regions of interest.

text list (`path label` per line) or meta file -> the same samples as the multi-task dataset, one task
"""

import math
from pathlib import Path
from typing import Any

from mmpretrain.registry import DATASETS

from dataset.multi_task import MammoMultiTaskDataset
from mammo.records.meta import MetaError, read_meta
from mammo.records.meta_items import check_path


@DATASETS.register_module()
class MammoSingleTaskDataset(MammoMultiTaskDataset):
    """One task of a meta file, or of the published text list.

    Args:
        ann_file: meta file (``.json``), or a text file with ``path label`` per line (label ``nan`` if
            unknown).
        task: name of the task.

    Raises:
        mammo.records.meta.MetaError: a line or item breaks the format, or the file does not know the task.
    """

    def __init__(self, ann_file: str, task: str = 'N', **kwargs: Any) -> None:
        self.task = task
        super().__init__(ann_file, **kwargs)

    def read_annotations(self, ann_file: str) -> dict[str, Any]:
        """A list of ``path label`` lines, or a meta file, as the content of a meta file with the one task.

        Raises:
            MetaError: the file breaks its format, or does not have the task.
        """
        meta = (
            read_meta(ann_file) if Path(ann_file).suffix == '.json' else self._read_text_list(Path(ann_file))
        )
        if self.task not in meta['metainfo']['tasks']:
            raise MetaError(
                f'{ann_file}: task {self.task!r} is not among its tasks {meta["metainfo"]["tasks"]}'
            )
        for item in meta['data_list']:
            item['gt_label'] = {k: v for k, v in item['gt_label'].items() if k == self.task}
        return dict(meta, metainfo=dict(meta['metainfo'], tasks=[self.task]))

    def _read_text_list(self, path: Path) -> dict[str, Any]:
        if not path.is_file():
            raise MetaError(f'{path}: no such list; check data_root and ann_file')
        try:
            lines = path.read_text(encoding='utf-8-sig').splitlines()
        except UnicodeDecodeError as error:
            raise MetaError(f'{path}: cannot be read as UTF-8 text: {error}') from None
        items = [
            self._parse_line(line, f'{path}: line {i}')
            for i, line in enumerate(lines, start=1)
            if line.strip()
        ]
        return dict(metainfo=dict(tasks=[self.task]), data_list=items)

    def _parse_line(self, line: str, place: str) -> dict[str, Any]:
        name, _, label = line.strip().rpartition(' ')
        try:
            value = float(label)
        except ValueError:
            value = -1.0
        if not name or not (value in (0, 1) or math.isnan(value)):
            raise MetaError(f'{place} is {line!r}, expected "path label" with label 0, 1 or nan')
        check_path(name, place)
        return dict(img_path=name.strip(), gt_label={} if math.isnan(value) else {self.task: value})
