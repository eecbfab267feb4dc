"""Public sets: small made tables in their published layouts, and the real CBIS-DDSM tables."""

import json
import runpy
import sys
from pathlib import Path

import pandas as pd
import pytest

from mammo.errors import UserError
from mammo.public_sets import layouts
from mammo.public_sets.convert import convert, read
from mammo.public_sets.places import locate, with_files

FOLDER = Path(__file__).parents[2] / 'tools/dataset_converters'
CBIS = (
    'patient_id,{density},left or right breast,image view,abnormality id,abnormality type,'
    'assessment,pathology,image file path,ROI mask file path\n'
)
TABLES = {
    'cbis_ddsm': {
        'mass_case_description_train_set.csv': CBIS.format(density='breast_density')
        + 'P_1,3,LEFT,CC,1,mass,4,BENIGN,M_P_1_LEFT_CC/1/2/000000.dcm,"x/000001.dcm\n"\n'
        + 'P_1,3,LEFT,CC,2,mass,5,MALIGNANT,M_P_1_LEFT_CC/1/2/000000.dcm,"x/000001.dcm\n"\n',
        'calc_case_description_test_set.csv': CBIS.format(density='breast density')
        + 'P_1,3,RIGHT,MLO,1,calcification,2,BENIGN_WITHOUT_CALLBACK,C_P_1_RIGHT_MLO/1/2/000000.dcm,x\n'
        + 'P_2,1,RIGHT,MLO,1,calcification,2,BENIGN,C_P_2_RIGHT_MLO/1/2/000000.dcm,x\n',
    },
    'cmmd': {
        'clinical.csv': 'ID1,LeftRight,Age,number,abnormality,classification,subtype\n'
        'D1-0001,R,44,2,calcification,Benign,\nD2-0002,L,55,2,mass,Malignant,Luminal A\n'
        'D2-0002,R,55,2,mass,Benign,\n'
    },
    'vindr_mammo': {
        'breast-level_annotations.csv': 'study_id,series_id,laterality,image_id,view_position,height,width,'
        'breast_birads,breast_density,split\ns1,x,L,i1,CC,3518,2800,BI-RADS 5,DENSITY C,training\n'
        's1,x,L,i2,MLO,3518,2800,BI-RADS 5,DENSITY C,training\n'
        's2,x,R,i3,CC,3518,2800,BI-RADS 1,DENSITY B,test\n'
    },
    'rsna2022': {
        'train.csv': 'site_id,patient_id,image_id,laterality,view,age,cancer,biopsy,invasive,'
        'BIRADS,implant,density,machine_id,difficult_negative_case\n2,10006,462822612,L,CC,61.0,0,0,0,,0,C,29,False\n'
        '1,10011,541722628,R,MLO,55.0,1,1,1,0,0,,21,False\n'
    },
}
IMAGES = {
    'cbis_ddsm': [
        'C_P_1_RIGHT_MLO/1/2/000000.dcm',
        'C_P_2_RIGHT_MLO/1/2/000000.dcm',
        'M_P_1_LEFT_CC/1/2/000000.dcm',
    ],
    'cmmd': ['D1-0001/a/1-1.dcm', 'D1-0001/a/1-2.dcm', 'D2-0002'],
    'vindr_mammo': ['s1/i1.dicom', 's1/i2.dicom', 's2/i3.dicom'],
    'rsna2022': ['10006/462822612.dcm', '10011/541722628.dcm'],
}
LABELS = {
    'cbis_ddsm': [('P_1', 'L', 1.0), ('P_1', 'R', 0.0), ('P_2', 'R', 0.0)],
    'cmmd': [('D1-0001', 'R', 0.0), ('D2-0002', 'L', 1.0), ('D2-0002', 'R', 0.0)],
    'vindr_mammo': [('s1', 'L', 's1', 5.0, 1.0), ('s2', 'R', 's2', 1.0, 0.0)],
    'rsna2022': [('10006', 'L', 0, None, 1.0), ('10011', 'R', 1, 1.0, None)],
}


def call(monkeypatch, name, *args):
    monkeypatch.setattr(sys, 'argv', [name, *map(str, args)])
    runpy.run_path(str(FOLDER / f'{name}.py'), run_name='__main__')


