"""What a run leaves beside the images: meta file, skipped inputs, summary, page to look through.

jobs, their records, labels -> OUT/meta.json, skipped.csv, preprocess.json, overview.html [, KEY_MAP.csv]
"""

import csv
import io
import logging
import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from mammo.errors import UserError, listed
from mammo.preprocess import overview
from mammo.preprocess.dicom.notes import NOTES
from mammo.preprocess.errors import PreprocessError
from mammo.preprocess.images import FOLDERS
from mammo.preprocess.inputs.copies import copies
from mammo.preprocess.inputs.job import Job
from mammo.preprocess.inputs.labels import Labels, check_labels
from mammo.preprocess.inputs.persons import contradictions
from mammo.preprocess.privacy import pseudonym
from mammo.preprocess.settings import Settings
from mammo.records.meta import write_meta
from mammo.records.storage.files import write_json, write_text
from mammo.records.storage.out_dir import OutDir, Record

logger = logging.getLogger(__name__)
KEY_MAP = 'KEY_MAP.csv'
NUMBERED = ('patient_id', 'exam_order')
FILES = ['meta.json', 'skipped.csv', 'preprocess.json', 'overview.html', KEY_MAP]


class Summary(NamedTuple):
    """What came out, for the last line of the tool."""

    out_dir: Path
    items: list[dict[str, Any]]
    skipped: list[Record]
    words: str  # images, patients, labelled images, unmatched rows

    def __str__(self) -> str:
        return f'{self.words}, {len(self.skipped)} skipped -> {self.out_dir}; look at overview.html'


def write(
    jobs: Sequence[Job],
    records: Sequence[Record],
    labels: Labels,
    settings: Settings,
    out: OutDir,
    *,
    key_map: bool,
    allow_unmatched: bool,
    strict: bool,
) -> Summary:
    """Settle what belongs together, and write all records of the run.

    Raises:
        UserError: too many labels or images match nothing; what was made stays in the journal.
    """
    items, skipped = settle(records, labels)
    try:
        words = check_labels(labels, items, key=settings.key, allow=allow_unmatched, strict=strict)
    except UserError as error:
        raise UserError(f'{error}{_why_skipped(skipped)}') from None
    for sentence in oddities(items):
        logger.warning(sentence)
    by_id = {record['id']: record for record in records}
    kept = [by_id[Path(item['img_path']).stem] for item in items]
    write_meta(out.folder / 'meta.json', items, labels.tasks)
    rows = [(record['source'], record['reason'], record['message']) for record in skipped]
    write_text(out.folder / 'skipped.csv', _csv(('file', 'reason', 'message'), rows))
    write_json(out.folder / 'preprocess.json', out.recipe | _counts(items, skipped, kept))
    write_text(out.folder / 'overview.html', overview.render(items, records, skipped))
    files = [*FILES[:-1], *(f'{folder}/{record["id"]}.png' for record in kept for folder in FOLDERS)]
    if key_map and settings.key:
        _write_key_map(out.folder / KEY_MAP, jobs, records, settings.key)
        files.append(KEY_MAP)
    in_memory = ('person',)
    out.finish([{k: v for k, v in r.items() if k not in in_memory} for r in records], files)
    return Summary(out.folder, items, skipped, words)


def settle(records: Sequence[Record], labels: Labels) -> tuple[list[dict], list[Record]]:
    """Decide between copies and people, number the exams, join the labels -> items, skipped records."""
    images = [record for record in records if 'item' in record]
    problems = _problems(images, copies(images))
    left = [record for record in images if record['id'] not in problems]
    problems |= _problems(left, contradictions([record['person'] for record in left]))
    skipped = [_skipped(r, problems.get(r['id'])) for r in records if 'item' not in r or r['id'] in problems]
    images = [record for record in left if record['id'] not in problems]
    items = [dict(record['item']) for record in images]
    number_exams(items, [record['day'] for record in images])
    for item, record in zip(items, images, strict=True):
        labels.join(item, record['exams'])
    return items, skipped


