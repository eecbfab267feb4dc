"""Images that came twice: one is kept, unless the copies contradict each other about whose they are.

records of images -> why each is not kept, or None
"""

from collections.abc import Sequence
from typing import Any

from mammo.preprocess.errors import PreprocessError, Reason

IDENTITY = ('patient_id', 'exam_id', 'laterality', 'view')


def copies(images: Sequence[dict[str, Any]]) -> list[PreprocessError | None]:
    """The first record of an image is kept: by SOP Instance UID or, for what has none, by file.

    If two records of one image differ in IDENTITY, either may be wrong, and none is kept.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for record in images:
        groups.setdefault(_image(record), []).append(record)
    return [_problem(record, groups[_image(record)]) for record in images]


def _image(record: dict[str, Any]) -> str:
    return record['sop'] or record['file']


def _problem(record: dict[str, Any], group: list[dict[str, Any]]) -> PreprocessError | None:
    differ = [name for name in IDENTITY if len({one['item'].get(name) for one in group}) > 1]
    if differ:
        text = f'{len(group)} inputs are this image and differ in {", ".join(differ)}; keep the right one'
        return PreprocessError(Reason.BAD_ROW, text)
    if record is group[0]:
        return None
    if record['file'] == group[0]['file']:
        return PreprocessError(Reason.DUPLICATE, 'this path stands in an earlier row')
    return PreprocessError(Reason.DUPLICATE, f'the same SOP Instance UID as {group[0]["source"]}')
