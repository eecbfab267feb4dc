"""Phantom images: anatomy, lesions, DICOM headers."""

from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo.phantoms import drawing as phantom
from mammo.phantoms.truth import sample_patients

SHAPE = (128, 80)


@pytest.fixture(scope='module')
def patients():
    return sample_patients(6, np.random.default_rng(3)).to_dict('records')


@pytest.fixture(scope='module')
def exams(patients):
    return [list(phantom.render_exam(p, i, SHAPE, seed=1)) for i, p in enumerate(patients)]


def tissue(ds):
    """Stored values -> 0..1, tissue bright; written apart from the loader on purpose."""
    scaled = ds.pixel_array / (2**ds.BitsStored - 1)
    return 1 - scaled if ds.PhotometricInterpretation == 'MONOCHROME1' else scaled


def lesion_free(image, marker_rows=16):
    """Image without its marker rows."""
    return image[marker_rows:]


def tumour(**changes):
    base = dict(diameter_mm=16.0, contrast_z=1.0, spike_z=0.0, n_lesions=1, radii_mm=np.array([8.0]))
    return {**base, 'tumor_location': 'lower-outer', **changes}


def view_pair(view='CC', **changes):
    """The same breast without and with a tumour."""
    healthy, none = phantom.render_view(np.random.default_rng(5), SHAPE, view, 0.0, None)
    sick, lesions = phantom.render_view(np.random.default_rng(5), SHAPE, view, 0.0, tumour(**changes))
    assert none == []
    return healthy, sick, lesions


def test_exam_has_both_sides_and_both_views_at_the_asked_size(exams):
    for exam in exams:
        assert [(row['laterality'], row['view']) for _, row in exam] == [
            ('L', 'CC'),
            ('L', 'MLO'),
            ('R', 'CC'),
            ('R', 'MLO'),
        ]
        assert all(ds.pixel_array.shape == SHAPE for ds, _ in exam)


def test_two_vendors_differ_in_photometric_interpretation_and_depth(exams):
    kinds = {
        (ds.Manufacturer, ds.PhotometricInterpretation, ds.BitsStored) for exam in exams for ds, _ in exam
    }
    assert {kind[1:] for kind in kinds} == {('MONOCHROME2', 12), ('MONOCHROME1', 14)}
    assert len(kinds) == 2
    for exam in exams:
        assert len({ds.Manufacturer for ds, _ in exam}) == 1
        assert all(ds.BitsAllocated == 16 and ds.PixelRepresentation == 0 for ds, _ in exam)


def test_air_is_black_as_displayed_whatever_the_photometric_interpretation(exams):
    for exam in exams:
        for ds, _ in exam:
            air = 0 if ds.PhotometricInterpretation == 'MONOCHROME2' else 2**ds.BitsStored - 1
            assert (ds.pixel_array == air).mean() > 0.1


def test_chest_wall_is_at_the_left_border_of_a_left_breast_and_at_the_right_of_a_right_one(exams):
    for exam in exams:
        for ds, row in exam:
            image = lesion_free(tissue(ds))
            chest, air = (0, -1) if row['laterality'] == 'L' else (-1, 0)
            assert image[:, chest].mean() > 0.1
            assert image[:, air].max() == 0
            assert ds.PatientOrientation[0] == ('A' if row['laterality'] == 'L' else 'P')


def test_marker_is_brighter_than_any_tissue_and_apart_from_the_breast(exams):
    for exam in exams:
        for ds, _ in exam:
            image = tissue(ds)
            marker = (image > 0.95).astype(np.uint8)
            _, parts = cv2.connectedComponents((image > 0).astype(np.uint8))
            breast = np.argmax(np.bincount(parts[parts > 0]))
            assert marker.any()
            assert not marker[parts == breast].any()
            assert image[parts == breast].max() <= phantom.BREAST_MAX + 1e-3


def test_only_the_tumour_breast_has_lesions_and_as_many_as_the_patient(patients, exams):
    for patient, exam in zip(patients, exams, strict=True):
        for _, row in exam:
            expected = patient['n_lesions'] if row['laterality'] == patient['tumor_side'] else 0
            assert len(row['lesions']) == expected


