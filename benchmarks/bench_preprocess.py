"""Time and memory of one film, and throughput of two workers against one.

DICOM film (or a made one of 4664 x 3064) -> seconds, MB, images per second
"""

import argparse
import logging
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import cv2
import numpy as np
from dask.distributed import Client, LocalCluster, wait
from pydicom import dcmread

from preprocess.grey import Settings
from preprocess.images import process
from preprocess.inputs import Job
from preprocess.phantom import render_exam
from preprocess.phantom_truth import sample_patients


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


def one_film(path: Path, out_dir: Path) -> None:
    """Process one film in this process and print its best of three times and the peak memory."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        record = process(Job(path.name, path), Settings(out_dir))
        seconds.append(time.perf_counter() - start)
    if 'item' not in record:
        sys.exit(f'{path}: {record["reason"]} {record["message"]}')
    ds = dcmread(path, stop_before_pixels=True)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    times = ', '.join(f'{s:.2f}' for s in seconds)
    print(
        f'{ds.Rows} x {ds.Columns}, {ds.file_meta.TransferSyntaxUID.name}: {times} s, peak {peak_mb:.0f} MB'
    )


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


def main() -> None:
    """Measure the film in a process of its own, then one and two workers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--film', type=Path, help='DICOM file to time (default: a made one)')
    parser.add_argument('--images', type=int, default=40)
    parser.add_argument('--only-film', action='store_true', help=argparse.SUPPRESS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.only_film:
            return one_film(args.film, Path(folder))
        paths = make_films(Path(folder), args.images, (4664, 3064))
        for film in filter(None, (paths[0], args.film)):
            subprocess.run([sys.executable, __file__, '--only-film', '--film', str(film)], check=True)
        rates = {n: throughput(paths, Path(folder) / f'out{n}', n) for n in (1, 2)}
        for n, rate in rates.items():
            print(f'{n} workers: {rate:.2f} images per second')
        return print(f'2 workers: {rates[2] / rates[1]:.2f} times the throughput of one')


if __name__ == '__main__':
    main()
