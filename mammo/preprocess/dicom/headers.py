"""What a mammogram's header says of view and side, wherever it says it.

pydicom Dataset -> texts, numbers, codes; view, laterality and their source; None where no tag tells
"""

import math
import re
from collections.abc import Iterable
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from mammo.preprocess.errors import PreprocessError, Reason

Tag = str | tuple[int, int]  # keyword, or group and element
SPECIMEN = 'SPECIMEN'
# PS3.16 CID 4014: SNOMED CT code, the older SNOMED RT code, view as PS3.3 C.8.11.7.1 abbreviates it
_VIEW_CODES = (
    ('399162004', 'R-10242', 'CC'),
    ('399368009', 'R-10226', 'MLO'),
    ('399260004', 'R-10224', 'ML'),
    ('399352003', 'R-10228', 'LM'),
    ('399099002', 'R-10230', 'LMO'),
    ('399196006', 'R-10244', 'FB'),
    ('399188001', 'R-102D0', 'SIO'),
    ('441555000', 'R-40AAA', 'ISO'),
    ('399192008', 'R-1024A', 'XCCL'),
    ('399101009', 'R-1024B', 'XCCM'),
    ('127457009', 'G-8310', SPECIMEN),
)
VIEW_OF_CODE = {code: view for *codes, view in _VIEW_CODES for code in codes}
VIEWS = frozenset(VIEW_OF_CODE.values()) - {SPECIMEN}
# the image plane holds left and right, not head and foot
FROM_ABOVE = frozenset({'CC', 'FB', 'XCCL', 'XCCM'})
# PS3.16 CID 244 (side) and the sided codes of CID 4013 (breast)
SIDE_OF_CODE = {'7771000': 'L', 'G-A101': 'L', '24028007': 'R', 'G-A100': 'R'} | {
    '80248007': 'L', 'T-04030': 'L', '73056007': 'R', 'T-04020': 'R'
}  # fmt: skip
BREAST_CODES = frozenset(SIDE_OF_CODE) | {'76752008', 'T-04000', '63762007', 'T-04080'}
TEXTS = ('SeriesDescription', 'ProtocolName', 'AcquisitionDeviceProcessingDescription')
_LATERALITIES = ('ImageLaterality', 'Laterality', 'FrameLaterality')


def value(ds: Dataset, tag: Tag) -> Any:
    """One tag as pydicom reads it; None if it is absent or unreadable."""
    try:
        content = ds.get(tag)
        return content.value if isinstance(content, DataElement) else content
    except Exception:  # pydicom converts on access, and a damaged value can raise nearly anything
        return None


def text(ds: Dataset, tag: Tag) -> str:
    """One tag as text; '' if it is absent, empty or unreadable. Several values are joined by a backslash."""
    content = value(ds, tag)
    if isinstance(content, MultiValue | list | tuple):
        return '\\'.join(str(part).strip() for part in content)
    return '' if content is None else str(content).strip()


def numbers(ds: Dataset, tag: Tag) -> list[float]:
    """One tag as finite numbers; [] if it is absent or any value is not a number."""
    try:
        parts = [float(part) for part in text(ds, tag).split('\\')]
    except ValueError:
        return []
    return parts if all(math.isfinite(part) for part in parts) else []


def items(ds: Dataset, keyword: str) -> list[Dataset]:
    """Items of a sequence; [] if it is absent or unreadable."""
    content = value(ds, keyword)
    return [item for item in content if isinstance(item, Dataset)] if isinstance(content, Sequence) else []


def codes(ds: Dataset, keyword: str) -> list[str]:
    """Code values of a code sequence."""
    return [text(item, 'CodeValue') for item in items(ds, keyword)]


def view(ds: Dataset) -> str | None:
    """CC, MLO or another view of PS3.3 C.8.11.7.1; from ViewPosition and ViewCodeSequence, else free texts.

    Raises:
        PreprocessError: BAD_HEADER if tags contradict each other.
    """
    return _tagged_view(ds) or _first(side_and_view_in(text(ds, keyword))[1] for keyword in TEXTS)


def laterality(ds: Dataset) -> str | None:
    """L or R; from the three laterality tags and the anatomy codes, else free texts.

    Raises:
        PreprocessError: BAD_HEADER if tags contradict each other.
    """
    return _tagged_side(ds) or _first(side_and_view_in(text(ds, keyword))[0] for keyword in TEXTS)