@pytest.mark.parametrize('name', sorted(TABLES))
def test_a_made_table_in_the_published_layout_converts(name, tmp_path, monkeypatch):
    for file, text in TABLES[name].items():
        (tmp_path / file).write_text(text)
    for image in ('D1-0001/a/1-1.dcm', 'D1-0001/a/1-2.dcm'):
        (tmp_path / 'root' / image).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / 'root' / image).touch()
    csvs = [tmp_path / file for file in TABLES[name]]
    call(monkeypatch, name, *csvs, '--image-root', tmp_path / 'root', '--out-dir', tmp_path / 'out')
    images = pd.read_csv(tmp_path / 'out/images.csv')
    root = (tmp_path / 'root').resolve()
    assert [Path(path).relative_to(root).as_posix() for path in images['dicom_path']] == IMAGES[name]
    labels = pd.read_csv(tmp_path / 'out/labels.csv', dtype={'patient_id': str})
    expected = pd.DataFrame(LABELS[name], columns=labels.columns)
    pd.testing.assert_frame_equal(labels, expected, check_dtype=False)
    report = json.loads((tmp_path / 'out/convert_report.json').read_text())
    assert report['patients_on_both_sides_of_the_official_split'] == (['P_1'] if name == 'cbis_ddsm' else [])


@pytest.mark.parametrize('name', sorted(TABLES))
def test_another_table_is_refused_with_the_columns_it_lacks(name, tmp_path, monkeypatch, capsys):
    (tmp_path / 'a.csv').write_text('a,b\n1,2\n')
    with pytest.raises(SystemExit) as end:
        call(monkeypatch, name, tmp_path / 'a.csv', '--image-root', tmp_path, '--out-dir', tmp_path / 'out')
    assert end.value.code == 2
    assert 'missing for' in capsys.readouterr().err


@pytest.mark.parametrize(
    'pictures',
    [['10006_462822612.png', 'a/10011_541722628.JPG'], ['10006/462822612.png', '10011/541722628.png']],
)
def test_pictures_stand_for_the_dicom_files_and_what_the_table_says_goes_along(
    pictures, tmp_path, monkeypatch, capsys
):
    (tmp_path / 'train.csv').write_text(TABLES['rsna2022']['train.csv'])
    for picture in pictures:
        (tmp_path / 'png' / picture).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / 'png' / picture).touch()
    paths = ('--image-dir', tmp_path / 'png', '--out-dir', tmp_path)
    call(monkeypatch, 'rsna2022', tmp_path / 'train.csv', *paths)
    images = pd.read_csv(tmp_path / 'images.csv')
    assert [Path(path) for path in images['png_path']] == [tmp_path / 'png' / picture for picture in pictures]
    assert list(images['machine']) == [29, 21]
    assert list(images['site']) == [2, 1]
    assert '0 files missing' in capsys.readouterr().out


def test_a_table_that_knows_the_photometric_passes_it_on(tmp_path):
    head, *rows = TABLES['rsna2022']['train.csv'].splitlines()
    text = '\n'.join([head + ',photometric', rows[0] + ',MONOCHROME1', rows[1] + ',MONOCHROME2'])
    images = table_of(tmp_path, 'rsna2022', text + '\n').images
    assert list(images['photometric']) == ['MONOCHROME1', 'MONOCHROME2']


@pytest.mark.parametrize(
    ('pictures', 'message'),
    [
        (['10006_462822612.png', '10006/462822612.jpg'], '1 images have several pictures: 10006_462822612'),
        (['462822612.png'], 'no picture of the 2 listed images; expected names such as 10006_462822612.png'),
    ],
)
def test_pictures_that_are_two_of_one_or_none_at_all_are_refused(
    pictures, message, tmp_path, monkeypatch, capsys
):
    (tmp_path / 'train.csv').write_text(TABLES['rsna2022']['train.csv'])
    for picture in pictures:
        (tmp_path / 'png' / picture).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / 'png' / picture).touch()
    with pytest.raises(SystemExit) as end:
        call(
            monkeypatch, 'rsna2022', tmp_path / 'train.csv', '--image-dir', tmp_path / 'png', '--out-dir',
            tmp_path / 'out',
        )  # fmt: skip
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_a_folder_of_pictures_that_is_not_there_is_named_as_such(tmp_path, monkeypatch, capsys):
    (tmp_path / 'train.csv').write_text(TABLES['rsna2022']['train.csv'])
    paths = ('--image-dir', tmp_path / 'pgn', '--out-dir', tmp_path / 'out')
    with pytest.raises(SystemExit) as end:
        call(monkeypatch, 'rsna2022', tmp_path / 'train.csv', *paths)
    assert end.value.code == 2
    assert f'{tmp_path / "pgn"}: no such folder' in capsys.readouterr().err


