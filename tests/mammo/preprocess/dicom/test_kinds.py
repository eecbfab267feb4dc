"""Images that are no routine view: seen in the header, named, kept only on request."""

import numpy as np
import pytest

from mammo.preprocess.errors import KEEPABLE, PreprocessError, Reason
from mammo.preprocess.picture.two_breasts import shows_two
from tests.mammo.preprocess.test_images import made, outcome
from tests.support.dicom_files import breast_image, mammogram, save


def code(value, *modifiers, meaning='x'):
    item = mammogram()
    item.clear()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, 'SCT', meaning
    if modifiers:
        item.ViewModifierCodeSequence = [code(modifier) for modifier in modifiers]
    return item


def image_type(*values):
    return dict(ImageType=['DERIVED', 'PRIMARY', *values])


SPECIAL = [
    (dict(ViewCodeSequence=[code('399162004', '399163009')]), 'MAGNIFICATION'),
    (dict(ViewCodeSequence=[code('R-10242', 'R-102D7')]), 'SPOT_COMPRESSION'),
    (dict(ViewModifierCodeSequence=[code('R-102D6')]), 'MAGNIFICATION'),
    (dict(EstimatedRadiographicMagnificationFactor=1.8), 'MAGNIFICATION'),
    (dict(DistanceSourceToDetector=650, DistanceSourceToPatient=360), 'MAGNIFICATION'),
    (dict(PaddleDescription='SPOT 10CM'), 'SPOT_COMPRESSION'),
    (dict(PaddleDescription='Biopsy 5x6'), 'BIOPSY'),
    (image_type('STEREO', 'LEFT'), 'STEREO'),
    (image_type('STEREO_SCOUT'), 'STEREO'),
    (image_type('', 'POSTBIOPSY'), 'BIOPSY'),
    (image_type('TOMO_PROJ'), 'TOMO_PROJECTION'),
    (image_type('POST_CONTRAST', '', 'HIGH_ENERGY'), 'CONTRAST'),
    (image_type('POST_CONTRAST', 'SUBTRACTION'), 'CONTRAST'),
    (dict(ViewCodeSequence=[code('127457009')]), 'SPECIMEN'),
    (dict(ViewPosition='SPECIMEN'), 'SPECIMEN'),
    (dict(ImageLaterality='B', PatientOrientation=None), 'CLEAVAGE'),
    (dict(ViewCodeSequence=[code('399162004', 'R-102D2')]), 'CLEAVAGE'),
    (dict(ViewModifierCodeSequence=[code('99X', meaning='Magnification')]), 'MAGNIFICATION'),
    (dict(SeriesDescription='L MAG CC'), 'MAGNIFICATION'),
    (dict(SeriesDescription='L CC Spot'), 'SPOT_COMPRESSION'),
    (dict(SeriesDescription='L CC STEREO -15'), 'STEREO'),
    (dict(SeriesDescription='Post Biopsy L CC'), 'BIOPSY'),
    (dict(SeriesDescription='L CC wire loc'), 'BIOPSY'),
    (dict(SeriesDescription='Specimen L'), 'SPECIMEN'),
    (dict(SeriesDescription='L CC CEM Subtracted'), 'CONTRAST'),
]
ROUTINE = [
    image_type(''),
    image_type('TOMO_2D', 'GENERATED_2D'),
    image_type('POST_CONTRAST', '', 'LOW_ENERGY'),
    image_type('PRE_CONTRAST'),
    dict(EstimatedRadiographicMagnificationFactor=1.073, PaddleDescription='18X24 FLEX'),
    dict(DistanceSourceToDetector=660, DistanceSourceToPatient=630),
    dict(DistanceSourceToDetector=660, DistanceSourceToPatient=0),
    dict(ViewCodeSequence=[code('399162004', '399226006')]),  # rolled medial
    dict(ProtocolName='STEREO'),
    dict(SeriesDescription='Image of L CC, standard'),
]


@pytest.mark.parametrize(('tags', 'reason'), SPECIAL)
def test_a_special_image_is_refused_by_its_own_code(tags, reason, tmp_path):
    assert made(tmp_path, **tags)[1] == reason


@pytest.mark.parametrize('tags', ROUTINE)
def test_a_routine_image_is_none_of_them(tags, tmp_path):
    record, result = made(tmp_path, **tags)
    assert (result, record['item'].get('kinds')) == ('image', None)


@pytest.mark.parametrize(('tags', 'reason'), SPECIAL)
def test_a_kept_image_is_marked(tags, reason, tmp_path):
    path = save(mammogram(**tags), tmp_path / 'a.dcm')
    record, result = outcome(path, tmp_path, keep=tuple(KEEPABLE))
    assert (result, record['item']['kinds']) == ('image', [reason])


def test_keeping_one_kind_keeps_no_other(tmp_path):
    tags = dict(PaddleDescription='SPOT', EstimatedRadiographicMagnificationFactor=1.8)
    path = save(mammogram(**tags), tmp_path / 'a.dcm')
    assert outcome(path, tmp_path, keep=('SPOT_COMPRESSION',))[1] == 'MAGNIFICATION'
    with pytest.raises(PreprocessError, match=r"keep is .'NO_BREAST'"):
        outcome(path, tmp_path, keep=('NO_BREAST',))


