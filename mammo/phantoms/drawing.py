"""Phantom mammograms: breast, pectoral muscle, power-law texture, lesions, a burned-in marker.

row of phantom_truth.sample_patients, image size, seed -> four DICOM datasets with their lesions
"""

from collections.abc import Iterator, Mapping
from typing import Any

import cv2
import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, generate_uid
from scipy.special import expit

from mammo.errors import UserError

FIELD_HEIGHT_MM = 120.0  # of the image, whatever its number of rows
MIN_SIDE_PX = 64
BREAST_MAX = 0.85  # of the grey range; only the burned-in marker is brighter
SATELLITE_RADIUS_MM = (2.0, 3.0)  # of the lesions beside the main one, in every patient
SATELLITE_LOOK = dict(contrast_z=1.0, spike_z=-3.0)  # bright and smooth, whatever the main one looks like

Lesion = tuple[float, float, float]  # x, y, radius in pixels
VENDORS = (  # two makers, each at a site of its own, so that a demo shows both photometric kinds and centres
    dict(manufacturer='HOLOGIC, Inc.', photometric='MONOCHROME2', bits_stored=12, cohort='site1'),
    dict(manufacturer='GE MEDICAL SYSTEMS', photometric='MONOCHROME1', bits_stored=14, cohort='site2'),
)


def render_exam(
    patient: Mapping[Any, Any], index: int, shape: tuple[int, int], seed: int, id_prefix: str = 'P'
) -> Iterator[tuple[Dataset, dict[str, Any]]]:
    """Render L and R, CC and MLO of one patient; ``index`` counts patients from 0 and picks the vendor.

    A patient with ``satellites_in`` (CC or MLO) has lesions beside the main one in that view only.

    Yields:
        tuple: a dataset ready to be saved, and the row of images.csv, whose ``lesions`` is a list of
        (x, y, radius) in pixels, empty for the healthy breast.
    """
    if min(shape) < MIN_SIDE_PX or not 0.45 <= shape[1] / shape[0] <= 1:
        size = f'{shape[0]}x{shape[1]} (height x width)'
        raise UserError(f'image size is {size}; use >= {MIN_SIDE_PX} each, width 0.45 to 1 of the height')
    rng, vendor = np.random.default_rng([seed, 2, index]), VENDORS[index % len(VENDORS)]
    density = rng.uniform(-1, 1)
    satellites_mm = rng.uniform(*SATELLITE_RADIUS_MM, patient['n_lesions'] - 1)
    radii_mm = np.array([patient['diameter_mm'] / 2, *satellites_mm])
    for laterality in 'LR':
        for view in ('CC', 'MLO'):
            shown = radii_mm if patient.get('satellites_in', view) == view else radii_mm[:1]
            tumour = {**patient, 'radii_mm': shown} if laterality == patient['tumor_side'] else None
            image, lesions = render_view(rng, shape, view, density, tumour)
            if laterality == 'R':  # usual hanging: chest wall of L at the left border, of R at the right one
                image = image[:, ::-1]
                lesions = [(shape[1] - 1 - x, y, radius) for x, y, radius in lesions]
            row: dict[str, Any] = dict(
                patient_id=f'{id_prefix}{index + 1:04d}', exam_id='1', view=view, laterality=laterality
            )
            row |= dict(spacing_mm=round(FIELD_HEIGHT_MM / shape[0], 6), cohort=vendor['cohort'])
            image = burn_marker(image, laterality + view)
            yield to_dicom(image, row, vendor, seed), row | dict(lesions=lesions)