def test_a_renamed_download_is_found_only_if_it_is_the_only_one(tmp_path):
    (tmp_path / 'case/date').mkdir(parents=True)
    (tmp_path / 'case/date/1-1.dcm').touch()
    assert locate('case/1.2/000000.dcm', tmp_path) == ['case/date/1-1.dcm']
    (tmp_path / 'case/date/1-2.dcm').touch()
    assert locate('case/1.2/000000.dcm', tmp_path) == ['case/1.2/000000.dcm']


def table_of(folder, name, text):
    """Convert one text table of a data set."""
    path = folder / f'mass_{name}_train_set.csv'
    path.write_text(text)
    layout = getattr(layouts, name.upper())
    return convert(read([path], layout), layout)


def cbis(folder, *rows):
    """Rows of (patient, side, view, pathology, path) -> images, labels, report."""
    lines = [f'{p},3,{s},{v},1,mass,4,{y},{path},x' for p, s, v, y, path in rows]
    return table_of(folder, 'cbis_ddsm', CBIS.format(density='breast_density') + '\n'.join(lines) + '\n')


@pytest.mark.parametrize(
    ('pathology', 'label', 'unknown'),
    [
        ('BENIGN', 0, {}), ('benign_without_callback', 0, {}), ('Malignant', 1, {}),
        ('MALIGN', None, {'malign': 1}),
        ('', None, {'empty': 1}), ('0', None, {'0': 1}),
    ],
)  # fmt: skip
def test_every_label_value_is_mapped_or_unknown_and_never_benign(pathology, label, unknown, tmp_path):
    _, labels, report = cbis(tmp_path, ('P1', 'LEFT', 'CC', pathology, 'a/1.dcm'))
    assert report['unknown_labels'] == {'malignant': unknown}
    assert [None if pd.isna(value) else value for value in labels['malignant']] == [label]


@pytest.mark.parametrize(('other', 'label'), [('MALIGNANT', 1), ('BENIGN', None)])
def test_a_breast_with_a_finding_of_unknown_kind_is_not_benign(other, label, tmp_path):
    _, labels, _ = cbis(
        tmp_path, ('P1', 'LEFT', 'CC', '?', 'a/1.dcm'), ('P1', 'LEFT', 'CC', other, 'a/1.dcm')
    )
    assert [None if pd.isna(value) else value for value in labels['malignant']] == [label]


@pytest.mark.parametrize(
    'path', ['', ' ', '/', '/etc/passwd', '..', '../b/1.dcm', 'a/../../1.dcm', '\\b\\1.dcm']
)
def test_a_row_whose_path_is_empty_or_leads_out_of_the_images_is_left_out(path, tmp_path, caplog):
    images, labels, report = cbis(
        tmp_path, ('P1', 'LEFT', 'CC', 'BENIGN', path), ('P2', 'R', 'CC', 'BENIGN', 'b/1.dcm')
    )
    assert list(images['patient_id']) == list(labels['patient_id']) == ['P2']
    assert report['rows_left_out'] == 1
    assert 'mass_cbis_ddsm_train_set.csv row 2' in caplog.text


def test_tables_without_any_usable_row_are_refused(tmp_path):
    with pytest.raises(UserError, match=r'no row can be used for CBIS-DDSM: .*row 2: image_file_path empty'):
        cbis(tmp_path, ('P1', 'LEFT', 'CC', 'BENIGN', ''))


@pytest.mark.parametrize('side', ['', 'X'])
def test_a_row_without_side_labels_no_breast(side, tmp_path):
    _, labels, report = cbis(
        tmp_path, ('P1', side, 'CC', 'MALIGNANT', 'a/1.dcm'), ('P2', 'left', 'CC', 'BENIGN', 'b/1.dcm')
    )
    assert (list(labels['patient_id']), list(labels['laterality']), report['rows_left_out']) == (
        ['P2'],
        ['L'],
        1,
    )


@pytest.mark.parametrize('other', [('P2', 'L', 'CC'), ('P1', 'R', 'CC'), ('P1', 'L', 'MLO')])
def test_one_image_of_two_patients_sides_or_views_is_refused(other, tmp_path):
    with pytest.raises(UserError, match=r'1 image paths have rows that differ in .*: a/1.dcm; correct'):
        cbis(tmp_path, ('P1', 'L', 'CC', 'BENIGN', 'a/1.dcm'), (*other, 'BENIGN', './a//1.dcm'))


def test_cmmd_without_a_patient_takes_no_image_of_others(tmp_path):
    text = 'ID1,LeftRight,Age,number,abnormality,classification,subtype\n'
    images, _, _ = table_of(tmp_path, 'cmmd', text + ',R,44,2,mass,Benign,\nD1,R,44,2,mass,Benign,\n')
    assert list(images['dicom_path']) == ['D1']


