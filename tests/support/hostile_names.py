"""Names, ids, dates and a place as archives hold them, and whether a text tells one of them.

texts -> the secrets that they hold
"""

import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from tests.support.dicom_files import breast_image, mammogram

# name as the header has it, as folders and texts spell it
NAMES = [
    ('Doe^Jane', 'DOE^JANE'), ('Li^Bo', 'Li Bo'), ('Müller^Eva', 'MUELLER_EVA'),
    ('Wong^Ka^Man', 'WongKaMan'),
    ('Yamada^Tarou=山田^太郎', '山田太郎'),
    ("O'Neill^Una", "O'Neill"),
    ('Åström^Siv', 'Aastroem'),
    ('Strauß^Uta', 'STRAUSS-Uta'), ('de la Cruz^Ana', 'delacruz'), ('Ng^Yu', 'Ng-Yu'),
    ('Núñez^Inés', 'NUNEZ'),
    ('Иванова^Анна', 'Иванова'), ('Öz^Ece', 'Oez Ece'), ('Abc123^Xyz', 'abc123xyz'),
    ('Smith-Jones^Kay', 'SmithJones'),
    ('Nguyễn^Thị', 'Nguyen Thi'), ('김^수진', '김수진'), ('Van Dyke^Mo', 'VANDYKE'), ('Quote"^Q', 'Quote"Q'),
    ('Zwock\\slosh^B', 'Zwock-slosh'),
]  # fmt: skip
IDS = [f'MRN-{7_700_000 + i}' for i in range(len(NAMES))]
DATES = ['1961-02-03', '19610203', '03.02.1961', '02/03/61']
PLACE = 'St. Ottilien Klinikum'


def ascii_of(text: str) -> str:
    """As much as a code string can hold."""
    return text.encode('ascii', 'ignore').decode()[:16].upper() or 'NONE'


def hostile_image(i: int, **tags: object) -> Dataset:
    """A mammogram of the person with number ``i``, whose header names her wherever it can."""
    name, spelling = NAMES[i]
    image = breast_image((128, 80))
    image[image > 0] += np.random.default_rng(i).integers(0, 300, (image > 0).sum(), np.uint16)
    person = dict(
        SpecificCharacterSet='ISO_IR 192', PatientID=IDS[i], PatientName=name, PatientBirthDate='19610203',
        InstitutionName=PLACE, ReferringPhysicianName=name, IssuerOfPatientID=PLACE,
        StudyInstanceUID=f'1.2.9.{i}', StationName=spelling[:16], SeriesDescription=spelling,
    )  # fmt: skip
    return mammogram(image, **person | tags)


def secrets() -> Iterator[str]:
    for (name, spelling), number in zip(NAMES, IDS, strict=True):
        parts = [p for p in name.replace('=', '^').replace('\\', '^').split('^') if len(p) > 3]
        yield from (*parts, spelling, number)
    yield from (*DATES, PLACE, 'Ottilien', '1.2.9.')


def folded(text: str) -> str:
    return unicodedata.normalize('NFC', text).casefold()


def texts_of(folder: Path) -> Iterator[str]:
    """Names and contents of the files in a folder; of pictures the names only."""
    for path in folder.rglob('*'):
        yield path.name
        if path.is_file() and path.suffix != '.png':
            text = path.read_text(encoding='utf-8')
            yield from (text, text.encode().decode('unicode_escape', 'ignore'))


def told_secrets(texts: Iterable[str]) -> list[str]:
    """Secrets that stand somewhere in the texts, in any case."""
    written = folded('\n'.join(texts))
    return [secret for secret in secrets() if folded(secret) in written]
