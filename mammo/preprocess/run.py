"""Many inputs to one data set: workers, the journal that lets a killed run resume, and the records.

list of Job, Settings -> OUT/meta.json, skipped.csv, preprocess.json, overview.html
"""

import csv
import io
import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mammo.preprocess.copies import copies
from mammo.preprocess.errors import PreprocessError, Reason
from mammo.preprocess.grey import Settings
from mammo.preprocess.images import process, signature
from mammo.preprocess.inputs import Job
from mammo.preprocess.labels import Labels
from mammo.preprocess.privacy import digest
from mammo.records.files import write_json, write_text
from mammo.records.meta import write_meta

logger = logging.getLogger(__name__)
FORMAT_VERSION = 1
LIBRARIES = ('numpy', 'opencv-python', 'opencv-python-headless', 'pydicom')
DECODERS = ('python-gdcm', 'pylibjpeg', 'pylibjpeg-libjpeg', 'pylibjpeg-openjpeg')
Record = dict[str, Any]


class Journal:
    """Finished records, one line each, so that a killed run goes on where it stopped."""

    def __init__(self, settings: Settings) -> None:
        self.path = settings.out_dir / '.journal.jsonl'
        self.head = dict(format_version=FORMAT_VERSION, settings=described(settings), versions=versions())

    def load(self, jobs: Sequence[Job], settings: Settings) -> dict[str, Record]:
        """Records of inputs that have not changed since, by id; ``ValueError`` if the settings have."""
        try:
            lines = self.path.read_text(encoding='utf-8').splitlines()
        except FileNotFoundError:
            return {}
        head, *records = [parsed for line in lines if (parsed := _parsed(line)) is not None] or [None]
        if head != self.head:
            raise ValueError(
                f'{self.path}: made with other settings or versions; leave out --resume to start anew. '
                f'Found {head}, now {self.head}'
            )
        wanted = {job.id(settings.key): signature(job) for job in jobs}
        return {
            r['id']: r for r in records if wanted.get(r['id']) == r['signature'] and _complete(r, settings)
        }

    def start(self, records: Sequence[Record]) -> None:
        """Replace the journal by these records."""
        write_text(self.path, ''.join(json.dumps(part) + '\n' for part in (self.head, *records)))

    def append(self, record: Record) -> None:
        """Add one record; a line torn by a crash is ignored by ``load``."""
        with self.path.open('a', encoding='utf-8') as file:
            file.write(json.dumps(record) + '\n')


def process_all(jobs: Sequence[Job], settings: Settings, client: Any = None) -> Iterator[Record]:
    """Process jobs, here or on a Dask cluster, and yield records as they come.

    Raises:
        PreprocessError: DISK_FULL; what is finished stays in the journal.
    """
    for record in _on_cluster(jobs, settings, client) if client else (process(job, settings) for job in jobs):
        if record.get('reason') == Reason.DISK_FULL:
            raise PreprocessError(Reason.DISK_FULL, f'{settings.out_dir}: {record["message"]}')
        yield record


def settle(records: Sequence[Record], labels: Labels) -> tuple[list[dict], list[Record]]:
    """Decide between duplicates, number the exams, join the labels -> meta items, skipped records."""
    images = [record for record in records if 'item' in record]
    problems = {r['id']: problem for r, problem in zip(images, copies(images), strict=True) if problem}
    skipped = [_skipped(r, problems.get(r['id'])) for r in records if 'item' not in r or r['id'] in problems]
    images = [record for record in images if record['id'] not in problems]
    items = [(record, dict(record['item'])) for record in images]
    days: dict[str, set[int]] = {}
    for record in images:
        if record['day'] is not None:
            days.setdefault(record['item']['patient_id'], set()).add(record['day'])
    for record, item in items:
        if record['day'] is not None:
            item['exam_order'] = 1 + sorted(days[item['patient_id']]).index(record['day'])
        labels.join(item, record['exams'])
    return [item for _, item in items], skipped


def write_records(
    items: list[dict], skipped: list[Record], records: Sequence[Record], tasks: list[str], settings: Settings
) -> None:
    """Write meta.json, skipped.csv and preprocess.json, and remove images that no item names."""
    out_dir, names = settings.out_dir, {Path(item['img_path']).name for item in items}
    for path in (p for folder in ('png', 'thumbs') for p in (out_dir / folder).glob('*.png')):
        if path.name not in names:
            path.unlink()
    write_meta(out_dir / 'meta.json', items, tasks)
    rows = io.StringIO()
    table = csv.writer(rows, lineterminator='\n')
    table.writerow(('file', 'reason', 'message'))
    table.writerows((record['source'], record['reason'], record['message']) for record in skipped)
    write_text(out_dir / 'skipped.csv', rows.getvalue())
    kept = [record['facts'] for record in records if 'item' in record and record['id'] + '.png' in names]
    counts = {
        fact: dict(sorted(Counter(f[fact] for f in kept).items())) for fact in (kept[0] if kept else ())
    }
    reasons = dict(sorted(Counter(record['reason'] for record in skipped).items()))
    summary = dict(
        images=len(items), skipped=len(skipped), reasons=reasons, labelled=sum(map(_has_label, items))
    )
    head = dict(format_version=FORMAT_VERSION, settings=described(settings), versions=versions())
    write_json(out_dir / 'preprocess.json', head | dict(summary=summary, counts=counts))


def described(settings: Settings) -> dict[str, Any]:
    """The settings as they may be written: of the key only whether there was one, and its fingerprint."""
    shown = {name: value for name, value in vars(settings).items() if name not in ('out_dir', 'key')}
    return shown | dict(key=digest('fingerprint', '', settings.key) if settings.key else None)


def versions() -> dict[str, str]:
    """Installed versions of what decides about pixels."""
    found = {}
    for name in LIBRARIES + DECODERS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _on_cluster(jobs: Sequence[Job], settings: Settings, client: Any) -> Iterator[Record]:
    from dask.distributed import as_completed

    futures = client.map(process, jobs, settings=settings, pure=False)
    job_of = {future.key: job for future, job in zip(futures, jobs, strict=True)}
    for future in as_completed(futures):
        if future.status == 'finished':
            yield future.result()
        else:  # Dask has tried again on other workers, and they died too
            job = job_of[future.key]
            lost = PreprocessError(
                Reason.WORKER_DIED, 'the process that had this file died, mostly out of memory'
            )
            yield process(replace(job, error=lost), settings)


def _skipped(record: Record, problem: PreprocessError | None) -> Record:
    if problem is None:
        return record
    return dict(source=record['source'], reason=str(problem.reason), message=problem.message)


def _has_label(item: dict) -> bool:
    return bool(item['gt_label'])


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None


def _complete(record: Record, settings: Settings) -> bool:
    return 'item' not in record or (settings.out_dir / record['item']['img_path']).is_file()
