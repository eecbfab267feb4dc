"""The ends of each rule of display: tables, signs, byte orders, padding and scaling, by hand from PS3.3."""

import warnings

import numpy as np
import pytest
from pydicom.dataset import Dataset

from mammo.preprocess.dicom.display import (
    LABEL_BINS,
    LABEL_FRACS,
    LABEL_GAP_BINS,
    LABEL_PEAK_BINS,
    LABEL_SPARSE_FRAC,
    SCALE_PERCENTILES,
    display_values,
    to_uint8,
)
from mammo.preprocess.errors import PreprocessError, Reason
from tests.support.dicom_files import lut, mammogram

SIGNED = dict(PixelRepresentation=1)


def shown(values, voi=None, tone=False, dtype=np.uint16, **tags):
    values = np.array([values], dtype)
    return display_values(values, mammogram(values, bits=16, **tags), voi=voi, tone=tone)


def item_of(entries, descriptor, data=None):
    item = lut([0])
    item.LUTDescriptor = descriptor
    item.add_new('LUTData', 'OW' if data is not None else 'US', data if data is not None else list(entries))
    return item


# ---- tables ---------------------------------------------------------------------------------------------


def test_monochrome1_is_inverted_after_a_voi_table():
    sequence = [lut([0, 1000, 4095])]
    got = shown([0, 1, 2], VOILUTSequence=sequence, PhotometricInterpretation='MONOCHROME1')
    assert got.image.ravel() == pytest.approx([1, 1 - 1000 / 4095, 0])


def test_monochrome1_without_a_voi_is_inverted_and_starts_at_zero():
    got = shown([5, 7, 105], PhotometricInterpretation='MONOCHROME1')
    assert got.image.tolist() == [[100, 98, 0]]


@pytest.mark.parametrize(('written', 'entries'), [(0, 65_536), (-1, 65_535), (-32_768, 32_768)])
def test_number_of_entries_is_read_without_a_sign_and_0_is_65536(written, entries):
    item = item_of((), [written % 2**16, 0, 16], np.arange(entries, dtype='<u2').tobytes())
    item.LUTDescriptor = [written, 0, 16]
    last = entries - 1
    got = shown([0, 160, last], VOILUTSequence=[item])
    assert (got.image.ravel() * 65_535).round().tolist() == [0, 160, last]


@pytest.mark.parametrize(
    ('first', 'values'), [(-100, [-101, -100, -99, -98]), (65_436, [-101, -100, -99, -98])]
)
def test_first_mapped_value_is_signed_when_the_values_are(first, values):
    got = shown(values, VOILUTSequence=[lut([0, 2000, 4095], first=first)], dtype=np.int16, **SIGNED)
    assert (got.image.ravel() * 4095).round().tolist() == [0, 0, 2000, 4095]


@pytest.mark.parametrize('first', [32_767, 32_768, 40_000])
def test_first_mapped_value_of_unsigned_values_has_no_sign(first):
    got = shown([first, first + 1, first + 2], VOILUTSequence=[lut([0, 2000, 4095], first=first)])
    assert (got.image.ravel() * 4095).round().tolist() == [0, 2000, 4095]


def test_first_mapped_value_32767_of_signed_values_stays():
    sequence = [lut([1000, 4095], first=32_767)]
    got = shown([0, 32_766, 32_767], VOILUTSequence=sequence, dtype=np.int16, **SIGNED)
    assert (got.image.ravel() * 4095).round().tolist() == [1000, 1000, 1000]


@pytest.mark.parametrize(('order', 'is_little'), [('<', True), ('>', False)])
def test_table_in_bytes_is_read_in_the_order_of_the_file(order, is_little):
    values = np.array([[0, 1, 2]], np.uint16)
    data = np.array([0, 258, 4095], f'{order}u2').tobytes()
    ds = mammogram(values, VOILUTSequence=[item_of((), [3, 0, 12], data)])
    ds.set_original_encoding(False, is_little)
    assert (display_values(values, ds).image.ravel() * 4095).round().tolist() == [0, 258, 4095]


