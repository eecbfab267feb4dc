"""Masked inputs look as inputs that were never there, and models fitted so answer for any subset."""

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from mammo.fusion.build import FusionSet, build_fusion_set
from mammo.fusion.masking import Unknowns
from mammo.fusion.model import fit_splits, predict
from mammo.fusion.schema import Schema
from mammo.records.features import Features
from mammo.records.fusion_set import read_split, read_splits

SCHEMA = Schema.from_dict(dict(patient_id='id', variables=[
    dict(name='age', column='age', kind='continuous', unit='years', range=[0, 120]),
    dict(name='type', column='type', kind='nominal', levels=['a', 'b', 'c']),
    dict(name='er', column='er', kind='binary', levels=['0', '1']),
]))  # fmt: skip


def site(n: int = 300, seed: int = 0) -> tuple[pd.DataFrame, Features, dict[str, pd.Series]]:
    """Patients of a known truth, some without a value, an image or a side."""
    rng = np.random.default_rng(seed)
    ids = [f'p{i}' for i in range(n)]
    risk = rng.normal(size=n)
    values = pd.DataFrame(
        dict(
            age=60 + 10 * (risk + rng.normal(size=n)), type=rng.integers(0, 3, n),
            er=risk + rng.normal(size=n) > 0,
        ),
        ids, dtype=float,
    )  # fmt: skip
    values = values.mask(rng.random(values.shape) < 0.1)
    tumor = (risk + rng.normal(size=n))[:, None] + 0.1 * rng.normal(size=(n, 2))
    columns = ['N', 'LVI']
    sided = pd.DataFrame(tumor, ids, columns)
    both = pd.DataFrame(tumor / 2 - 0.5, ids, columns)
    side_known = pd.Series(rng.random(n) < 0.9, ids)
    sided[~side_known] = both[~side_known]
    about = dict(columns=columns, stage='head', aggregate='mean')
    features = Features(sided.iloc[5:], both.iloc[5:], side_known.iloc[5:], about)
    y = pd.Series((rng.random(n) < expit(1.5 * risk)).astype(float), ids)
    parts = np.split(np.arange(n), [n // 2, 3 * n // 4])
    return values, features, {k: y.iloc[i] for k, i in zip(('train', 'val', 'test'), parts, strict=True)}


@pytest.fixture(scope='module')
def built(tmp_path_factory: pytest.TempPathFactory) -> Any:
    values, features, labels = site()
    folder = tmp_path_factory.mktemp('set')
    build_fusion_set(values, SCHEMA, features, labels, 'N').write(folder)
    return folder


def built_without(name: str, *, side: bool = True) -> FusionSet:
    """The same patients, had an input never been known."""
    values, features, labels = site()
    whole = build_fusion_set(values, SCHEMA, features, labels, 'N').schema
    if not side:
        features = features._replace(sided=features.both_sides, side_known=features.side_known & False)
    else:
        values = values.assign(**{name: np.nan})
    return build_fusion_set(values, SCHEMA, features, labels, 'N', fitted=whole)


@pytest.mark.parametrize('name', ['age', 'type', 'er', 'tumor side'])
def test_hidden_input_looks_as_one_that_was_never_known(built: Any, name: str, tmp_path: Any) -> None:
    split = read_split(built, 'val', 'clinical-mammo')
    unknowns = Unknowns.of(split.inputs)
    assert unknowns is not None
    hidden = np.zeros((len(split.ids), len(unknowns.names)), bool)
    hidden[:, unknowns.names.index(name)] = True
    built_without(name, side=name != 'tumor side').write(tmp_path)
    expected = read_split(tmp_path, 'val', 'clinical-mammo').x
    np.testing.assert_array_equal(unknowns.hide(split.x, hidden, split.x_unsided), expected)


def test_every_number_of_hidden_variables_is_equally_frequent(built: Any) -> None:
    unknowns = Unknowns.of(read_split(built, 'val', 'clinical-mammo').inputs)
    assert unknowns is not None
    hidden = unknowns.draw(np.random.default_rng(0), 20_000, share=1)
    counts = np.bincount(hidden[:, :3].sum(axis=1))
    np.testing.assert_allclose(counts / 20_000, 0.25, atol=0.02)
    assert hidden[:, unknowns.names.index('tumor side')].mean() == pytest.approx(0.5, abs=0.02)
    half = unknowns.draw(np.random.default_rng(0), 20_000, share=0.5)
    assert (~half.any(axis=1)).mean() == pytest.approx(0.5 + 0.5 * 0.25 * 0.9 * 0.5, abs=0.02)


def test_bare_published_files_are_not_masked() -> None:
    inputs = dict(columns=['x_preope_0', 'feat_5_0'], encoding=dict(x_preope=None, feat_5=None))
    assert Unknowns.of(inputs) is None


def worst_bias(folder: Any, **options: Any) -> float:
    """Mean prob minus event rate of 1,500 test patients, for the worst of all subsets of the inputs."""
    splits = read_splits(folder, 'clinical-mammo')
    fitted = fit_splits(splits['train'], splits['val'], **options)
    unknowns, test = Unknowns.of(splits['train'].inputs), splits['test']
    assert unknowns is not None
    assert roc_auc_score(test.y, predict(fitted, test.x)) > 0.72
    biases = []
    for number in range(2**4):
        hidden = np.zeros((len(test.ids), len(unknowns.names)), bool)
        hidden[:, [0, 1, 2, 4]] = [number >> i & 1 for i in range(4)]
        prob = expit(predict(fitted, unknowns.hide(test.x, hidden, test.x_unsided)))
        biases.append(prob.mean() - test.y.mean())
    return float(np.abs(biases).max())


@pytest.mark.parametrize(
    ('options', 'limit'), [(dict(model='logistic'), 0.045), (dict(model='mlp', max_epoch=10), 0.08)]
)
def test_models_fitted_with_masks_are_right_on_average_for_every_subset(
    options: dict, limit: float, tmp_path: Any
) -> None:
    values, features, labels = site(6000, seed=1)
    build_fusion_set(values, SCHEMA, features, labels, 'N').write(tmp_path)
    masked, unmasked = (worst_bias(tmp_path, **options, mask_share=share) for share in (0.5, 0))
    assert masked < min(limit, unmasked)


def test_same_seed_gives_the_same_masked_model(built: Any) -> None:
    splits = read_splits(built, 'clinical-mammo')
    a, b = (fit_splits(splits['train'], splits['val'], seed=3, max_epoch=3) for _ in range(2))
    np.testing.assert_array_equal(predict(a, splits['test'].x), predict(b, splits['test'].x))


def test_importing_the_fusion_for_numbers_loads_no_torch() -> None:
    modules = 'mammo.fusion.build, mammo.fusion.model, mammo.fusion.masking'
    code = f'import sys, {modules}; print("torch" in sys.modules)'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'False'
