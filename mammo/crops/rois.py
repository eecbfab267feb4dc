"""Regions of interest around boxes or centres, and the text lists of the ROI evaluation.

meta items, boxes table -> (size, size) uint8 ROIs with meta items; meta items, task -> 'path label' lines
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mammo.errors import UserError
from mammo.preprocess.errors import PreprocessError, Reason
from mammo.records.ids import normal_path
from mammo.records.tables.numerals import decimal_points, number

CORNERS, CENTRE = ('x0', 'y0', 'x1', 'y1'), ('x', 'y')


class Region(NamedTuple):
    """One row of the boxes table, joined with its image; corners in pixels of the PNG."""

    row: int  # line in the table
    item: dict[str, Any]
    box: tuple[float, float, float, float]  # x0, y0, x1, y1


def find_regions(table: pd.DataFrame, items: Sequence[dict]) -> Iterator[Region | PreprocessError]:
    """Join rows with images, in the order of the table.

    Args:
        table: text cells by line; ``img_path`` with pixels of that PNG, or ``source`` with pixels of the
            input that preprocessing read, and ``x0, y0, x1, y1`` or ``x, y``.
        items: of the meta file; ``source`` needs their ``from_source``.

    Yields:
        A region, or a BAD_ROW error that names the row.

    Raises:
        UserError: a column is missing.
    """
    key = 'img_path' if 'img_path' in table else 'source'
    names = CORNERS if set(CORNERS) <= set(table.columns) else CENTRE
    if missing := [name for name in (key, *names) if name not in table]:
        raise UserError(f'column {missing} is missing; found {list(table.columns)}')
    by_path = {normal_path(item[key]): item for item in items if key in item}
    table = table.assign(**{name: decimal_points(list(table[name])) for name in names})
    for line, row in zip(table.index, table.to_dict('records'), strict=True):
        try:
            item = by_path.get(normal_path(row[key]))
            if item is None:
                hint = '; write / instead of back-slashes' if '\\' in row[key] else ''
                # the row says which; its path may tell a name that the meta file hides
                raise UserError(f'no image of the meta file has this {key}{hint}')
            corners = [number(row[name], name) for name in names]
            yield Region(line, item, _box(corners, item if key == 'source' else None))
        except UserError as error:
            yield PreprocessError(Reason.BAD_ROW, f'row {line}: {error}')


def cut(image: NDArray[np.uint8], region: Region, size_px: int) -> tuple[NDArray[np.uint8], list[int]]:
    """Cut a square around a region. (H, W) -> (size, size), and its (x0, y0, x1, y1) in the image.

    The square is ``size_px`` wide and moves into the image where it would stick out. A region larger
    than that is cut as a whole and shrunk; an image smaller than that is padded with background 0.

    Raises:
        PreprocessError: BAD_ROW if the region's centre is not in the image.
    """
    x0, y0, x1, y1 = region.box
    height, width = image.shape
    if not (0 <= (x0 + x1) / 2 < width and 0 <= (y0 + y1) / 2 < height):
        raise PreprocessError(
            Reason.BAD_ROW,
            f'row {region.row}: centre outside {region.item["img_path"]} of {width} x {height} px',
        )
    side = max(size_px, int(np.ceil(max(x1 - x0, y1 - y0))))
    left, top = (
        int(np.clip(round((low + high - side) / 2), 0, max(end - side, 0)))
        for low, high, end in ((x0, x1, width), (y0, y1, height))
    )
    roi = np.zeros((side, side), np.uint8)
    part = image[top : top + side, left : left + side]
    roi[: part.shape[0], : part.shape[1]] = part
    if side > size_px:
        roi = cv2.resize(roi, (size_px, size_px), interpolation=cv2.INTER_AREA)
    return roi, [left, top, left + side, top + side]


def list_lines(items: Sequence[dict], task: str) -> list[str]:
    """Lines 'path label' of the images whose label is known, as MammoSingleTaskDataset reads them.

    Raises:
        UserError: no image has the label.
    """
    labelled = [(item['img_path'], item['gt_label'][task]) for item in items if task in item['gt_label']]
    if not labelled:
        raise UserError(
            f'no image has a label {task!r}; known are {sorted({t for i in items for t in i["gt_label"]})}'
        )
    return [f'{path} {label:g}' for path, label in labelled]


def _box(numbers: list[float], source: dict[str, Any] | None) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = numbers if len(numbers) == 4 else numbers * 2
    if not np.isfinite(numbers).all() or x0 > x1 or y0 > y1:
        raise UserError(f'coordinates are {numbers}, expected numbers with x0 <= x1 and y0 <= y1')
    if source is None:
        return x0, y0, x1, y1
    if 'from_source' not in source:
        raise UserError(f'{source["img_path"]} has no from_source in the meta file; give pixels of img_path')
    corners = np.array(source['from_source']) @ np.array(
        [[x0, x1], [y0, y1], [1, 1]]
    )  # (2, 2): x and y of both
    (x0, x1), (y0, y1) = np.sort(corners, axis=1)
    return float(x0), float(y0), float(x1), float(y1)
