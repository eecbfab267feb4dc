"""PNG exports: negatives are noticed, and turned only on the word of somebody."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from mammo.preprocess.picture.negatives import has_bright_border
from mammo.records.storage import png
from tests.mammo.preprocess.test_images import outcome
from tests.support.dicom_files import breast_image

FILM = (breast_image() // 16).astype(np.uint8)


def film(folder, image=FILM, invert='refuse', **row):
    path = folder / 'film.png'
    cv2.imwrite(str(path), image)
    record, result = outcome(path, folder, dict(patient_id='1') | row, is_png=True, invert=invert)
    pixels = cv2.imread(str(folder / 'out' / record['item']['img_path']), -1) if result == 'image' else None
    return record, result, pixels


def test_a_negative_of_which_nothing_is_said_is_reported(tmp_path):
    record, result, _ = film(tmp_path, 255 - FILM)
    assert result == 'INVERTED'
    assert '--invert auto' in record['message']


@pytest.mark.parametrize('options', [dict(photometric='MONOCHROME1'), dict(invert='auto')])
def test_a_negative_gives_the_picture_of_its_positive(options, tmp_path):
    expected = film(tmp_path)[2]
    record, _, pixels = film(tmp_path, 255 - FILM, **options)
    assert np.abs(pixels.astype(int) - expected).max() <= 1
    assert record['item'].get('inverted', False) is ('invert' in options)
    json.dumps(record)  # as the journal keeps it


def test_what_the_row_says_counts_more_than_the_look(tmp_path):
    assert film(tmp_path, photometric='MONOCHROME2', invert='auto')[1] == 'image'
    bright = np.pad(FILM, 12, constant_values=255)
    assert film(tmp_path, bright)[1] == 'INVERTED'
    assert film(tmp_path, bright, photometric='MONOCHROME2')[1] == 'image'


@pytest.mark.parametrize('side', ['L', 'R'])
def test_a_chest_wall_is_no_bright_border(side):
    image = FILM.astype(np.float32)
    assert not has_bright_border(image if side == 'L' else image[:, ::-1])


@pytest.mark.parametrize('word', ['magnification', 'R-102D6', '399163009'])
def test_a_modifier_of_the_row_is_a_kind(word, tmp_path):
    from mammo.preprocess.inputs.image_rows import FIELDS

    kind = FIELDS['view_modifier'](word, 'row 2')
    assert film(tmp_path, view_modifier=kind)[1] == 'MAGNIFICATION'


def test_a_missing_and_a_huge_file_say_so(tmp_path, monkeypatch):
    record, result = outcome(tmp_path / 'absent.png', tmp_path, dict(patient_id='1'), is_png=True)
    assert (result, record['message']) == ('UNREADABLE', 'no such file')
    monkeypatch.setattr(png, 'MAX_PIXELS', 1000)
    record, result, _ = film(tmp_path)
    assert result == 'TOO_LARGE'
    assert '160 x 256 pixels' in record['message']


@pytest.mark.real_data
@pytest.mark.slow
def test_negatives_of_a_public_set_are_found_and_nothing_else(real_data):
    """Machine 29 of the RSNA screening set was exported without inversion."""
    import pandas as pd

    table = pd.read_csv(real_data / 'rsna2022_640/train.csv').groupby('machine_id').head(60)
    bright: dict = {}
    for row in table.itertuples():
        path = real_data / f'rsna2022_640/images/{row.patient_id}_{row.image_id}.jpg'
        if path.is_file():
            image = cv2.imread(str(path), 0).astype(np.float32)
            bright.setdefault(row.machine_id, []).append(has_bright_border(image))
    assert np.mean(bright.pop(29)) > 0.95
    bright.pop(210)  # a mixture
    assert not any(map(any, bright.values()))


@pytest.mark.parametrize('fills', ['bottom', 'top'])
def test_a_breast_that_fills_two_sides_does_not_hide_the_bright_background(fills):
    image = np.full((200, 160), 240, np.float32)
    rows, columns = np.mgrid[:200, :160]
    depth = rows if fills == 'bottom' else 199 - rows
    image[(columns > 155 - depth) | (columns > 130)] = 90  # a wedge: chest wall on the right, all of one end
    image[80:120, 135:155] = 20  # dense tissue
    assert has_bright_border(image)
    assert not has_bright_border(255 - image)


@pytest.mark.real_data
def test_all_negatives_of_an_export_are_found_and_no_other(real_data):
    table = pd.read_csv(real_data / 'rsna2022_640/train.csv')
    table = table[table.machine_id.isin([29, 210, 216, 170])]
    names = [f'{row.patient_id}_{row.image_id}.jpg' for row in table.itertuples()]
    images = [
        cv2.imread(str(real_data / 'rsna2022_640/images' / name), 0).astype(np.float32) for name in names
    ]
    bright = pd.Series([has_bright_border(image) for image in images]).groupby(list(table.machine_id)).sum()
    assert dict(bright) == {29: 489, 170: 0, 210: 61, 216: 1}
