"""Which breast and view an image shows: from its header, as given, or from its file name.

paths, or paths by side and view -> Job; Job, header -> side, view, and what told them
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mammo.inference.refusals import ExamError, Refusal
from mammo.preprocess.dicom import headers
from mammo.preprocess.inputs.job import Job

SIDES = dict(L='left', R='right')
_SIDE, _VIEW = '(?P<s{0}>L|R|LEFT|RIGHT)', '(?P<v{0}>CC|MLO)'
_PAIR = f'{_SIDE.format(0)}[ _-]?{_VIEW.format(0)}|{_VIEW.format(1)}[ _-]?{_SIDE.format(1)}'
_IN_NAME = re.compile(f'(?<![A-Z])(?:{_PAIR})(?![A-Z])')  # L_CC, LCC, R-MLO, cc_left as a word of a name
Images = Mapping[str, str | Path] | Iterable[str | Path | Job]


def jobs_of(images: Images) -> list[Job]:
    """Paths, Jobs, or a mapping ``{'L_CC': path}`` -> Jobs."""
    if isinstance(images, str | Path):
        images = [images]
    if isinstance(images, Mapping):
        return [job_of(path, key) for key, path in images.items()]
    return [item if isinstance(item, Job) else job_of(item) for item in images]


def job_of(path: str | Path, side_and_view: str | None = None) -> Job:
    """One file, whose side and view may be given as ``L_CC``.

    Raises:
        ExamError: BAD_VIEW.

    Example:
        >>> job_of('exam/1.dcm', 'L_CC').fields
        {'laterality': 'L', 'view': 'CC'}
    """
    path = Path(path)
    if side_and_view is None:
        return Job(path.name, path)
    side, _, view = side_and_view.upper().partition('_')
    if side not in SIDES or view not in headers.VIEWS:
        raise ExamError(Refusal.BAD_VIEW, f'{side_and_view!r}: expected side and view such as L_CC or R_MLO')
    return Job(path.name, path, dict(laterality=side, view=view))


def side_and_view(job: Job, header: dict[str, Any]) -> tuple[str, str, str]:
    """From the header, else as given, else from the file name; the first two must not contradict."""
    values, sources = [], []
    names = ('laterality', 'view')
    by_name = dict(zip(names, _from_name(job.source), strict=True))
    stated = {name: header.get(name) or job.fields.get(name) for name in names}
    for name, in_name in by_name.items():
        in_header, by_hand = header.get(name), job.fields.get(name)
        if in_header and by_hand and in_header != by_hand:
            raise ExamError(
                Refusal.CONTRADICTION, f'{job.source}: the header says {in_header}, {by_hand} was given'
            )
        if in_name and stated[name] not in (None, '', in_name) and not all(stated.values()):
            text = f'{job.source}: the file name says {in_name}, not {stated[name]}; give side and view'
            raise ExamError(Refusal.CONTRADICTION, text)
        values.append(in_header or by_hand or in_name)
        sources.append('header' if in_header else 'given' if by_hand else 'file name')
    if not all(values):
        lacking = ' and '.join(n for n, v in zip(('side', 'view'), values, strict=True) if not v)
        raise ExamError(
            Refusal.MISSING_VIEW, f'{job.source}: nothing tells the {lacking}; give them, such as L_CC'
        )
    return values[0], values[1], max(set(sources), key=('header', 'given', 'file name').index)


def _from_name(name: str) -> tuple[str, str]:
    """Side and view that a file name states exactly once, else two empty texts."""
    matches = [m.groupdict() for m in _IN_NAME.finditer(Path(name).stem.upper().replace('_', '-'))]
    pairs = {((m['s0'] or m['s1'])[0], m['v0'] or m['v1']) for m in matches}
    return pairs.pop() if len(pairs) == 1 else ('', '')
