"""The phantoms' generative model: who has which tumour, labels and clinical values, and the best scores.

patients and rng -> table with a row per patient; sample size and seed -> best reachable metric per task
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.metrics import r2_score, roc_auc_score

from mammo.records.versions import VERSIONS

FORMAT_VERSION = VERSIONS['phantom_truth']
LABELS = ['N', 'LVI', 'multifocality', 'NumPos', 'tumor_size']
CLINICAL = ['age', 'ER', 'PR', 'HER2', 'ki67_pct', 'grade', 'histological_type', 'mode_of_detection']
CLINICAL += ['tumor_location', 'size_imaging_mm']

MEDIAN_DIAMETER_MM = 13.0
SIZE_SD = 0.45  # of log diameter over patients
READING_SD = 0.6  # of log size_imaging_mm about the drawn diameter
PATHOLOGY_SD = 0.1  # of tumor_size about the drawn diameter, relative
SIZE_UNIT_MM = 50.0  # tumor_size = diameter / SIZE_UNIT_MM, 0 to 1 up to stage T2
FLIP_PROB = 0.03  # multifocality label contradicts what is drawn
# logit of N = intercept + image weight * image score + clinical weight * clinical score
N_INTERCEPT, N_IMAGE, N_CLINICAL = -0.9, 1.55, 1.0


def sample_patients(n_patients: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw patients: what the images show (``*_z``, ``diameter_mm``, ...), ``LABELS`` and ``CLINICAL``."""
    table = pd.DataFrame(rng.standard_normal((n_patients, 3)), columns=['size_z', 'contrast_z', 'spike_z'])
    table['diameter_mm'] = MEDIAN_DIAMETER_MM * np.exp(SIZE_SD * table['size_z'])
    table['n_lesions'] = rng.choice([1, 3, 4, 5], n_patients, p=[0.65, 0.1, 0.15, 0.1])
    table['tumor_side'] = rng.choice(['L', 'R'], n_patients)
    table = table.assign(**_clinical(table, rng))
    return table.assign(**_labels(table, rng))


def image_score(table: pd.DataFrame) -> pd.Series:
    """The part of N's logit that the images show, about standard normal: (n,)."""
    return 0.6 * table['size_z'] + 0.8 * table['contrast_z']


def clinical_score(table: pd.DataFrame) -> pd.Series:
    """The part of N's logit that no image shows, mean about 0 and standard deviation about 1: (n,)."""
    score = 0.8 * (np.log(table['ki67_pct']) - 3.0) / 0.6 + 0.4 * (table['grade'] - 2.1) / 0.7
    return score + 0.9 * ((table['mode_of_detection'] == 'symptomatic') - 0.4)


def drop_values(
    table: pd.DataFrame, columns: list[str], missing_frac: float, rng: np.random.Generator
) -> pd.DataFrame:
    """Empty a share of the cells of ``columns``, each on its own: table -> table of nullable dtypes."""
    cells = table[columns].convert_dtypes()
    kept = rng.random(cells.shape) >= missing_frac
    return table.assign(**cells.where(pd.DataFrame(kept, index=cells.index, columns=columns)))


