import csv
import re
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mammo.public_sets.mias import Film, meta_item, parse_info, split_women
from mammo.records.meta import read_meta

TOOL = Path(__file__).resolve().parents[3] / 'tools/dataset_converters/mias.py'
INFO = """
mdb001 G CIRC B 535 425 197
mdb002 G NORM
mdb003 D NORM
mdb004 D CALC M *NOTE 3*
mdb005 F CIRC B 477 133 30
mdb005 F MISC M 500 168 26
mdb059 F CIRC B
"""


def films_of(text):
    return {film.name: film for film in parse_info(text)}


def test_rows_of_one_film_are_its_findings():
    film = films_of(INFO)['mdb005']
    assert film.severities == ('B', 'M')
    assert film.circles == ((477, 133, 30), (500, 168, 26))
    assert film.tissue == 'F'


def test_consecutive_films_belong_to_one_woman():
    patients = {name: film.patient_id for name, film in films_of(INFO).items()}
    assert patients == dict(
        mdb001='P001', mdb002='P001', mdb003='P002', mdb004='P002', mdb005='P003', mdb059='P030'
    )


def test_text_around_the_rows_and_line_ends_do_not_matter():
    text = 'INFORMATION:\n1st column: MIAS database reference number.\nmdb files\n' + INFO.replace(
        '\n', ' \r\n'
    )
    assert parse_info(text) == parse_info(INFO)


@pytest.mark.parametrize(
    'row',
    [
        'mdb006 X NORM',
        'mdb006 G CIRC',
        'mdb006 G CIRC B 535',
        'mdb006 G CIRC B 535 425 -3',
        'mdb6 G NORM',
        'mdb006',
    ],
)
def test_a_broken_row_is_named_by_line(row):
    with pytest.raises(ValueError, match=f"Info.txt: line 2 is '{row}', expected e.g."):
        parse_info(f'\n{row}\n')


def test_text_without_rows_is_refused():
    with pytest.raises(ValueError, match='no line starts with mdb'):
        parse_info('nothing')


def test_lesions_are_in_crop_pixels_from_the_top_left():
    # x 535 - 200; y counts from the bottom: 1024 - 425 - 100
    item = meta_item(films_of(INFO)['mdb001'], 1024, (100, 200, 1000, 900))
    assert item['lesions'] == [[335, 499, 197]]
    assert item['gt_label'] == dict(malignant=0, abnormal=1, n_lesions=1, radius_mm=39.4)
    assert (item['patient_id'], item['exam_id'], item['view'], item['tissue']) == ('P001', '1', 'MLO', 'G')
    assert 'laterality' not in item


@pytest.mark.parametrize(
    ('name', 'labels'),
    [
        ('mdb002', dict(malignant=0, abnormal=0, n_lesions=0)),
        ('mdb004', dict(malignant=1, abnormal=1, n_lesions=1)),
        ('mdb005', dict(malignant=1, abnormal=1, n_lesions=2, radius_mm=6.0)),
        ('mdb059', dict(malignant=0, abnormal=1, n_lesions=1)),
    ],
)
def test_radius_is_the_largest_and_absent_where_not_annotated(name, labels):
    assert meta_item(films_of(INFO)[name], 1024, (0, 0, 1024, 1024))['gt_label'] == labels


def women(counts, seed=0):
    """Two films per woman; the second decides her class."""
    severities = [()] * counts[0] + [('B',)] * counts[1] + [('B', 'M')] * counts[2]
    order = np.random.default_rng(seed).permutation(len(severities))
    pairs = [(f'P{i}', severities[i]) for i in order]
    return [Film(f'{p}{k}', p, 'G', s if k else ()) for p, s in pairs for k in (0, 1)]


def test_split_is_60_20_20_of_the_women_in_each_class():
    films = women((50, 60, 40))
    parts = split_women(films, seed=0)
    worst = {film.patient_id: film.class_index for film in films if film.name.endswith('1')}
    counts = {name: [sum(worst[w] == k for w in part) for k in range(3)] for name, part in parts.items()}
    assert counts == dict(train=[30, 36, 24], val=[10, 12, 8], test=[10, 12, 8])
    assert sorted(w for part in parts.values() for w in part) == sorted(worst)


def test_split_depends_on_the_seed_and_not_on_the_order_of_films():
    assert split_women(women((20, 20, 20), seed=1), 0) == split_women(women((20, 20, 20), seed=2), 0)
    assert split_women(women((20, 20, 20)), 0) != split_women(women((20, 20, 20)), 1)


@pytest.fixture
def src(tmp_path):
    """15 women, 5 of each class, as distributed (.pgm beside Info.txt), a bright rectangle on the left."""
    folder = tmp_path / 'mini'
    folder.mkdir()
    rows = []
    for number in range(1, 31):
        kind = ['NORM', 'CIRC B 20 260 5', 'CALC M *NOTE 3*'][(number - 1) // 2 % 3]
        rows.append(f'mdb{number:03d} G {kind}')
        image = np.zeros((500, 300), np.uint8)
        image[75:425, :200] = 150 + number
        cv2.imwrite(str(folder / f'mdb{number:03d}.pgm'), image)
    (folder / 'Info.txt').write_text('\n'.join(rows))
    return folder


def run_tool(monkeypatch, *args):
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, args)])
    runpy.run_path(str(TOOL), run_name='__main__')


