import contextlib
import csv

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo.preprocess.picture.breast import (
    NoBreastError,
    breast_box,
    breast_mask,
    chest_wall_side,
    crop_to_breast,
    is_wall_clearly,
    vendor_settings,
)

SHAPE = (200, 160)  # at the assumed 240 mm: 1.2 mm per pixel, kernels of 1 and 7 pixels


def half_ellipse(height=120, width=70, grey=1000, shape=SHAPE, dtype=np.uint16):
    """A breast on the left border, its chest wall centred at the middle row."""
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    inside = ((rows - shape[0] / 2 + 0.5) / (height / 2)) ** 2 + (cols / width) ** 2 <= 1
    return (grey * inside).astype(dtype)


def box_of(image, **kwargs):
    return breast_box(breast_mask(image, **kwargs), **kwargs)


breasts = st.builds(half_ellipse, height=st.integers(60, 190), width=st.integers(30, 90))


# hand-computed boxes: rectangles survive an opening unchanged
@pytest.mark.parametrize(
    ('height', 'width', 'x1'),
    [
        (100, 60, 72),  # ratio 1.7: 1.4 times as wide, half of it on the nipple side: 60 + 12
        (120, 50, 60),  # ratio 2.4: 50 + 10
        (160, 50, 63),  # ratio 3.2: 1.5 times: 50 + 12.5, rounded up
    ],
)
def test_box_is_widened_on_the_nipple_side_by_its_height_to_width_ratio(height, width, x1):
    mask = np.zeros(SHAPE, bool)
    mask[20 : 20 + height, :width] = True
    assert breast_box(mask) == (20, 0, 20 + height, x1)


def test_box_ends_at_the_image_border():
    mask = np.zeros(SHAPE, bool)
    mask[20:190, :150] = True
    assert breast_box(mask) == (20, 0, 190, 160)


def test_box_is_not_widened_behind_a_chest_wall_that_is_off_the_border():
    image = np.zeros((200, 300), np.uint16)
    image[:, 100:260] = half_ellipse()
    mask = breast_mask(image)
    y0, x0, y1, x1 = breast_box(mask)
    assert x0 == 100
    assert x1 == pytest.approx(100 + 70 * 1.2, abs=2)
    assert (y0, y1) == (pytest.approx(40, abs=2), pytest.approx(160, abs=2))


def test_mask_is_the_disc_itself():
    rows, cols = np.mgrid[:200, :200]
    disc = (rows - 100) ** 2 + (cols - 90) ** 2 <= 60**2
    mask = breast_mask(disc * np.uint8(200))
    assert (mask ^ disc).sum() < 0.01 * disc.sum()


def test_holes_belong_to_the_breast():
    image = half_ellipse()
    image[90:110, 20:40] = 0
    assert breast_mask(image)[90:110, 20:40].all()


def test_a_thin_strip_does_not_widen_the_box():
    image = half_ellipse()
    expected = box_of(image)
    image[98:102, :] = 1000  # 4.8 mm wide, the core kernel is 8.6 mm
    assert box_of(image) == expected


@pytest.mark.parametrize(('spacing_mm', 'fine'), [(1.2, 1), (0.15, 8)])
def test_strips_widen_the_box_from_the_size_of_the_core_kernel_in_mm_on(spacing_mm, fine):
    for strip_px, is_widened in ((6, False), (9, True)):  # 7.2 and 10.8 mm; the kernel is 8.6 mm
        image = half_ellipse()
        image[96 : 96 + strip_px, :100] = 1000
        image = np.kron(image, np.ones((fine, fine), np.uint16))
        mask = np.asarray(image > 0)
        assert (breast_box(mask, spacing_mm=spacing_mm)[3] >= 100 * fine) == is_widened


def test_a_breast_narrower_than_the_core_kernel_has_the_box_of_its_mask():
    mask = np.zeros(SHAPE, bool)
    mask[20:120, 40:45] = True
    np.testing.assert_array_equal(breast_mask(mask * np.uint16(1000)), mask)
    assert breast_box(mask) == (20, 40, 120, 45 + 2)  # 5 wide, half of 1.5 - 1 times that on top, rounded up


