"""Turn a phantom data set into 8-bit PNG and meta files, a simple stand-in for the full DICOM path.

folder of make_phantom.py -> png/*.png, train.json, val.json, test.json (60/20/20 by patient)
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import argparse
import json

import cv2
import numpy as np
import pandas as pd
import pydicom
from sklearn.model_selection import train_test_split

from preprocess.files import replacing
from preprocess.meta import write_meta
from preprocess.phantom_truth import LABELS

FIELDS = ['patient_id', 'exam_id', 'view', 'laterality', 'tumor_side', 'spacing_mm', 'cohort']


def to_uint8(ds: pydicom.Dataset) -> np.ndarray:
    """Stored values of 0 to 2^BitsStored - 1 -> (H, W) uint8 in which tissue is bright."""
    top = (1 << ds.BitsStored) - 1
    stored = ds.pixel_array.astype(np.float32)
    image = top - stored if ds.PhotometricInterpretation == 'MONOCHROME1' else stored
    return np.round(image * (255 / top)).astype(np.uint8)


def split_patients(labels: pd.DataFrame, seed: int) -> dict[str, set[str]]:
    """60/20/20 of the patients, stratified on N (a missing N counts as 0)."""
    known_positive = labels.set_index('patient_id')['N'].fillna(0)
    train, rest = train_test_split(known_positive, test_size=0.4, stratify=known_positive, random_state=seed)
    val, test = train_test_split(rest, test_size=0.5, stratify=rest, random_state=seed)
    return {'train': set(train.index), 'val': set(val.index), 'test': set(test.index)}


def main() -> None:
    """Parse, split, convert, write the meta files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--src', type=Path, required=True, help='the --out-dir of make_phantom.py')
    parser.add_argument('--out-dir', type=Path, required=True)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--all-sides', action='store_true', help='add the healthy breasts, without labels')
    args = parser.parse_args()
    try:
        tables = [
            pd.read_csv(args.src / f'{name}.csv', dtype={'exam_id': str}) for name in ('images', 'labels')
        ]
        splits = split_patients(tables[1], args.seed)
    except FileNotFoundError as error:
        parser.error(f'{error.filename}: no such file; run tools/make_phantom.py --out-dir {args.src} first')
    except ValueError as error:
        parser.error(f'{args.src / "labels.csv"}: too few patients to split 60/20/20 by N: {error}')
    data: dict[str, list] = {split: [] for split in splits}
    for row in tables[0].merge(tables[1], on='patient_id').to_dict('records'):
        tumour_side = row['laterality'] == row['tumor_side']
        if not (tumour_side or args.all_sides):
            continue
        img_path = f'png/{Path(row["dicom_path"]).stem}.png'
        with replacing(args.out_dir / img_path) as tmp:
            if not cv2.imwrite(str(tmp), to_uint8(pydicom.dcmread(args.src / row['dicom_path']))):
                raise OSError(f'{tmp}: could not be written')
        labels = {task: float(row[task]) for task in LABELS} if tumour_side else {}
        split = next(name for name, ids in splits.items() if row['patient_id'] in ids)
        item = {'img_path': img_path, **{key: row[key] for key in FIELDS}, 'gt_label': labels}
        data[split].append(item | {'lesions': json.loads(row['lesions'])})
    for split, items in data.items():
        write_meta(args.out_dir / f'{split}.json', items, LABELS)


if __name__ == '__main__':
    main()