def from_texts(ds: Dataset) -> dict[str, str]:
    """The free text that tells side or view where no better tag does: ``{'view': 'SeriesDescription'}``."""
    sources = {}
    for name, index, tagged in (('laterality', 0, _tagged_side(ds)), ('view', 1, _tagged_view(ds))):
        texts = [keyword for keyword in TEXTS if side_and_view_in(text(ds, keyword))[index]]
        if not tagged and texts:
            sources[name] = texts[0]
    return sources


def side_and_view_in(words: str) -> tuple[str, str]:
    """Side and view that a text names once, '' if it names none or several.

    Example:
        >>> side_and_view_in('R MLO'), side_and_view_in('LEFT 2D'), side_and_view_in('CC and MLO')
        (('R', 'MLO'), ('L', ''), ('', ''))
    """
    words, any_view = re.sub(r'[\W_]+', ' ', words.upper()), '|'.join(sorted(VIEWS, key=len, reverse=True))
    side = r'(?P<side>LEFT|RIGHT|L|R)'
    pairs = [*re.finditer(rf'\b{side} ?(?P<view>{any_view})\b', words)]
    pairs += re.finditer(rf'\b(?P<view>{any_view}) ?{side}\b', words)
    sides = {pair['side'][0] for pair in pairs} or {
        word[0] for word in words.split() if word in ('LEFT', 'RIGHT')
    }
    names = {pair['view'] for pair in pairs} | set(re.findall(rf'\b({any_view})\b', words))
    return tuple(group.pop() if len(group) == 1 else '' for group in (sides, names))  # type: ignore[return-value]


def is_breast(ds: Dataset) -> bool:
    """Whether a projection image of unspecific modality (RG, CR, DX, OT) shows a breast."""
    if 'BREAST' in text(ds, 'BodyPartExamined').upper():
        return True
    region = (*codes(ds, 'AnatomicRegionSequence'), *codes(ds, 'ViewCodeSequence'))
    return any(code in BREAST_CODES or code in VIEW_OF_CODE for code in region)


def agreed(name: str, values: dict[str, str]) -> str | None:
    """The one value that all tags have; None if there is none.

    Raises:
        PreprocessError: BAD_HEADER, with both values.
    """
    filled = {tag: content for tag, content in values.items() if content}
    if len(set(filled.values())) > 1:
        (first, one), *rest = filled.items()
        second, other = next(pair for pair in rest if pair[1] != one)
        text = f'{first} says {name} {one!r}, {second} says {other!r}: they contradict each other'
        raise PreprocessError(Reason.BAD_HEADER, text)
    return next(iter(filled.values()), None)


def _tagged_view(ds: Dataset) -> str | None:
    position = text(ds, 'ViewPosition').upper()
    coded = {VIEW_OF_CODE.get(code, '') for code in codes(ds, 'ViewCodeSequence')} - {'', SPECIMEN}
    by_code = coded.pop() if len(coded) == 1 else ''
    position = position if position in VIEWS else side_and_view_in(position)[1]  # 'RCC', 'MLO R'
    values = dict(ViewPosition=position, ViewCodeSequence=by_code)
    exaggerated = {'CC', 'XCCL', 'XCCM'} & set(values.values())
    if len(exaggerated) == 2 and 'CC' in exaggerated:  # one tag says more than the other
        values = dict.fromkeys(values, max(exaggerated, key=len))
    return agreed('view', values)


def _tagged_side(ds: Dataset) -> str | None:
    values = {keyword: text(ds, keyword).upper()[:1] for keyword in _LATERALITIES}
    values['ViewPosition'] = side_and_view_in(text(ds, 'ViewPosition'))[0]
    for part in (ds, *items(ds, 'AnatomicRegionSequence')):  # PS3.3 C.8.11.7.1.1: modifier in or beside it
        for keyword in ('AnatomicRegionModifierSequence', 'AnatomicRegionSequence'):
            sides = {SIDE_OF_CODE[code] for code in codes(part, keyword) if code in SIDE_OF_CODE}
            if len(sides) == 1:
                values.setdefault(f'code of {keyword}', sides.pop())
    return agreed('side', {tag: side for tag, side in values.items() if side in ('L', 'R')})


def _first(values: Iterable[str]) -> str | None:
    return next(filter(None, values), None)