def best_reachable(n_samples: int = 200_000, seed: int = 20250) -> dict[str, Any]:
    """Score the posterior mean (the best predictor) of each task on ``n_samples`` fresh patients.

    "image" knows the drawn size, contrast, spiculation and number of lesions exactly, "clinical" knows
    ``CLINICAL`` with nothing missing. Any increasing function of a posterior has its AUC.
    """
    table = sample_patients(n_samples, np.random.default_rng(seed))
    image, clinical = N_IMAGE * image_score(table), N_CLINICAL * clinical_score(table)
    # normal posterior mean of size_z given its reading; the rest of the image score is independent noise
    reading = np.log(table['size_imaging_mm'] / MEDIAN_DIAMETER_MM)
    size_z = reading * SIZE_SD / (SIZE_SD**2 + READING_SD**2)
    known = N_IMAGE * image_score(table.assign(size_z=size_z, contrast_z=0.0)) + clinical
    indices = dict(clinical=known, image=image, both=image + clinical)
    grid = np.linspace(-5, 5, 201)
    prob_n = expit(N_INTERCEPT + N_IMAGE * grid[:, None] + clinical.to_numpy()[:4000]).mean(axis=1)
    num_pos = np.interp(image_score(table), grid, prob_n) * (1 + _extra_nodes(table))
    best = dict(
        N_roc_auc={source: roc_auc_score(table['N'], index) for source, index in indices.items()},
        LVI_roc_auc=dict(image=roc_auc_score(table['LVI'], _lvi_logit(table))),
        multifocality_roc_auc=dict(image=roc_auc_score(table['multifocality'], table['n_lesions'] > 1)),
        NumPos_r2_score=dict(image=r2_score(table['NumPos'], num_pos)),
        tumor_size_r2_score=dict(image=r2_score(table['tumor_size'], table['diameter_mm'] / SIZE_UNIT_MM)),
    )
    best = {key: {source: round(float(x), 4) for source, x in row.items()} for key, row in best.items()}
    return dict(format_version=FORMAT_VERSION, n_samples=n_samples, seed=seed, best=best)


def _clinical(table: pd.DataFrame, rng: np.random.Generator) -> dict[str, Any]:
    n = len(table)
    er = _draw(0.85, table, rng)
    vertical, lateral = rng.choice(['upper', 'lower'], n, p=[0.65, 0.35]), rng.choice(['outer', 'inner'], n)
    reading = np.exp(READING_SD * rng.standard_normal(n))
    return dict(
        age=np.clip(rng.normal(60, 11, n), 30, 90).round().astype(int),
        ER=er,
        PR=_draw(np.where(er, 0.8, 0.05), table, rng),
        HER2=_draw(0.13, table, rng),
        ki67_pct=np.clip(np.exp(rng.normal(3.0, 0.6, n)), 1, 95).round().astype(int),
        grade=rng.choice([1, 2, 3], n, p=[0.2, 0.5, 0.3]),
        histological_type=rng.choice(['ductal', 'lobular', 'other'], n, p=[0.75, 0.15, 0.1]),
        mode_of_detection=rng.choice(['screening', 'symptomatic'], n, p=[0.6, 0.4]),
        tumor_location=np.char.add(np.char.add(vertical, '-'), lateral),
        size_imaging_mm=np.clip(table['diameter_mm'] * reading, 1, 200).round(1),
    )


def _labels(table: pd.DataFrame, rng: np.random.Generator) -> dict[str, Any]:
    logit = N_INTERCEPT + N_IMAGE * image_score(table) + N_CLINICAL * clinical_score(table)
    positive = _draw(expit(logit), table, rng)
    noise = 1 + PATHOLOGY_SD * rng.standard_normal(len(table))
    return dict(
        N=positive,
        LVI=_draw(expit(_lvi_logit(table)), table, rng),
        multifocality=(table['n_lesions'] > 1).astype(int) ^ _draw(FLIP_PROB, table, rng),
        NumPos=positive * (1 + rng.poisson(_extra_nodes(table))),
        tumor_size=(table['diameter_mm'] / SIZE_UNIT_MM * noise).round(4),
    )


def _draw(prob: Any, table: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Independent 0 or 1 per row, 1 with ``prob``: (n,)."""
    return (rng.random(len(table)) < prob).astype(int)


def _lvi_logit(table: pd.DataFrame) -> pd.Series:
    return -1.2 + 1.7 * table['contrast_z'] + 0.9 * table['spike_z']


def _extra_nodes(table: pd.DataFrame) -> pd.Series:
    """Expected number of positive nodes beyond the first, given N = 1: (n,)."""
    return np.exp(0.2 + 0.5 * image_score(table))
