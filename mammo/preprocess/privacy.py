"""What may leave a DICOM header: pseudonyms in place of ids, and text without the person in it.

id, key -> pseudonym; text, header -> text without name, birth date, accession number, institution
"""

import hashlib
import hmac
import os
import re
from pathlib import Path

from pydicom.dataset import Dataset

from mammo.preprocess import headers
from mammo.records.ids import normal_id

MIN_KEY_BYTES = 16
_PERSON = ('PatientName', 'OtherPatientNames', 'PatientBirthName', 'PatientBirthDate', 'OtherPatientIDs')
_PLACE = ('AccessionNumber', 'InstitutionName', 'InstitutionAddress', 'ReferringPhysicianName')


def read_key(path: str | os.PathLike) -> bytes:
    """Read the secret of the pseudonyms; ``ValueError`` if it is too short to be one."""
    key = Path(path).read_bytes().strip()
    if len(key) < MIN_KEY_BYTES:
        raise ValueError(
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
    """Blank the words of the identifying tags in a path or message; with a key the PatientID too."""
    if ds is None:
        return message
    tags = (*_PERSON, *_PLACE, *(('PatientID',) if key else ()))
    words = {word for tag in tags for word in re.split(r'[\W_]+', headers.text(ds, tag)) if len(word) > 2}
    words |= {headers.text(ds, tag) for tag in tags} - {''}
    for word in sorted(words, key=len, reverse=True):
        message = re.sub(rf'(?<![^\W_]){re.escape(word)}(?![^\W_])', '***', message, flags=re.IGNORECASE)
    return message
