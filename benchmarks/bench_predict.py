"""Seconds and memory of one exam: four images of 1792 x 1024 and 25 members that share a backbone.

a made bundle of random weights at full size -> seconds to load and to answer, peak memory of the process
Command: python benchmarks/bench_predict.py [--members N] [--threads N]
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from benchmarks import limits
from benchmarks.bench_model import build, gflop
from benchmarks.table import Row, as_text, notes_as_text, row, with_limits
from mammo.inference.bundle.folder import write_bundle
from mammo.inference.making import Trained, bundle_files
from mammo.inference.predictor import Predictor
from mammo.phantoms.drawing import render_exam
from mammo.phantoms.truth import sample_patients

ROOT = Path(__file__).resolve().parents[1]
CONFIG = 'configs/multi_task_SL/fullimage1792x1024_resnet50-expan2_barlowtwin_finetune_transformer_Aug3.py'
PREPROCESS = dict(spacing_mm=0.0941, voi=None, for_processing='refuse', flip_to=None)
LIMITS = dict(seconds=20, gib=3)  # for 25 members on 2 cores


def make_bundle(folder: Path, n_members: int) -> Path:
    """Members of the published network with one backbone and necks of their own."""
    config = Config.fromfile(str(ROOT / CONFIG))
    init_default_scope('mammo')
    config.model.backbone.init_cfg = None
    model = MODELS.build(config.model)
    for i in range(n_members):
        torch.manual_seed(i)
        for parameter in model.neck.parameters():
            torch.nn.init.normal_(parameter, std=0.02)
        torch.save(dict(state_dict=model.state_dict()), folder / f'{i}.pth')
    members = {str(i): folder / f'{i}.pth' for i in range(n_members)}
    pipeline = config.test_dataloader.dataset.pipeline
    trained = Trained(config.model, pipeline, 'N', members, True, [], {}, {}, {})
    write_bundle(folder / 'bundle', bundle_files(trained, PREPROCESS))
    return folder / 'bundle'


def make_exam(folder: Path) -> Iterator[Path]:
    """Four views of a phantom patient as DICOM files of 2560 x 1707 pixels of 0.0941 mm."""
    patient = sample_patients(1, np.random.default_rng(0)).to_dict('records')[0]
    for ds, about in render_exam(patient, 0, (640, 427), 0):
        image = cv2.resize(ds.pixel_array, (1707, 2560), interpolation=cv2.INTER_LINEAR)
        ds.set_pixel_data(image, ds.PhotometricInterpretation, ds.BitsStored, generate_instance_uid=False)
        ds.ImagerPixelSpacing = [0.0941, 0.0941]
        path = folder / f'{about["laterality"]}_{about["view"]}.dcm'
        ds.save_as(path, enforce_file_format=True)
        yield path


def peak_gib() -> float:
    """Largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # KiB on Linux


def answer(bundle: Path, exam: list[Path]) -> list[Row]:
    """Rows of the table, memory of the process; the second exam finds everything warm, as in a server."""
    rows, clock = [], time.perf_counter
    start = clock()
    predictor = Predictor.load(bundle, 'cpu')
    rows.append(row('bundle loaded, every hash checked', None, clock() - start, 's', peak_gib() * 1024))
    aims = dict(most=LIMITS['seconds'], most_mib=1024 * LIMITS['gib'])
    cpu_s = {}
    for name in ('first exam of four images', 'second exam'):
        start, cpu = clock(), time.process_time()
        predictor.predict(exam).overlays()
        rows.append(row(name, None, clock() - start, 's', peak_gib() * 1024, **aims))
        cpu_s[name] = time.process_time() - cpu
    needs = {limits.FLOAT32: 4 * gflop(build())}  # only now, since it takes memory, too
    return rows + [row(f'{name}, CPU time', None, s, 's', None, needs=needs) for name, s in cpu_s.items()]


def measure(members: int = 25, threads: int = 2, made: Path | None = None) -> list[Row]:
    """Make a bundle, if ``made`` holds none, in a process whose memory does not count, and answer."""
    with tempfile.TemporaryDirectory() as folder:
        made = made or Path(folder)
        if not (made / 'bundle').exists():
            maker = multiprocessing.get_context('fork').Process(target=make_bundle, args=(made, members))
            maker.start()
            maker.join()
        torch.set_num_threads(threads)
        return answer(made / 'bundle', list(make_exam(made)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--members', type=int, default=25)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--made', type=Path, help='folder that an earlier call of this program filled')
    args = parser.parse_args()
    rows = with_limits(measure(args.members, args.threads, args.made), limits.rates(limits.measure()))
    print(as_text(rows))
    print(notes_as_text(rows))


if __name__ == '__main__':
    main()
