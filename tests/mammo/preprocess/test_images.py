"""One input: an image, or the reason code why not."""

import struct
import sys
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, RLELossless

from mammo.preprocess.dicom import geometry, reader
from mammo.preprocess.dicom.display import display_values
from mammo.preprocess.dicom.geometry import Spacing, Turn
from mammo.preprocess.dicom.pixels import stored_values
from mammo.preprocess.images import process
from mammo.preprocess.inputs.job import Job
from mammo.preprocess.settings import Settings
from tests.support.dicom_files import breast_image, lut, mammogram, save

# what each real file must give, and with --for-processing tone
REAL = {
    'clunie_pixelspacing_MG_Explicit_Little.dcm': ('MAGNIFICATION', 'MAGNIFICATION'),  # a test pattern
    'fodicom_GE_Essential_JPEGLossless.dcm': ('image', 'image'),
    'fodicom_Siemens_stereo_overlay.dcm': ('STEREO', 'STEREO'),
    'nema_wg04_MG1_J2KI.dcm': ('image', 'image'),
    'nema_wg04_MG1_JPLY_malformed.dcm': ('DECODE_FAILED', 'DECODE_FAILED'),
    'openrem_MG-Im-GE-SenDS-scaled.dcm': ('FOR_PROCESSING', 'NO_BREAST'),  # 4 x 4 pixels
    'openrem_MG-Im-GE_Seno_1_ForPresentation.dcm': ('NO_BREAST', 'NO_BREAST'),  # 2 x 1 pixels
    'openrem_MG-Im-GE_Seno_1_ForProcessing.dcm': ('FOR_PROCESSING', 'NO_BREAST'),
    'openrem_MG-Im-GE_Seno_2_ForPresentation.dcm': ('NO_BREAST', 'NO_BREAST'),
    'openrem_MG-Im-Hologic-PropProj.dcm': ('QUALITY_IMAGE', 'QUALITY_IMAGE'),
}


def outcome(path, tmp_path, given=None, is_png=False, **settings):
    record = process(Job(path.name, path, given or {}, is_png), Settings(tmp_path / 'out', **settings))
    return record, record.get('reason', 'image')


def made(tmp_path, image=None, bits=12, **tags):
    return outcome(save(mammogram(image, bits, **tags), tmp_path / 'a.dcm'), tmp_path)


@pytest.mark.real_data
@pytest.mark.parametrize('name', sorted(REAL))
def test_every_real_file_gives_the_expected_outcome(name, real_data, tmp_path):
    path = real_data / 'dicom_mg' / name
    results = [outcome(path, tmp_path, for_processing=mode)[1] for mode in ('refuse', 'tone')]
    assert tuple(results) == REAL[name]


@pytest.mark.real_data
def test_the_table_covers_every_real_file(real_data):
    assert {path.name for path in (real_data / 'dicom_mg').glob('*.dcm')} == set(REAL)


@pytest.mark.real_data
def test_real_ge_pixel_has_the_grey_of_table_and_window(real_data):
    """The README of the data: the same pixel gives 2155 of 4095 by table and 1077 of 2047 by window."""
    ds = reader.read(real_data / 'dicom_mg/openrem_MG-Im-GE_Seno_2_ForPresentation.dcm')
    by_table = display_values(stored_values(ds), ds).image
    assert 2155 in np.rint(by_table * 4095)
    ds.VOILUTSequence = []
    by_window = display_values(stored_values(ds), ds).image
    assert 1077 in np.floor(by_window * 2047)
    assert by_window == pytest.approx(by_table, abs=1e-3)


@pytest.mark.real_data
def test_real_film_is_resampled_to_the_target(real_data, tmp_path):
    record, _ = outcome(real_data / 'dicom_mg/nema_wg04_MG1_J2KI.dcm', tmp_path)
    assert (record['frame']['height'], record['frame']['width']) == (round(4664 * 0.05 / 0.0941), 1628)
    assert record['item']['spacing_mm'] == 0.0941
    assert (record['item']['view'], record['item']['laterality']) == ('MLO', 'L')
    assert record['facts']['spacing'] == 'SpatialResolution'


