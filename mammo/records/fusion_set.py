"""The fusion set: the published .npy files of a split, and schema.json where build_fusion.py wrote one.

folder, split, mode -> Split(ids, x (n, d), y (n,), missing, inputs)
"""

import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from mammo.errors import UserError, listed
from mammo.records.differences import differences
from mammo.records.ids import normal_id
from mammo.records.storage.files import read_record
from mammo.records.storage.pickles import DAMAGED_ARRAYS

BLOCKS = {'clinical-only': ['x_preope'], 'mammo-only': ['feat_5'], 'clinical-mammo': ['x_preope', 'feat_5']}
MAMMOGRAMS, TUMOR_SIDE = 'mammograms', 'tumor side'  # inputs that may be missing beside the variables
UNSIDED = 'feat_5_both_sides'  # what feat_5 is where the tumor's side is unknown


class FusionError(UserError):
    """A fusion set that cannot be used; the message names file, place, found value and remedy."""


@dataclass(frozen=True, eq=False)
class Split:
    """Patients of one split: x holds the mode's columns, then a 0/1 column per input that can be missing."""

    ids: list[str]
    x: np.ndarray  # (n, d) float32
    y: np.ndarray  # (n,) float32: 0, 1, NaN if unknown
    missing: list[str]  # (n,) names of the missing inputs, joined by '; '
    inputs: dict[str, Any]  # mode, label, columns, encoding: equal only if the columns mean the same
    x_unsided: np.ndarray | None = None  # (n, d) as x, were the tumor's side unknown; None: not recorded

    def labelled(self) -> 'Split':
        """Only the patients whose label is known."""
        rows = np.flatnonzero(~np.isnan(self.y))
        lists: dict[str, Any] = {name: [getattr(self, name)[i] for i in rows] for name in ('ids', 'missing')}
        unsided = None if self.x_unsided is None else self.x_unsided[rows]
        return replace(self, x=self.x[rows], y=self.y[rows], x_unsided=unsided, **lists)

    def records(self, logit: np.ndarray) -> list[dict[str, Any]]:
        """Logits (n,) -> prediction records of mammo/records/predictions.py, one per patient."""
        texts, prob = dict.fromkeys(('img_path', 'exam_id', 'view', 'laterality')), expit(logit)
        labels = [None if np.isnan(y) else int(y) for y in self.y]
        values = zip(logit.tolist(), prob.tolist(), labels, strict=True)
        tasks = [{self.inputs['label']: dict(logit=z, pred_score=p, gt_label=y)} for z, p, y in values]
        rows = zip(self.ids, tasks, self.missing, strict=True)
        return [texts | dict(patient_id=i, tasks=task, missing_inputs=missing) for i, task, missing in rows]


def read_split(folder: str | Path, split: str, mode: str, *, label_needed: bool = True) -> Split:
    """Read and check one split; with ``label_needed=False`` a site without {split}_y.npy can be scored.

    {split}_missing.npy, if there, has a column per clinical variable, and last one for the mammograms and,
    from version 2 on, one for the side of the tumor.
    """
    folder = Path(folder)
    schema_path = folder / 'schema.json'
    schema = read_fusion_schema(schema_path) if schema_path.exists() else {}  # none: the bare published files
    names_read = ('fortnr', 'y', *BLOCKS[mode], *([UNSIDED] if 'feat_5' in BLOCKS[mode] else []), 'missing')
    paths = {name: folder / f'{split}_{name}.npy' for name in names_read}
    optional = {'missing', UNSIDED} if label_needed else {'missing', 'y', UNSIDED}
    arrays = {name: _load(path) for name, path in paths.items() if name not in optional or path.exists()}
    places = enumerate(arrays.pop('fortnr').tolist())
    ids = [normal_id(value, f'{paths["fortnr"]}: row {i}') or '' for i, value in places]
    arrays.setdefault('y', np.full(len(ids), np.nan))
    _check_patients(paths['fortnr'], ids, arrays)
    y = arrays.pop('y').astype(np.float32)
    if 'missing' in arrays:
        arrays['missing'] = arrays['missing'][:, _flags_of(schema, mode, arrays['missing'].shape[1])]
    unsided = arrays.pop(UNSIDED, None)
    names = {}
    for name, array in arrays.items():
        check_finite(paths[name], array, ids)
        names[name] = _columns(schema, name, mode, array.shape[1], paths[name])
    absent = np.array(names.pop('missing', []), dtype=str)
    mask = arrays.get('missing', np.zeros((len(ids), 0))).astype(bool)
    columns = [c for block in names.values() for c in block] + [f'{name} missing' for name in absent]
    encoding = {name: schema.get(name) for name in names}
    inputs = dict(mode=mode, label=schema.get('label', 'N'), columns=columns, encoding=encoding)
    x = np.hstack(list(arrays.values())).astype(np.float32)
    split_of = Split(ids, x, y, ['; '.join(absent[row]) for row in mask], inputs)
    return split_of if unsided is None else _with_unsided(split_of, unsided, paths[UNSIDED])


def _with_unsided(split: Split, unsided: np.ndarray, path: Path) -> Split:
    """The same patients, and what their columns would be were the tumor's side unknown."""
    check_finite(path, unsided, split.ids)
    encoding = split.inputs['encoding']
    start = len((encoding.get('x_preope') or {}).get('columns', []))
    width = len(encoding['feat_5']['columns'])
    if unsided.shape != (len(split.ids), width):
        raise FusionError(f'{path}: has shape {unsided.shape}; build the set again')
    x = split.x.copy()
    x[:, start : start + width] = unsided
    x[:, split.inputs['columns'].index(f'{TUMOR_SIDE} missing', start + width)] = 1
    return replace(split, x_unsided=x)


