"""Cut patches of the breast out of PNG mammograms, for pretraining.

META ... -> OUT/{png/<image>/<patch>.png, list.txt (one path per line), patches.json}
"""

import argparse
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
from tqdm import tqdm

from mammo.preprocess import patches
from mammo.records.files import write_json, write_text
from mammo.records.meta import read_meta


def parse_args() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('meta', type=Path, nargs='+', help='meta files; all images lie in one --data-root')
    parser.add_argument('--data-root', type=Path, help='folder of img_path (default: that of META)')
    parser.add_argument('--out-dir', type=Path, required=True)
    parser.add_argument('--size', type=int, default=512, help='side of a patch in pixels')
    parser.add_argument('--stride', type=int, default=256, help='step between windows in pixels')
    parser.add_argument('--min-breast-frac', type=float, default=0.5, help='share of breast in a patch')
    parser.add_argument('--max-per-image', type=int, help='at most so many, chosen by --seed (default: all)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--exclude', type=Path, nargs='+', default=[], help='meta files whose patients give no patch'
    )
    parser.add_argument('--workers', type=int, default=1, help='threads')
    args = parser.parse_args()
    if args.workers < 1:
        parser.error(f'--workers is {args.workers}, expected 1 or more')
    return parser, args


def main() -> None:
    """Cut and write; exit 1 if no patch came out, 2 on wrong usage."""
    parser, args = parse_args()
    try:
        settings = patches.PatchSettings(
            size_px=args.size,
            stride_px=args.stride,
            min_breast_frac=args.min_breast_frac,
            max_per_image=args.max_per_image,
            seed=args.seed,
        )
        metas = [read_meta(path)['data_list'] for path in args.meta]
        excluded = [item for path in args.exclude for item in read_meta(path)['data_list']]
        items = patches.select(metas, excluded)
        records = extract_all(items, settings, args)
        listed = write_records(records, len({i['img_path'] for m in metas for i in m}), settings, args)
    except OSError as error:
        parser.error(f'{error.filename or args.out_dir}: {error.strerror}')
    except ValueError as error:
        parser.error(str(error))
    counts = Counter(record['reason'] for record in records if 'reason' in record)
    skipped = ', '.join(f'{n} {reason}' for reason, n in counts.items()) or 'none'
    print(f'{listed} patches of {len(items)} images -> {args.out_dir}; images without a patch: {skipped}')
    sys.exit(0 if listed else 1)


def extract_all(
    items: list[dict], settings: patches.PatchSettings, args: argparse.Namespace
) -> list[dict[str, Any]]:
    """Records in the order of the items; a list of an earlier run is gone until this one has finished."""
    for name in (patches.LIST, patches.RECORD):
        (args.out_dir / name).unlink(missing_ok=True)
    root = args.data_root or args.meta[0].parent
    job = partial(patches.extract, data_root=root, out_dir=args.out_dir, settings=settings)
    with ThreadPoolExecutor(args.workers) as pool:  # OpenCV decodes and encodes outside the interpreter lock
        return list(tqdm(pool.map(job, items), total=len(items), unit='image', smoothing=0.05))


def write_records(
    records: list[dict], n_images: int, settings: patches.PatchSettings, args: argparse.Namespace
) -> int:
    """Write the record, and the list last: where there is a list, all of its patches are there."""
    lines = [patch for record in records for patch in record['patches']]
    sources = [
        {k: record[k] for k in ('folder', 'img_path', 'patient_id')} | dict(n_patches=len(record['patches']))
        for record in records
        if record['patches']
    ]
    content = dict(
        format_version=patches.FORMAT_VERSION,
        settings=asdict(settings),
        versions=dict(numpy=version('numpy'), opencv=cv2.__version__),
        counts=dict(
            images=n_images,
            excluded=n_images - len(records),
            with_patches=len(sources),
            patches=len(lines),
            **Counter(record['reason'] for record in records if 'reason' in record),
        ),
        skipped=[{k: r[k] for k in ('img_path', 'reason', 'message')} for r in records if 'reason' in r],
        sources=sources,
    )
    write_json(args.out_dir / patches.RECORD, content)
    write_text(args.out_dir / patches.LIST, ''.join(f'{line}\n' for line in lines))
    return len(lines)


if __name__ == '__main__':
    main()
