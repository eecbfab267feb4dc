"""Modality LUT, VOI, inversion, padding and scaling against hand-computed values of PS3.3."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.preprocess.dicom.display import display_values, to_uint8
from mammo.preprocess.errors import PreprocessError, Reason
from tests.support.dicom_files import lut, mammogram

VALUES = np.array([[0, 100, 200, 4095]], np.uint16)


def shown(values=VALUES, voi=None, tone=False, **tags):
    return display_values(values, mammogram(values, **tags), voi=voi, tone=tone)


def test_linear_window_follows_the_standard_formula():
    # PS3.3 C.11.2.1.2.1: ((x - (c - 0.5)) / (w - 1) + 0.5), for c = 150.5, w = 101: (x - 150) / 100 + 0.5
    got = shown(np.array([[100, 125, 150, 200, 201]], np.uint16), WindowCenter=150.5, WindowWidth=101)
    assert got.image.ravel() == pytest.approx([0, 0.25, 0.5, 1, 1])
    assert got.rule == 'LINEAR 0'


def test_linear_exact_and_sigmoid_follow_the_standard_formulas():
    values = np.array([[0, 50, 100]], np.uint16)
    window = dict(WindowCenter=50, WindowWidth=100)
    exact = shown(values, VOILUTFunction='LINEAR_EXACT', **window)
    assert exact.image.ravel() == pytest.approx([0, 0.5, 1])
    sigmoid = shown(values, VOILUTFunction='SIGMOID', **window)
    assert sigmoid.image.ravel() == pytest.approx([1 / (1 + np.e**2), 0.5, 1 / (1 + np.e**-2)], rel=1e-6)


@pytest.mark.parametrize(
    ('voi', 'expected'), [(None, 0.5), ('1', 0.25), ('softer', 0.75), ('7', 0.5), ('no', 0.5)]
)
def test_window_is_chosen_by_index_or_explanation_and_falls_back_to_the_first(voi, expected):
    windows = dict(WindowCenter=[100, 125, 75], WindowWidth=[100, 100, 100], VOILUTFunction='LINEAR_EXACT')
    names = dict(WindowCenterWidthExplanation=['NORMAL', 'HARDER', 'SOFTER'])
    assert shown(np.array([[100, 100]], np.uint16), voi, **windows, **names).image[0, 0] == pytest.approx(
        expected
    )


def test_voi_lut_clamps_below_and_above_its_first_and_last_entry():
    sequence = [lut([0, 1000, 4095], first=99)]
    values = np.array([[0, 99, 100, 101, 4000]], np.uint16)
    assert (shown(values, VOILUTSequence=sequence).image.ravel() * 4095).round() == pytest.approx(
        [0, 0, 1000, 4095, 4095]
    )


def test_eight_bit_voi_lut_of_more_than_256_entries_does_not_wrap():
    sequence = [lut(np.arange(1024) // 4, bits=8)]
    values = np.array([[255, 256, 600]], np.uint16)
    assert (shown(values, VOILUTSequence=sequence).image.ravel() * 255).round().tolist() == [63, 64, 150]


def test_table_of_12_bits_agrees_with_window_of_11_bits():
    """Seno_2 declares 11 bits while its table has 12: 2155 of 4095 and 1077 of 2047 are one grey."""
    by_table = shown(np.array([[1802, 1802]], np.uint16), VOILUTSequence=[lut([2155], first=1802)])
    tags = dict(WindowCenter=1792, WindowWidth=380, VOILUTFunction='SIGMOID')
    by_window = shown(np.array([[1802, 1802]], np.uint16), **tags)
    assert by_table.image[0, 0] == pytest.approx(by_window.image[0, 0], abs=1e-3)


def test_monochrome1_is_inverted_after_the_window():
    window = dict(WindowCenter=50, WindowWidth=100, VOILUTFunction='LINEAR_EXACT')
    got = shown(np.array([[0, 25, 100]], np.uint16), PhotometricInterpretation='MONOCHROME1', **window)
    assert got.image.ravel() == pytest.approx([1, 0.75, 0])


def test_presentation_lut_inverse_does_not_invert_twice():
    tags = dict(PhotometricInterpretation='MONOCHROME1', WindowCenter=50, WindowWidth=100)
    plain, inverse = shown(**tags), shown(PresentationLUTShape='INVERSE', **tags)
    assert np.array_equal(plain.image, inverse.image)


def test_rescale_comes_before_the_window():
    tags = dict(RescaleSlope=2, RescaleIntercept=-100, WindowCenter=100, WindowWidth=100)
    assert shown(np.array([[100, 0]], np.uint16), VOILUTFunction='LINEAR_EXACT', **tags).image[0, 0] == 0.5


def test_padding_becomes_background_even_where_low_means_white():
    tags = dict(
        PhotometricInterpretation='MONOCHROME1', WindowCenter=2048, WindowWidth=4096, PixelPaddingValue=0
    )
    assert shown(**tags).image[0, 0] == 0


def test_values_above_bits_stored_are_kept_apart():
    """BitsStored is wrong in real headers; the values that are there count."""
    got = shown(np.array([[10, 300, 3000]], np.uint16), BitsStored=8, HighBit=7)
    assert np.diff(got.image.ravel()).min() > 0


def test_without_voi_the_values_start_at_zero():
    got = shown(np.array([[5, 105]], np.uint16))
    assert (got.rule, got.image.tolist()) == ('none', [[0, 100]])


def test_tone_curve_shows_less_exposure_brighter():
    got = shown(tone=True, PixelIntensityRelationship='LIN', PixelIntensityRelationshipSign=1)
    assert np.diff(got.image.ravel()).max() <= 0


@pytest.mark.parametrize(
    'tags',
    [
        dict(WindowCenter=1, WindowWidth=0),
        dict(WindowCenter=1, WindowWidth=5, VOILUTFunction='CUBIC'),
        dict(WindowCenter=[1, 2], WindowWidth=5),
        dict(WindowWidth=5),
        dict(VOILUTSequence=[lut([1, 2], bits=7)]),
    ],
)
def test_impossible_voi_is_refused(tags):
    with pytest.raises(PreprocessError, match=r'Window|VOI|LUT') as caught:
        shown(**tags)
    assert caught.value.reason == Reason.BAD_HEADER


@given(label=st.floats(0, 1e6), seed=st.integers(0, 99))
def test_a_label_outside_the_breast_changes_no_grey_value(label, seed):
    image = np.random.default_rng(seed).uniform(10, 20, (40, 40)).astype(np.float32)
    mask = np.zeros(image.shape, bool)
    mask[:, :25] = True
    labelled = image.copy()
    labelled[2:6, 30:38] = label
    assert np.array_equal(to_uint8(image, mask), to_uint8(labelled, mask))


def test_breast_takes_the_whole_range_and_the_rest_is_black():
    image = np.linspace(3, 9, 10_000, dtype=np.float32).reshape(100, 100)
    mask = np.arange(100)[:, None] < np.full(100, 50)
    grey = to_uint8(image, mask)
    assert (grey[:50].min(), grey[:50].max(), grey[50:].max()) == (0, 255, 0)


def test_a_breast_of_one_grey_is_refused():
    with pytest.raises(PreprocessError, match='nothing to see'):
        to_uint8(np.ones((9, 9), np.float32), np.ones((9, 9), bool))
