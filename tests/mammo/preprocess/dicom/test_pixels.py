"""Stored values: the same from every encoding, without what lies in unused bits."""

import gdcm
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, RLELossless

from mammo.preprocess.dicom.display import display_values
from mammo.preprocess.dicom.pixels import is_padding, overlay_bits, stored_values
from mammo.preprocess.errors import PreprocessError, Reason
from tests.support.dicom_files import breast_image, mammogram, save

ENCODINGS = ('native', 'rle', 'jpeg lossless', 'jpeg 2000')


def encoded(words, encoding, folder, **tags):
    """A file whose words are all 16 bits, with the header that is wanted."""
    ds = mammogram(words, bits=16)
    if encoding in ('rle', 'jpeg 2000'):
        ds.compress(RLELossless if encoding == 'rle' else JPEG2000Lossless, generate_instance_uid=False)
    path = save(ds, folder / f'{encoding}.dcm')
    if encoding == 'jpeg lossless':
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(path))
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
    ds = dcmread(path)
    for keyword, value in tags.items():
        setattr(ds, keyword, value)
    return ds


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_every_encoding_gives_the_values_that_were_stored(encoding, tmp_path):
    ds = encoded(breast_image(), encoding, tmp_path, BitsStored=12, HighBit=11)
    assert np.array_equal(stored_values(ds), breast_image())


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_values_that_need_more_bits_than_are_stored_are_refused_and_never_wrapped(encoding, tmp_path):
    ds = encoded(breast_image(), encoding, tmp_path, BitsStored=11, HighBit=10)
    with pytest.raises(PreprocessError, match='do not fit into BitsStored 11') as caught:
        stored_values(ds)
    assert caught.value.reason == Reason.BAD_HEADER


def plane(shape):
    overlay = np.zeros(shape, np.uint16)
    overlay[40:60, 20:70] = 1
    return overlay


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_a_declared_overlay_in_an_unused_bit_leaves_no_trace(encoding, tmp_path):
    image = breast_image()
    ds = encoded(image | plane(image.shape) << 14, encoding, tmp_path, BitsStored=12, HighBit=11)
    ds.add_new((0x6002, 0x0100), 'US', 16)
    ds.add_new((0x6002, 0x0102), 'US', 14)
    assert overlay_bits(ds) == 1 << 14
    assert np.array_equal(stored_values(ds), image)


@pytest.mark.parametrize('encoding', ENCODINGS)
@pytest.mark.parametrize('bit', [12, 15])
def test_an_overlay_that_nobody_declared_is_refused(bit, encoding, tmp_path):
    image = breast_image()
    ds = encoded(image | plane(image.shape) << bit, encoding, tmp_path, BitsStored=12, HighBit=11)
    with pytest.raises(PreprocessError, match='BitsStored 12'):
        stored_values(ds)


@pytest.mark.parametrize('written', ['extended', 'with zeros above'])
def test_negative_values_are_read_from_either_way_of_writing(written, tmp_path):
    values = breast_image().astype(np.int16) - 2048
    words = values.view(np.uint16) if written == 'extended' else values.view(np.uint16) & 0xFFF
    ds = encoded(words, 'native', tmp_path, BitsStored=12, HighBit=11, PixelRepresentation=1)
    assert np.array_equal(stored_values(ds), values)


def test_padding_may_lie_beyond_the_bits_that_are_stored(tmp_path):
    words = breast_image()
    words[:20] = 63536  # -2000 of a signed word
    ds = encoded(words, 'native', tmp_path, BitsStored=12, HighBit=11, PixelPaddingValue=63536)
    values = stored_values(ds)
    assert np.array_equal(values, words)
    assert is_padding(values, ds)[:20].all()


@pytest.mark.parametrize(
    ('tags', 'padded'),
    [
        (dict(PixelPaddingValue=5), [5]),
        (dict(PixelPaddingValue=5, PixelPaddingRangeLimit=7), [5, 6, 7]),
        (dict(PixelPaddingValue=7, PixelPaddingRangeLimit=5), [5, 6, 7]),
        (dict(PixelPaddingRangeLimit=5), []),  # PS3.3 C.7.5.1.1.2: it has a meaning with the value only
        ({}, []),
    ],
)
def test_padding_is_a_value_or_a_range(tags, padded):
    values = np.arange(10, dtype=np.uint16)[None]
    assert values[is_padding(values, mammogram(values, **tags))].tolist() == padded