def test_a_thin_tip_stays_as_far_as_half_a_core_kernel_from_the_core():
    image = np.zeros(SHAPE, np.uint16)
    image[50:150, :60] = 1000
    image[98:103, 60:80] = 1000  # 5 pixels wide; the core kernel has 7
    row = breast_mask(image)[100]
    assert row[:63].all()
    assert not row[63:].any()


def test_fine_images_are_shrunk_by_the_mean_of_their_pixels():
    """Of a pattern that is 0 where a reduced image would look it up, half of the brightness stays."""
    image = np.kron(half_ellipse(), np.ones((8, 8), np.uint16))
    image[:, 1::4] = image[:, 2::4] = 0
    mask = breast_mask(image, spacing_mm=0.05)
    solid = np.kron(half_ellipse() > 0, np.ones((8, 8), bool))
    assert (mask ^ solid).sum() < 0.05 * solid.sum()


def test_padding_that_is_larger_than_the_breast_is_not_taken_for_it():
    image = np.pad(half_ellipse(), ((0, 0), (0, 300)))
    padding = np.zeros(image.shape, bool)
    padding[:, 200:] = True
    expected = breast_mask(half_ellipse(), spacing_mm=1.2)
    for grey in (0, 30, 5000):  # whatever it is filled with
        image[padding] = grey
        found = breast_mask(image, padding=padding, spacing_mm=1.2)
        np.testing.assert_array_equal(found[:, :160], expected)
        assert not found[:, 160:].any()


def test_a_frame_beside_the_breast_counts_as_what_it_covers_and_not_as_what_it_surrounds():
    image = np.zeros(SHAPE, np.uint16)
    image[10:90, :50] = 1000
    image[110:190, 10:150] = 1000
    image[114:186, 14:146] = 0
    np.testing.assert_array_equal(breast_mask(image), (image > 0) & (np.arange(200) < 100)[:, None])


@pytest.mark.parametrize(('first', 'second', 'is_clear'), [(40, 40, False), (41, 41, True), (41, 10, False)])
def test_the_chest_wall_is_clear_where_a_tenth_of_the_columns_is_twice_as_tall(first, second, is_clear):
    mask = np.zeros((60, 20), bool)
    mask[:20] = True
    mask[:, :2] = False
    mask[:first, 0] = mask[:second, 1] = True
    assert is_wall_clearly(mask, 'L') == is_wall_clearly(mask[:, ::-1], 'R') == is_clear
    assert not is_wall_clearly(mask, 'R')


def test_a_label_that_hangs_on_by_a_thin_bridge_is_excluded():
    image = half_ellipse()
    expected = box_of(image)
    image[10:30, 120:150] = 4000
    image[29, 0:150] = 4000  # a scan line through label and film
    image[29:100, 20] = 4000
    assert not breast_mask(image)[10:28, 120:150].any()
    assert box_of(image) == expected


def test_a_bright_frame_around_the_film_is_excluded():
    image = half_ellipse(shape=(180, 140), width=80)
    framed = np.pad(np.pad(image, ((5, 5), (5, 5))), 10, constant_values=4095)
    mask = breast_mask(framed)
    assert not mask[:10].any()
    assert not mask[:, -10:].any()
    assert not mask[:, :10].any()
    np.testing.assert_array_equal(mask[15:-15, 15:-15], breast_mask(np.pad(image, 15))[15:-15, 15:-15])


def test_grey_film_base_in_black_padding_is_excluded():
    rng = np.random.default_rng(0)
    film = half_ellipse(grey=180, dtype=float) + rng.normal(14, 1.5, SHAPE)  # base above 5 % of 194
    image = np.pad(film.clip(1, 255).astype(np.uint8), ((0, 0), (80, 90)))
    found = breast_mask(image)[:, 80:-90]
    truth = half_ellipse() > 0
    assert (found ^ truth).sum() < 0.05 * truth.sum()  # the low threshold may add up to 5 %


def test_a_breast_that_fills_the_film_is_the_whole_film():
    image = np.zeros(SHAPE, np.uint8)
    image[:, 30:130] = np.random.default_rng(0).integers(150, 250, (200, 100))
    assert (breast_mask(image) == (image > 0)).all()


def test_dark_fat_on_a_flat_background_is_kept():
    image = half_ellipse()
    image[90:110, :10] = 30  # 3 % of the bright tissue, at the chest wall
    assert breast_mask(image)[90:110, :10].all()


