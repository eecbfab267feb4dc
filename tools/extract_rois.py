"""ROIs around given boxes or centres, and 'path label' lists for the ROI evaluation.

META, boxes CSV -> OUT/{png/, meta.json, skipped.csv}; with --task also OUT/<meta name>_<task>.txt
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd
from tqdm import tqdm

from mammo.preprocess import rois
from mammo.preprocess.errors import PreprocessError, Reason
from mammo.preprocess.images import write_png
from mammo.records.files import write_text
from mammo.records.meta import read_meta, write_meta
from mammo.records.png import ImageFileError, read_grey, to_uint8
from mammo.records.tables import read_table


def extract(meta: dict, boxes: Path, data_root: Path, out_dir: Path, size_px: int) -> tuple[list[dict], int]:
    """Cut and write all ROIs -> their meta items, number of skipped rows."""
    items, skipped = [], []
    regions = list(rois.find_regions(read_table(boxes), meta['data_list']))
    for region in tqdm(regions, unit='ROI'):
        try:
            if isinstance(region, PreprocessError):
                raise region
            image, bits = read_grey(data_root / region.item['img_path'])
            roi, square = rois.cut(to_uint8(image, bits=bits), region, size_px)
        except PreprocessError as error:
            skipped.append((boxes.name, str(error.reason), error.message))
            continue
        except ImageFileError as error:
            skipped.append((boxes.name, str(Reason.UNREADABLE), f'row {region.row}: {error}'))
            continue
        path = f'png/{Path(region.item["img_path"]).stem}_{region.row:06}.png'
        write_png(out_dir / path, roi)
        kept = {k: v for k, v in region.item.items() if k not in ('from_source', 'lesions')}
        items.append(kept | dict(img_path=path, image=region.item['img_path'], roi_box=square))
    table = pd.DataFrame(skipped, columns=['file', 'reason', 'message'])
    write_text(out_dir / 'skipped.csv', table.to_csv(index=False))
    write_meta(out_dir / 'meta.json', items, meta['metainfo']['tasks'])
    return items, len(skipped)


def main() -> None:
    """Cut ROIs if there are boxes, write the list if there is a task; exit 1 if nothing came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('meta', type=Path)
    parser.add_argument(
        '--boxes', type=Path, help='CSV: img_path or source, and x0,y0,x1,y1 or x,y in its pixels'
    )
    parser.add_argument('--out-dir', type=Path, required=True)
    parser.add_argument('--data-root', type=Path, help='folder of img_path (default: that of META)')
    parser.add_argument('--size', type=int, default=500, help='side of a ROI in pixels')
    parser.add_argument('--task', help='also write "path label" lines for this task')
    args = parser.parse_args()
    if args.size < 1 or not (args.boxes or args.task):
        parser.error(f'--size is {args.size} (1 or more); give --boxes, --task or both')
    try:
        meta = read_meta(args.meta)
        items, n_skipped = meta['data_list'], 0
        if args.boxes:
            root = args.data_root or args.meta.parent
            items, n_skipped = extract(meta, args.boxes, root, args.out_dir, args.size)
        if args.task and items:
            path = args.out_dir / f'{args.meta.stem}_{args.task}.txt'
            write_text(path, '\n'.join(rois.list_lines(items, args.task)) + '\n')
    except ValueError as error:
        parser.error(str(error))
    print(f'{len(items)} {"ROIs" if args.boxes else "images"}, {n_skipped} rows skipped -> {args.out_dir}')
    sys.exit(0 if items else 1)


if __name__ == '__main__':
    main()