def number_exams(items: Sequence[dict[str, Any]], days: Sequence[int | None]) -> None:
    """Write ``exam_order`` 1, 2, ... of each patient: as the table of images orders them, else by the day."""
    images = pd.DataFrame([{name: item.get(name) for name in NUMBERED} for item in items], columns=NUMBERED)
    images['day'] = list(days)
    orders = images.exam_order.astype(float)
    has_table = orders.notna().groupby(images.patient_id).transform('any')
    orders = orders.where(has_table, images.day.astype(float))
    for item, place in zip(items, orders.groupby(images.patient_id).rank('dense'), strict=True):
        item.pop('exam_order', None)
        if not math.isnan(place):
            item['exam_order'] = int(place)


def oddities(items: Sequence[dict[str, Any]]) -> list[str]:
    """What is odd about images that were kept, in sentences."""
    groups = {NOTES[code]: [i for i in items if code in i.get('notes', ())] for code in NOTES}
    groups['no plausible pixel size, so not resampled'] = [i for i in items if 'spacing_mm' not in i]
    dated = {item['patient_id'] for item in items if 'exam_order' in item}
    groups['no date, so never of the latest exam of a patient who has dated ones'] = [
        item for item in items if 'exam_order' not in item and item['patient_id'] in dated
    ]
    exams = {(item['patient_id'], item.get('exam_id')) for item in items if item['patient_id'] not in dated}
    n_exams = Counter(patient for patient, _ in exams)
    groups['of several exams without an order, so that all of them count; give exam_order'] = [
        item for item in items if n_exams[item['patient_id']] > 1
    ]
    return [
        f'{len(group)} of {len(items)} images: {text}: {listed([item["source"] for item in group])}'
        for text, group in groups.items()
        if group
    ]


def _problems(
    images: Sequence[Record], errors: Sequence[PreprocessError | None]
) -> dict[str, PreprocessError]:
    return {record['id']: error for record, error in zip(images, errors, strict=True) if error}


def _skipped(record: Record, problem: PreprocessError | None) -> Record:
    if problem is None:
        return record
    return dict(source=record['source'], reason=str(problem.reason), message=problem.message)


def _why_skipped(skipped: Sequence[Record]) -> str:
    reasons = Counter(str(record['reason']) for record in skipped).most_common()
    return (
        f'; {len(skipped)} inputs were skipped: {listed(f"{r} {n}" for r, n in reasons)}' if skipped else ''
    )


def _counts(items: Sequence[dict], skipped: Sequence[Record], kept: Sequence[Record]) -> dict[str, Any]:
    facts = [record['facts'] for record in kept]
    names = facts[0] if facts else ()
    reasons = Counter(record['reason'] for record in skipped)
    summary = dict(
        images=len(items),
        skipped=len(skipped),
        reasons=dict(sorted(reasons.items())),
        labelled=sum(1 for item in items if item['gt_label']),
    )
    counts = {name: dict(sorted(Counter(fact[name] for fact in facts).items())) for name in names}
    return dict(summary=summary, counts=counts)


def _write_key_map(path: Path, jobs: Sequence[Job], records: Sequence[Record], key: bytes) -> None:
    """Who is behind the pseudonyms, readable for the owner only."""
    rows = {('input', job.name(key), job.source) for job in jobs}
    for person in (record['person'] for record in records if 'person' in record):
        rows.add(('patient', pseudonym('patient', person.patient_id, key), person.patient_id))
        if person.study:
            rows.add(('exam', pseudonym('exam', person.study, key), person.study))
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, 'w', encoding='utf-8', newline='') as file:
        os.fchmod(handle, 0o600)
        file.write(_csv(('kind', 'pseudonym', 'original'), sorted(rows)))


def _csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator='\n').writerows([header, *rows])
    return text.getvalue()
