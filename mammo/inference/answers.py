"""Answers on disk: the files of one exam, and the row of a table.

Prediction -> prediction.json, overlays; cells of predictions.csv
"""

import json
import logging
from pathlib import Path
from typing import Any

from mammo.inference.bundle.decisions import FUSED
from mammo.inference.prediction import Prediction
from mammo.inference.predictor import Predictor
from mammo.records.storage.files import replacing

logger = logging.getLogger(__name__)
OVERLAY, RECORD = '{}_attention.png', 'prediction.json'
Row = dict[str, Any]


def answer_files(prediction: Prediction) -> dict[str, bytes]:
    """Content of overlays and JSON by file name; the JSON comes last."""
    pictures = {OVERLAY.format(name): png for name, png in prediction.overlays().items()}
    return pictures | {RECORD: prediction.to_json().encode()}


def write_answer(folder: Path, files: dict[str, bytes]) -> None:
    """JSON and overlays; those of an earlier answer in this folder go first."""
    if (folder / RECORD).is_file():
        if _files_in((folder / RECORD).read_bytes()) != _files_in(files[RECORD]):
            logger.warning('%s: the answer for other images was here, and is replaced', folder / RECORD)
        (folder / RECORD).unlink()
        for path in folder.glob(OVERLAY.format('*')):
            path.unlink()
    for name, content in files.items():
        with replacing(folder / name) as tmp:
            tmp.write_bytes(content)


def _files_in(record: bytes) -> set[str]:
    """Hashes of the images that an answer is for; none if it is not of this release."""
    try:
        return {file['sha256'] for file in json.loads(record)['inputs']['files']}
    except (ValueError, KeyError, TypeError):
        return set()


def columns_of(predictor: Predictor) -> list[str]:
    """Of predictions.csv."""
    fused = [f'{predictor.label}_fused'] if predictor.fusion else []
    first = ['patient_id', 'folder', 'reason', 'message', *predictor.tasks, *fused]
    return [*first, f'{predictor.label}_prob', 'positive', 'model', 'missing', 'notes']


def as_row(answer: dict[str, Any]) -> Row:
    """A prediction as plain data -> cells of predictions.csv; the answer is ``<label>_prob``."""
    fused, label = answer['fused'], answer['label']
    values = {task: score['value'] for task, score in answer['tasks'].items()}
    values |= {f'{label}_fused': fused['value']} if fused else {}
    main = fused if answer['model'] == FUSED else answer['tasks'][label]
    outcome = dict(positive=(main['decision'] or {}).get('positive'), model=answer['model'])
    notes = dict(missing=', '.join(answer['missing']), notes='; '.join(answer['warnings']))
    return values | {f'{label}_prob': answer['prob']} | outcome | notes
