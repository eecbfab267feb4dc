"""The meta file: which images there are, whose they are, and what is known of them.

JSON file <-> dict(metainfo=dict(tasks=[...]), data_list=[dict(img_path=..., gt_label={...}), ...])
"""

import gc
import json
import logging
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from mammo.errors import listed
from mammo.records.ids import ID_FIELDS, IdError, InexactIdError
from mammo.records.meta_items import MetaError, check_item
from mammo.records.storage.files import write_json
from mammo.records.versions import VERSIONS, version_problem

FORMAT_VERSION = VERSIONS['meta']
logger = logging.getLogger(__name__)
# of images, in meta files and where they are loaded: no task can have these names
FIELDS = {
    *ID_FIELDS, 'img_path', 'img_name', 'view', 'laterality', 'tumor_side', 'exam_order', 'gt_label', 'img',
    'img_shape', 'ori_shape', 'sample_idx', 'scale_factor', 'flip', 'flip_direction', 'ori_kp',
}  # fmt: skip
EXAMPLE = '{"metainfo": {"tasks": ["N"]}, "data_list": [{"img_path": "a.png", "gt_label": {"N": 1}}]}'


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Objects of a parsed file all stay alive; to search them for garbage takes half of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def read_meta(path: str | os.PathLike) -> dict[str, Any]:
    """Read and validate a meta file.

    Returns:
        dict: ``metainfo`` with ``tasks`` (the file's own list, else the union of label keys in order
        of appearance) and ``data_list``, whose items carry ``img_path``, a ``gt_label`` that holds
        only the labels that are known (float), ``patient_id``, ``exam_id`` and ``cohort`` in their normal
        form (see mammo.records.ids) if present, and every other field as it stands.

    Raises:
        MetaError: the file is missing, is not JSON, or an item breaks the format.
    """
    path = Path(path)
    try:
        try:
            return _read(path, orjson.loads)
        except InexactIdError:  # orjson makes floats of whole numbers from 2^64 on; json reads them exactly
            return _read(path, _json)
    except IdError as error:
        raise MetaError(str(error)) from None


@_collector_paused()
def _read(path: Path, parse: Callable[[bytes], Any]) -> dict[str, Any]:
    content = _parse(path, parse)
    if not isinstance(content, dict):
        raise MetaError(
            f'{path}: the top level is a {type(content).__name__}, expected an object like {EXAMPLE}'
        )
    problem = version_problem('meta', content.get('format_version', FORMAT_VERSION))
    if problem:
        raise MetaError(f'{path}: {problem}')
    items = content.get('data_list')
    if not isinstance(items, list):
        state = 'is missing' if 'data_list' not in content else f'is a {type(items).__name__}'
        raise MetaError(f'{path}: key "data_list" {state}, expected a list as in {EXAMPLE}')
    metainfo = _metainfo(content.get('metainfo', {}), path)
    declared = set(metainfo['tasks']) if 'tasks' in metainfo else None
    named: dict[str, None] = {}
    respelled: dict[str, str] = {}
    for i, item in enumerate(items):  # in place: a million items are in memory once
        labels = check_item(item, f'{path}: item {i}', declared, respelled)
        if declared is None:
            named.update(dict.fromkeys(labels))
    if respelled:
        pairs = listed(f'{old!r} is {new!r}' for old, new in respelled.items())
        logger.warning('%s: ids with blanks, invisible characters or another spelling: %s', path, pairs)
    tasks = metainfo.get('tasks', list(named))
    taken = [task for task in tasks if task in FIELDS]
    if taken:
        raise MetaError(
            f'{path}: task {taken[0]!r} has the name of a field of images; rename the task, for example '
            f'to "{taken[0]}_label"'
        )
    return dict(metainfo={**metainfo, 'tasks': tasks}, data_list=items)


def write_meta(path: str | os.PathLike, data_list: list[dict], tasks: list[str]) -> None:
    """Write a meta file in one move; labels that are None or NaN are left out."""
    items = [{**item, 'gt_label': _known(item.get('gt_label'))} for item in data_list]
    write_json(path, dict(format_version=FORMAT_VERSION, metainfo=dict(tasks=list(tasks)), data_list=items))


def _json(content: bytes) -> Any:
    return json.loads(content.decode('utf-8-sig'))


def _parse(path: Path, parse: Callable[[bytes], Any]) -> Any:
    try:
        content = path.read_bytes()
        try:
            return parse(content)
        except orjson.JSONDecodeError:  # NaN is none of its numbers; and json says where the fault is
            return _json(content)
    except FileNotFoundError:
        raise MetaError(f'{path}: no such meta file; check data_root and ann_file') from None
    except json.JSONDecodeError as error:
        hint = ' (JSON wants double quotes)' if "'" in error.doc[error.pos : error.pos + 2] else ''
        raise MetaError(
            f'{path}: not JSON at line {error.lineno}, column {error.colno}: {error.msg}{hint}; '
            f'a valid file: {EXAMPLE}'
        ) from None
    except (OSError, ValueError, RecursionError) as error:  # no UTF-8, endless digits, nested too deep
        raise MetaError(f'{path}: cannot be read: {error}') from None


def _metainfo(metainfo: Any, path: Path) -> dict[str, Any]:
    if not isinstance(metainfo, dict):
        raise MetaError(f'{path}: key "metainfo" is {metainfo!r}, expected an object as in {EXAMPLE}')
    tasks = metainfo.get('tasks', [])
    if not isinstance(tasks, list) or not all(isinstance(task, str) for task in tasks):
        raise MetaError(f'{path}: metainfo.tasks is {tasks!r}, expected a list of names as in {EXAMPLE}')
    return dict(metainfo)


def _known(labels: dict[str, Any] | None) -> dict[str, Any]:
    return {k: v for k, v in (labels or {}).items() if v is not None and not math.isnan(v)}
