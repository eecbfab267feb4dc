"""A small bundle of four members that share a backbone, with fused models; and exams for it."""

import copy
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

import tests.support.registered  # noqa: F401
from mammo.fusion.clinical import ClinicalEncoder
from mammo.fusion.model import fit, write_model
from mammo.fusion.schema import Schema
from mammo.inference.bundle.folder import write_bundle
from mammo.inference.making import Trained, bundle_files
from mammo.inference.predictor import FUSED, IMAGES, Predictor
from mammo.phantoms.drawing import render_exam
from mammo.phantoms.truth import sample_patients

TASKS = [dict(name='N', kind='binary'), dict(name='LVI', kind='binary'), dict(name='size', kind='regression')]
MODEL = dict(
    type='ImageTabClassifier',
    tasks=TASKS,
    backbone=dict(type='ResNetWs', depth=50, stem_channels=8, base_channels=8, expansion=2, frozen_stages=4,
                  init_cfg=dict(type='Pretrained', checkpoint='work_dirs/gone.pth')),
    neck=dict(type='TransformerNeck', in_dims=128, pooling_size=4, map_size=(3, 2), is_LSA=True),
    data_preprocessor=dict(type='ClsDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3),
)  # fmt: skip
PIPELINE = [
    dict(type='LoadMammogram'),
    dict(type='Resize', scale=(72, 104)),
    dict(type='CenterCrop', crop_size=(64, 96)),
    dict(type='MammoPackMultiTaskInputs'),
]
SCHEMA = dict(
    patient_id='patient_id',
    missing=['', 'NA'],
    variables=[
        dict(name='age', column='age', kind='continuous', unit='years', range=[18, 110]),
        dict(name='er', column='ER status', kind='binary', levels=['negative', 'positive']),
        dict(name='histology', column='histology', kind='nominal', levels=['ductal', 'lobular', 'other']),
    ],
)
PREPROCESS = dict(spacing_mm=0.5, voi=None, for_processing='refuse', flip_to=None, key=None)
N_MEMBERS = 4
SHARE = dict(value=0.9, ci_low=0.6, ci_high=1.0, method='made up')
CELL = dict(  # as of mammo.evaluation.cells: no key 'tested'
    threshold=0.4, achieved=dict(sensitivity=SHARE, reduction_rate=SHARE, fnr=SHARE, npv=SHARE), promise={},
    n_patients=40, n_events=12, log_loss=0.5, better=True,
    recalibration=dict(kind='platt', intercept=0.1, slope=0.5),
)  # fmt: skip
FUSED_CELL = {**CELL, 'recalibration': None}
DECISIONS = {
    'target_sensitivity': 0.9, 'confidence': None, 'chosen_on': 'made-up data',
    IMAGES: dict(known=CELL, unknown=CELL),
    FUSED: dict(known=[FUSED_CELL] * 4, unknown=[FUSED_CELL] * 4),
}  # fmt: skip


class Toy(NamedTuple):
    folder: Path
    trained: Trained
    models: list[Any]  # the members, as training has left them
    encoders: list[ClinicalEncoder]
    checkpoints: list[dict[str, Any]]  # of the fused models


def build_model() -> Any:
    init_default_scope('mammo')
    return MODELS.build({**MODEL, 'backbone': {**MODEL['backbone'], 'init_cfg': None}})


def make_members(folder: Path, n: int = N_MEMBERS) -> tuple[dict[str, Path], list[Any]]:
    """Random members with one backbone; the outputs of each differ visibly between images."""
    torch.manual_seed(0)
    first, models = build_model(), []
    for module in first.backbone.block4.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(module.weight, 10)  # so that images differ in the outputs
    for i in range(n):
        torch.manual_seed(i + 1)
        model = build_model()
        model.backbone.load_state_dict(first.backbone.state_dict())
        torch.nn.init.normal_(model.neck.fc.weight, std=1)
        torch.save(dict(state_dict=model.state_dict()), folder / f'{i}.pth')
        models.append(model.eval())
    return {f'{i // 2}/{i % 2}': folder / f'{i}.pth' for i in range(n)}, models


def make_fusion(folder: Path, i: int) -> tuple[ClinicalEncoder, dict[str, Any]]:
    """A fused model of random patients, with the inputs that mlp.py writes down."""
    rng = np.random.default_rng(i)
    values = pd.DataFrame(
        dict(age=rng.uniform(30, 80, 40), er=rng.integers(0, 2, 40), histology=rng.integers(0, 3, 40)),
        dtype=float,
    )
    values.iloc[::7, 0] = np.nan
    encoder = ClinicalEncoder(Schema.from_dict(SCHEMA)).fit(values)
    features = dict(columns=['N', 'LVI', 'size'], stage='head', aggregate='mean', fill=[0.0, 0.0, 0.0])
    missing = [f'{name} missing' for name in ('age', 'er', 'histology', 'mammograms')]
    encoding = dict(x_preope=dict(columns=encoder.columns, encoder=encoder.to_dict()), feat_5=features)
    columns = encoder.columns + features['columns'] + missing
    inputs = dict(mode='clinical-mammo', label='N', columns=columns, encoding=encoding)
    mask = np.column_stack([values.isna(), np.zeros(40)])
    x = np.hstack([encoder.transform(values), rng.normal(0, 1, (40, 3)), mask]).astype(np.float32)
    y = (x[:, 0] + 10 * x[:, -7] + rng.normal(0, 5, 40) > 55).astype(float)
    checkpoint = fit(x[:30], y[:30], x[30:], y[30:], seed=i, max_epoch=5) | dict(inputs=inputs)
    write_model(folder / f'fusion{i}.pth', checkpoint)
    return encoder, checkpoint


@pytest.fixture(scope='session')
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    folder = tmp_path_factory.mktemp('trained')
    members, models = make_members(folder)
    fused = [make_fusion(folder, i) for i in range(N_MEMBERS)]
    trained = Trained(
        MODEL, PIPELINE, 'N', members, True, [folder / f'fusion{i}.pth' for i in range(N_MEMBERS)],
        DECISIONS, {}, {IMAGES: IMAGES},
    )  # fmt: skip
    bundle = tmp_path_factory.mktemp('bundles') / 'bundle'
    write_bundle(bundle, bundle_files(trained, PREPROCESS))
    return Toy(bundle, trained, models, *map(list, zip(*fused, strict=True)))


@pytest.fixture(scope='session')
def predictor(toy: Toy) -> Predictor:
    return Predictor.load(toy.folder, 'cpu')


@pytest.fixture(scope='session')
def films(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes DICOM files: patient number, side, view, and tags to set (None removes) -> path."""
    folder = tmp_path_factory.mktemp('films')
    patients = sample_patients(3, np.random.default_rng(0)).to_dict('records')
    exams = {
        (i, row['laterality'], row['view']): ds
        for i, patient in enumerate(patients)
        for ds, row in render_exam(patient, i, (480, 320), 0)  # 0.25 mm
    }
    count = itertools.count()

    def make(patient: int = 0, side: str = 'L', view: str = 'CC', name: str = '', **tags: Any) -> Path:
        ds = copy.deepcopy(exams[patient, side, view])
        for keyword, value in tags.items():
            ds.pop(keyword, None) if value is None else setattr(ds, keyword, value)
        path = folder / (name or f'image{next(count)}.dcm')
        ds.save_as(path, enforce_file_format=True)
        return path

    return make


@pytest.fixture(scope='session')
def exam(films: Callable[..., Path]) -> list[Path]:
    return [films(0, side, view) for side in 'LR' for view in ('CC', 'MLO')]


@pytest.fixture(scope='session')
def png(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grey breast-like half disc on black."""
    image = np.zeros((240, 160), np.uint8)
    cv2.circle(image, (0, 120), 100, 180, -1)
    noise = np.random.default_rng(0).integers(0, 40, image.shape, dtype=np.uint8)
    path = tmp_path_factory.mktemp('png') / 'patient_L_CC.png'
    cv2.imwrite(str(path), np.where(image > 0, image + noise, 0))
    return path
