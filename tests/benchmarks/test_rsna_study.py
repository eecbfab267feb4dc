"""The study on RSNA 2022 at its smallest: from the published table and pictures to its tables."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks.studies.rsna_areas import areas
from benchmarks.studies.rsna_attention import n_effective
from benchmarks.studies.rsna_breasts import Aucs, Study
from benchmarks.studies.rsna_finetuning import SIZES, fold_of, write_folds
from benchmarks.studies.rsna_pretrained import arm_scores, in_folds
from mammo.records.meta import read_meta, write_meta

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """40 women in two folds, two breasts each, one image a breast; even women have a cancer on the left."""
    rng = np.random.default_rng(0)
    items = [
        dict(
            img_path=f'{woman}{side}.png',
            patient_id=str(woman),
            laterality=side,
            gt_label=dict(cancer=float(woman % 2 == 0 and side == 'L')),
            clinic_vars=dict(age=float(rng.integers(40, 80)), site=1, machine=29),
        )
        for woman in range(40)
        for side in 'LR'
    ]
    write_meta(tmp_path / 'study/meta.json', items, ['cancer'])
    for fold in (0, 1):
        parts: dict[str, list[dict]] = dict(train=[], val=[], test=[])
        for item in items:
            woman = int(item['patient_id'])
            rest = 'val' if woman < 8 else 'train'
            parts['test' if woman % 4 // 2 == fold else rest].append(item)
        for part, of_part in parts.items():
            write_meta(tmp_path / f'folds/{fold}/0/{part}.json', of_part, ['cancer'])
    return Study(tmp_path)


def test_every_breast_is_scored_by_the_fold_that_left_its_woman_out(study: Study) -> None:
    truth = study.breasts[['cancer']].astype(float)

    class Remembers:
        def fit(self, x: pd.DataFrame, _labels: pd.Series) -> 'Remembers':
            self.seen = set(study.breasts.woman[x.index])
            return self

        def predict_proba(self, x: pd.DataFrame) -> np.ndarray:
            assert not self.seen & set(study.breasts.woman[x.index])
            return np.stack([1 - x.cancer, x.cancer], axis=1)

    scores = study.cross_fitted(truth, 'cancer', Remembers)  # type: ignore[arg-type]
    assert len(scores) == 80
    assert Aucs(study, dict(truth=scores), 'cancer').values[0] == 1


def test_each_fold_is_judged_by_its_own_network(study: Study) -> None:
    truth = study.breasts[['cancer']].astype(float)
    nothing = pd.DataFrame(np.random.default_rng(0).normal(size=(len(truth), 1)), truth.index)
    maps = {'0': truth, '1': nothing}
    of_fold = {}
    for fold in maps:
        alone = in_folds(study, [fold])
        of_fold[fold] = Aucs(alone, dict(a=arm_scores(alone, maps, 'cancer')), 'cancer')
    assert of_fold['0'].values[0] == 1
    assert of_fold['1'].values[0] < 0.9
    both = Aucs(study, dict(a=arm_scores(study, maps, 'cancer')), 'cancer')
    assert both.values[0] == pytest.approx(np.mean([aucs.values[0] for aucs in of_fold.values()]))


def test_fine_tuning_learns_from_more_and_more_women_whom_nothing_else_sees(study: Study) -> None:
    write_folds(study.work)
    women = {
        (size, part): {
            item['patient_id'] for item in read_meta(fold_of(study.work, size) / f'{part}.json')['data_list']
        }
        for size in SIZES
        for part in ('train', 'val', 'test')
    }
    for size in SIZES:
        assert not women[size, 'train'] & (women[size, 'val'] | women[size, 'test'])
        assert women[size, 'test'] == women['all', 'test']
    assert len(women['all', 'train'] | women['all', 'val'] | women['all', 'test']) == 40


def test_women_who_count_twice_widen_the_interval(study: Study) -> None:
    """Both breasts of a woman alike: as many independent women, half as many independent breasts."""
    rng = np.random.default_rng(1)
    women = study.breasts.woman.astype(int)
    study.breasts['cancer'] = (women % 2 == 0).astype(float)
    of_woman = pd.Series(rng.normal(size=40))
    scores = pd.Series(of_woman[women].to_numpy() + study.breasts.cancer.to_numpy(), study.breasts.index)
    aucs = Aucs(study, dict(a=scores), 'cancer')
    of_women, of_breasts = aucs.replicates[0].std(), np.sqrt(aucs.covariance[0, 0])
    assert of_women == pytest.approx(np.sqrt(2) * of_breasts, rel=0.15)


def test_areas_of_a_breast_share_its_cells_and_keep_the_inside_from_the_edge(tmp_path: Path) -> None:
    y, x = np.mgrid[:512, :512]
    noise = np.random.default_rng(0).integers(0, 30, y.shape)
    breast = np.hypot(x, y - 256) < 240
    Image.fromarray(np.where(breast, 180 + noise, 0).astype(np.uint8)).save(tmp_path / 'a.png')
    weights = areas(tmp_path / 'a.png', 32)
    assert np.array_equal(weights['breast'] + weights['edge'] + weights['background'], weights['all'])
    assert weights['breast'].mean() == pytest.approx(breast.mean(), abs=0.03)
    inner = weights['inner breast'] == 1
    assert inner.any()
    assert np.hypot(*np.nonzero(inner) - np.array([[15.5], [0]])).max() < 240 / 16 - 1


def test_attention_is_spread_over_as_many_tokens_as_share_it_evenly() -> None:
    assert n_effective(np.full((3, 160), 0.5 / 160)) == pytest.approx(160)
    assert n_effective(np.eye(160)[:5]) == pytest.approx(1)


@pytest.mark.slow
@pytest.mark.real_data
def test_two_folds_of_few_women_go_from_pictures_to_tables(real_data: Path, tmp_path: Path) -> None:
    weights = real_data / 'imagenet_resnet50/resnet50_stem_layer1-3_fp16.safetensors'
    done = subprocess.run(
        [
            sys.executable, 'benchmarks/studies/rsna.py', '--quick', '--data', real_data / 'rsna2022_640',
            '--weights', weights, '--work-dir', tmp_path / 'a study', '--necks', 'gap', 'transformer',
            '--arms', 'imagenet', 'barlowtwins_grey_imagenet',
        ],
        cwd=ROOT, env=os.environ | dict(OMP_NUM_THREADS='1'), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    for row in (
        '| transformer |',
        '| barlowtwins_grey_imagenet |',
        '| logistic regression on the averaged map |',
        '| images, age - age |',
    ):
        assert row in done.stdout
