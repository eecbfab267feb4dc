"""Time and memory of one film and of each of its steps, and throughput of two workers against one.

made films of 4664 x 3064, DICOM files named in FILMS -> seconds, images per second
Command: [FILMS=FILE] python benchmarks/bench_preprocess.py
"""

import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import cv2
import numpy as np
from dask.distributed import Client, LocalCluster, wait
from pydicom import dcmread
from pydicom.pixels import pixel_array

from benchmarks import table
from mammo.phantoms.drawing import render_exam
from mammo.phantoms.truth import sample_patients
from mammo.preprocess.dicom import display, geometry, pixels, reader
from mammo.preprocess.images import process, write_png
from mammo.preprocess.inputs.job import Job
from mammo.preprocess.picture import breast
from mammo.preprocess.settings import Settings

N_IMAGES = 40  # shared by the workers


def make_films(folder: Path, n_films: int, shape: tuple[int, int]) -> list[Path]:
    """Copies of one phantom film under ``n_films`` names and SOP Instance UIDs."""
    patient = sample_patients(1, np.random.default_rng(0)).to_dict('records')[0]
    ds, _ = next(render_exam(patient, 0, (shape[0] // 4, shape[1] // 4), 0))
    image = cv2.resize(ds.pixel_array, shape[::-1], interpolation=cv2.INTER_LINEAR)
    ds.set_pixel_data(image, ds.PhotometricInterpretation, ds.BitsStored, generate_instance_uid=False)
    ds.ImagerPixelSpacing, uid = [0.05, 0.05], ds.SOPInstanceUID
    paths = [folder / f'{i}.dcm' for i in range(n_films)]
    for i, path in enumerate(paths):
        ds.SOPInstanceUID = f'{uid[:58]}.{i}'
        ds.save_as(path, enforce_file_format=True)
    return paths


def one_film(path: Path, out_dir: Path) -> table.Row:
    """Process one film four times in this process; there is no stock program that does the same."""

    def work() -> None:
        record = process(Job(path.name, path), Settings(out_dir))
        if 'item' not in record:
            sys.exit(f'{path}: {record["reason"]} {record["message"]}')

    ds = dcmread(path, stop_before_pixels=True)
    peak_mib = table.peak_mib(work)
    seconds = table.interleaved(lambda: None, work, 3).ours
    stage = f'DICOM to PNG, {ds.Rows}x{ds.Columns}, {ds.file_meta.TransferSyntaxUID.name}'
    return table.row(stage, None, seconds, 's', peak_mib)


def steps(path: Path, out_dir: Path) -> Iterator[table.Row]:
    """Where the time of a film goes; the limit of a step is one call of a library that its data need."""
    ds, mm, png = reader.read(path), Settings(out_dir).spacing_mm, out_dir / 'film.png'
    stored, spacing = pixels.stored_values(ds), geometry.spacing(ds)
    assert spacing is not None
    shown = display.display_values(stored, ds).image
    film = geometry.resample(shown, spacing, mm)
    mask = breast.breast_mask(film, spacing_mm=mm)
    y0, x0, y1, x1 = breast.breast_box(mask, spacing_mm=mm)
    crop = np.ascontiguousarray(display.to_uint8(film, mask)[y0:y1, x0:x1])
    values = np.arange(2**16, dtype=np.float32)
    works: dict[str, tuple[table.Work, table.Work]] = {
        'read and decode': (
            lambda: pixel_array(dcmread(path), raw=True),
            lambda: pixels.stored_values(reader.read(path)),
        ),
        'display values': (lambda: np.take(values, stored), lambda: display.display_values(stored, ds)),
        'resample': (
            lambda: cv2.resize(shown, film.shape[::-1], interpolation=cv2.INTER_AREA),
            lambda: geometry.resample(shown, spacing, mm),
        ),
        'mask and box': (
            lambda: cv2.resize(film, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
            lambda: breast.breast_box(breast.breast_mask(film, spacing_mm=mm), spacing_mm=mm),
        ),
        '8 bits': (lambda: cv2.convertScaleAbs(film), lambda: display.to_uint8(film, mask)),
        'PNG': (lambda: cv2.imencode('.png', crop), lambda: write_png(png, crop)),
    }
    for name, (least, ours) in works.items():
        pair = table.interleaved(least, ours).times(1e3)
        line = table.row(f'DICOM to PNG, {name}', None, pair.ours, 'ms', None)
        yield line | dict(limit=pair.stock, of_limit=pair.ours / pair.stock)


def throughput(paths: list[Path], out_dir: Path, n_workers: int) -> float:
    """Images per second on a local Dask cluster; start-up and first imports are excluded."""
    quiet = dict(dashboard_address=None, silence_logs=logging.ERROR, threads_per_worker=1)
    with LocalCluster(n_workers=n_workers, **quiet) as cluster, Client(cluster) as client:
        jobs, settings = [Job(path.name, path) for path in paths], Settings(out_dir)
        wait(
            [
                client.submit(process, jobs[0], settings, workers=[w], pure=False)
                for w in cluster.scheduler.workers
            ]
        )
        start = time.perf_counter()
        wait(client.map(process, jobs, settings=settings, pure=False))
        return len(jobs) / (time.perf_counter() - start)


def measure(films: Sequence[Path] = ()) -> list[table.Row]:
    """A made film, further ones, and the work of two workers with that of one in the column of stock."""
    with tempfile.TemporaryDirectory() as folder:
        paths = make_films(Path(folder), N_IMAGES, (4664, 3064))
        rows = [one_film(film, Path(folder)) for film in (paths[0], *films)]
        rows += [line for film in (paths[0], *films) for line in steps(film, Path(folder))]
        rates = [throughput(paths, Path(folder) / f'out{n}', n) for n in (1, 2)]
    return [*rows, table.row('DICOM to PNG, 1 worker, 2 workers', *rates, 'images/s', None)]


if __name__ == '__main__':
    table.main(lambda: measure([Path(name) for name in os.environ.get('FILMS', '').split()]), __doc__)
