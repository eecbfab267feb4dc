"""The folds of a split on disk, and their report.

META -> FOLDS/<outer>/<inner>/{train,val,test}.json, and a report that counts shared patients
"""

import os
from pathlib import Path
from typing import Any

from mammo.errors import UserError
from mammo.records.folds import REPORT
from mammo.records.meta import read_meta, write_meta
from mammo.records.storage.files import write_json
from mammo.records.versions import VERSIONS
from mammo.splits.report import describe_folds
from mammo.splits.split import make_folds
from mammo.splits.strata import Images, check_groups


def write_folds(
    *, meta: Path, out_dir: Path | None, data_root: Path | None, strict: bool, **settings: Any
) -> str:
    """Read a meta file, split its patients, write the folds and their report -> one sentence about them.

    Args:
        out_dir: new or empty folder; default: ``folds`` beside ``meta``.
        data_root: folder of the images, in which identical copies are looked for; default: that of ``meta``.
        strict: refuse patients whose ids hardly differ, instead of a warning.
        **settings: of :func:`mammo.splits.split.make_folds`, and ``labelled_only`` of
            :class:`mammo.splits.strata.Images`.

    Raises:
        UserError: the folder holds something, or the meta file cannot be split so.
    """
    out_dir = out_dir or meta.parent / 'folds'
    if out_dir.is_dir() and any(out_dir.iterdir()):
        raise UserError(f'--out-dir {out_dir} is not empty; folds of two splits must not mix')
    content = read_meta(meta)
    items, tasks = content['data_list'], content['metainfo']['tasks']
    group, labelled_only = settings['group'], settings.pop('labelled_only')
    check_groups(items, group, data_root or meta.parent, strict=strict)
    folds, holdout = make_folds(items, **settings)
    images = Images(items, group, labelled_only=labelled_only)
    written = {
        (fold.outer, fold.inner): {part: images.of(part, groups) for part, groups in fold.parts.items()}
        for fold in folds
    }
    for (outer, inner), parts in written.items():
        for part, chosen in parts.items():
            write_meta(out_dir / outer / str(inner) / f'{part}.json', chosen, tasks)
    kept_out = images.of('holdout', holdout)
    if holdout:
        write_meta(out_dir / 'holdout.json', kept_out, tasks)
    report = describe_folds(written, kept_out, group)
    settings |= dict(labelled_only=labelled_only)
    head = dict(format_version=VERSIONS['split_report'], settings=settings)
    noted = dict(images=os.path.relpath(data_root or meta.parent, out_dir))  # for mammo.records.folds
    write_json(out_dir / REPORT, head | noted | report)
    return (
        f'{len(folds)} folds of {report["patients"] - report["patients_held_out"]} patients, '
        f'{report["patients_held_out"]} held out; '
        f'shared between any two parts: {report["shared_patients_max"]}'
    )