@pytest.mark.parametrize('view', ['CC', 'MLO'])
def test_second_lesions_of_one_view_do_not_show_in_the_other(view):
    patient = tumour(n_lesions=3, tumor_side='L', satellites_in=view)
    rows = [row for _, row in phantom.render_exam(patient, 0, SHAPE, seed=3)]
    n_lesions = {(row['laterality'], row['view']): len(row['lesions']) for row in rows}
    other = 'MLO' if view == 'CC' else 'CC'
    assert n_lesions == {('L', view): 3, ('L', other): 1, ('R', 'CC'): 0, ('R', 'MLO'): 0}


def test_first_lesion_has_the_drawn_diameter_in_mm(patients, exams):
    for patient, exam in zip(patients, exams, strict=True):
        for ds, row in exam:
            for _, _, radius in row['lesions'][:1]:
                assert 2 * radius * ds.ImagerPixelSpacing[0] == pytest.approx(
                    patient['diameter_mm'], rel=1e-4
                )


def test_lesion_radii_are_those_of_the_patient_in_every_view(exams):
    for exam in exams:
        cc, mlo = ([lesion[2] for lesion in row['lesions']] for _, row in exam if row['lesions'])
        assert cc == mlo


def test_lesion_brightens_its_own_place_and_little_else():
    healthy, sick, [(x, y, radius)] = view_pair()
    gain = sick - healthy
    rows, columns = np.indices(SHAPE)
    distance = np.hypot(columns - x, rows - y)
    assert gain[distance < 0.6 * radius].min() > 0.1
    assert np.abs(gain[distance > 5 * radius]).max() < 0.02


@pytest.mark.parametrize('view', ['CC', 'MLO'])
def test_contrast_and_size_drive_the_brightness_that_the_lesion_adds(view):
    def added(**changes):
        healthy, sick, _ = view_pair(view, **changes)
        return (sick - healthy).sum()

    assert added(contrast_z=-2.0) < 0.7 * added(contrast_z=0.0) < 0.6 * added(contrast_z=2.0)
    assert added(radii_mm=np.array([4.0])) < 0.5 * added(radii_mm=np.array([8.0]))


@pytest.mark.parametrize('contrast_z', [-2.0, 2.0])
def test_second_lesions_are_bright_whatever_the_main_one_looks_like(contrast_z):
    healthy, sick, lesions = view_pair(contrast_z=contrast_z, n_lesions=3, radii_mm=np.array([8.0, 2.5, 2.5]))
    gain = sick - healthy
    for x, y, _ in lesions[1:]:
        assert gain[round(y), round(x)] > 0.3


def test_second_lesions_are_of_one_size_and_smaller_than_most_main_ones(patients, exams):
    px_mm = phantom.FIELD_HEIGHT_MM / SHAPE[0]
    radii_mm = [lesion[2] * px_mm for exam in exams for _, row in exam for lesion in row['lesions'][1:]]
    assert any(patient['n_lesions'] > 1 for patient in patients)
    assert all(2.0 <= radius_mm <= 3.0 for radius_mm in radii_mm)


def test_spiculation_reaches_beyond_the_mass():
    def halo(spike_z):
        healthy, sick, [(x, y, radius)] = view_pair(spike_z=spike_z)
        rows, columns = np.indices(SHAPE)
        distance = np.hypot(columns - x, rows - y)
        return (sick - healthy)[(distance > 1.5 * radius) & (distance < 2.5 * radius)].mean()

    assert halo(2.0) > 2 * halo(-2.0) > 0


@pytest.mark.parametrize(
    ('view', 'location', 'above'),
    [
        ('CC', 'lower-outer', True),
        ('CC', 'upper-inner', False),
        ('MLO', 'upper-inner', True),
        ('MLO', 'lower-outer', False),
    ],
)
def test_lesion_lies_in_the_half_that_the_location_names(view, location, above):
    nipple_row = 0.5 * SHAPE[0] * (1.15 if view == 'MLO' else 1)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        _, [(_, y, _)] = phantom.render_view(rng, SHAPE, view, 0.0, tumour(tumor_location=location))
        assert (y < nipple_row) == above or abs(y - nipple_row) < 0.03 * SHAPE[0]


def test_mlo_has_a_bright_pectoral_corner_that_cc_lacks():
    corner = np.s_[2:12, 2:8]
    mlo, _, _ = view_pair('MLO')
    cc, _, _ = view_pair('CC')
    assert mlo[corner].mean() > 0.35
    assert cc[corner].mean() < 0.05