@pytest.mark.parametrize('entries', [[7, 90, 200, 255], [7, 90, 200]], ids=['even', 'odd, padded'])
def test_packed_8_bit_table_has_the_lower_byte_first(entries):
    data = bytes(entries) + b'\0' * (len(entries) % 2)
    item = item_of((), [len(entries), 0, 8], data)
    got = shown(range(len(entries)), VOILUTSequence=[item])
    assert (got.image.ravel() * 255).round().tolist() == entries


def test_8_bit_table_of_odd_bytes_has_one_entry_a_byte():
    values = np.array([[0, 1, 2]], np.uint16)
    ds = mammogram(values, VOILUTSequence=[item_of((), [3, 0, 8], b'\x07\x5a\xc8')])
    assert (display_values(values, ds).image.ravel() * 255).round().tolist() == [7, 90, 200]


@pytest.mark.parametrize('bits', [8, 10, 12, 16])
def test_full_scale_of_a_table_is_that_of_its_bits(bits):
    top = 2**bits - 1
    got = shown([0, 1], VOILUTSequence=[lut([0, top], bits=bits)])
    assert got.image.tolist() == [[0, 1]]


@pytest.mark.parametrize('bits', [7, 17])
def test_table_of_other_bits_is_refused(bits):
    with pytest.raises(PreprocessError, match=f'LUT has 2 of 2 entries of {bits} bits') as caught:
        shown([0, 1], VOILUTSequence=[lut([0, 1], bits=bits)])
    assert caught.value.reason == Reason.BAD_HEADER


def test_table_that_is_shorter_than_it_says_is_refused():
    with pytest.raises(PreprocessError, match='LUT has 2 of 3 entries of 12 bits'):
        shown([0, 1], VOILUTSequence=[item_of([1, 2], [3, 0, 12])])


def test_entries_beyond_the_number_it_says_are_left_out():
    got = shown([0, 1, 2], VOILUTSequence=[item_of([0, 1000, 4095], [2, 0, 12])])
    assert (got.image.ravel() * 4095).round().tolist() == [0, 1000, 1000]


def test_first_mapped_value_32768_of_signed_values_is_the_lowest():
    sequence = [lut([1000, 4095], first=32_768)]
    got = shown([-32_768, -32_767], VOILUTSequence=sequence, dtype=np.int16, **SIGNED)
    assert (got.image.ravel() * 4095).round().tolist() == [1000, 4095]


def test_entries_written_with_a_sign_are_words_without():
    item = lut([0, 0], bits=16)
    item.add_new('LUTData', 'SS', [-32_768, -1])
    got = shown([0, 1], VOILUTSequence=[item])
    assert got.image.ravel() == pytest.approx([32_768 / 65_535, 1])


def test_entries_of_9_bits_are_not_packed():
    with pytest.raises(PreprocessError, match='LUT has 2 of 4 entries of 9 bits'):
        shown([0, 1], VOILUTSequence=[item_of([1, 2], [4, 0, 9])])


@pytest.mark.parametrize(('tags', 'message'), [
    (dict(WindowWidth=5, VOILUTFunction='CUBIC'), "VOILUTFunction is 'CUBIC' with WindowWidth 5"),
    (dict(WindowWidth=0.5, VOILUTFunction='LINEAR'), "VOILUTFunction is 'LINEAR' with WindowWidth 0.5"),
])  # fmt: skip
def test_window_that_cannot_be_applied_is_told_with_its_function_and_width(tags, message):
    with pytest.raises(PreprocessError, match=message):
        shown([0, 1], WindowCenter=1, **tags)


def test_modality_table_replaces_the_rescale_and_comes_before_the_window():
    modality = lut([100, 150, 200])
    tags = dict(WindowCenter=150, WindowWidth=100, VOILUTFunction='LINEAR_EXACT', RescaleSlope=9)
    got = shown([0, 1, 2], ModalityLUTSequence=[modality], **tags)
    assert got.image.tolist() == [[0, 0.5, 1]]


