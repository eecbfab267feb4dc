"""View, side, orientation and spacing from every tag that carries them."""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from mammo.preprocess.dicom import geometry, headers
from mammo.preprocess.errors import PreprocessError


def dataset(**tags):
    ds = Dataset()
    for keyword, value in tags.items():
        setattr(ds, keyword, value)
    return ds


def code(value):
    return dataset(CodeValue=value, CodingSchemeDesignator='SRT')


@pytest.mark.parametrize(
    ('tags', 'view'),
    [
        (dict(ViewPosition='CC'), 'CC'),
        (dict(ViewPosition='mlo '), 'MLO'),
        (dict(ViewCodeSequence=[code('R-10242')]), 'CC'),
        (dict(ViewCodeSequence=[code('399368009')]), 'MLO'),
        (dict(ViewPosition='FLATFIELD', ViewCodeSequence=[code('R-10226')]), 'MLO'),
        (dict(SeriesDescription='R-MLO 2D'), 'MLO'),
        (dict(SeriesDescription='CC and MLO'), None),
        ({}, None),
    ],
)
def test_view_is_found_in_any_tag(tags, view):
    assert headers.view(dataset(**tags)) == view


@pytest.mark.parametrize(
    ('tags', 'side'),
    [
        (dict(ImageLaterality='R'), 'R'),
        (dict(Laterality='L'), 'L'),
        (dict(ImageLaterality='B', Laterality='R'), 'R'),
        (dict(AnatomicRegionSequence=[dataset(AnatomicRegionModifierSequence=[code('G-A101')])]), 'L'),
        (dict(AnatomicRegionSequence=[code('T-04020')]), 'R'),
        (dict(SeriesDescription='RMLO'), 'R'),
        (dict(ProtocolName='LEFT CC'), 'L'),
        (dict(AnatomicRegionSequence=[code('T-04000')]), None),
    ],
)
def test_laterality_is_found_in_any_tag(tags, side):
    assert headers.laterality(dataset(**tags)) == side


@pytest.mark.parametrize(
    ('tags', 'spacing'),
    [
        (dict(ImagerPixelSpacing=[0.1, 0.1], PixelSpacing=[0.2, 0.2]), (0.1, 0.1, 'ImagerPixelSpacing')),
        (
            dict(ImagerPixelSpacing=[0.1, 0.1], EstimatedRadiographicMagnificationFactor=1.25),
            (0.08, 0.08, 'ImagerPixelSpacing'),
        ),
        (
            dict(ImagerPixelSpacing=[0.1, 0.1], EstimatedRadiographicMagnificationFactor=0),
            (0.1, 0.1, 'ImagerPixelSpacing'),
        ),
        (
            dict(PixelSpacing=[74.7, 46.6], ImagerPixelSpacing=[0.094, 0.094]),
            (0.094, 0.094, 'ImagerPixelSpacing'),
        ),
        (
            dict(
                PixelSpacing=[0.25, 0.25],
                ImagerPixelSpacing=[0.28, 0.28],
                PixelSpacingCalibrationType='FIDUCIAL',
            ),
            (0.25, 0.25, 'PixelSpacing'),
        ),
        (dict(PixelSpacing=[0, 0], SpatialResolution=0.05), (0.05, 0.05, 'SpatialResolution')),
        (dict(PixelSpacing=[0.1, 0.29]), None),
        (dict(PixelSpacing=[0.0299, 0.0299]), None),
        (dict(PixelSpacing=[0.3001, 0.3001]), None),
        ({}, None),
    ],
)
def test_spacing_is_the_first_plausible_one(tags, spacing):
    found = geometry.spacing(dataset(**tags))
    assert (found and (pytest.approx(found[:2]), found.source)) == (spacing and (spacing[:2], spacing[2]))


def _directions(image):
    """Patient axes along rows and columns, read off an image of coordinates (A, R, F)."""
    step_row, step_col = image[0, 1] - image[0, 0], image[1, 0] - image[0, 0]
    names = {(0, 1): 'A', (0, -1): 'P', (1, 1): 'R', (1, -1): 'L', (2, 1): 'F', (2, -1): 'H'}
    return tuple(names[int(np.flatnonzero(step)[0]), int(step.sum())] for step in (step_row, step_col))


@pytest.mark.parametrize('down', ['R', 'L', 'F', 'H'])
@pytest.mark.parametrize('away', ['A', 'P'])
@pytest.mark.parametrize('swapped', [False, True])
@pytest.mark.parametrize('side', ['L', 'R'])
def test_every_orientation_ends_in_the_usual_hanging(down, away, swapped, side):
    orientation = [down, away] if swapped else [away, down]
    step = {'A': (1, 0, 0), 'P': (-1, 0, 0), 'R': (0, 1, 0), 'L': (0, -1, 0), 'F': (0, 0, 1), 'H': (0, 0, -1)}
    along, across = np.array(step[orientation[0]]), np.array(step[orientation[1]])
    image = np.arange(3)[None, :, None] * along + np.arange(4)[:, None, None] * across
    turn = geometry.turn(dataset(ImageLaterality=side, PatientOrientation=orientation))
    hung = _directions(geometry.upright(image, turn))
    oblique = 'F' if down in 'FH' else ('R' if side == 'L' else 'L')
    assert hung == ('A' if side == 'L' else 'P', oblique)


def test_ge_image_that_lies_on_its_side_is_turned_without_mirroring():
    turn = geometry.turn(dataset(ImageLaterality='L', PatientOrientation=['R', 'P']))
    assert turn == geometry.Turn(mirror=False, quarter_turns=3)