def _flags_of(schema: dict[str, Any], mode: str, width: int) -> list[int]:
    """Columns of {split}_missing.npy that belong to a mode; the bare files have the mammograms last."""
    names = schema.get('missing', [*map(str, range(width - 1)), MAMMOGRAMS])
    of_images = [i for i, name in enumerate(names) if name in (MAMMOGRAMS, TUMOR_SIDE)]
    of_clinic = [i for i in range(len(names)) if i not in of_images]
    return [*(of_clinic * ('x_preope' in BLOCKS[mode])), *(of_images * ('feat_5' in BLOCKS[mode]))]


def check_inputs(expected: dict[str, Any], actual: dict[str, Any], place: str) -> None:
    """Refuse ``Split.inputs`` whose columns do not mean what those of ``expected`` mean."""
    differ = [f'{key}: expected {old!r}, found {new!r}' for key, old, new in differences(expected, actual)]
    if differ:
        remedy = 'use the same --mode, and tools/build_fusion.py --fitted SCHEMA.JSON of the first'
        raise FusionError(f'{place}: inputs differ in {len(differ)} places, {listed(differ, 3)}; {remedy}')


def read_splits(folder: str | Path, mode: str) -> dict[str, Split]:
    """Labelled patients of train, val and test; refuse different columns and patients in two splits."""
    splits = {name: read_split(folder, name, mode).labelled() for name in ('train', 'val', 'test')}
    owner: dict[str, str] = {}
    for name, split in splits.items():
        check_inputs(splits['train'].inputs, split.inputs, f'{folder}: {name} against train')
        check_data(f'{folder}: {name}', split.x, split.y)
        shared = [patient for patient in split.ids if patient in owner]
        if shared:
            raise FusionError(
                f'{folder}: {len(shared)} patients of {name} are also in other splits: {shared[:5]}'
            )
        owner |= dict.fromkeys(split.ids, name)
    return splits


def check_data(place: str | Path, x: np.ndarray, y: np.ndarray) -> None:
    """Refuse what cannot be learned from: entries that are not finite, labels other than n of 0 and 1."""
    check_finite(place, x)
    counts = {label: int((y == label).sum()) for label in (0, 1)}
    if len(y) != len(x) or sum(counts.values()) != len(x) or not all(counts.values()):
        raise FusionError(f'{place}: {len(x)} rows, labels by class {counts}; both classes are needed')


def read_fusion_schema(path: Path) -> dict[str, Any]:
    """Read schema.json of tools/build_fusion.py."""
    return read_record(path, 'fusion_set', 'not written by tools/build_fusion.py, build the set anew')


def _load(path: Path) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise FusionError(f'{path}: no such file; tools/build_fusion.py writes the whole set') from None
    except DAMAGED_ARRAYS as error:
        hint = 'an object array would run code when loaded; if you trust it, convert it once: '
        hint += 'np.save(path, np.load(path, allow_pickle=True).astype(float)), for ids astype(str)'
        raise FusionError(f'{path}: {error}; {hint}') from None
    ids_or_y, numbers = path.stem.endswith(('_fortnr', '_y')), array.dtype.kind in 'fiub'
    if array.ndim != (1 if ids_or_y else 2) or not (numbers or path.stem.endswith('_fortnr')):
        raise FusionError(f'{path}: {array.dtype} of shape {array.shape}; expected numbers (n, d) or (n,)')
    if array.dtype.kind == 'U' and array.size and array.view(np.uint32).max() > sys.maxunicode:
        raise FusionError(f'{path}: damaged: it holds text that is no Unicode; build the set anew')
    return array


def _check_patients(path: Path, ids: list[str], arrays: dict[str, np.ndarray]) -> None:
    rows = {name: len(array) for name, array in arrays.items()}
    if set(rows.values()) != {len(ids)}:
        raise FusionError(f'{path}: {len(ids)} ids, but rows are {rows}; a split has one row per patient')
    wrong = [patient for patient, count in Counter(ids).items() if count > 1 or not patient]
    if wrong:
        raise FusionError(f'{path}: {len(wrong)} ids are repeated or empty: {wrong[:5]}; one row per patient')
    labels = zip(ids, arrays['y'].tolist(), strict=True)
    wrong = [f'{patient}: {y}' for patient, y in labels if y not in (0, 1) and y == y]
    if wrong:
        raise FusionError(f'{path}: {len(wrong)} labels in y are not 0, 1 or NaN ({wrong[:3]}); correct them')


def check_finite(place: str | Path, array: np.ndarray, ids: list[str] | None = None) -> None:
    """Refuse a matrix (n, columns) with NaN or infinite entries; tell their count and the first ones."""
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        names = [f'patient {i}' for i in ids] if ids else [f'row {i}' for i in range(len(array))]
        first = [f'{names[i]} column {j}: {array[i, j]}' for i, j in bad[:3]]
        raise FusionError(f'{place}: {len(bad)} entries are NaN or infinite, {first}; impute them first')


def _columns(schema: dict[str, Any], name: str, mode: str, width: int, path: Path) -> list[str]:
    """Names of the columns: those of schema.json, else file name and number."""
    if not schema:
        return [f'{name}_{i}' for i in range(width)]
    chosen = _flags_of(schema, mode, width) if name == 'missing' else []
    names = [schema['missing'][i] for i in chosen] if name == 'missing' else schema[name]['columns']
    if len(names) != width:
        raise FusionError(f'{path}: has {width} columns, schema.json names {len(names)}; build the set again')
    return names