def test_a_good_file_gives_an_8_bit_png_and_its_item(tmp_path):
    record, result = made(tmp_path, ImagerPixelSpacing=[0.2, 0.2])
    assert result == 'image'
    image = cv2.imread(str(tmp_path / 'out' / record['item']['img_path']), cv2.IMREAD_UNCHANGED)
    assert (image.dtype, image.ndim, image.max()) == (np.uint8, 2, 255)
    assert record['frame']['height'] == round(256 * 0.2 / 0.0941)
    assert record['item']['spacing_source'] == 'ImagerPixelSpacing'
    known = {'patient_id': 'P1', 'view': 'CC', 'laterality': 'L', 'spacing_mm': 0.0941, 'gt_label': {}}
    assert known.items() <= record['item'].items()


def test_a_breast_of_the_size_of_a_thumbnail_is_a_wrong_pixel_size(tmp_path):
    record, result = made(tmp_path, ImagerPixelSpacing=[0.05, 0.05])
    assert (result, record['message']) == (
        'NO_BREAST',
        'the breast would be 11 mm long; is the pixel size right?',
    )


@pytest.mark.parametrize(
    ('tags', 'reason'),
    [
        (dict(Modality='MR'), 'NOT_MAMMOGRAM'),
        (dict(Modality='RG'), 'NOT_MAMMOGRAM'),
        (dict(Modality='RG', BodyPartExamined='BREAST'), 'image'),
        (dict(NumberOfFrames=40), 'MULTI_FRAME'),
        (dict(SOPClassUID='1.2.840.10008.5.1.4.1.1.13.1.3'), 'MULTI_FRAME'),
        (dict(SamplesPerPixel=3, PhotometricInterpretation='RGB'), 'COLOUR'),
        (dict(PhotometricInterpretation='PALETTE COLOR'), 'COLOUR'),
        (dict(BitsAllocated=1, BitsStored=1, HighBit=0), 'BIT_DEPTH'),
        (dict(BitsAllocated=32), 'BIT_DEPTH'),
        (dict(BitsStored=20), 'BAD_HEADER'),
        (dict(BitsStored=11, HighBit=10), 'BAD_HEADER'),  # the values need 12
        (dict(BitsStored=13, HighBit=12), 'image'),
        (dict(HighBit=15), 'BAD_HEADER'),
        (dict(Rows=0), 'BAD_HEADER'),
        (dict(Rows=10_000, Columns=10_000), 'TOO_LARGE'),
        (dict(Rows=7000, Columns=7000), 'TRUNCATED'),
        (dict(Rows=None), 'NO_PIXELS'),
        (dict(PixelData=None), 'NO_PIXELS'),
        (dict(PixelData=b''), 'NO_PIXELS'),
        (dict(PixelData=b'1234'), 'TRUNCATED'),
        (dict(ViewPosition='FLATFIELD'), 'QUALITY_IMAGE'),
        (dict(SeriesDescription='Weekly QC'), 'QUALITY_IMAGE'),
        (dict(ImageType=['ORIGINAL', 'PRIMARY', 'PHANTOM']), 'QUALITY_IMAGE'),
        (dict(PresentationIntentType='FOR PROCESSING'), 'FOR_PROCESSING'),
        (dict(SOPClassUID='1.2.840.10008.5.1.4.1.1.1.2.1', PresentationIntentType=None), 'FOR_PROCESSING'),
        (dict(PatientID=''), 'NO_PATIENT_ID'),
        (dict(PatientID='Anonymous'), 'NO_PATIENT_ID'),
        (dict(PatientID='NaN'), 'NO_PATIENT_ID'),
        (dict(PatientID='ANON-0'), 'image'),
        (dict(WindowCenter=5, WindowWidth=0), 'BAD_HEADER'),
        (dict(VOILUTSequence=[lut([5], bits=99)]), 'BAD_HEADER'),
        (dict(PixelRepresentation=1), 'BAD_HEADER'),  # the values need a bit more with a sign
        (dict(PixelRepresentation=1, BitsStored=13, HighBit=12), 'image'),
    ],
)
def test_header_decides_the_outcome(tags, reason, tmp_path):
    assert made(tmp_path, **tags)[1] == reason