@pytest.mark.parametrize('orientation', [None, ['', ''], ['A'], ['A', 'A'], ['A', 'P'], ['X', 'Y']])
def test_impossible_orientation_leaves_the_image(orientation):
    tags = {} if orientation is None else dict(PatientOrientation=orientation)
    assert geometry.turn(dataset(ImageLaterality='L', **tags)) == geometry.Turn(False, 0)


def test_numbers_refuses_what_is_not_finite():
    assert headers.numbers(dataset(SeriesDescription='nan'), 'SeriesDescription') == []


@pytest.mark.parametrize(
    ('words', 'expected'),
    [
        ('RMLO', ('R', 'MLO')),
        ('MLO R', ('R', 'MLO')),
        ('left xccl', ('L', 'XCCL')),
        ('LEFT 2D', ('L', '')),
        ('breast RIGHT', ('R', '')),
        ('LEFT and RIGHT', ('', '')),
        ('L_LMO', ('L', 'LMO')),
        ('L CC, L MLO', ('L', '')),
        ('Right XCCL', ('R', 'XCCL')),
        ('MEDIAL', ('', '')),
        ('CC', ('', 'CC')),
        ('L CC R CC', ('', 'CC')),
    ],
)
def test_side_and_view_of_free_text(words, expected):
    assert headers.side_and_view_in(words) == expected


def test_free_texts_that_tell_are_named_by_what_they_tell():
    texts = dict(SeriesDescription='LEFT', ProtocolName='MLO', AcquisitionDeviceProcessingDescription='R CC')
    assert headers.from_texts(dataset(**texts)) == dict(laterality='SeriesDescription', view='ProtocolName')
    tagged = dataset(**texts, ImageLaterality='L', ViewPosition='MLO')
    assert headers.from_texts(tagged) == {}
    assert headers.from_texts(dataset(**texts, ImageLaterality='L')) == dict(view='ProtocolName')


@pytest.mark.parametrize(
    ('tags', 'breast'),
    [
        (dict(BodyPartExamined='Breast'), True),
        (dict(BodyPartExamined='LEFT BREAST'), True),
        (dict(BodyPartExamined='CHEST'), False),
        (dict(AnatomicRegionSequence=[code('T-04000')]), True),
        (dict(AnatomicRegionSequence=[code('T-D3000')]), False),
        (dict(ViewCodeSequence=[code('R-10242')]), True),
        (dict(ViewCodeSequence=[code('R-10206')]), False),
        ({}, False),
    ],
)
def test_a_breast_is_known_by_its_name_or_a_code(tags, breast):
    assert headers.is_breast(dataset(**tags)) is breast


@pytest.mark.parametrize('exaggerated', ['XCCL', 'XCCM'])
def test_an_exaggerated_view_says_more_than_cc(exaggerated):
    (coded,) = (code for code, view in headers.VIEW_OF_CODE.items() if view == exaggerated and code[0] == 'R')
    assert headers.view(dataset(ViewPosition='CC', ViewCodeSequence=[code(coded)])) == exaggerated
    assert headers.view(dataset(ViewPosition=exaggerated, ViewCodeSequence=[code('R-10242')])) == exaggerated


@pytest.mark.parametrize(
    ('tags', 'message'),
    [
        (
            dict(ViewPosition='ML', ViewCodeSequence=[code('R-10242')]),
            "ViewPosition says view 'ML', ViewCode.* 'CC'",
        ),
        (
            dict(ViewPosition='XCCL', ViewCodeSequence=[code('R-1024B')]),
            "'XCCL', ViewCodeSequence says 'XCCM'",
        ),
        (dict(ImageLaterality='L', Laterality='R'), "ImageLaterality says side 'L', Laterality says 'R'"),
        (
            dict(ImageLaterality='L', AnatomicRegionSequence=[code('T-04020')]),
            "code of AnatomicRegionSequence says 'R'",
        ),
        (
            dict(FrameLaterality='R', AnatomicRegionModifierSequence=[code('7771000')]),
            "says side 'R', code of AnatomicRegionModifierSequence says 'L'",
        ),
    ],
)
def test_contradicting_tags_are_named_with_what_they_say(tags, message):
    ask = headers.view if 'ViewPosition' in tags else headers.laterality
    with pytest.raises(PreprocessError, match=message):
        ask(dataset(**tags))


def test_side_written_out_is_its_first_letter_and_unknown_codes_tell_nothing():
    assert headers.laterality(dataset(ImageLaterality='RIGHT')) == 'R'
    both = [code('7771000'), code('24028007')]
    assert headers.laterality(dataset(AnatomicRegionModifierSequence=both)) is None
    assert headers.view(dataset(ViewPosition='MLO', ViewCodeSequence=[code('X'), code('R-10226')])) == 'MLO'
    assert headers.view(dataset(ViewCodeSequence=[code('X'), code('127457009'), code('R-10226')])) == 'MLO'


def test_values_of_several_parts_or_none_are_read_as_text_and_numbers():
    ds = dataset(ImageType=['DERIVED ', 'PRIMARY'], PixelSpacing=['0.1', '0.2'], PatientAge=None)
    assert headers.text(ds, 'ImageType') == 'DERIVED\\PRIMARY'
    assert headers.text(ds, 'PatientAge') == headers.text(ds, 'StudyDate') == ''
    assert headers.numbers(ds, 'PixelSpacing') == [0.1, 0.2]
    assert headers.numbers(ds, 'StudyDate') == []
    assert headers.codes(dataset(ViewCodeSequence=[code('A'), code('B')]), 'ViewCodeSequence') == ['A', 'B']