def render_view(
    rng: np.random.Generator, shape: tuple[int, int], view: str, density: float, tumour: Mapping | None
) -> tuple[np.ndarray, list[Lesion]]:
    """One breast, its chest wall at the left border -> image (H, W) of 0..BREAST_MAX, lesions."""
    px_mm = FIELD_HEIGHT_MM / shape[0]
    y_mm, x_mm = np.indices(shape) * px_mm
    depth_mm = rng.uniform(0.66, 0.8) * shape[1] * px_mm
    nipple_mm = rng.uniform(0.48, 0.52) * FIELD_HEIGHT_MM * (1.15 if view == 'MLO' else 1)
    lower_mm = rng.uniform(0.37, 0.43) * FIELD_HEIGHT_MM
    upper_mm = 0.75 * FIELD_HEIGHT_MM if view == 'MLO' else lower_mm  # MLO runs on into the axilla
    height = np.abs(y_mm - nipple_mm) / np.where(y_mm < nipple_mm, upper_mm, lower_mm)
    breast = x_mm < depth_mm * np.clip(1 - height**2.2, 0, None) ** 0.6
    breast |= np.hypot(x_mm - depth_mm, y_mm - nipple_mm) < 2.5
    skin_mm = cv2.distanceTransform(breast.astype(np.uint8), cv2.DIST_L2, 5) * px_mm

    inner = np.exp(-(((x_mm / depth_mm - 0.5) / 0.4) ** 2) - (height / 0.7) ** 2)
    gland = inner * expit(2.5 * (power_law_noise(rng, shape) + 2 * inner - 1.2 + 0.6 * density))
    image = 0.19 + 0.14 * gland + 0.025 * power_law_noise(rng, shape)
    muscle = np.zeros(shape)
    if view == 'MLO':
        muscle = expit(25 * (1 - (x_mm / rng.uniform(22, 30)) ** 1.3 - y_mm / rng.uniform(50, 68)))
        image += muscle * (0.37 - image + 0.02 * power_law_noise(rng, shape))
    image *= 1 - 0.75 * np.exp(-skin_mm / 4.0)  # the compressed breast thins out towards the skin line
    image += 0.1 * np.exp(-(((skin_mm - 1.0) / 0.6) ** 2)) + rng.normal(0, 0.008, shape)
    lesions = []
    if tumour is not None:
        border_mm = np.minimum(skin_mm, y_mm)
        room_px = np.where((x_mm > 0.3 * depth_mm) & (muscle < 0.05), border_mm, 0) / px_mm
        upward = ('upper' if view == 'MLO' else 'outer') in tumour['tumor_location']
        own_half = (y_mm < nipple_mm) == upward
        lesions = place_lesions(rng, room_px, own_half, tumour['radii_mm'] / px_mm)
        looks = [tumour] + [{**tumour, **SATELLITE_LOOK}] * (len(lesions) - 1)
        image += sum(draw_lesion(rng, shape, *which) for which in zip(lesions, looks, strict=True))
    return np.where(breast, np.clip(image, 0.02, BREAST_MAX), 0), lesions


