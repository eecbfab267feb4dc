"""What may leave an input: pseudonyms in place of ids and paths, and text without the person in it.

id, key -> pseudonym; message, header -> message without name, birth date, accession number, institution
"""

import hashlib
import hmac
import os
import re
import unicodedata
from pathlib import Path

from pydicom.dataset import Dataset

from mammo.errors import UserError
from mammo.preprocess.dicom import headers
from mammo.records.ids import normal_id

MIN_KEY_BYTES = 16
HIDDEN = '***'
_PERSON = (
    'PatientName', 'OtherPatientNames', 'PatientBirthName', 'PatientMotherBirthName', 'PatientBirthDate',
    'OtherPatientIDs', 'ReferringPhysicianName', 'OperatorsName', 'PerformingPhysicianName',
)  # fmt: skip
_PLACE = ('PatientAddress', 'AccessionNumber', 'InstitutionName', 'InstitutionAddress')
_COMMON = frozenset({  # words of many places and makers, which tell nothing
    'medical', 'center', 'centre', 'clinic', 'hospital', 'systems', 'health', 'university', 'radiology',
    'breast', 'the',
})  # fmt: skip
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")  # as repr writes a text: a value in a message
_GERMAN = str.maketrans({'ä': 'ae', 'ö': 'oe', 'ü': 'ue', 'ø': 'oe', 'å': 'aa', 'æ': 'ae', 'ß': 'ss'})
_SHORTEST_JOINED = 4  # letters of a whole name that may hide inside a longer word
_DATE = re.compile(r'(19|20)\d\d[-./_ ]?\d\d?[-./_ ]?\d\d?|\d\d?[-./_ ]\d\d?[-./_ ](19|20)?\d\d')
_PERSONAL_COLUMN = re.compile(
    r'name|birth|\bdob\b|address|street|phone|e-?mail|\bssn\b|\bmrn\b|accession|institution|hospital|physician'
    r'|doctor|\bdate\b|_date|date_',
    re.IGNORECASE,
)


def read_key(path: str | os.PathLike) -> bytes:
    """Read the secret of the pseudonyms.

    Raises:
        UserError: it is too short to be one.
    """
    key = Path(path).read_bytes().strip()
    if len(key) < MIN_KEY_BYTES:
        raise UserError(
            f'{path}: the key has {len(key)} bytes, expected at least {MIN_KEY_BYTES}; '
            'make one with: openssl rand -hex 32 > FILE'
        )
    return key


def pseudonym(kind: str, value: str, key: bytes | None) -> str:
    """Stable pseudonym of a normal id (HMAC-SHA256, RFC 2104), or the normal id itself without a key."""
    name = normal_id(value, kind) or ''
    return digest(kind, name, key) if key and name else name


def digest(kind: str, value: str, key: bytes | None) -> str:
    """64 bits of HMAC-SHA256 in hex; without a key anybody can compute it."""
    return hmac.new(key or b'no key', f'{kind}\0{value}'.encode(), hashlib.sha256).hexdigest()[:16]


def redact(message: str, ds: Dataset | None, key: bytes | None) -> str:
    r"""Hide values in a message: with a key all of them, else those that name the person.

    Messages quote every text that comes from an input; the words around it are our own and stay.

    Example:
        >>> redact("Modality is 'O\\'Neill'; no tag names a breast", None, b'a key')
        'Modality is ***; no tag names a breast'
    """
    if key:
        return _QUOTED.sub(HIDDEN, message)
    if ds is None:
        return message
    return _QUOTED.sub(lambda quoted: HIDDEN if names_somebody(quoted[0], ds) else quoted[0], message)


def names_somebody(text: str, ds: Dataset) -> bool:
    """Whether a text holds a word of the identifying tags, or the whole name run together.

    Compared without case, accents and punctuation, and with umlauts written in both ways.
    """
    texts = _spellings(text)
    for tag in (*_PERSON, *_PLACE):
        shortest = 2 if tag in _PERSON else 3
        groups = re.split(r'[=\\]', headers.text(ds, tag))  # whole names, and below their components
        for part in {*groups, *(component for group in groups for component in group.split('^'))}:
            for name in _spellings(part):
                telling = {word for word in name if len(word) >= shortest} - _COMMON
                whole = ''.join(name)
                is_long = len(whole) >= _SHORTEST_JOINED
                if any(telling & set(words) or (is_long and whole in ''.join(words)) for words in texts):
                    return True
    return False


def is_personal(column: str, value: object) -> bool:
    """Whether a column or a value of a table is of a kind that a pseudonymised data set must not hold."""
    return bool(_PERSONAL_COLUMN.search(column)) or (isinstance(value, str) and bool(_DATE.search(value)))


def _spellings(text: str) -> list[list[str]]:
    """Words of a text, folded, in each of two transliterations."""
    text = unicodedata.normalize('NFC', text).casefold()
    return [_words(spelling) for spelling in dict.fromkeys((text, text.translate(_GERMAN)))]


def _words(text: str) -> list[str]:
    plain = ''.join(c for c in unicodedata.normalize('NFKD', text) if not unicodedata.combining(c))
    return [word for word in re.split(r'[\W_]+', plain) if word]
