"""A cross-validation killed at random moments and rerun ends in the report of one that was left alone.

DIR -> phantom patients, 2 x 2 folds at toy size; a line per kill; exit 1 if a report.json differs
Command: python tests/torture/kill_cross_validation.py --out-dir DIR [--kills 20] [--seed 0] [--devices 1]
"""

import argparse
import contextlib
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[2]
CONFIG = f"""
_base_ = '{ROOT}/configs/demo/full_breast_224x128_transformer.py'
pipeline = [
    dict(type='LoadMammogram'),
    dict(type='Resize', scale=(64, 96)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='MammoPackMultiTaskInputs'),
]
model = dict(backbone=dict(stem_channels=8, base_channels=8), neck=dict(in_dims=128, map_size=(3, 2)))
train_cfg = dict(max_epochs=2)
loader = dict(batch_size=8, num_workers=1)
train_dataloader = dict(dataset=dict(data_root='{{data}}', pipeline=pipeline), **loader)
val_dataloader = dict(dataset=dict(data_root='{{data}}', pipeline=[*pipeline[:2], pipeline[3]]), **loader)
test_dataloader = dict(dataset=dict(data_root='{{data}}', pipeline=[*pipeline[:2], pipeline[3]]), **loader)
"""


def main() -> None:
    """Make the data, run once undisturbed, then kill until all kills are done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out-dir', type=Path, required=True, help='new or empty folder')
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--devices', type=int, default=1)
    args = parser.parse_args()
    args.out_dir.mkdir(parents=True, exist_ok=True)
    command = prepare(args.out_dir.resolve(), args.devices)
    start = time.monotonic()
    run(command, args.out_dir / 'undisturbed', None)
    took_s = time.monotonic() - start
    expected = reports(args.out_dir / 'undisturbed')
    print(f'undisturbed: {took_s:.0f} s, {len(expected)} reports', flush=True)
    rng, killed, same, rounds = np.random.default_rng(args.seed), 0, 0, 0
    while killed < args.kills:
        work_dir, rounds = args.out_dir / f'round{rounds}', rounds + 1
        while killed < args.kills and run(command, work_dir, after_s := rng.uniform(0, took_s), rng):
            killed += 1
            print(f'{work_dir.name}: kill {killed} after {after_s:.1f} s', flush=True)
        run(command, work_dir, None)
        same += reports(work_dir) == expected
        print(f'{work_dir.name}: {same} of {rounds} rounds end in the same reports', flush=True)
    sys.exit(same != rounds)


def prepare(folder: Path, devices: int) -> list[str]:
    """Phantom patients, their folds and a config -> command, less its work dir."""
    tools, dicom, data = ROOT / 'tools', folder / 'dicom', folder / 'data'
    size = ['--patients', 24, '--height', 128, '--width', 80]
    call(tools / 'make_phantom.py', '--out-dir', dicom, *size)
    call(tools / 'preprocess.py', dicom / 'dicom', '--labels', dicom / 'labels.csv', '--out-dir', data)
    folds = ['--outer', 2, '--inner', 2, '--stratify', 'N', '--labelled-only']
    call(tools / 'split.py', data / 'meta.json', '--out-dir', folder / 'folds', *folds)
    (folder / 'config.py').write_text(CONFIG.format(data=data))
    fusion = ['--with-fusion', ROOT / 'configs/clinical/phantom.yaml', '--clinical', dicom / 'clinical.csv']
    options = ['--folds', folder / 'folds', *fusion, '--devices', devices, '--bootstrap', 1000]
    return [sys.executable, *map(str, (tools / 'cross_validate.py', folder / 'config.py', *options))]


def call(*command: object) -> None:
    subprocess.run([sys.executable, *map(str, command)], check=True, capture_output=True)


def run(
    command: list[str], work_dir: Path, after_s: float | None, rng: np.random.Generator | None = None
) -> bool:
    """Run the command; SIGKILL it, or it and all that it started, after so many seconds -> whether it was."""
    with (work_dir.parent / f'{work_dir.name}.txt').open('a') as log:
        process = subprocess.Popen([*command, '--work-dir', str(work_dir)], stdout=log, stderr=log)
    try:
        code = process.wait(after_s)
    except subprocess.TimeoutExpired:
        power_cut = rng is not None and rng.random() < 0.5
        victims = psutil.Process(process.pid).children(recursive=True) if power_cut else []
        process.kill()
        for victim in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
        process.wait()
        return True
    if code:
        raise RuntimeError(f'exit code {code}, see {work_dir}.txt')
    return False


def reports(work_dir: Path) -> dict[str, bytes]:
    """Every report.json, byte by byte."""
    return {str(path.relative_to(work_dir)): path.read_bytes() for path in work_dir.rglob('report.json')}


if __name__ == '__main__':
    main()