@pytest.mark.parametrize('value', [0, 700])
def test_constant_and_black_images_show_no_breast(value, tmp_path):
    assert made(tmp_path, np.full((64, 64), value, np.uint16))[1] == 'NO_BREAST'


def test_files_that_are_not_dicom_say_so(tmp_path):
    (tmp_path / 'text').write_text('hello ' * 99)
    (tmp_path / 'empty').touch()
    assert outcome(tmp_path / 'text', tmp_path)[1] == 'NOT_DICOM'
    assert outcome(tmp_path / 'empty', tmp_path)[1] == 'EMPTY_FILE'
    assert outcome(tmp_path / 'absent', tmp_path)[1] == 'UNREADABLE'
    assert outcome(tmp_path, tmp_path)[1] == 'UNREADABLE'


def test_a_file_cut_anywhere_gives_a_reason(tmp_path):
    whole = save(mammogram(), tmp_path / 'a.dcm').read_bytes()
    for size in (130, 140, 200, 333, 600, 900, len(whole) // 2, len(whole) - 1):
        (tmp_path / 'cut').write_bytes(whole[:size])
        assert outcome(tmp_path / 'cut', tmp_path)[1] in {'NOT_DICOM', 'TRUNCATED', 'BAD_HEADER'} | {
            'NOT_MAMMOGRAM', 'NO_PIXELS', 'NO_PATIENT_ID'
        }  # fmt: skip


def test_a_file_without_preamble_is_read(tmp_path):
    ds = mammogram()
    path = tmp_path / 'bare'
    bare = Dataset()
    bare.update(ds)
    bare.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert path.read_bytes()[:2] == b'\x08\x00'
    assert outcome(path, tmp_path)[1] == 'image'


def test_sequences_300_deep_do_not_break_the_reader(tmp_path):
    ds = mammogram()
    inner = Dataset()
    inner.CodeValue = '1'
    for _ in range(300):
        outer = Dataset()
        outer.RequestAttributesSequence = [inner]
        inner = outer
    ds.RequestAttributesSequence = [inner]
    path = tmp_path / 'deep'
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)  # for the writer only
    try:
        save(ds, path)
    finally:
        sys.setrecursionlimit(limit)
    assert outcome(path, tmp_path)[1] in ('image', 'BAD_HEADER')


@pytest.mark.parametrize('syntax', [JPEG2000Lossless, RLELossless])
def test_a_huge_header_on_tiny_compressed_data_allocates_little(syntax, tmp_path):
    ds = mammogram(Rows=7900, Columns=7900)
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate([b'\xff\x4f\xff\x51' + struct.pack('>H', 41) + b'\0' * 40])
    ds['PixelData'].VR = 'OB'
    path = save(ds, tmp_path / 'huge')
    tracemalloc.start()
    reason = outcome(path, tmp_path)[1]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reason in ('DECODE_FAILED', 'TRUNCATED')
    assert peak < 10e6


def test_compressed_pixels_give_the_same_png(tmp_path):
    raw = mammogram(SOPInstanceUID='1.2.3')
    packed = mammogram(SOPInstanceUID='1.2.3')
    packed.compress(RLELossless, generate_instance_uid=False)
    images = []
    for ds, folder in ((raw, tmp_path / 'raw'), (packed, tmp_path / 'packed')):
        folder.mkdir()
        record, _ = outcome(save(ds, folder / 'a.dcm'), folder)
        images.append((folder / 'out' / record['item']['img_path']).read_bytes())
    assert images[0] == images[1]


def test_a_burned_in_label_changes_no_pixel_of_the_png(tmp_path):
    plain, labelled = breast_image(), breast_image()
    labelled[8:30, 135:155] = 4095
    images = []
    for image, folder in ((plain, tmp_path / 'plain'), (labelled, tmp_path / 'labelled')):
        folder.mkdir()
        record, _ = outcome(save(mammogram(image), folder / 'a.dcm'), folder)
        images.append(cv2.imread(str(folder / 'out' / record['item']['img_path']), cv2.IMREAD_UNCHANGED))
    assert np.array_equal(*images)


