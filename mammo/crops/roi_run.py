"""All ROIs of a boxes table, and 'path label' lists; the folder and its journal.

meta file, boxes table, task -> OUT/{png/, meta.json, skipped.csv}, OUT/<meta name>_<task>.txt
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from mammo.crops.rois import Region, cut, find_regions, list_lines
from mammo.errors import UserError
from mammo.preprocess.errors import PreprocessError, Reason
from mammo.preprocess.images import write_png
from mammo.records.meta import read_meta, write_meta
from mammo.records.storage.files import write_text
from mammo.records.storage.out_dir import OutDir, Record, out_dir, signature_of
from mammo.records.storage.png import ImageFileError, read_grey, to_uint8
from mammo.records.tables.reading import read_table

META, SKIPPED = 'meta.json', 'skipped.csv'


def write_rois(
    meta: Path,
    out_folder: Path,
    *,
    boxes: Path | None = None,
    data_root: Path | None = None,
    size: int = 500,
    task: str | None = None,
    resume: bool = False,
    fresh: bool = False,
) -> tuple[int, str]:
    """Cut ROIs if there are boxes, write the list if there is a task -> their number, a sentence.

    Args:
        boxes: table with ``img_path`` or ``source``, and ``x0, y0, x1, y1`` or ``x, y`` in its pixels.
        data_root: folder of the images; that of ``meta`` by default.
        size: side of a ROI in pixels.
        resume, fresh: see :func:`mammo.records.storage.out_dir.out_dir`.

    Raises:
        UserError: an input, a number or the folder cannot be used.
    """
    if size < 1 or not (boxes or task):
        raise UserError(f'--size is {size} (1 or more); give --boxes, --task or both')
    content, root = read_meta(meta), data_root or meta.parent
    items = content['data_list']
    if task:
        list_lines(items, task)  # an unknown task is said before anything is cut
    regions = list(find_regions(read_table(boxes), items)) if boxes else []
    recipe = dict(tool='tools/extract_rois.py', size_px=size)
    inputs = [root / region.item['img_path'] for region in regions if isinstance(region, Region)]
    with out_dir(out_folder, recipe, inputs=inputs, resume=resume, fresh=fresh) as out:
        lists = {name for name in out.files if name.endswith('.txt')} | (
            {f'{meta.stem}_{task}.txt'} if task else set()
        )
        records = _cut_all(regions, root, out, size, lists)
        if boxes:
            items = [record['item'] for record in records if 'item' in record]
            _write_tables(records, boxes.name, items, content['metainfo']['tasks'], out_folder)
        if task and items:
            write_text(out_folder / f'{meta.stem}_{task}.txt', '\n'.join(list_lines(items, task)) + '\n')
        made = {item['img_path'] for item in items} | {META, SKIPPED} if boxes else out.files
        out.finish(records or out.records, made | lists)
    n_skipped = sum('reason' in record for record in records)
    sentence = f'{len(items)} {"ROIs" if boxes else "images"}'
    return len(items), f'{sentence}, {n_skipped} rows skipped -> {out_folder}'


def _cut_all(
    regions: Sequence[Region | PreprocessError], root: Path, out: OutDir, size_px: int, lists: set[str]
) -> list[Record]:
    """A record per row, as far as possible those of an earlier run."""
    done = {record['row']: record for record in out.records if 'item' in record}
    named = {r.row: Path(r.item['img_path']).stem for r in regions if isinstance(r, Region)}
    places = {row: f'png/{name}_{row:06}.png' for row, name in named.items()}
    out.start(out.records, [*places.values(), *lists, *((META, SKIPPED) if regions else ())])
    records = []
    for region in tqdm(regions, unit='ROI', disable=not regions):
        if isinstance(region, PreprocessError):
            records.append(dict(row=None, reason=str(region.reason), message=region.message))
            continue
        record, path = done.get(region.row), places[region.row]
        identity = [*region.box, *signature_of(root / region.item['img_path'])]
        if record is None or record['identity'] != identity or not (out.folder / path).is_file():
            record = dict(row=region.row, identity=identity) | _cut(region, root, out.folder / path, size_px)
            out.append(record)
        if 'item' in record:
            record |= dict(item=_item(region) | dict(img_path=path, roi_box=record['item']['roi_box']))
        records.append(record)
    return records


def _cut(region: Region, root: Path, path: Path, size_px: int) -> dict[str, Any]:
    try:
        image, bits = read_grey(root / region.item['img_path'])
        roi, square = cut(to_uint8(image, bits=bits), region, size_px)
    except PreprocessError as error:
        return dict(reason=str(error.reason), message=error.message)
    except ImageFileError as error:
        return dict(reason=str(Reason.UNREADABLE), message=f'row {region.row}: {error}')
    write_png(path, roi)
    return dict(item=dict(roi_box=square))


def _item(region: Region) -> dict[str, Any]:
    kept = {key: value for key, value in region.item.items() if key not in ('from_source', 'lesions')}
    return kept | dict(image=region.item['img_path'])


def _write_tables(
    records: Sequence[Record], boxes: str, items: list[dict], tasks: list[str], folder: Path
) -> None:
    rows = [(boxes, record['reason'], record['message']) for record in records if 'reason' in record]
    table = pd.DataFrame(rows, columns=['file', 'reason', 'message'])
    write_text(folder / SKIPPED, table.to_csv(index=False))
    write_meta(folder / META, items, tasks)
