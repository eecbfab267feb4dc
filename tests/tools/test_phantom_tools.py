"""make_phantom.py and phantom_to_png.py, run as a user runs them."""

import io
import json
import re
import runpy
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pydicom
import pytest

from preprocess.meta import read_meta

ROOT = Path(__file__).resolve().parents[2]
SMALL = ['--height', '128', '--width', '80']


def call(tool, *args):
    """Run a tool's main in this process (a fresh one spends seconds on imports)."""
    out, err = io.StringIO(), io.StringIO()
    returncode = 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, 'argv', [tool, *map(str, args)])
        try:
            runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')
        except SystemExit as stop:
            returncode = stop.code
    return subprocess.CompletedProcess(args, returncode, out.getvalue(), err.getvalue())


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob('*')) if p.is_file()}


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp('phantom')
    done = call(
        'make_phantom.py', '--out-dir', folder, '--patients', 24, '--seed', 3, '--missing-frac', 0.2, *SMALL
    )
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture(scope='module')
def converted(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp('png')
    done = call('phantom_to_png.py', '--src', made[0], '--out-dir', folder)
    assert done.returncode == 0, done.stderr
    return folder


def items_of(folder):
    return {split: read_meta(folder / f'{split}.json')['data_list'] for split in ('train', 'val', 'test')}


def test_data_set_has_four_images_a_patient_and_a_row_for_each(made):
    images = pd.read_csv(made[0] / 'images.csv')
    assert len(images) == 96 == len(list((made[0] / 'dicom').iterdir()))
    for row in images.to_dict('records'):
        ds = pydicom.dcmread(made[0] / row['dicom_path'])
        assert (ds.PatientID, ds.ViewPosition, ds.ImageLaterality) == (
            row['patient_id'],
            row['view'],
            row['laterality'],
        )
        lesions = np.array(json.loads(row['lesions'])).reshape(-1, 3)
        assert (lesions[:, 0] < ds.Columns).all()
        assert (lesions[:, 1] < ds.Rows).all()


def test_labels_and_clinical_values_are_partly_empty(made):
    labels, clinical = (pd.read_csv(made[0] / f'{name}.csv') for name in ('labels', 'clinical'))
    assert list(labels) == ['patient_id', 'tumor_side', 'N', 'LVI', 'multifocality', 'NumPos', 'tumor_size']
    assert labels[['patient_id', 'tumor_side']].notna().all().all()
    gaps = np.r_[labels.iloc[:, 2:].isna().to_numpy().ravel(), clinical.iloc[:, 1:].isna().to_numpy().ravel()]
    assert 0.12 < gaps.mean() < 0.28  # 360 cells at 0.2, more than three standard errors
    assert clinical['patient_id'].equals(labels['patient_id'])


def test_same_seed_gives_the_same_bytes_in_a_fresh_process(made, tmp_path):
    command = [sys.executable, ROOT / 'tools/make_phantom.py', '--out-dir', tmp_path, '--patients', '24']
    command += ['--seed', '3', '--missing-frac', '0.2', *SMALL]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, timeout=120)
    assert files(tmp_path) == files(made[0])


def test_missing_frac_empties_cells_and_changes_nothing_else(made, tmp_path):
    call('make_phantom.py', '--out-dir', tmp_path, '--patients', 24, '--seed', 3, *SMALL)
    one, two = files(tmp_path), files(made[0])
    differing = {str(path) for path in one if one[path] != two[path]}
    assert differing == {'labels.csv', 'clinical.csv'}
    whole, holed = (pd.read_csv(folder / 'labels.csv') for folder in (tmp_path, made[0]))
    assert whole.notna().all().all()
    assert ((whole == holed) | holed.isna()).all().all()


