"""Images that are no routine view of one breast.

pydicom Dataset -> reason codes with what was seen
"""

import re

from pydicom.dataset import Dataset

from mammo.preprocess.dicom import geometry, headers
from mammo.preprocess.errors import PreprocessError, Reason

# PS3.16 CID 4015: SNOMED CT code, the older SNOMED RT code, meaning; a reason if it is no routine view
_MODIFIERS = (
    ('399163009', 'R-102D6', 'magnification', Reason.MAGNIFICATION),
    ('399055006', 'R-102D7', 'spot compression', Reason.SPOT_COMPRESSION),
    ('399161006', 'R-102D2', 'cleavage', Reason.CLEAVAGE),
    ('399209000', 'R-102D5', 'implant displaced', None),
    ('399226006', 'R-102D4', 'rolled medial', None),
    ('399197002', 'R-102D3', 'rolled lateral', None),
    ('415670009', 'R-102C9', 'rolled superior', None),
    ('414493004', 'R-102CA', 'rolled inferior', None),
    ('399110001', 'R-102C2', 'tangential', None),
    ('399011000', 'R-102D1', 'axillary tail', None),
    ('442580003', 'R-40AB2', 'axillary tissue', None),
    ('442581004', 'R-40AB3', 'nipple in profile', None),
    ('441752004', 'P2-00161', 'anterior compression', None),
    ('442593008', 'R-40ABE', 'infra-mammary fold', None),
)
MODIFIER_OF_CODE = {code: name for *codes, name, _ in _MODIFIERS for code in codes}
REASON_OF_MODIFIER = {name: reason for *_, name, reason in _MODIFIERS}
# PS3.3 C.8.11.7.1.4, ImageType from value 3 on: how a value starts
_IMAGE_TYPES = (
    (('STEREO',), Reason.STEREO),
    (('POSTBIOPSY', 'PREBIOPSY', 'POST_BIOPSY', 'PRE_BIOPSY', 'BIOPSY'), Reason.BIOPSY),
    (('TOMO_PROJ', 'TOMO_SCOUT'), Reason.TOMO_PROJECTION),
    (('HIGH_ENERGY', 'SUBTRACT', 'RECOMBINED', 'POST_CONTRAST'), Reason.CONTRAST),
    (('SPECIMEN',), Reason.SPECIMEN),
    (('MAGNIFICATION', 'MAGNIFIED'), Reason.MAGNIFICATION),
    (('SPOT',), Reason.SPOT_COMPRESSION),
)
_PADDLES = (
    (r'\bMAG', Reason.MAGNIFICATION),
    (r'\bSPOT', Reason.SPOT_COMPRESSION),
    (r'BIOPS|STEREO|NEEDLE|LOCALI[SZ]', Reason.BIOPSY),
)
_SERIES = (  # not ProtocolName: routine views have been seen under STEREO
    (r'\bMAG(S|\b|NIF)', Reason.MAGNIFICATION),
    (r'\bSPOT', Reason.SPOT_COMPRESSION),
    (r'\bSTEREO', Reason.STEREO),
    (r'BIOPS|\bBX\b|NEEDLE|\bWIRE|LOCALI[SZ]ATION|\bCLIP\b', Reason.BIOPSY),
    (r'SPECIMEN', Reason.SPECIMEN),
    (r'SUBTRACT|RECOMBIN|HIGH.?ENERGY', Reason.CONTRAST),
)
PROJECTION_CLASSES = ('1.2.840.10008.5.1.4.1.1.13.1.4', '1.2.840.10008.5.1.4.1.1.13.1.5')


