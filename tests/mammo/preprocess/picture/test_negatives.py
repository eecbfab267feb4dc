"""DICOM files whose greys are the other way round than their header says."""

import cv2
import numpy as np
import pytest

from mammo.preprocess.picture.negatives import has_bright_border
from tests.mammo.preprocess.test_images import made, outcome
from tests.support.dicom_files import breast_image, lut, mammogram, save

NEGATIVE = 4095 - breast_image()
WINDOW = dict(WindowCenter=2048, WindowWidth=4096)
TURNED = [lut(np.arange(4096)[::-1])]


@pytest.mark.parametrize(
    ('image', 'tags'),
    [
        (NEGATIVE, {}),
        (NEGATIVE, WINDOW),
        (breast_image(), dict(PhotometricInterpretation='MONOCHROME1')),
        (NEGATIVE, dict(PresentationLUTShape='INVERSE')),
        (breast_image(), dict(VOILUTSequence=TURNED)),
        (np.pad(NEGATIVE, 30), dict(PixelPaddingValue=0)),
    ],
)
def test_a_header_that_leaves_the_background_bright_is_refused(image, tags, tmp_path):
    assert made(tmp_path, image, **tags)[1] == 'INVERTED'


@pytest.mark.parametrize('edge', [dict(), dict(PixelPaddingValue=4095)])
def test_a_bright_frame_is_no_bright_background(edge, tmp_path):
    image = np.pad(breast_image(), 12, constant_values=4095)
    assert has_bright_border(image.astype(np.float32))
    assert made(tmp_path, image, **edge)[1] == 'image'


@pytest.mark.parametrize('way', [dict(invert='auto'), dict(photometric='MONOCHROME1')])
def test_a_negative_that_may_be_turned_gives_the_picture_of_its_positive(way, tmp_path):
    (tmp_path / 'positive').mkdir()
    expected, _ = made(tmp_path / 'positive')
    path = save(mammogram(np.pad(NEGATIVE, ((30, 0), (0, 0))), PixelPaddingValue=0), tmp_path / 'a.dcm')
    given = {name: value for name, value in way.items() if name == 'photometric'}
    record, _ = outcome(path, tmp_path, given, **({} if given else way))
    files = [tmp_path / f / 'out' / r['item']['img_path'] for f, r in (('positive', expected), ('', record))]
    pictures = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED).astype(int) for file in files]
    assert np.abs(pictures[0] - pictures[1]).max() <= 1
    assert record['item'].get('inverted', False) is ('invert' in way)