def test_monochrome1_twin_gives_the_same_png(tmp_path):
    image, images = breast_image(), []
    for photometric, stored in (('MONOCHROME2', image), ('MONOCHROME1', 4095 - image)):
        folder = tmp_path / photometric
        folder.mkdir()
        tags = dict(WindowCenter=2048, WindowWidth=4096, PhotometricInterpretation=photometric)
        record, _ = outcome(save(mammogram(stored, **tags), folder / 'a.dcm'), folder)
        images.append(cv2.imread(str(folder / 'out' / record['item']['img_path']), cv2.IMREAD_UNCHANGED))
    assert np.abs(images[0].astype(int) - images[1]).max() <= 1


@pytest.mark.parametrize('side', ['L', 'R'])
def test_flip_brings_the_chest_wall_to_one_side(side, tmp_path):
    path = save(mammogram(), tmp_path / 'a.dcm')
    record, _ = outcome(path, tmp_path, flip_to=side)
    image = cv2.imread(str(tmp_path / 'out' / record['item']['img_path']), cv2.IMREAD_UNCHANGED)
    wall = image[:, :5] if side == 'L' else image[:, -5:]
    away = image[:, -5:] if side == 'L' else image[:, :5]
    assert (wall > 0).mean() > 0.6
    assert away.max() == 0
    assert record['item'].get('mirrored', False) == (side == 'R')


def test_unknown_spacing_is_said_and_not_invented(tmp_path):
    record, _ = made(tmp_path, ImagerPixelSpacing=None)
    assert 'spacing_mm' not in record['item']
    assert record['facts']['spacing'] == 'unknown, not resampled'
    assert record['frame']['height'] == 256


def test_png_input_takes_its_facts_from_the_row(tmp_path):
    path = tmp_path / 'film.png'
    cv2.imwrite(str(path), breast_image())
    given = dict(patient_id='7', view='CC', spacing_mm=0.2, clinic_vars={'age': 50.0})
    record, _ = outcome(path, tmp_path, given, is_png=True)
    expected = dict(patient_id='7', view='CC', spacing_mm=0.0941, clinic_vars={'age': 50.0})
    assert expected.items() <= record['item'].items()
    assert record['frame']['height'] == round(256 * 0.2 / 0.0941)
    path.write_bytes(path.read_bytes()[:99])
    assert outcome(path, tmp_path, given, is_png=True)[1] == 'UNREADABLE'


def test_area_averaging_keeps_the_mean():
    image = np.random.default_rng(0).uniform(0, 1, (400, 300)).astype(np.float32)
    small = geometry.resample(image, Spacing(0.05, 0.05, ''), 0.1)
    assert small.shape == (200, 150)
    assert small == pytest.approx(image.reshape(200, 2, 150, 2).mean((1, 3)), abs=1e-6)


def test_pixels_that_are_not_square_become_square():
    assert geometry.resample(np.zeros((100, 100), np.float32), Spacing(0.1, 0.12, ''), 0.1).shape == (
        100,
        120,
    )


