"""make_phantom.py, and its files on their way through preprocess.py, run as a user runs them."""

import io
import json
import re
import runpy
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pydicom
import pytest

from mammo.records.meta import read_meta

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
def preprocessed(tmp_path_factory):
    """Phantoms of plausible pixel size: folder of the tables, folder of the PNG, meta items."""
    source, folder = (tmp_path_factory.mktemp(name) for name in ('full', 'png'))
    call('make_phantom.py', '--out-dir', source, '--patients', 6, '--seed', 3, '--missing-frac', 0.2)
    done = call(
        'preprocess.py', source / 'images.csv', '--labels', source / 'labels.csv', '--out-dir', folder,
        '--spacing-mm', 0.25,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return source, folder, read_meta(folder / 'meta.json')['data_list']


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
    assert list(labels) == ['patient_id', 'laterality', 'N', 'LVI', 'multifocality', 'NumPos', 'tumor_size']
    assert labels[['patient_id', 'laterality']].notna().all().all()
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


def test_sets_with_other_prefixes_share_no_patient(made, tmp_path):
    call('make_phantom.py', '--out-dir', tmp_path, '--patients', 3, '--id-prefix', 'S', *SMALL)
    images = pd.read_csv(tmp_path / 'images.csv')
    assert sorted(set(images['patient_id'])) == ['S0001', 'S0002', 'S0003']
    assert {pydicom.dcmread(tmp_path / path).PatientID for path in images['dicom_path']} == set(
        images['patient_id']
    )
    assert not set(images['patient_id']) & set(pd.read_csv(made[0] / 'images.csv')['patient_id'])


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


def test_every_image_comes_through_and_only_the_breast_with_the_tumour_has_labels(preprocessed):
    source, _, items = preprocessed
    labels = pd.read_csv(source / 'labels.csv').set_index('patient_id')
    assert len(items) == 24
    for item in items:
        known = labels.loc[item['patient_id']]
        assert item['tumor_side'] == known['laterality']
        expected = known.drop('laterality').dropna().to_dict()
        own = item['laterality'] == item['tumor_side']
        assert item['gt_label'] == (pytest.approx(expected) if own else {})


def test_lesions_are_carried_to_the_crop_and_the_main_one_shines_there_for_both_vendors(preprocessed):
    source, folder, items = preprocessed
    given = pd.read_csv(source / 'images.csv').set_index('dicom_path')['lesions'].map(json.loads)
    shining = 0
    for item in items:
        lesions, before = item.get('lesions', []), given[item['source']]
        radii_mm = [radius * item['spacing_mm'] for _, _, radius in lesions]
        assert radii_mm == pytest.approx([radius * 120 / 512 for _, _, radius in before], rel=0.01)
        png = cv2.imread(str(folder / item['img_path']), cv2.IMREAD_UNCHANGED)
        assert png.dtype == np.uint8
        shining += sum(png[round(y), round(x)] > np.median(png[png > 0]) for x, y, _ in lesions[:1])
    assert shining == 12