def test_skin_line_is_brighter_than_the_fat_beneath_it():
    image, _ = phantom.render_view(np.random.default_rng(0), (512, 320), 'CC', -1.0, None)
    row = image[300]
    edge = np.flatnonzero(row)[-1]
    px_mm = phantom.FIELD_HEIGHT_MM / 512
    at = [row[edge - round(mm / px_mm)] for mm in (1.0, 3.0)]
    assert at[0] > at[1] + 0.03


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 5), radius=st.floats(1.0, 25.0))
def test_lesions_lie_where_there_is_room(seed, n, radius):
    rows, columns = np.indices((64, 40))
    room = np.clip(30 - np.hypot(rows - 32, columns), 0, None)
    own_half = rows < 32
    radii = radius * np.array([1, 0.6, 0.5, 0.5, 0.4])[:n]
    lesions = phantom.place_lesions(np.random.default_rng(seed), room, own_half, radii)
    assert len(lesions) == n
    assert own_half[int(lesions[0][1]), int(lesions[0][0])]
    assert all(room[int(y), int(x)] > 0 for x, y, _ in lesions)
    if radius < 3:  # there is room for all: none overlaps another
        for (x0, y0, r0), (x1, y1, r1) in combinations(lesions, 2):
            assert np.hypot(x1 - x0, y1 - y0) > r0 + r1


def test_noise_has_the_power_law_of_mammograms():
    noise = phantom.power_law_noise(np.random.default_rng(0), (256, 256))
    assert noise.shape == (256, 256)
    assert noise.mean() == pytest.approx(0, abs=1e-9)
    assert noise.var() == pytest.approx(1)
    power = np.abs(np.fft.fft2(noise)) ** 2
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256))
    band = (frequency > 0.02) & (frequency < 0.4)
    slope = np.polyfit(np.log(frequency[band]), np.log(power[band]), 1)[0]
    assert slope == pytest.approx(-3, abs=0.1)


@pytest.mark.parametrize('shape', [(32, 32), (512, 100), (128, 256)])
def test_impossible_size_is_refused_with_the_size_and_the_bounds(patients, shape):
    with pytest.raises(ValueError, match=rf'{shape[0]}x{shape[1]} .*>= 64 each, width 0.45 to 1'):
        next(phantom.render_exam(patients[0], 0, shape, seed=0))


def test_window_as_displayed_spans_the_tissue_and_not_the_marker(exams):
    for exam in exams:
        for ds, _ in exam:
            low, high = ds.WindowCenter - ds.WindowWidth / 2, ds.WindowCenter + ds.WindowWidth / 2
            top = 2**ds.BitsStored - 1
            bounds = (top - high, top - low) if ds.PhotometricInterpretation == 'MONOCHROME1' else (low, high)
            assert bounds[0] / top == pytest.approx(0, abs=1e-3)
            assert bounds[1] / top == pytest.approx(phantom.BREAST_MAX, abs=1e-3)


def test_header_says_what_the_row_says_and_identifiers_are_unique(exams):
    rows = [(ds, row) for exam in exams for ds, row in exam]
    for ds, row in rows:
        assert (ds.PatientID, ds.ImageLaterality, ds.ViewPosition) == (
            row['patient_id'],
            row['laterality'],
            row['view'],
        )
        assert ds.SOPClassUID == '1.2.840.10008.5.1.4.1.1.1.2'
        assert list(ds.ImagerPixelSpacing) == [pytest.approx(row['spacing_mm'])] * 2
        assert ds.SOPInstanceUID.is_valid
    assert len({ds.SOPInstanceUID for ds, _ in rows}) == len(rows)
    assert len({ds.StudyInstanceUID for ds, _ in rows}) == len(exams)


def test_a_patient_looks_the_same_alone_and_among_others(patients, exams):
    alone = list(phantom.render_exam(patients[4], 4, SHAPE, seed=1))
    for (ds, row), (other, other_row) in zip(alone, exams[4], strict=True):
        assert ds == other
        assert row == other_row


def test_another_seed_gives_another_image_and_other_uids(patients):
    (one, _), (two, _) = (next(phantom.render_exam(patients[0], 0, SHAPE, seed)) for seed in (0, 1))
    assert (one.pixel_array != two.pixel_array).any()
    assert one.SOPInstanceUID != two.SOPInstanceUID