def test_rule_names_the_table_or_its_index():
    assert shown([0, 1], VOILUTSequence=[lut([0, 1])]).rule == 'LUT NORMAL'
    named = [lut([0, 1], name=''), lut([1, 0], name='')]
    assert shown([0, 1], VOILUTSequence=named).rule == 'LUT 0'
    assert shown([0, 1], '1', VOILUTSequence=named).rule == 'LUT 1'


@pytest.mark.parametrize(('voi', 'index'), [('0', 0), ('1', 1), ('2', 0), ('-1', 0), ('hard', 1), (None, 0)])
def test_view_is_the_one_asked_for_and_the_first_where_there_is_none(voi, index):
    sequence = [lut([0, 1], name='SOFT'), lut([0, 2], name='Hard')]
    assert shown([0, 1], voi, VOILUTSequence=sequence).image[0, 1] == pytest.approx((1 + index) / 4095)


def test_name_beyond_the_windows_is_no_view():
    tags = dict(WindowCenter=[100, 100], WindowWidth=[100, 200], VOILUTFunction='LINEAR_EXACT')
    names = dict(WindowCenterWidthExplanation=['A', 'B', 'C'])
    assert shown([60, 60], 'C', **tags, **names).rule == 'LINEAR_EXACT 0'
    assert shown([60, 60], 'B', **tags, **names).rule == 'LINEAR_EXACT 1'


@pytest.mark.parametrize('tags', [dict(WindowCenter=[1, 2], WindowWidth=5), dict(WindowWidth=5),
                                  dict(WindowCenter=5)])  # fmt: skip
def test_centres_without_as_many_widths_are_told_with_both(tags):
    with pytest.raises(PreprocessError, match=r'WindowCenter is \[.*\] but WindowWidth is \['):
        shown([0, 1], **tags)


def test_values_that_are_not_finite_are_refused():
    values = np.array([[0, 1]], np.uint16)
    ds = mammogram(values, RescaleSlope=1e300, RescaleIntercept=0)
    ds.ModalityLUTSequence = []
    ds.RescaleSlope = 'inf'
    with pytest.raises(
        PreprocessError, match=r'^modality LUT or VOI gives values that are not finite$'
    ) as caught:
        display_values(values, ds)
    assert caught.value.reason == Reason.BAD_HEADER


def test_a_sigmoid_so_narrow_that_it_overflows_gives_0_and_1():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        got = shown([0, 4000], WindowCenter=2000, WindowWidth=1, VOILUTFunction='SIGMOID')
    assert got.image.tolist() == [[0, 1]]


# ---- raw values -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(('sign', 'expected'), [(1, [2, 1, 0]), (-1, [0, 1, 2]), (None, [2, 1, 0])])
def test_sign_of_a_log_relation_says_whether_more_is_brighter(sign, expected):
    got = shown(
        [10, 11, 12], tone=True, PixelIntensityRelationship='LOG', PixelIntensityRelationshipSign=sign
    )
    assert got.image.tolist() == [expected]
    assert got.rule == 'tone curve'


@pytest.mark.parametrize(
    ('sign', 'expected'), [(1, [np.log(100), np.log(10), 0]), (-1, [0, np.log(99 / 90), np.log(99)])]
)
def test_linear_exposure_is_shown_by_its_logarithm(sign, expected):
    tags = dict(PixelIntensityRelationship='LIN', PixelIntensityRelationshipSign=sign)
    got = shown([1, 10, 100], tone=True, **tags)
    assert got.rule == 'tone curve'
    assert got.image.ravel() == pytest.approx(expected, abs=1e-6)


def test_exposure_of_zero_is_that_of_one():
    got = shown([0, 1, 2], tone=True, PixelIntensityRelationshipSign=1)
    assert got.image.ravel() == pytest.approx([np.log(2), np.log(2), 0])


