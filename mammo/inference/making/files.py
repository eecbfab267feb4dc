"""Trained models as the files of a bundle.

Trained, settings of the preprocessing -> name and content of every file, one at a time
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from mammo.crossval.settings import tasks_of
from mammo.fusion.model import read_model
from mammo.inference.bundle.architecture import member_file, plain_model, split_weights
from mammo.inference.bundle.folder import BundleError, canonical
from mammo.inference.export import size_steps
from mammo.inference.making.card import model_card
from mammo.inference.making.sources import Trained


def bundle_files(trained: Trained, preprocess: dict[str, Any] | None) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file, one at a time.

    Raises:
        BundleError: the models or their pipeline cannot be described as data.
    """
    try:
        steps = size_steps(trained.pipeline)
        model = plain_model(json.loads(json.dumps(trained.model)))
    except (ValueError, TypeError) as error:
        raise BundleError(f'the config cannot be bundled: {error}') from None
    yield (
        'model.json',
        canonical(dict(model=model, label=trained.label, members=[*trained.members], amp=trained.amp)),
    )
    yield 'preprocessing.json', canonical(dict(preprocess=preprocess, steps=steps))
    yield 'decision.json', canonical(trained.decisions)
    yield 'MODEL_CARD.md', model_card(trained._asdict(), preprocess).encode()
    if trained.fusions:
        yield from _fusion_files(trained)
    loaded = (CheckpointLoader.load_checkpoint(str(path), 'cpu') for path in trained.members.values())
    states = (content['state_dict'] for content in loaded)
    yield from split_weights(states, shared=trained.shared)


def _fusion_files(trained: Trained) -> Iterator[tuple[str, bytes]]:
    inputs: list[dict[str, Any]] = []
    for i, path in enumerate(trained.fusions):
        checkpoint = read_model(path)
        _check_fusion(path, checkpoint['inputs'], trained)
        inputs.append(checkpoint['inputs'])
        state = {f'state_dict.{name}': array for name, array in checkpoint['state_dict'].items()}
        arrays = dict(mean=checkpoint['mean'], scale=checkpoint['scale'], **state)
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        yield f'fusion/{member_file(i)}', safetensors.numpy.save(contiguous)
    yield 'clinical.json', canonical(dict(model=checkpoint['model'], members=inputs))


def _check_fusion(path: Path, inputs: dict[str, Any], trained: Trained) -> None:
    """The features must be those that a Predictor makes: raw outputs, their mean over the tumour's side."""
    if inputs['label'] != trained.label:
        raise BundleError(
            f'{path}: predicts {inputs["label"]!r}, the bundle {trained.label!r}; give its fusion'
        )
    encoding = inputs['encoding']
    features = encoding.get('feat_5') or dict(stage='head', aggregate='mean')
    made = (features['stage'], features['aggregate'])
    tasks = [*tasks_of(Config(dict(model=trained.model)))]
    if features.get('columns', tasks) != tasks:
        raise BundleError(
            f'{path}: learned from {features["columns"]}, the network gives {tasks} in this order'
        )
    if not encoding.get('x_preope') or inputs['mode'] == 'mammo-only' or made != ('head', 'mean'):
        fusion = f'mode {inputs["mode"]}, features {made}'
        raise BundleError(
            f'{path}: {fusion}; a bundle needs clinical variables with the encoders of '
            'tools/build_fusion.py, and as features the mean of the raw outputs '
            '(tools/extract_features.py --stage head)'
        )
