"""Lists of patches for pretraining, up to millions of lines.

list.txt (one path per line, or `path label`) + data_root -> dicts with img_path, and gt_label if asked
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import DATASETS
from numpy.typing import NDArray

from dataset.replacement import ReplaceDamagedMixin
from mammo.records.meta import MetaError
from mammo.records.meta_items import check_path


@DATASETS.register_module()
class MammoPatchDataset(ReplaceDamagedMixin, CustomDataset):
    """Stock ``CustomDataset``, held as the text of its list: 50 bytes for an image instead of 300.

    Args:
        with_label: lines are ``path label`` with a whole number; default: the path alone.
        **kwargs: those of :class:`mmpretrain.datasets.CustomDataset`.

    Raises:
        mammo.records.meta.MetaError: the list is missing or empty, or a line breaks the format.
    """

    def __init__(self, *args: Any, with_label: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, with_label=with_label, **kwargs)

    def load_data_list(self) -> list[str]:
        """The lines of the list; without ``ann_file`` all images of the folder, as in the stock class."""
        if not self.ann_file:
            samples = self._find_samples()
            return [f'{path} {label}' for path, label in samples] if self.with_label else samples
        text = _read(Path(self.ann_file))
        lines = [stripped for line in text.split('\n') if (stripped := line.strip())]
        if not lines:
            raise MetaError(f'{self.ann_file}: the list is empty; write one path per line')
        for i, line in enumerate(lines if self.with_label else (), start=1):
            name, _, label = line.rpartition(' ')
            if not name or not label.isdecimal():
                raise MetaError(
                    f'{self.ann_file}: entry {i} is {line!r}, expected "path label" with a whole number; '
                    'with_label=False reads a list of paths'
                )
        for i, line in enumerate(lines if '..' in text or '\0' in text else (), start=1):
            check_path(line, f'{self.ann_file}: entry {i}')
        return lines

    def _serialize_data(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        # The stock method pickles a dict per image: ten times slower, and six times as large.
        lines = [line.encode() for line in self.data_list]
        self.data_list.clear()
        return np.frombuffer(b''.join(lines), np.uint8), np.cumsum([len(line) for line in lines])

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Path and place of one patch, made from its line when it is asked for."""
        idx = range(len(self))[idx]  # negative numbers count from the end
        if self.serialize_data:
            start = self.data_address[idx - 1] if idx else 0
            line = self.data_bytes[start : self.data_address[idx]].tobytes().decode()
        else:
            line = self.data_list[idx]
        name, _, label = line.rpartition(' ') if self.with_label else (line, '', '')
        labels = dict(gt_label=int(label)) if self.with_label else {}
        return dict(img_path=os.path.join(self.img_prefix, name), **labels, sample_idx=idx)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding='utf-8-sig')
    except FileNotFoundError:
        raise MetaError(
            f'{path}: no such list; check data_root and ann_file, or make it with tools/extract_patches.py'
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise MetaError(f'{path}: cannot be read as UTF-8 text: {error}') from None