def power_law_noise(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Noise of mean 0, variance 1 and power spectrum 1/f^3, as mammograms have: (H, W)."""
    # Burgess, Jacobson and Judy, Med Phys 28:419 (2001): exponent near 3, so amplitude f^-1.5
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1]))
    frequency[0, 0] = np.inf  # no mean
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * frequency**-1.5, s=shape)
    return noise / noise.std()


def place_lesions(
    rng: np.random.Generator, room_px: np.ndarray, own_half: np.ndarray, radii_px: np.ndarray
) -> list[Lesion]:
    """Main lesion in its half, others apart from all before; ``room_px`` (H, W): distance to the border."""
    y, x = np.indices(room_px.shape)
    lesions, free = [], np.where(own_half, room_px, 0)
    for radius in radii_px:
        y0, x0 = rng.choice(np.argwhere(free >= min(1.1 * radius, 0.8 * free.max())))
        lesions.append((float(x0), float(y0), float(radius)))
        apart = [np.hypot(x - cx, y - cy) > r + 1.5 * radii_px[-1] for cx, cy, r in lesions]
        free = np.where(np.all(apart, axis=0), room_px, 0)
        free = free if free.any() else room_px  # a breast full of tumour: lesions may touch
    return lesions


def draw_lesion(
    rng: np.random.Generator, shape: tuple[int, int], lesion: Lesion, tumour: Mapping
) -> np.ndarray:
    """Bright lobed mass with spicules, to be added; ``contrast_z`` and ``spike_z`` set its look: (H, W)."""
    y, x = np.indices(shape)
    distance, angle = np.hypot(x - lesion[0], y - lesion[1]), np.arctan2(y - lesion[1], x - lesion[0])
    turn = np.linspace(-np.pi, np.pi, 361)
    lobes = sum(np.cos(k * turn + rng.uniform(0, 2 * np.pi)) for k in (2, 3, 5))
    spicules = np.zeros_like(turn)
    for direction, reach in zip(rng.uniform(-3, 3, 16), rng.uniform(0.3, 1, 16), strict=True):
        spicules = np.maximum(spicules, reach * np.exp(-(((turn - direction) / 0.07) ** 2)))
    edge = lesion[2] * (1 + 0.06 * np.interp(angle, turn, lobes))
    core = expit((edge - distance) / (0.12 * lesion[2]))
    fade = np.exp(-np.clip(distance - edge, 0, None) / (1.4 * lesion[2] * expit(tumour['spike_z'] - 0.5)))
    look = np.maximum(core, 0.6 * fade * np.interp(angle, turn, spicules))
    return (0.06 + 0.48 * expit(1.3 * tumour['contrast_z'])) * look


def burn_marker(image: np.ndarray, text: str) -> np.ndarray:
    """Write ``text`` at full grey into the top corner away from the chest wall: (H, W) -> (H, W)."""
    scale, margin, font = max(image.shape[1] / 640, 0.3), image.shape[1] // 32, cv2.FONT_HERSHEY_SIMPLEX
    (width, height), _ = cv2.getTextSize(text, font, scale, 1)
    x = margin if text.startswith('R') else image.shape[1] - width - margin
    marker = cv2.putText(np.zeros(image.shape, np.uint8), text, (x, height + margin), font, scale, 255, 1)
    return np.maximum(image, marker / marker.max())


def to_dicom(image: np.ndarray, row: Mapping[str, Any], vendor: Mapping[str, Any], seed: int) -> Dataset:
    """Image (H, W) of 0..1 and its images.csv row -> For Presentation dataset (PS3.3 A.27)."""
    top, inverted = (1 << vendor['bits_stored']) - 1, vendor['photometric'] == 'MONOCHROME1'
    stored, center = np.round(image * top).astype(np.uint16), round(BREAST_MAX / 2 * top)
    left, oblique, patient_id = row['laterality'] == 'L', row['view'] == 'MLO', row['patient_id']
    levels = ['phantom', str(seed), patient_id, row['exam_id'], row['laterality'] + row['view']]
    ds = Dataset()
    ds.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    uids = [generate_uid(entropy_srcs=levels[:n]) for n in (3, 4, 5)]
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = uids
    ds.PatientID, ds.PatientName, ds.PatientSex = patient_id, f'PHANTOM^{patient_id}', 'F'
    ds.PatientBirthDate = ds.StudyDate = ds.StudyTime = ds.AccessionNumber = ds.ReferringPhysicianName = ''
    ds.StudyID, ds.SeriesNumber, ds.InstanceNumber = row['exam_id'], 1, 1 + 2 * (not left) + oblique
    ds.Manufacturer, ds.ManufacturerModelName = vendor['manufacturer'], 'synthetic phantom'
    ds.Modality, ds.PresentationIntentType = 'MG', 'FOR PRESENTATION'
    ds.ImageType = ['DERIVED', 'PRIMARY', '']
    ds.ImageLaterality, ds.ViewPosition, ds.PositionerType = row['laterality'], row['view'], 'MAMMOGRAPHIC'
    ds.PatientOrientation = ['A' if left else 'P', 'F' * oblique + ('R' if left else 'L')]
    ds.BodyPartExamined = ds.OrganExposed = 'BREAST'
    ds.AnatomicRegionSequence = [_code('76752008', 'Breast')]
    view = _code('399368009', 'medio-lateral oblique') if oblique else _code('399162004', 'cranio-caudal')
    ds.ViewCodeSequence = [view]
    view.ViewModifierCodeSequence = []
    ds.ImagerPixelSpacing = [row['spacing_mm']] * 2
    ds.BurnedInAnnotation, ds.LossyImageCompression = 'NO', '00'  # the marker identifies nobody
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = 'LOG', 1 if inverted else -1
    ds.PresentationLUTShape = 'INVERSE' if inverted else 'IDENTITY'
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, 'US'
    ds.WindowCenter, ds.WindowWidth = top - center if inverted else center, 2 * center
    stored = top - stored if inverted else stored
    ds.set_pixel_data(stored, vendor['photometric'], vendor['bits_stored'], generate_instance_uid=False)
    return ds


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, 'SCT', meaning
    return item