# ---- padding --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('value', 'limit'), [(10, 12), (12, 10)])
def test_both_ends_of_a_padding_range_are_padding_and_their_neighbours_are_not(value, limit):
    got = shown([9, 10, 11, 12, 13], PixelPaddingValue=value, PixelPaddingRangeLimit=limit)
    assert got.padding.tolist() == [[False, True, True, True, False]]
    assert got.image.tolist() == [[0, 0, 0, 0, 4]]


def test_a_range_limit_without_a_padding_value_is_no_padding():
    assert not shown([9, 10], PixelPaddingRangeLimit=9).padding.any()


@pytest.mark.parametrize(('written', 'dtype', 'values'), [
    (-2000, np.int16, [-2000, 0, 9]), (63_536, np.int16, [-2000, 0, 9]),
    (65_535, np.uint16, [65_535, 0, 9]), (-1, np.uint16, [65_535, 0, 9]),
    (32_768, np.int16, [-32_768, 0, 9]), (32_767, np.int16, [32_767, 0, 9]),
])  # fmt: skip
def test_padding_is_found_with_and_without_its_sign(written, dtype, values):
    tags = dict(PixelRepresentation=int(dtype is np.int16))
    image = np.array([values], dtype)
    ds = mammogram(image, bits=16, **tags)
    ds.add_new('PixelPaddingValue', 'SS' if written < 0 else 'US', written)
    assert display_values(image, ds).padding.tolist() == [[True, False, False]]


def test_padding_does_not_stretch_the_values_and_lies_on_the_darkest():
    got = shown([65_000, 5, 7], PixelPaddingValue=65_000)
    assert got.image.tolist() == [[0, 0, 2]]
    brighter = shown([65_000, 5, 7], PixelPaddingValue=65_000, WindowCenter=4, WindowWidth=10,
                     VOILUTFunction='LINEAR_EXACT')  # fmt: skip
    assert brighter.image.ravel() == pytest.approx([0.6, 0.6, 0.8])


def test_an_image_of_padding_alone_is_told():
    with pytest.raises(PreprocessError, match=r'^every pixel is padding$') as caught:
        shown([3, 3], PixelPaddingValue=3)
    assert caught.value.reason == Reason.NO_BREAST


def test_values_below_zero_and_gaps_are_kept_apart():
    got = shown([-7, -5, 100], dtype=np.int16, **SIGNED)
    assert got.image.tolist() == [[0, 2, 107]]


def test_one_pixel_beside_padding_is_an_image():
    assert shown([9, 3], PixelPaddingValue=9).padding.tolist() == [[True, False]]


def test_only_values_that_are_there_say_where_zero_lies():
    got = shown([0, 2, 2], ModalityLUTSequence=[lut([5, 0, 7])])  # nothing shows the 0
    assert got.image.tolist() == [[0, 2, 2]]
    assert got.image.dtype == np.float32


def test_a_damaged_table_is_told_by_the_kind_of_its_error():
    with pytest.raises(PreprocessError, match=r'^modality LUT or VOI: ValueError$') as caught:
        shown([0, 1], VOILUTSequence=[item_of([0, 1], [2, 0])])
    assert caught.value.reason == Reason.BAD_HEADER


# ---- scaling --------------------------------------------------------------------------------------------


def test_scale_runs_between_the_percentiles_of_the_breast():
    values = np.arange(200 * 200, dtype=np.float32).reshape(200, 200)
    mask = np.ones(values.shape, bool)
    low, high = (0.01 / 100 * 39_999, 99.99 / 100 * 39_999)  # linear between the neighbours
    expected = np.rint(((values - low) / (high - low) * 255).clip(0, 255))
    np.testing.assert_array_equal(to_uint8(values, mask), expected)
    assert SCALE_PERCENTILES == (0.01, 99.99)


