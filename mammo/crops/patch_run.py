"""All patches of a data set: threads, the folder and its journal, the list and the record.

meta files, folder of the images -> OUT/{png/<image>/<patch>.png, list.txt, patches.json}
"""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

from mammo.crops.patches import FORMAT_VERSION, LIST, RECORD, PatchSettings, extract, select
from mammo.errors import UserError
from mammo.records.meta import read_meta
from mammo.records.storage.files import write_json, write_text
from mammo.records.storage.out_dir import OutDir, Record, out_dir, signature_of


def write_patches(
    metas: Sequence[Path],
    out_folder: Path,
    settings: PatchSettings,
    *,
    data_root: Path | None = None,
    exclude: Sequence[Path] = (),
    workers: int = 1,
    resume: bool = False,
    fresh: bool = False,
) -> tuple[int, str]:
    """Cut the patches of all images -> their number, and a sentence about them.

    Args:
        metas: meta files; all images lie in ``data_root``, by default the folder of the first.
        exclude: meta files whose patients give no patch.
        workers: threads; OpenCV decodes and encodes outside the interpreter lock.
        resume, fresh: see :func:`mammo.records.storage.out_dir.out_dir`.

    Raises:
        UserError: a meta file, a number or the folder cannot be used.
    """
    if workers < 1:
        raise UserError(f'--workers is {workers}, expected 1 or more')
    content = [read_meta(path)['data_list'] for path in metas]
    items = select(content, [item for path in exclude for item in read_meta(path)['data_list']])
    n_images = len({item['img_path'] for part in content for item in part})
    root = data_root or metas[0].parent
    recipe = dict(tool='tools/extract_patches.py', settings=asdict(settings), versions=_versions())
    inputs = (root / item['img_path'] for item in items)
    with out_dir(out_folder, recipe, inputs=inputs, resume=resume, fresh=fresh) as out:
        records = _cut_all(items, root, out, settings, workers)
        patches = [patch for record in records for patch in record['patches']]
        write_json(out_folder / RECORD, _described(records, n_images, settings))
        # last: all of them are there
        write_text(out_folder / LIST, ''.join(f'{patch}\n' for patch in patches))
        out.finish(records, [*patches, RECORD, LIST])
    reasons = Counter(record['reason'] for record in records if 'reason' in record)
    skipped = ', '.join(f'{n} {reason}' for reason, n in reasons.items()) or 'none'
    made = f'{len(patches)} patches of {len(items)} images -> {out_folder}'
    return len(patches), f'{made}; images without a patch: {skipped}'


def _cut_all(
    items: Sequence[dict], root: Path, out: OutDir, settings: PatchSettings, workers: int
) -> list[Record]:
    """Records in the order of the items, as far as possible those of an earlier run.

    A list of an earlier run is gone until this one has finished.
    """
    done = {record['img_path']: record for record in out.records if _is_whole(record, out.folder)}
    out.start(list(done.values()), [RECORD, LIST])
    for name in (LIST, RECORD):
        (out.folder / name).unlink(missing_ok=True)

    def cut(item: dict[str, Any]) -> Record:
        record, identity = done.get(item['img_path']), _identity(item, root)
        if record is None or record['identity'] != identity:
            record = extract(item, root, out.folder, settings, out.announce) | dict(identity=identity)
            out.append(record)
        return record

    with ThreadPoolExecutor(workers) as pool:
        return list(tqdm(pool.map(cut, items), total=len(items), unit='image', smoothing=0.05))


def _identity(item: dict[str, Any], root: Path) -> list[Any]:
    """All but the settings that decides about the patches of an image, and whose they are."""
    fields = [item.get(name) for name in ('patient_id', 'manufacturer', 'spacing_mm')]
    return [*fields, *signature_of(root / item['img_path'])]


def _is_whole(record: Record, folder: Path) -> bool:
    return all((folder / patch).is_file() for patch in record['patches'])


def _described(records: Sequence[Record], n_images: int, settings: PatchSettings) -> Record:
    with_patches = [record for record in records if record['patches']]
    without = [record for record in records if 'reason' in record]
    counts = dict(
        images=n_images,
        excluded=n_images - len(records),
        with_patches=len(with_patches),
        patches=sum(len(record['patches']) for record in records),
    )
    return dict(
        format_version=FORMAT_VERSION,
        settings=asdict(settings),
        versions=_versions(),
        counts=counts | Counter(record['reason'] for record in without),
        skipped=[{key: record[key] for key in ('img_path', 'reason', 'message')} for record in without],
        sources=[
            {key: record[key] for key in ('folder', 'img_path', 'patient_id')}
            | dict(n_patches=len(record['patches']))
            for record in with_patches
        ],
    )


def _versions() -> dict[str, str]:
    return dict(numpy=version('numpy'), opencv=cv2.__version__)