def special_kinds(ds: Dataset) -> dict[Reason, str]:
    """What makes the image another one than a routine view -> text of what was seen, by reason."""
    kinds: dict[Reason, str] = {}
    for name in modifiers(ds):
        if (reason := REASON_OF_MODIFIER[name]) is not None:
            kinds.setdefault(reason, f'view modifier code {name!r}')
    kinds = _of_texts(ds) | _of_image_type(ds) | kinds
    factor = geometry.magnification(ds)
    if factor >= geometry.MAGNIFIED:
        kinds.setdefault(Reason.MAGNIFICATION, f'magnified {factor:.2f} times')
    if headers.text(ds, 'SOPClassUID') in PROJECTION_CLASSES:
        kinds.setdefault(Reason.TOMO_PROJECTION, 'projections of a tomosynthesis')
    if any(headers.VIEW_OF_CODE.get(c) == headers.SPECIMEN for c in headers.codes(ds, 'ViewCodeSequence')):
        kinds.setdefault(Reason.SPECIMEN, 'specimen code')
    if headers.text(ds, 'ViewPosition').upper() == headers.SPECIMEN:
        kinds.setdefault(Reason.SPECIMEN, 'ViewPosition is that of a specimen')
    if headers.text(ds, 'ImageLaterality').upper() == 'B':
        kinds.setdefault(Reason.CLEAVAGE, 'ImageLaterality names both breasts')
    return kinds


def modifiers(ds: Dataset) -> list[str]:
    """Meanings of the view modifier codes; they lie within the view code, in some files beside it."""
    places = (*headers.items(ds, 'ViewCodeSequence'), ds)
    every_code = [item for place in places for item in headers.items(place, 'ViewModifierCodeSequence')]
    names = [
        MODIFIER_OF_CODE.get(headers.text(item, 'CodeValue'), headers.text(item, 'CodeMeaning').lower())
        for item in every_code
    ]
    return list(dict.fromkeys(name for name in names if name in REASON_OF_MODIFIER))


def check_kinds(kinds: dict[Reason, str], keep: tuple[str, ...]) -> None:
    """Refuse an image of a special kind that is not to be kept.

    Raises:
        PreprocessError: the kind is the reason.
    """
    for reason, seen in kinds.items():
        if reason not in keep:
            raise PreprocessError(reason, f'{seen}: no routine view of a breast')


def check_orientation(ds: Dataset) -> None:
    """Refuse a view or side that PatientOrientation rules out.

    Raises:
        PreprocessError: BAD_HEADER, with both values.
    """
    letters, view, side = geometry.orientation(ds), headers.view(ds), headers.laterality(ds)
    if letters is None or view is None:
        return
    orientation = '\\'.join(letters)
    has_height = any(letter[0] in 'FH' for letter in letters)
    if has_height if view in headers.FROM_ABOVE else not set('FH') & set(orientation):
        text = f'the view is {view!r}, but PatientOrientation is {orientation!r}: they contradict each other'
        raise PreprocessError(Reason.BAD_HEADER, text)
    # The oblique plane of MLO runs from the outer upper side inwards and down: foot goes with the other side.
    oblique = [set(pair) for pair in letters if set(pair) & set('FH') and set(pair) & set('LR')]
    sides = {'L' if pair in ({'F', 'R'}, {'H', 'L'}) else 'R' for pair in oblique}
    if view in ('MLO', 'LMO') and side and sides and side not in sides:
        text = f'the side is {side!r}, but PatientOrientation is {orientation!r}: they contradict each other'
        raise PreprocessError(Reason.BAD_HEADER, text)


def _of_texts(ds: Dataset) -> dict[Reason, str]:
    kinds: dict[Reason, str] = {}
    for keyword, patterns in (('PaddleDescription', _PADDLES), ('SeriesDescription', _SERIES)):
        words = headers.text(ds, keyword)
        seen = [reason for pattern, reason in patterns if re.search(pattern, words.upper())]
        kinds = dict.fromkeys(seen, f'{keyword} is {words!r}') | kinds
    return kinds


def _of_image_type(ds: Dataset) -> dict[Reason, str]:
    values = headers.text(ds, 'ImageType').upper().split('\\')[2:]
    kinds: dict[Reason, str] = {}
    for starts, reason in _IMAGE_TYPES:
        for value in values:
            if value.startswith(starts):
                kinds.setdefault(reason, f'ImageType says {value!r}')
    if 'LOW_ENERGY' in values:  # looks like a routine image, and is read as one
        kinds.pop(Reason.CONTRAST, None)
    return kinds