def test_full_disk_has_its_own_reason(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(Path, 'write_bytes', full)
    path = save(mammogram(), tmp_path / 'a.dcm')
    assert outcome(path, tmp_path)[1] == 'DISK_FULL'
    assert not list((tmp_path / 'out').rglob('*.png'))


@pytest.mark.parametrize('mirror', [False, True])
@pytest.mark.parametrize('quarter_turns', range(4))
def test_to_upright_follows_a_marked_pixel(mirror, quarter_turns):
    image = np.zeros((40, 70), np.float32)
    image[8:12, 20:24] = 1
    turn = Turn(mirror, quarter_turns)
    small = geometry.resample(image, Spacing(0.05, 0.05, ''), 0.1)
    y, x = np.argwhere(geometry.upright(small, turn) > 0.5).mean(0)
    matrix = geometry.to_upright(image.shape, small.shape, turn)
    assert matrix @ [21.5, 9.5, 1] == pytest.approx([x, y, 1])


@pytest.mark.parametrize('flip_to', [None, 'L', 'R'])
def test_from_source_finds_the_brightest_spot_in_the_png(flip_to, tmp_path):
    image = np.ascontiguousarray(breast_image()[:, ::-1]).T.copy()  # lies on its side
    image[100:104, 110:114] = 4095
    tags = dict(PatientOrientation=['L', 'P'], ImageLaterality='R', ImagerPixelSpacing=[0.2, 0.2])
    record, _ = outcome(save(mammogram(image, **tags), tmp_path / 'a.dcm'), tmp_path, flip_to=flip_to)
    png = cv2.imread(str(tmp_path / 'out' / record['item']['img_path']), cv2.IMREAD_UNCHANGED)
    y, x = np.argwhere(png > 220).mean(0)
    assert np.array(record['item']['from_source']) @ [111.5, 101.5, 1] == pytest.approx([x, y], abs=1)


def test_a_bug_becomes_a_reason_without_header_values(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr('mammo.preprocess.images.render', lambda *_: {}['Zweifel'])
    record, reason = outcome(save(mammogram(), tmp_path / 'a.dcm'), tmp_path)
    assert reason == 'INTERNAL'
    assert 'KeyError at test_images.py' in record['message']
    assert 'Zweifel' not in record['message'] + caplog.text


PLATES = (None, 0, 2000, 4095)


@pytest.mark.parametrize('air', [0, 400])
@pytest.mark.parametrize('place', [(100, 205), (105, 30), (60, 130), (90, 240)])  # air, corner, tissue, edge
@pytest.mark.parametrize('plate', PLATES)
def test_a_burned_in_label_never_dims_the_breast(plate, place, air, tmp_path):
    image = breast_image() + np.uint16(air)
    labelled, letters = image.copy(), np.zeros(image.shape, np.uint8)
    x, y = place
    if plate is not None:
        labelled[y - 14 : y + 4, x - 3 : x + 46] = plate
    cv2.putText(letters, 'LCC', (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 1, 2)
    labelled[letters > 0] = 4095 + air if plate != 4095 else 0
    greys = []
    for name, pixels in (('plain', image), ('labelled', labelled)):
        (tmp_path / name).mkdir()
        record, _ = outcome(save(mammogram(pixels, 13), tmp_path / name / 'a.dcm'), tmp_path / name)
        matrix = np.array(record['item']['from_source'])
        png = cv2.imread(str(tmp_path / name / 'out' / record['item']['img_path']), -1)
        greys.append(cv2.warpAffine(png, matrix, image.shape[::-1], flags=cv2.WARP_INVERSE_MAP))
    untouched = (labelled == image) & (greys[0] > 20)
    change = (greys[1].astype(int) - greys[0])[cv2.erode(untouched.astype(np.uint8), np.ones((5, 5))) > 0]
    assert abs(change.mean()) < 4
    assert np.percentile(np.abs(change), 99) < 10


@pytest.mark.real_data
def test_a_real_film_has_the_greys_of_an_independent_window(real_data, tmp_path):
    """The first VOI LUT, read here word by word: table[value - first] of its own bits."""
    path = real_data / 'dicom_mg/fodicom_GE_Essential_JPEGLossless.dcm'
    ds = reader.read(path)
    stored = stored_values(ds).astype(int)
    item = ds.VOILUTSequence[0]
    n_entries, first, bits = item.LUTDescriptor
    table = np.array(item.LUTData)
    expected = table[np.clip(stored - first, 0, n_entries - 1)] / (2**bits - 1)
    shown = display_values(stored_values(ds), ds)
    is_image = stored != ds.PixelPaddingValue
    assert np.abs(shown.image - expected)[is_image].max() * 255 < 1
    record, _ = outcome(path, tmp_path, spacing_mm=0.2)
    assert (record['item']['laterality'], record['item']['view']) == ('R', 'MLO')
