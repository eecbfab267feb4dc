"""DICOM or PNG mammograms to a data set: cropped 8-bit PNG at one pixel size, and its meta file.

folder, DICOM file or CSV -> OUT/{png/, meta.json, skipped.csv, preprocess.json, overview.html}
"""

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tqdm import tqdm

from mammo.preprocess import overview, run
from mammo.preprocess.errors import PreprocessError
from mammo.preprocess.grey import Settings
from mammo.preprocess.images import FULL_DISK
from mammo.preprocess.inputs import find_jobs
from mammo.preprocess.labels import Labels, check_labels, read_labels
from mammo.preprocess.privacy import read_key
from mammo.records.files import write_text


def parse_args() -> argparse.Namespace:
    """Command line -> options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'input', type=Path, help='folder (searched recursively), DICOM file, or CSV with paths'
    )
    parser.add_argument('--out-dir', type=Path, required=True)
    parser.add_argument(
        '--labels', type=Path, help='CSV: patient_id [laterality] [exam_id] and one column per task'
    )
    parser.add_argument(
        '--spacing-mm', type=float, default=0.0941, help='pixel size of the PNG (default %(default)s)'
    )
    parser.add_argument('--voi', help="VOI view by index or explanation, e.g. 'SOFTER' (default: the first)")
    parser.add_argument(
        '--for-processing', choices=('refuse', 'tone'), default='refuse', help='raw detector images'
    )
    parser.add_argument('--flip-to', choices=('L', 'R'), help='mirror so that the chest wall is on this side')
    parser.add_argument('--id-key', type=Path, help='file with a secret: ids are replaced by pseudonyms')
    parser.add_argument(
        '--allow-unmatched',
        action='store_true',
        help='let more than one in ten labels or images match nothing',
    )
    parser.add_argument(
        '--strict', action='store_true', help='exit 1 if any input was skipped; refuse ids that look alike'
    )
    parser.add_argument('--resume', action='store_true', help='go on with a run that was killed')
    where = parser.add_mutually_exclusive_group()
    where.add_argument('--workers', type=int, default=1, help='processes; 1 works in this one (default)')
    where.add_argument(
        '--scheduler', help='address of a Dask scheduler whose workers can import this project'
    )
    args = parser.parse_args()
    if not 0.03 <= args.spacing_mm <= 1 or args.workers < 1:
        parser.error(
            f'--spacing-mm is {args.spacing_mm} (0.03 to 1), --workers is {args.workers} (1 or more)'
        )
    return args


def main() -> None:
    """Run; exit 0 if an image came out, 1 if not (or --strict and a skip, or full disk), 2 on wrong usage."""
    args = parse_args()
    logging.basicConfig(level=logging.WARNING, format='%(levelname)s: %(message)s')
    try:
        key = read_key(args.id_key) if args.id_key else None
        labels = read_labels(args.labels, key) if args.labels else Labels()
        names = ('spacing_mm', 'voi', 'for_processing', 'flip_to')
        settings = Settings(args.out_dir, key=key, **{name: getattr(args, name) for name in names})
        jobs = find_jobs(args.input, args.out_dir)
        records = make_images(jobs, settings, args)
        items, skipped = run.settle(records, labels)
        words = check_labels(labels, items, key=key, allow=args.allow_unmatched, strict=args.strict)
        run.write_records(items, skipped, records, labels.tasks, settings)
        write_text(args.out_dir / 'overview.html', overview.render(items, records, skipped))
    except PreprocessError as error:
        sys.exit(f'{error.reason}: {error}; free some space, then run again with --resume')
    except OSError as error:
        print(f'{error.filename or args.out_dir}: {error.strerror}', file=sys.stderr)
        sys.exit(1 if error.errno in FULL_DISK else 2)
    except ValueError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print(f'{words}, {len(skipped)} skipped -> {args.out_dir}; look at overview.html')
    sys.exit(0 if items and not (args.strict and skipped) else 1)


def make_images(jobs: list, settings: Settings, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Process what the journal does not have yet; records in the order of the jobs."""
    journal = run.Journal(settings)
    done = journal.load(jobs, settings) if args.resume else {}
    ids = [job.id(settings.key) for job in jobs]
    journal.start([done[i] for i in ids if i in done])
    todo = [job for job, i in zip(jobs, ids, strict=True) if i not in done]
    with cluster(args) as client:
        progress = tqdm(
            run.process_all(todo, settings, client), total=len(todo), unit='image', smoothing=0.05
        )
        for record in progress:
            journal.append(record)
            done[record['id']] = record
    records = [done[i] for i in ids]
    journal.start(records)  # in order: two runs leave identical bytes
    return records


@contextmanager
def cluster(args: argparse.Namespace) -> Iterator[Any]:
    """A Dask client for --scheduler or --workers above 1, else None."""
    if args.scheduler is None and args.workers == 1:
        yield None
        return
    from dask.distributed import Client, LocalCluster

    if args.scheduler:
        with Client(args.scheduler, timeout='30s') as client:
            yield client
        return
    local = dict(
        n_workers=args.workers, threads_per_worker=1, dashboard_address=None, silence_logs=logging.ERROR
    )
    with LocalCluster(**local) as workers, Client(workers) as client:
        yield client
        logging.getLogger('distributed').setLevel(logging.ERROR)  # it reports its own end as news


if __name__ == '__main__':
    main()
