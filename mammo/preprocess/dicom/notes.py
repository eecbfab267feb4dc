"""What a reader of a result should know of an image that is a routine view all the same.

pydicom Dataset -> codes of NOTES; age in years
"""

import re
from datetime import datetime

from pydicom.dataset import Dataset

from mammo.preprocess.dicom import geometry, headers
from mammo.preprocess.dicom.kinds import modifiers

NOTES = {
    'IMPLANT': 'the breast holds an implant; the networks were trained on breasts without',
    'MALE': 'the header says that the patient is a man',
    'PARTIAL_VIEW': 'the image shows a part of the breast only',
    'SECONDARY': 'a secondary capture, whose grey values may be changed and which may have marks burned in',
    'SERIES': 'SeriesDescription names another side or view than the tags, which were followed',
    'SYNTHETIC': 'computed from a tomosynthesis: a synthetic view, or one of its slices',
    'UNKNOWN_VENDOR': 'the header names no manufacturer',
    'VOI': 'no view of the name that was asked for, so the first one, or none, was shown',
    'AGE': "the patient's age and birth date in the header contradict each other",
    'ORIENTATION': 'PatientOrientation cannot be true, so the image was left as it is stored',
}
SECONDARY_CAPTURE_CLASS = '1.2.840.10008.5.1.4.1.1.7'
MAX_AGE_GAP_YEARS = 1.5
_SYNTHETIC = re.compile(
    r'\b([CS]-?VIEW|C VIEW|(INTELLIGENT|INSIGHT|GENERATED)[ _]?2D|SYNTH|V-PREVIEW|3DQUORUM|TOMO|DBT\b)'
)
_IMPLANT = re.compile(r'\bIMPLANT|\b(CC|MLO|ML) ?ID\b')


def notes(ds: Dataset) -> list[str]:
    """Codes of ``NOTES`` that hold for an image."""
    series, image_type = (headers.text(ds, tag).upper() for tag in ('SeriesDescription', 'ImageType'))
    orientation = headers.text(ds, 'PatientOrientation').strip('\\')
    is_secondary_class = headers.text(ds, 'SOPClassUID') == SECONDARY_CAPTURE_CLASS
    holds = dict(
        IMPLANT=headers.text(ds, 'BreastImplantPresent').upper() == 'YES'
        or 'implant displaced' in modifiers(ds)
        or bool(_IMPLANT.search(f'{headers.text(ds, "ViewPosition").upper()} {series}')),
        MALE=headers.text(ds, 'PatientSex').upper() == 'M',
        PARTIAL_VIEW=headers.text(ds, 'PartialView').upper() == 'YES',
        SECONDARY=image_type.split('\\')[1:2] == ['SECONDARY'] or is_secondary_class,
        SERIES=_series_contradicts(ds),
        SYNTHETIC=bool(_SYNTHETIC.search(f'{image_type} {series}')),
        UNKNOWN_VENDOR=not headers.text(ds, 'Manufacturer'),
        AGE=_ages_contradict(ds),
        ORIENTATION=bool(orientation) and geometry.orientation(ds) is None,
    )
    return [code for code, is_true in holds.items() if is_true]


def age_years(ds: Dataset) -> float | None:
    """PatientAge (PS3.5 6.2, AS) in years, None if it is not there or no age."""
    match = re.fullmatch(r'(\d{3})([DWMY])', headers.text(ds, 'PatientAge').upper())
    return int(match[1]) / dict(D=365.25, W=52.18, M=12, Y=1)[match[2]] if match else None


def _series_contradicts(ds: Dataset) -> bool:
    side, view = headers.side_and_view_in(headers.text(ds, 'SeriesDescription'))
    pairs = ((side, headers.laterality(ds)), (view, headers.view(ds)))
    return any(word and tagged and word not in tagged for word, tagged in pairs)


def _ages_contradict(ds: Dataset) -> bool:
    age = age_years(ds)
    try:
        dates = [
            datetime.strptime(headers.text(ds, tag), '%Y%m%d') for tag in ('PatientBirthDate', 'StudyDate')
        ]
    except ValueError:
        return False
    return age is not None and abs((dates[1] - dates[0]).days / 365.25 - age) > MAX_AGE_GAP_YEARS