def test_messages_say_what_was_seen(tmp_path):
    tomosynthesis = made(tmp_path, SOPClassUID='1.2.840.10008.5.1.4.1.1.13.1.3')[0]
    assert tomosynthesis['message'].startswith('one frame of a tomosynthesis object')
    assert made(tmp_path, ViewCodeSequence=[code('G-8310')])[0]['message'].startswith('specimen code')


CONTRADICTIONS = [
    (dict(ViewPosition='CC', ViewCodeSequence=[code('399368009')]), ("'CC'", "'MLO'")),
    (dict(ImageLaterality='L', Laterality='R'), ("'L'", "'R'")),
    (dict(ImageLaterality='L', ViewPosition='RCC'), ("'L'", "'R'")),
    (dict(ImageLaterality='L', AnatomicRegionSequence=[code('73056007')]), ("'L'", "'R'")),
    (dict(ViewPosition='MLO', PatientOrientation=['A', 'R']), ("'MLO'", r"'A\\R'")),
    (dict(ViewPosition='CC', PatientOrientation=['A', 'F']), ("'CC'", r"'A\\F'")),
    (dict(ViewPosition='MLO', ImageLaterality='L', PatientOrientation=['A', 'FL']), ("'L'", r"'A\\FL'")),
]


@pytest.mark.parametrize(('tags', 'values'), CONTRADICTIONS)
def test_tags_that_contradict_each_other_are_refused_with_both_values(tags, values, tmp_path):
    record, result = made(tmp_path, **tags)
    assert result == 'BAD_HEADER'
    assert all(value.replace(r'\\', '\\\\') in record['message'] for value in values)


@pytest.mark.parametrize(
    ('tags', 'view'),
    [
        (dict(ViewPosition='CC', ViewCodeSequence=[code('399192008')]), 'XCCL'),  # one says more
        (dict(ViewPosition='MLO', PatientOrientation=['A', 'FR']), 'MLO'),
        (dict(ViewPosition='LMLO', PatientOrientation=['A', 'F']), 'MLO'),
        (dict(ViewPosition='CC L', ImageLaterality=None, PatientOrientation=None), 'CC'),
        (dict(ViewPosition='MLO', ImageLaterality='R', PatientOrientation=['P', 'FL']), 'MLO'),
    ],
)
def test_tags_that_agree_are_kept(tags, view, tmp_path):
    assert made(tmp_path, **tags)[0]['item']['view'] == view


@pytest.mark.parametrize('orientation', [['A', 'P'], ['X', 'Y']])
def test_an_impossible_orientation_is_noted_and_leaves_the_pixels(orientation, tmp_path):
    item = made(tmp_path, PatientOrientation=orientation)[0]['item']
    assert item['notes'] == ['ORIENTATION']
    assert item['from_source'][0][0] > 0
    assert item['from_source'][1][1] > 0


def test_an_orientation_that_the_picture_disproves_is_noted_and_not_followed(tmp_path):
    """The chest wall is at the left; P\\L says that it is at the right, and would turn the image."""
    plain = made(tmp_path)[0]['item']
    item = made(tmp_path, PatientOrientation=['P', 'L'])[0]['item']
    assert item['notes'] == ['ORIENTATION']
    assert item['from_source'] == plain['from_source']


def test_side_and_view_from_a_free_text_are_marked(tmp_path):
    tags = dict(ViewPosition=None, ImageLaterality=None, SeriesDescription='R MLO', PatientOrientation=None)
    item = made(tmp_path, **tags)[0]['item']
    assert (item['laterality'], item['view']) == ('R', 'MLO')
    assert item['read_from'] == dict(laterality='SeriesDescription', view='SeriesDescription')
    tags |= dict(SeriesDescription='screening', ProtocolName='LCC', ViewPosition='CC')
    item = made(tmp_path, **tags)[0]['item']
    assert (item['laterality'], item['view'], item['read_from']) == (
        'L',
        'CC',
        {'laterality': 'ProtocolName'},
    )


def test_two_breasts_in_one_image_are_refused(tmp_path):
    left = breast_image()
    for pair in (np.hstack([left[:, ::-1], left]), np.hstack([left, left[:, ::-1]])):
        assert made(tmp_path, np.ascontiguousarray(pair), PatientOrientation=None)[1] == 'TWO_BREASTS'


def test_one_breast_in_a_wide_image_is_one():
    wide = np.pad(breast_image(), ((0, 0), (0, 300)))
    lying = np.ascontiguousarray(breast_image().T)
    assert not shows_two(wide, spacing_mm=0.5)
    assert not shows_two(lying, spacing_mm=0.5)
    assert not shows_two(lying[::-1], spacing_mm=0.5)


def test_every_kept_kind_is_a_reason_of_its_own():
    assert set(KEEPABLE) < set(Reason)