@settings(max_examples=25, deadline=None)
@given(image=breasts)
def test_a_mirrored_image_gives_the_mirrored_box_and_side(image):
    y0, x0, y1, x1 = box_of(image)
    assert box_of(image[:, ::-1]) == (y0, SHAPE[1] - x1, y1, SHAPE[1] - x0)
    assert chest_wall_side(breast_mask(image)) == 'L'
    assert chest_wall_side(breast_mask(image[:, ::-1])) == 'R'


@settings(max_examples=25, deadline=None)
@given(
    image=breasts,
    gain=st.integers(1, 60),
    offset=st.integers(0, 2000),
    dtype=st.sampled_from(['u2', 'i4', 'i8', 'f4', 'f8']),
)
def test_mask_does_not_depend_on_gain_offset_or_dtype(image, gain, offset, dtype):
    np.testing.assert_array_equal(
        breast_mask((image.astype(int) * gain + offset).astype(dtype)), breast_mask(image)
    )


@settings(max_examples=25, deadline=None)
@given(
    image=breasts,
    y=st.integers(0, 180),
    x=st.integers(110, 140),
    grey=st.integers(500, 60000),
    side=st.integers(2, 20),
)
def test_a_label_away_from_the_breast_changes_nothing(image, y, x, grey, side):
    labelled = image.copy()
    labelled[y : y + side, x : x + side] = grey
    np.testing.assert_array_equal(breast_mask(labelled), breast_mask(image))
    assert box_of(labelled) == box_of(image)


def test_kernels_keep_their_size_in_mm():
    image = half_ellipse()
    fine = cv2.resize(image, None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST)
    coarse_box, fine_box = box_of(image, spacing_mm=1.2), box_of(fine, spacing_mm=0.15)
    np.testing.assert_allclose(np.array(fine_box) / 8, coarse_box, atol=1.5)


def test_fine_images_give_a_mask_of_their_own_shape():
    image = cv2.resize(half_ellipse(), (1601, 2003))
    mask = breast_mask(image, spacing_mm=0.05)
    assert mask.shape == (2003, 1601)
    assert mask.dtype == bool
    assert (mask ^ (image > 10)).sum() < 0.01 * mask.sum()


def test_crop_blanks_labels_inside_the_box_and_keeps_the_breast():
    image = half_ellipse()
    image[60:70, 66:76] = 4000  # inside the box
    crop, (y0, x0, y1, x1) = crop_to_breast(image)
    assert x1 > 76
    np.testing.assert_array_equal(crop, half_ellipse()[y0:y1, x0:x1])
    assert crop.dtype == image.dtype


def test_vendor_is_found_in_the_header_text():
    assert vendor_settings('HOLOGIC, Inc.').threshold_frac == 0.01
    assert vendor_settings('GE MEDICAL SYSTEMS') == vendor_settings('default')


@pytest.mark.parametrize('value', [0, 7])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float64])
def test_constant_image_is_refused(value, dtype):
    with pytest.raises(
        NoBreastError, match=rf'\(50, 40\) holds values from {value}.* to {value}.*leave it out'
    ):
        breast_mask(np.full((50, 40), value, dtype))


def test_image_with_nan_is_refused():
    image = half_ellipse(dtype=np.float32)
    image[3, 3] = np.nan
    with pytest.raises(NoBreastError, match='from nan to nan'):
        breast_mask(image)


def test_image_of_no_pixels_is_refused():
    with pytest.raises(NoBreastError, match=r'\(0, 5\)'):
        breast_mask(np.zeros((0, 5)))


def test_a_hundredth_of_the_image_is_enough():
    image = np.zeros(SHAPE, np.uint8)
    image[5:25, 30:46] = 255  # 320 of 32,000 pixels
    assert breast_mask(image).sum() == 320
    image[5, 30:46] = 0
    with pytest.raises(NoBreastError, match=r'covers 0\.95% .* at least 1%; look at the image'):
        breast_mask(image)


def test_a_breast_is_as_long_as_it_is_wherever_it_lies():
    mask = np.zeros(SHAPE, bool)
    mask[20:35, 130:145] = True
    with pytest.raises(NoBreastError, match='would be 18 mm long; is the pixel size right'):
        breast_box(mask, spacing_mm=1.2)


