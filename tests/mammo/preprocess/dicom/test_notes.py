"""What is told of an image that is a routine view all the same."""

import pytest

from mammo.preprocess.dicom.notes import NOTES, notes
from tests.mammo.preprocess.dicom.test_kinds import code
from tests.mammo.preprocess.test_images import outcome
from tests.support.dicom_files import lut, mammogram, save


@pytest.mark.parametrize(
    ('tags', 'codes'),
    [
        (dict(BreastImplantPresent='YES'), ['IMPLANT']),
        (dict(ViewCodeSequence=[code('399162004', '399209000')]), ['IMPLANT']),
        (dict(SeriesDescription='L CC ID'), ['IMPLANT']),
        (dict(PartialView='YES'), ['PARTIAL_VIEW']),
        (dict(PatientSex='M'), ['MALE']),
        (dict(ImageType=['DERIVED', 'SECONDARY']), ['SECONDARY']),
        (dict(SOPClassUID='1.2.840.10008.5.1.4.1.1.7'), ['SECONDARY']),
        (dict(ImageType=['DERIVED', 'PRIMARY', 'TOMOSYNTHESIS', 'GENERATED_2D']), ['SYNTHETIC']),
        (dict(SeriesDescription='L CC C-View'), ['SYNTHETIC']),
        (dict(SeriesDescription='L CC Intelligent 2D'), ['SYNTHETIC']),
        (dict(SeriesDescription='R CC'), ['SERIES']),
        (dict(SeriesDescription='L MLO'), ['SERIES']),
        (dict(SeriesDescription='L CC', ViewPosition='XCCL'), []),
        (dict(SeriesDescription='LCC VIEW, no tags', ImageLaterality=None, ViewPosition=None), []),
        (dict(Manufacturer=''), ['UNKNOWN_VENDOR']),
        (dict(PatientAge='040Y'), ['AGE']),  # born 1951, seen 2020
        (dict(PatientAge='068Y', BreastImplantPresent='NO', PartialView='NO'), []),
        (dict(PatientAge='000Y', PatientBirthDate='00000000'), []),
    ],
)
def test_what_a_reader_should_know_is_noted(tags, codes):
    assert notes(mammogram(**tags)) == codes
    assert set(codes) <= set(NOTES)


@pytest.mark.parametrize(('voi', 'codes'), [('harder', None), ('1', None), ('2', ['VOI']), ('HARD', ['VOI'])])
@pytest.mark.parametrize('is_table', [False, True])
def test_a_view_that_an_image_does_not_have_is_noted(is_table, voi, codes, tmp_path):
    names = ['NORMAL', 'HARDER']
    windows = dict(WindowCenter=[2000] * 2, WindowWidth=[4000] * 2, WindowCenterWidthExplanation=names)
    tables = dict(VOILUTSequence=[lut(range(4096), name=name) for name in names])
    path = save(mammogram(**(tables if is_table else windows)), tmp_path / 'a.dcm')
    record, _ = outcome(path, tmp_path, voi=voi)
    assert record['item'].get('notes') == codes
