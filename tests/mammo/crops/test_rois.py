"""ROIs lie where the boxes say, in the PNG or in the input it came from."""

import json
import sys

import cv2
import numpy as np
import pandas as pd
import pytest

from mammo.crops import rois
from mammo.preprocess.errors import PreprocessError
from mammo.records.meta import write_meta
from tools.extract_rois import main

ITEM = dict(img_path='a.png', source='a.dcm', gt_label={'N': 1.0}, patient_id='P')


def table(**columns):
    return pd.DataFrame({name: [str(v) for v in values] for name, values in columns.items()}, index=[2])


def region(*box, row=2):
    return rois.Region(row, ITEM, box)


@pytest.mark.parametrize(
    ('centre', 'corner'), [((50, 60), (40, 50)), ((0, 0), (0, 0)), ((199, 99), (180, 80)), ((9, 95), (0, 80))]
)
def test_square_is_centred_and_moves_into_the_image(centre, corner):
    image = np.arange(100 * 200, dtype=np.uint32).reshape(100, 200)
    roi, square = rois.cut((image % 251).astype(np.uint8), region(*centre, *centre), 20)
    x, y = corner
    assert square == [x, y, x + 20, y + 20]
    assert np.array_equal(roi, (image[y : y + 20, x : x + 20] % 251).astype(np.uint8))


def test_a_large_box_is_shrunk_and_a_small_image_padded():
    image = np.full((100, 200), 90, np.uint8)
    roi, square = rois.cut(image, region(50, 20, 110, 60), 20)
    assert (roi.shape, square, int(roi.min())) == ((20, 20), [50, 10, 110, 70], 90)
    roi, square = rois.cut(image, region(50, 20, 50, 20), 150)
    assert square == [0, 0, 150, 150]
    assert (int(roi[:100].min()), int(roi[100:].max())) == (90, 0)


def test_source_coordinates_go_through_the_transform_of_the_item():
    turned = ITEM | dict(from_source=[[0, 0.5, -3], [-0.5, 0, 40]])  # turned by 90 degrees, halved, cropped
    found = list(rois.find_regions(table(source=['a.dcm'], x0=[10], y0=[20], x1=[30], y1=[60]), [turned]))
    assert found[0].box == (7, 25, 27, 35)


@pytest.mark.parametrize(
    ('columns', 'message'),
    [
        (dict(img_path=['b.png'], x=[1], y=[1]), 'row 2: no image of the meta file has this img_path'),
        (dict(img_path=['a.png'], x=['?'], y=[1]), "row 2: x is '?', expected a number"),
        (dict(img_path=['a.png'], x=['nan'], y=[1]), "row 2: x is 'nan', expected a number"),
        (dict(img_path=['a.png'], x0=[5], y0=[1], x1=[4], y1=[2]), 'x0 <= x1'),
        (dict(source=['a.dcm'], x=[1], y=[1]), 'has no from_source'),
        (dict(img_path=['a.png'], x=['1_0'], y=[1]), "x is '1_0', expected a number"),
        (dict(img_path=['a.png'], x=['1,500'], y=[1]), 'comma may be thousands; write a decimal point'),
        (dict(img_path=['png\\\\a.png'], x=[1], y=[1]), 'write / instead of back-slashes'),
    ],
)
def test_a_bad_row_is_named(columns, message):
    (error,) = rois.find_regions(table(**columns), [ITEM])
    with pytest.raises(PreprocessError, match=message.replace('?', r'\?')):
        raise error


def test_paths_and_decimal_commas_are_read_in_their_normal_form():
    (region,) = rois.find_regions(table(img_path=['.//a.png'], x=['1,5'], y=['2']), [ITEM])
    assert region.box == (1.5, 2, 1.5, 2)


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match=r"column \['y'\] is missing"):
        list(rois.find_regions(table(img_path=['a.png'], x=[1]), [ITEM]))


def test_a_centre_outside_the_image_is_refused():
    with pytest.raises(PreprocessError, match=r'row 7: centre outside a.png of 9 x 9'):
        rois.cut(np.zeros((9, 9), np.uint8), region(20, 2, 20, 2, row=7), 5)


