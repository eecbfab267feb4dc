"""Many inputs to one data set: workers, the journal that lets a killed run resume, and the records.

list of Job, Settings -> OUT/meta.json, skipped.csv, preprocess.json, overview.html
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mammo.errors import UserError
from mammo.preprocess import data_set
from mammo.preprocess.errors import PreprocessError, Reason
from mammo.preprocess.images import FOLDERS, process
from mammo.preprocess.inputs.job import Job
from mammo.preprocess.inputs.jobs import TOOL, find_jobs
from mammo.preprocess.inputs.labels import Labels, read_labels
from mammo.preprocess.inputs.persons import read_person
from mammo.preprocess.privacy import HIDDEN, read_key, redact
from mammo.preprocess.settings import Settings
from mammo.records.storage.out_dir import OutDir, Record, out_dir
from mammo.records.versions import installed
from mammo.workers import WorkerDiedError, each

logger = logging.getLogger(__name__)
LIBRARIES = ('numpy', 'opencv-python', 'opencv-python-headless', 'pydicom')
DECODERS = ('python-gdcm', 'pylibjpeg', 'pylibjpeg-libjpeg', 'pylibjpeg-openjpeg')


def preprocess(
    source: Path,
    labels: Path | None = None,
    *,
    id_key: Path | None = None,
    key_map: bool = False,
    resume: bool = False,
    fresh: bool = False,
    allow_unmatched: bool = False,
    strict: bool = False,
    workers: int = 1,
    scheduler: str | None = None,
    **options: Any,
) -> data_set.Summary:
    """Make a data set of a folder, file or table; ``options`` are those of ``Settings``.

    Raises:
        UserError: input, labels, key or output folder cannot be used; with a key, without quoting them.
        PreprocessError: DISK_FULL; what is finished stays in the journal.
    """
    checks = dict(allow_unmatched=allow_unmatched, strict=strict)
    try:
        settings = Settings(key=read_key(id_key) if id_key else None, **options)
        table = read_labels(labels, settings.key) if labels else Labels()
        jobs = find_jobs(source, settings.out_dir)
        recipe = dict(tool=TOOL, settings=settings.described(), versions=installed(*LIBRARIES, *DECODERS))
        inputs = [job.path for job in jobs]
        with out_dir(settings.out_dir, recipe, inputs=inputs, resume=resume, fresh=fresh) as out:
            runner = partial(each, workers=workers, scheduler=scheduler, warn=logger.warning)
            records = make_images(jobs, settings, out, runner)
            return data_set.write(jobs, records, table, settings, out, key_map=key_map, **checks)
    except UserError as error:
        if not id_key:
            raise
        raise type(error)(*_private(error, source, labels)) from None


def make_images(jobs: Sequence[Job], settings: Settings, out: OutDir, runner: Any) -> list[Record]:
    """Process what the journal does not have yet; records in the order of the jobs, with their persons."""
    ids = [job.id(settings.key) for job in jobs]
    wanted = {i: job.signature(settings.key) for i, job in zip(ids, jobs, strict=True)}
    done = {r['id']: r for r in out.records if wanted.get(r['id']) == r['signature'] and _is_whole(r, out)}
    out.start(list(done.values()), [f'{f}/{i}.png' for i in ids for f in FOLDERS] + data_set.FILES)
    again = [job for job, i in zip(jobs, ids, strict=True) if 'item' in done.get(i, {})]
    for job, person in runner(read_person, again):
        done[job.id(settings.key)]['person'] = person
    todo = [job for job, i in zip(jobs, ids, strict=True) if i not in done]
    results = runner(partial(process, settings=settings), todo)
    for job, result in tqdm(results, total=len(todo), unit='image', smoothing=0.05, disable=not todo):
        record = _died(job, result, settings) if isinstance(result, WorkerDiedError) else result
        if record.get('reason') == Reason.DISK_FULL:
            text = f'{settings.out_dir}: {record["message"]}; free some space, then run again with --resume'
            raise PreprocessError(Reason.DISK_FULL, text)
        out.append({name: value for name, value in record.items() if name != 'person'})
        done[record['id']] = record
    return [done[i] for i in ids]


def _died(job: Job, error: WorkerDiedError, settings: Settings) -> Record:
    return process(replace(job, error=PreprocessError(Reason.WORKER_DIED, str(error))), settings)


def _is_whole(record: Record, out: OutDir) -> bool:
    return 'item' not in record or (out.folder / record['item']['img_path']).is_file()


def _private(error: UserError, source: Path, labels: Path | None) -> tuple[Any, ...]:
    """Arguments of the same error without paths and values of the input."""
    message = str(error)
    for path in filter(None, (source, labels)):
        message = message.replace(str(path), HIDDEN).replace(path.name, HIDDEN)
    message = redact(message, None, b'any')
    return (error.reason, message) if isinstance(error, PreprocessError) else (message,)