def test_truth_is_stored_and_printed(made):
    record = json.loads((made[0] / 'truth.json').read_text())
    assert record['format_version'] == 1
    for key, row in record['best'].items():
        line = next(text for text in made[1].stdout.splitlines() if text.startswith(key))
        assert all(f'{value:.3f}' in line for value in row.values())


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['--patients', '0'], '--patients is 0, must be at least 1'),
        (['--seed', '-1'], '--seed is -1, must be at least 0'),
        (['--missing-frac', '1.5'], '--missing-frac is 1.5, must be at least 0 and below 1'),
        (['--missing-frac', 'nan'], '--missing-frac is nan'),
        (['--height', '20'], r'image size is 20x320 \(height x width\); use >= 64 each'),
    ],
)
def test_bad_argument_ends_with_one_message_and_writes_nothing(tmp_path, args, message):
    done = call('make_phantom.py', '--out-dir', tmp_path / 'out', *args)
    assert done.returncode == 2
    assert re.search(message, done.stderr)
    assert 'Traceback' not in done.stderr
    assert not (tmp_path / 'out').exists()


def test_folder_of_another_run_is_refused_but_the_same_run_may_be_repeated(tmp_path):
    assert call('make_phantom.py', '--out-dir', tmp_path, '--patients', 2, *SMALL).returncode == 0
    assert call('make_phantom.py', '--out-dir', tmp_path, '--patients', 2, *SMALL).returncode == 0
    done = call('make_phantom.py', '--out-dir', tmp_path, '--patients', 1, *SMALL)
    assert done.returncode == 2
    assert 'holds P0002 of another run; choose an empty folder' in done.stderr


def test_meta_files_split_patients_and_keep_only_the_tumour_side(made, converted):
    splits = items_of(converted)
    patients = {split: {item['patient_id'] for item in items} for split, items in splits.items()}
    assert [len(ids) for ids in patients.values()] == [14, 5, 5]
    assert len(set.union(*patients.values())) == 24
    for item in chain(*splits.values()):
        assert item['laterality'] == item['tumor_side']
        assert {'exam_id', 'view', 'spacing_mm', 'cohort'} <= set(item)
        assert cv2.imread(str(converted / item['img_path']), cv2.IMREAD_UNCHANGED).dtype == np.uint8


def test_meta_labels_are_those_of_the_table_and_gaps_are_left_out(made, converted):
    labels = pd.read_csv(made[0] / 'labels.csv').set_index('patient_id')
    for item in chain(*items_of(converted).values()):
        expected = labels.loc[item['patient_id']].drop('tumor_side').dropna().to_dict()
        assert item['gt_label'] == pytest.approx(expected)


def test_n_is_stratified(made, converted):
    labels = pd.read_csv(made[0] / 'labels.csv').set_index('patient_id')
    shares = [
        labels.loc[sorted({item['patient_id'] for item in items}), 'N'].fillna(0).mean()
        for items in items_of(converted).values()
    ]
    assert max(shares) - min(shares) <= 0.2  # one patient of five


def test_png_shows_tissue_bright_for_both_vendors(made, converted):
    images = pd.read_csv(made[0] / 'images.csv').set_index('dicom_path')
    for item in chain(*items_of(converted).values()):
        png = cv2.imread(str(converted / item['img_path']), cv2.IMREAD_GRAYSCALE)
        name = Path(item['img_path']).stem
        x, y, _ = json.loads(images.loc[f'dicom/{name}.dcm', 'lesions'])[0]
        assert png.max() == 255  # the marker
        assert (png == 0).mean() > 0.1  # air
        assert png[round(y), round(x)] > np.median(png[png > 0])


def test_all_sides_adds_healthy_breasts_without_labels(made, tmp_path):
    call('phantom_to_png.py', '--src', made[0], '--out-dir', tmp_path, '--all-sides')
    items = list(chain(*items_of(tmp_path).values()))
    assert len(items) == 96
    assert all(item['gt_label'] == {} for item in items if item['laterality'] != item['tumor_side'])
    assert all(item['tumor_side'] in ('L', 'R') for item in items)


def test_missing_source_says_how_to_make_it(tmp_path):
    done = call('phantom_to_png.py', '--src', tmp_path, '--out-dir', tmp_path / 'png')
    assert done.returncode == 2
    assert 'images.csv: no such file; run tools/make_phantom.py' in done.stderr


def test_too_few_patients_for_a_split_are_named(tmp_path):
    call('make_phantom.py', '--out-dir', tmp_path, '--patients', 3, *SMALL)
    done = call('phantom_to_png.py', '--src', tmp_path, '--out-dir', tmp_path / 'png')
    assert done.returncode == 2
    assert 'labels.csv: too few patients to split 60/20/20 by N' in done.stderr