def test_image_with_a_label_only_is_refused():
    image = np.zeros(SHAPE, np.uint8)
    image[5:19, 140:160] = 255
    with pytest.raises(NoBreastError, match=r'covers 0\.88% of the image of shape \(200, 160\)'):
        breast_mask(image)


@pytest.mark.parametrize('shape', [(1, 1), (1, 400), (5000, 1), (2, 2), (4, 4)])
def test_tiny_images_give_a_mask_or_the_documented_error(shape):
    image = np.random.default_rng(0).integers(0, 4096, shape).astype(np.uint16)
    with contextlib.suppress(NoBreastError):
        assert breast_mask(image).shape == shape


def test_colour_image_is_refused():
    with pytest.raises(ValueError, match=r'shape \(9, 9, 3\), expected one grey channel'):
        breast_mask(np.zeros((9, 9, 3), np.uint8))


@pytest.mark.parametrize('spacing_mm', [0, -0.1, 1e-6, float('nan'), float('inf')])
def test_impossible_spacing_is_refused(spacing_mm):
    with pytest.raises(ValueError, match=f'spacing_mm is {spacing_mm}, expected at least 0.01'):
        breast_mask(half_ellipse(), spacing_mm=spacing_mm)
    with pytest.raises(ValueError, match=f'spacing_mm is {spacing_mm}, expected at least 0.01'):
        breast_box(half_ellipse() > 0, spacing_mm=spacing_mm)


def test_empty_mask_has_no_box():
    with pytest.raises(NoBreastError, match=r'mask of shape \(9, 8\) is empty'):
        breast_box(np.zeros((9, 8), bool))


@pytest.mark.real_data
def test_every_mini_mias_lesion_centre_is_in_the_box(real_data):
    folder = real_data / 'mini_mias'
    with (folder / 'mini_mias_index.csv').open() as file:
        rows = [row for row in csv.DictReader(file) if row['x_topleft']]
    outside, wrong_side = [], []
    for name in sorted({row['image'] for row in rows}):
        mask = breast_mask(
            cv2.imread(str(folder / f'images/{name}.png'), cv2.IMREAD_UNCHANGED), spacing_mm=0.2
        )
        y0, x0, y1, x1 = breast_box(mask, spacing_mm=0.2)
        for row in rows:
            x, y = int(row['x_topleft']), int(row['y_topleft'])
            if row['image'] == name and not (x0 <= x < x1 and y0 <= y < y1):
                outside.append(name)
        if chest_wall_side(mask) != ('R' if int(name[3:]) % 2 else 'L'):
            wrong_side.append(name)
    assert len(rows) == 119
    assert outside == []
    assert wrong_side in ([], ['mdb152'])  # that breast fills the film from side to side


@pytest.mark.real_data
@pytest.mark.parametrize('vendor', ['default', 'hologic'])
@pytest.mark.parametrize('view', ['L-CC', 'L-MLO', 'R-CC', 'R-MLO'])
def test_nyu_breasts_are_complete(real_data, view, vendor):
    path = real_data / f'nyu_gmic_sample/images/0_{view}.png'
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    mask = breast_mask(image, vendor=vendor)
    y0, x0, y1, x1 = breast_box(mask, vendor=vendor)
    tissue = image > 0  # the background is 0, apart from small marks
    assert (mask & tissue).sum() > 0.98 * tissue.sum()
    assert mask[y0:y1, x0:x1].sum() > 0.995 * mask.sum()
    assert chest_wall_side(mask) == view[0]


@pytest.mark.parametrize('is_air_left', [False, True])
def test_skin_beside_air_that_is_all_padding_stays_in_the_mask(is_air_left):
    y, x = np.indices((300, 200))
    depth = 1 - (x / 150) ** 2 - ((y - 150) / 120) ** 2
    image = np.where(depth > 0, 700 + 1600 * depth.clip(0), 0).astype(np.float32)
    padding = depth <= 0
    if is_air_left:
        padding &= x > 160
    mask = breast_mask(image, padding=padding, spacing_mm=0.3)
    assert (mask ^ (depth > 0)).sum() < 0.01 * (depth > 0).sum()