def test_conversion_writes_crops_meta_files_and_a_table(src, tmp_path, monkeypatch, capsys):
    run_tool(monkeypatch, '--src', src, '--out-dir', tmp_path / 'new/out', '--seed', 3)
    parts = {
        name: read_meta(tmp_path / f'new/out/{name}.json')['data_list'] for name in ('train', 'val', 'test')
    }
    assert {name: len(part) for name, part in parts.items()} == dict(train=18, val=6, test=6)
    assert len({item['patient_id'] for part in parts.values() for item in part}) == 15
    for item in parts['train'] + parts['val'] + parts['test']:
        crop = cv2.imread(str(tmp_path / 'new/out' / item['img_path']), cv2.IMREAD_UNCHANGED)
        assert crop.dtype == np.uint8
        assert crop.shape == (350, 240)
        assert item['lesions'] in ([], [[20, 500 - 260 - 75, 5]])
    rows = capsys.readouterr().out.split('\n')
    assert rows[0].split() == ['images', 'women', 'malignant', 'abnormal']
    assert rows[1].split() == ['train', '18', '9', '6', '12']
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['out']


def test_running_twice_gives_identical_bytes(src, tmp_path, monkeypatch):
    for name in ('a', 'b'):
        run_tool(monkeypatch, '--src', src, '--out-dir', tmp_path / name)
    files = [
        {p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob('*.*')} for n in ('a', 'b')
    ]
    assert [len(part) for part in files] == [33, 33]
    assert list(files[0].values()) == [files[1][Path(name)] for name in files[0]]


def no_info(src, tmp_path):
    (src / 'Info.txt').unlink()


def two_missing(src, tmp_path):
    (src / 'mdb004.pgm').unlink()
    (src / 'mdb017.pgm').unlink()


def truncated(src, tmp_path):
    (src / 'mdb030.pgm').write_bytes(b'P5 10')


def black(src, tmp_path):
    cv2.imwrite(str(src / 'mdb030.pgm'), np.zeros((500, 300), np.uint8))


def filled(src, tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/train.json').write_text('{}')


def file_in_the_way(src, tmp_path):
    (tmp_path / 'out').write_text('')


def file_above(src, tmp_path):
    (tmp_path / 'above').write_text('')


@pytest.mark.parametrize(
    ('breaking', 'out_name', 'message'),
    [
        (no_info, 'out', r'Info\.txt.*--src needs Info\.txt'),
        (two_missing, 'out', r'2 films have no \.pgm or \.png file: mdb004, mdb017'),
        (truncated, 'out', r'mdb030\.pgm: cannot be decoded'),
        (black, 'out', r'mdb030\.pgm: image of shape \(500, 300\) holds values from 0 to 0'),
        (filled, 'out', 'out is not empty; remove it or choose another --out-dir'),
        (file_in_the_way, 'out', 'out.*--out-dir a place to write to'),
        (file_above, 'above/out', 'above.*--out-dir a place to write to'),
    ],
)
def test_bad_input_is_one_message_and_leaves_nothing(
    src, tmp_path, monkeypatch, capsys, breaking, out_name, message
):
    breaking(src, tmp_path)
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(SystemExit, match='2'):
        run_tool(monkeypatch, '--src', src, '--out-dir', tmp_path / out_name)
    assert re.search(message, capsys.readouterr().err)
    assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.real_data
def test_real_info_agrees_with_the_index(real_data):
    folder = real_data / 'mini_mias'
    films = parse_info((folder / 'Info.txt').read_text(encoding='latin-1'))
    with (folder / 'mini_mias_index.csv').open() as file:
        rows = list(csv.DictReader(file))
    index = {}
    for row in rows:
        film = index.setdefault(row['image'], dict(patient='', tissue='', severities=(), lesions=[]))
        film.update(patient=row['pair_id'], tissue=row['background_tissue'])
        film['severities'] += (row['severity'],) if row['severity'] else ()
        if row['x_topleft']:
            film['lesions'].append([int(row[key]) for key in ('x_topleft', 'y_topleft', 'radius_px')])
    assert [film.name for film in films] == list(index)
    for film in films:
        expected = index[film.name]
        assert (film.patient_id, film.tissue, film.severities) == tuple(
            expected[key] for key in ('patient', 'tissue', 'severities')
        )
        assert meta_item(film, 1024, (0, 0, 1024, 1024))['lesions'] == expected['lesions']


@pytest.mark.real_data
def test_real_women_are_stratified(real_data):
    films = parse_info((real_data / 'mini_mias/Info.txt').read_text(encoding='latin-1'))
    assert np.bincount([film.class_index for film in films]).tolist() == [207, 63, 52]
    worst = {}
    for film in films:
        worst[film.patient_id] = max(film.class_index, worst.get(film.patient_id, 0))
    assert np.bincount(list(worst.values())).tolist() == [53, 56, 52]
    for part, share in zip(split_women(films, 0).values(), (0.6, 0.2, 0.2), strict=True):
        counts = np.bincount([worst[woman] for woman in part])
        np.testing.assert_allclose(counts, share * np.array([53, 56, 52]), atol=1)


@pytest.mark.real_data
@pytest.mark.slow
def test_real_conversion_keeps_every_lesion_in_its_crop(real_data, tmp_path, monkeypatch):
    run_tool(monkeypatch, '--src', real_data / 'mini_mias', '--out-dir', tmp_path / 'out')
    items = [
        item for n in ('train', 'val', 'test') for item in read_meta(tmp_path / f'out/{n}.json')['data_list']
    ]
    assert len(items) == 322
    assert sum(len(item['lesions']) for item in items) == 119
    for item in items:
        height, width = cv2.imread(str(tmp_path / 'out' / item['img_path']), cv2.IMREAD_UNCHANGED).shape
        assert all(0 <= x < width and 0 <= y < height for x, y, _ in item['lesions']), item['img_path']