def histogram(text: int, n: int = 100_000, gap: int = LABEL_GAP_BINS + 5) -> np.ndarray:
    """Tissue over the lower bins, an empty gap, and so many pixels of text at the top: (1, n)."""
    tissue = LABEL_BINS - LABEL_PEAK_BINS - gap
    values = np.linspace(0, tissue / LABEL_BINS, n - text)
    return np.concatenate([values, np.ones(text)])[None].astype(np.float32)


def top_of_tissue(values: np.ndarray, text: int) -> int:
    return int(to_uint8(values, np.ones(values.shape, bool))[0, -text - 1])


@pytest.mark.parametrize(('text', 'is_text'), [
    (int(LABEL_FRACS[0] * 100_000), False), (int(LABEL_FRACS[0] * 100_000) + 1, True),
    (int(LABEL_FRACS[1] * 100_000) - 1, True), (int(LABEL_FRACS[1] * 100_000), False),
])  # fmt: skip
def test_text_covers_more_than_a_thousandth_and_less_than_a_twentieth(text, is_text):
    assert (top_of_tissue(histogram(text), text) == 255) is is_text


@pytest.mark.parametrize(('gap', 'is_text'), [(LABEL_GAP_BINS, True), (LABEL_GAP_BINS - 1, False)])
def test_text_lies_five_bins_above_the_tissue(gap, is_text):
    assert (top_of_tissue(histogram(1000, gap=gap), 1000) == 255) is is_text


@pytest.mark.parametrize(('edges', 'is_text'), [(14, True), (15, False)])
def test_edges_of_letters_may_lie_in_the_gap(edges, is_text):
    values = histogram(1000)
    in_the_gap = (LABEL_BINS - LABEL_PEAK_BINS - 1 + 0.5) / LABEL_BINS
    values[0, :edges] = in_the_gap
    assert LABEL_SPARSE_FRAC * values.size == pytest.approx(15)
    assert (top_of_tissue(values, 1000) == 255) is is_text


def test_dark_text_has_no_say_either():
    bright = histogram(1000)
    grey = to_uint8(1 - bright, np.ones(bright.shape, bool))
    assert grey[0, -1001] == 0


def test_values_halfway_are_rounded_and_not_cut():
    image = np.concatenate([np.linspace(0, 1, 256), np.zeros(5), np.ones(5)]).astype(np.float32)[None]
    grey = to_uint8(image, np.ones(image.shape, bool))[0]
    np.testing.assert_array_equal(grey[:256], np.arange(256))


def test_hot_and_dead_pixels_end_at_255_and_0():
    image = np.linspace(1, 2, 200_000, dtype=np.float32)[None]
    image[0, :2], image[0, -2:] = -1000, 1000
    grey = to_uint8(image, np.ones(image.shape, bool))
    assert grey.dtype == np.uint8
    assert grey[0, [0, 1, -2, -1]].tolist() == [0, 0, 255, 255]
    assert (np.diff(grey[0].astype(int)) >= 0).all()


def test_text_of_several_greys_lies_above_the_gap_in_all():
    values = histogram(1000, gap=LABEL_GAP_BINS)
    values[0, -500:] = (LABEL_BINS - LABEL_PEAK_BINS + 0.5) / LABEL_BINS
    values[0, -1000:-500] = 1
    assert top_of_tissue(values, 1000) == 255


def test_equal_breast_is_refused_with_its_value():
    with pytest.raises(PreprocessError, match='shows 7: nothing to see') as caught:
        to_uint8(np.full((9, 9), 7, np.float32), np.ones((9, 9), bool))
    assert caught.value.reason == Reason.NO_BREAST


def test_header_is_left_as_it_was():
    values = np.array([[0, 100]], np.uint16)
    ds = mammogram(values, WindowCenter=50, WindowWidth=100, PhotometricInterpretation='MONOCHROME1')
    before = ds.to_json()
    display_values(values, ds)
    assert ds.to_json() == before
    assert isinstance(ds, Dataset)