def test_a_file_that_two_rows_could_mean_is_neithers(tmp_path):
    (tmp_path / 'set/a').mkdir(parents=True)
    (tmp_path / 'set/a/1-1.dcm').touch()
    images = pd.DataFrame(dict(dicom_path=['set/a/x.dcm', 'set/b/y.dcm'], patient_id=['P1', 'P2']))
    found, n_missing = with_files(images, tmp_path)
    assert n_missing == 2
    assert not any(Path(path).is_file() for path in found['dicom_path'])


def test_patients_in_two_spellings_are_one(tmp_path):
    _, labels, report = cbis(
        tmp_path, ('P1', 'L', 'CC', 'BENIGN', 'a/1.dcm'), ('P1\u200b', 'L', 'MLO', 'MALIGNANT', 'a/2.dcm')
    )
    assert report['patients'] == 1
    assert list(labels['malignant']) == [1]


@pytest.mark.parametrize('name', ['-', 'unknown', 'NA'])
def test_a_row_of_nobody_is_left_out(name, tmp_path):
    images, _, report = cbis(
        tmp_path, (name, 'L', 'CC', 'MALIGNANT', 'a/1.dcm'), ('P2', 'L', 'CC', 'BENIGN', 'b/1.dcm')
    )
    assert (list(images['patient_id']), report['rows_left_out']) == (['P2'], 1)


def test_ids_with_decimals_and_paths_with_back_slashes_find_their_files(tmp_path):
    table = TABLES['rsna2022']['train.csv'].replace('10006,462822612', '10006.0,462822612.0')
    images, labels, _ = table_of(tmp_path, 'rsna2022', table)
    assert list(images['dicom_path']) == ['10006/462822612.dcm', '10011/541722628.dcm']
    assert list(labels['patient_id']) == ['10006', '10011']
    images, _, _ = cbis(tmp_path, ('P1', 'L', 'CC', 'MALIGNANT', 'a\\b\\1.dcm'))
    assert list(images['dicom_path']) == ['a/b/1.dcm']


def test_a_rounded_id_is_refused_with_its_row(tmp_path):
    with pytest.raises(UserError, match=r"row 2: patient_id is '1.2E\+11', a long number rounded"):
        cbis(tmp_path, ('1.2E+11', 'L', 'CC', 'MALIGNANT', 'a/1.dcm'))


@pytest.mark.real_data
def test_real_rsna_table_converts_as_a_whole(real_data):
    images, labels, report = convert(
        read([real_data / 'rsna2022_640/train.csv'], layouts.RSNA2022), layouts.RSNA2022
    )
    raw = pd.read_csv(real_data / 'rsna2022_640/train.csv')
    assert (len(images), report['patients'], report['rows_left_out']) == (3383, 963, 0)
    assert report['unknown_labels'] == dict(cancer={}, invasive={}, dense={'empty': 1559})
    breasts = raw.groupby(['patient_id', 'laterality'])
    assert labels['cancer'].sum() == breasts['cancer'].max().sum() == 492
    assert labels['invasive'].notna().sum() == 492


@pytest.mark.real_data
def test_real_cbis_tables_give_the_31_leaking_patients(real_data, tmp_path, monkeypatch):
    csvs = sorted((real_data / 'cbis_ddsm_csv').glob('*.csv'))
    call(monkeypatch, 'cbis_ddsm', *csvs, '--image-root', tmp_path, '--out-dir', tmp_path / 'out')
    report = json.loads((tmp_path / 'out/convert_report.json').read_text())
    assert len(report['patients_on_both_sides_of_the_official_split']) == 18 + 13
    assert (report['rows'], report['patients'], report['rows_left_out']) == (3568, 1566, 0)
    assert report['unknown_labels'] == {'malignant': {}}
    images = pd.read_csv(tmp_path / 'out/images.csv')
    assert images['breast_density'].notna().all()
    assert not images['dicom_path'].duplicated().any()


def test_a_folder_without_any_of_the_files_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / 'train.csv').write_text(TABLES['rsna2022']['train.csv'])
    (tmp_path / 'empty').mkdir()
    paths = ('--image-root', tmp_path / 'empty', '--out-dir', tmp_path)
    call(monkeypatch, 'rsna2022', tmp_path / 'train.csv', *paths)
    error = ' '.join(capsys.readouterr().err.split())
    assert 'none of the 2 files is there, such as' in error
    assert 'check --image-root' in error