def shown(image, **tags):
    ds = mammogram(image.astype(np.uint16), 16, **tags)
    return display_values(
        stored_values(ds), ds, tone=tags.pop('tone', False) or 'PixelIntensityRelationship' in tags
    )


@pytest.mark.parametrize('photometric', ['MONOCHROME1', 'MONOCHROME2'])
@pytest.mark.parametrize(
    'tags',
    [
        {},
        dict(WindowCenter=2000, WindowWidth=3000),
        dict(RescaleSlope=2, RescaleIntercept=-100),
        dict(PixelIntensityRelationship='LIN', PixelIntensityRelationshipSign=1),
        dict(PixelIntensityRelationship='LIN', PixelIntensityRelationshipSign=-1),
        dict(PixelIntensityRelationship='LOG', PixelIntensityRelationshipSign=1),
    ],
)
@pytest.mark.parametrize('value', [0, 65535])
def test_padding_changes_no_grey_value_of_the_image(value, tags, photometric):
    image = breast_image().astype(np.uint16) + 300  # air is not black
    padded = image.copy()
    padded[:30] = padded[:, -20:] = value
    tags = tags | dict(PhotometricInterpretation=photometric)
    plain, with_padding = shown(image, **tags), shown(padded, PixelPaddingValue=value, **tags)
    inside = (slice(30, None), slice(None, -20))
    assert np.array_equal(plain.image[inside], with_padding.image[inside])
    assert with_padding.padding.sum() == 30 * 160 + 226 * 20
    assert (with_padding.image[:30] == with_padding.image[inside].min()).all()


def smooth_breast():
    """Grey values from 0 to 4000 without a step, as skin has them."""
    y, x = np.indices((256, 160))
    depth = 1 - (x / 130) ** 2 - ((y - 128) / 110) ** 2
    return (4000 * depth.clip(0, 1) ** 0.5).astype(np.uint16)


@pytest.mark.parametrize('encoding', ['native', 'rle'])
@pytest.mark.parametrize(
    ('words', 'header'),
    [
        (smooth_breast(), dict(BitsStored=12, HighBit=11, PixelRepresentation=1)),
        (smooth_breast() * 16, dict(PixelRepresentation=1)),
        (smooth_breast() - np.uint16(2000), dict(PixelRepresentation=0)),
    ],
)
def test_a_sign_that_tears_the_picture_apart_is_refused(words, header, encoding, tmp_path):
    with pytest.raises(PreprocessError, match='picture is torn') as caught:
        stored_values(encoded(words, encoding, tmp_path, **header))
    assert caught.value.reason == Reason.BAD_HEADER


PADDED = np.pad(smooth_breast() * 8, 9, constant_values=2**15)
LABELLED = np.where(np.indices((256, 160))[0] > 250, 65535, smooth_breast()).astype(np.uint16)


@pytest.mark.parametrize(
    ('words', 'header'),
    [
        (smooth_breast() - np.uint16(2000), dict(PixelRepresentation=1)),
        (PADDED, dict(PixelRepresentation=1, PixelPaddingValue=-(2**15))),
        (LABELLED, dict(PixelRepresentation=0)),
        (smooth_breast() * 16, dict(PixelRepresentation=0)),
        (LABELLED & 4095, dict(BitsStored=12, HighBit=11)),
    ],
)  # fmt: skip
def test_a_sign_that_fits_is_taken_at_its_word(words, header, tmp_path):
    values = stored_values(encoded(words, 'native', tmp_path, **header))
    assert np.array_equal(values.astype(np.uint16), words)


@pytest.mark.parametrize('more', [dict(Rows=255), dict(Columns=159), dict(Columns=158)])
def test_pixels_of_another_number_than_the_header_says_are_refused(more):
    ds = mammogram(**more)
    with pytest.raises(PreprocessError, match='PixelData has 81920 bytes') as caught:
        stored_values(ds)
    assert caught.value.reason == Reason.BAD_HEADER


def test_a_few_bytes_behind_the_pixels_do_no_harm():
    ds = mammogram()
    ds.PixelData += bytes(100)
    assert np.array_equal(stored_values(ds), breast_image())
