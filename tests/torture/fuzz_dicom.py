"""Throw random mammograms at the reader: each must give the right picture or a PreprocessError, and soon.

number of cases, seed -> counts by outcome; exit 1 at the first fault, printed with its seed

Half of the cases are damaged files: nothing but a picture or a reason may come out. The other half have
random pixels, padding, bit depths and LUTs, in three encodings, compared with an independent decoding.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import argparse
import faulthandler
import io
import tempfile
import time
import traceback
import warnings
from collections import Counter

import numpy as np
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, RLELossless

from mammo.phantoms.drawing import render_exam
from mammo.phantoms.truth import sample_patients
from mammo.preprocess.dicom import reader
from mammo.preprocess.errors import PreprocessError
from mammo.preprocess.images import render
from mammo.preprocess.inputs.job import Job
from mammo.preprocess.settings import Settings
from tests.torture.dicom_pictures import check, draw

HANG_S = 30  # for 100 cases
NASTY = [
    b'',
    b'\0',
    b'-1',
    b'0',
    b'1e999',
    b'nan',
    b'99999999999',
    b'\\\\\\',
    b'\xff\xff',
    b'\xff' * 8,
    b'A\\P',
    b'SIGMOID',
]
NASTY += [
    b'MONOCHROME1',
    b'FOR PROCESSING',
    b'1.2.840.10008.1.2.4.90',
    b'ISO 2022 IR 87',
    b"'; --",
    b'\x1b$B',
]


def base_files() -> list[bytes]:
    """Small phantoms: uncompressed, RLE, JPEG 2000, and one with every optional tag there is."""
    patient = sample_patients(1, np.random.default_rng(0)).to_dict('records')[0]
    ge, *others = (ds for index in (1, 0) for ds, _ in render_exam(patient, index, (96, 64), 0))
    lut = Dataset()
    lut.LUTDescriptor, lut.LUTExplanation = [4096, 0, 12], 'NORMAL'
    lut.add_new('LUTData', 'US', list(range(4096)))
    ge.VOILUTSequence, ge.VOILUTFunction, ge.WindowCenterWidthExplanation = [lut], 'SIGMOID', 'NORMAL'
    ge.PixelPaddingValue, ge.EstimatedRadiographicMagnificationFactor, ge.PixelSpacing = 0, 1.1, [0.1, 0.1]
    ge.SpecificCharacterSet, ge.NumberOfFrames, ge.SpatialResolution = 'ISO_IR 192', 1, 0.1
    for ds, syntax in zip(others, (RLELossless, JPEG2000Lossless), strict=False):
        ds.compress(syntax, generate_instance_uid=False)
    return [_encoded(ds) for ds in (ge, *others[:4])]


def find_places(data: bytes) -> tuple[list[tuple[int, int]], int]:
    """Offset and length of every value of the header, and the offset of the pixels."""
    ds = dcmread(io.BytesIO(data))
    values = [ds.get_item(tag) for tag in dict(ds.items()) if tag < 0x7FE00010]
    places = [
        (e.value_tell, e.length) for e in values if isinstance(e, RawDataElement) and 0 < e.length < 2**32 - 1
    ]
    return places, ds.get_item(0x7FE00010).value_tell


def mutate(data: bytes, places: list[tuple[int, int]], end: int, rng: np.random.Generator) -> bytes:
    """Damage one to three places of the header, values as often as raw bytes."""
    damaged = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        if rng.random() < 0.6:
            start, length = places[rng.integers(len(places))]
            value = NASTY[rng.integers(len(NASTY))] if rng.random() < 0.7 else rng.bytes(length)
            damaged[start : start + length] = value[:length].ljust(length, (b' ', b'\0')[rng.integers(2)])
        else:
            start, kind = int(rng.integers(128, end)), rng.integers(3)
            stop = start + int(rng.integers(1, 9))
            damaged[start:stop] = [rng.bytes(stop - start), b'', bytes(damaged[start:stop]) * 2][kind]
    return bytes(damaged)


def run_case(data: bytes, path: Path) -> str:
    """Read and render one file -> 'image' or the reason code; any other exception passes through."""
    path.write_bytes(data)
    try:
        render(
            Job('fuzz', path),
            reader.read(path, header_only=True),
            Settings(path.parent, for_processing='tone'),
        )
    except PreprocessError as error:
        return str(error.reason)
    return 'image'


def main() -> None:
    """Run the cases and print the counts, the slowest case and the rate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--cases', type=int, default=10_000)
    parser.add_argument('--seed', type=int, default=0, help='of the first case; case i has seed + i')
    args = parser.parse_args()
    warnings.simplefilter('ignore')  # of the writer, about headers that are meant to be wrong
    print(f'seeds {args.seed} to {args.seed + args.cases - 1}')
    files = [(data, *find_places(data)) for data in base_files()]
    outcomes: Counter[str] = Counter()
    slowest, begin = (0.0, 0), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(args.seed, args.seed + args.cases):
            rng = np.random.default_rng(seed)
            if seed % 100 == 0:  # arming it takes as long as a case
                faulthandler.dump_traceback_later(HANG_S, exit=True, file=2)
            start = time.perf_counter()
            try:
                if seed % 2:
                    outcomes[f'compared: {check(draw(rng))}'] += 1
                else:
                    data = mutate(*files[rng.integers(len(files))], rng)
                    outcomes[f'damaged: {run_case(data, Path(folder) / "case")}'] += 1
            except Exception:
                traceback.print_exc()
                sys.exit(f'seed {seed}: a wrong picture, or an exception outside the documented type')
            slowest = max(slowest, (time.perf_counter() - start, seed))
    faulthandler.cancel_dump_traceback_later()
    wall_s = time.perf_counter() - begin
    print(*(f'{count:7} {outcome}' for outcome, count in outcomes.most_common()), sep='\n')
    print(f'{args.cases} cases in {wall_s:.1f} s, slowest {slowest[0]:.2f} s (seed {slowest[1]})')


def _encoded(ds: Dataset) -> bytes:
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


if __name__ == '__main__':
    main()
