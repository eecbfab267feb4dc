"""Public sets: small made tables in their published layouts, and the real CBIS-DDSM tables."""

import json
import runpy
import sys
from pathlib import Path

import pandas as pd
import pytest

from mammo.public_sets.layouts import locate

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
        'BIRADS,implant,density,machine_id,difficult_negative_case\n2,10006,462822612,L,CC,61.0,0,0,0,,0,,29,False\n'
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
    'rsna2022': [('10006', 'L', 0, None), ('10011', 'R', 1, 1.0)],
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


def test_a_renamed_download_is_found_only_if_it_is_the_only_one(tmp_path):
    (tmp_path / 'case/date').mkdir(parents=True)
    (tmp_path / 'case/date/1-1.dcm').touch()
    assert locate('case/1.2/000000.dcm', tmp_path) == ['case/date/1-1.dcm']
    (tmp_path / 'case/date/1-2.dcm').touch()
    assert locate('case/1.2/000000.dcm', tmp_path) == ['case/1.2/000000.dcm']


@pytest.mark.real_data
def test_real_cbis_tables_give_the_31_leaking_patients(real_data, tmp_path, monkeypatch):
    csvs = sorted((real_data / 'cbis_ddsm_csv').glob('*.csv'))
    call(monkeypatch, 'cbis_ddsm', *csvs, '--image-root', tmp_path, '--out-dir', tmp_path / 'out')
    report = json.loads((tmp_path / 'out/convert_report.json').read_text())
    assert len(report['patients_on_both_sides_of_the_official_split']) == 18 + 13
    assert (report['rows'], report['patients']) == (3568, 1566)
    images = pd.read_csv(tmp_path / 'out/images.csv')
    assert images['breast_density'].notna().all()
    assert not images['dicom_path'].duplicated().any()