def call(monkeypatch, *args):
    monkeypatch.setattr(sys, 'argv', ['extract_rois.py', *map(str, args)])
    try:
        main()
    except SystemExit as end:
        return end.code
    return 0


def test_tool_writes_rois_meta_list_and_skipped(tmp_path, monkeypatch, capsys):
    image = np.random.default_rng(0).integers(0, 256, (60, 40), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    write_meta(tmp_path / 'train.json', [ITEM, ITEM | dict(img_path='gone.png', gt_label={})], ['N'])
    (tmp_path / 'boxes.csv').write_text('\ufeffimg_path;x;y\na.png;20;30\ngone.png;1;1\nb.png;1;1\n')
    options = ['--boxes', tmp_path / 'boxes.csv', '--out-dir', tmp_path / 'o', '--size', 10, '--task', 'N']
    assert call(monkeypatch, tmp_path / 'train.json', *options) == 0
    (item,) = json.loads((tmp_path / 'o/meta.json').read_text())['data_list']
    assert (item['roi_box'], item['image'], item['patient_id']) == ([15, 25, 25, 35], 'a.png', 'P')
    written = cv2.imread(str(tmp_path / 'o' / item['img_path']), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(written, image[25:35, 15:25])
    assert (tmp_path / 'o/train_N.txt').read_text() == f'{item["img_path"]} 1\n'
    assert list(pd.read_csv(tmp_path / 'o/skipped.csv')['reason']) == ['UNREADABLE', 'BAD_ROW']
    assert call(monkeypatch, tmp_path / 'train.json', '--task', 'N', '--out-dir', tmp_path / 'p') == 0
    assert (tmp_path / 'p/train_N.txt').read_text() == 'a.png 1\n'
    assert call(monkeypatch, tmp_path / 'train.json', '--task', 'N', '--out-dir', tmp_path / 'p') == 2
    assert 'go on with --resume, start anew with --fresh' in capsys.readouterr().err
    assert call(monkeypatch, tmp_path / 'train.json', '--task', 'X', '--out-dir', tmp_path / 'q') == 2
    assert not (tmp_path / 'q').exists()
    assert "no image has a label 'X'" in capsys.readouterr().err
    assert call(monkeypatch, tmp_path / 'train.json', '--out-dir', tmp_path / 'p') == 2


def test_second_run_goes_on_or_starts_anew_and_touches_no_file_of_the_user(tmp_path, monkeypatch):
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((60, 40), 9, np.uint8))
    write_meta(tmp_path / 'train.json', [ITEM], ['N'])
    (tmp_path / 'boxes.csv').write_text('img_path,x,y\na.png,20,30\na.png,10,30\n')
    run = [
        tmp_path / 'train.json',
        '--boxes',
        tmp_path / 'boxes.csv',
        '--out-dir',
        tmp_path / 'o',
        '--size',
        10,
    ]
    assert call(monkeypatch, *run) == 0
    (tmp_path / 'o/png/own.png').write_text('mine')
    before = {path: path.read_bytes() for path in (tmp_path / 'o').rglob('*') if path.is_file()}
    assert call(monkeypatch, *run, '--task', 'N', '--resume') == 0
    after = {path: path.read_bytes() for path in (tmp_path / 'o').rglob('*') if path.is_file()}
    after.pop(tmp_path / 'o/train_N.txt')
    after.pop(tmp_path / 'o/.journal.jsonl')
    assert {**before, **after} == before
    (tmp_path / 'boxes.csv').write_text('img_path,x,y\na.png,20,30\n')
    assert call(monkeypatch, *run, '--fresh') == 0
    names = sorted(path.name for path in (tmp_path / 'o').rglob('*') if path.is_file())
    assert names == ['.journal.jsonl', '.lock', 'a_000002.png', 'meta.json', 'own.png', 'skipped.csv']
    assert call(monkeypatch, *run[:-1], tmp_path) == 2, 'it holds the input'
