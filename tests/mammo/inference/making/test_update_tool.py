"""tools/update_bundle.py as users call it: every number of the new bundle by an independent computation."""

import json
import runpy
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from scipy.special import expit, logit
from sklearn.metrics import brier_score_loss, roc_auc_score

from mammo.errors import Exit
from mammo.inference.bundle.folder import open_bundle, write_bundle
from mammo.inference.making import bundle_files
from mammo.inference.predictor import FUSED, IMAGES, Predictor
from mammo.inference.web.pages import Pages
from tests.mammo.inference.conftest import CELL, DECISIONS, PREPROCESS, Toy
from tests.mammo.inference.test_records import CHECKER

ROOT = Path(__file__).resolve().parents[4]
N = 30


class Site(NamedTuple):
    folder: Path  # with bundle, images.csv, clinical.csv, labels.csv
    answers: list[Any]  # of the old bundle, each patient on her own
    labels: np.ndarray
    code: int


def run(folder: Path, out: str, *more: str) -> int:
    """Exit code of the command."""
    words = ['--bundle', 'bundle', '--batch', 'images.csv', '--clinical-table', 'clinical.csv', '--labels']
    words = [*words, 'labels.csv', '--out', out, '--site', 'Clinic', '--device', 'cpu', *more]
    paths = {'bundle', 'images.csv', 'clinical.csv', 'labels.csv', out}
    with pytest.MonkeyPatch.context() as patch:
        arguments = [str(folder / word) if word in paths else word for word in words]
        patch.setattr(sys, 'argv', ['update_bundle.py', *arguments])
        try:
            runpy.run_path(str(ROOT / 'tools/update_bundle.py'), run_name='__main__')
        except SystemExit as end:
            return int(end.code or 0)
    return 0


def copy_tables(site: 'Site', folder: Path) -> None:
    for name in ('bundle', 'images.csv', 'clinical.csv', 'labels.csv'):
        (folder / name).symlink_to(site.folder / name)


@pytest.fixture(scope='module')
def site(toy: Toy, exam: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Patients of two images, told apart by clinical values and sides, whose risks the bundle levels out."""
    folder, rng = tmp_path_factory.mktemp('site'), np.random.default_rng(3)
    cells = [CELL | dict(better=n > 0) for n in range(4)]
    decisions = DECISIONS | {FUSED: dict(known=cells, unknown=cells)}
    write_bundle(folder / 'bundle', bundle_files(toy.trained._replace(decisions=decisions), PREPROCESS))
    values = pd.DataFrame(dict(
        age=rng.integers(30, 90, N).astype(str), er=rng.choice(['positive', 'negative', ''], N),
        histology=rng.choice(['ductal', 'lobular', 'other', ''], N),
    ))  # fmt: skip
    values.loc[0] = ''
    sides = ['L' if i % 3 else '' for i in range(N)]
    predictor = Predictor.load(folder / 'bundle', 'cpu')
    exam = exam[::2]  # both breasts
    answers = [
        predictor.predict(exam, row.to_dict(), tumor_side=side or None)
        for side, (_, row) in zip(sides, values.iterrows(), strict=True)
    ]
    risks = stats.zscore(logit([answer.main.lead for answer in answers]))
    labels = (rng.random(N) < expit(2 * risks - 0.5)).astype(int)
    ids = pd.Series([f'q{i}' for i in range(N)], name='patient_id')
    pd.DataFrame([(path, patient) for patient in ids for path in exam], columns=['dicom_path', 'patient_id']).to_csv(folder / 'images.csv', index=False)  # fmt: skip  # noqa: E501
    values.rename(columns=dict(er='ER status')).assign(patient_id=ids).to_csv(folder / 'clinical.csv', index=False)  # fmt: skip  # noqa: E501
    pd.DataFrame(dict(patient_id=ids, N=labels, tumor_side=sides)).to_csv(folder / 'labels.csv', index=False)
    return Site(folder, answers, labels, run(folder, 'ours'))


def test_table_of_measures_is_that_of_other_programs(site: Site) -> None:
    assert site.code == 0
    about = open_bundle(site.folder / 'ours').json('decision.json')['site']
    probs = np.array([answer.main.lead for answer in site.answers])
    assert {answer.model for answer in site.answers} == {IMAGES, FUSED}
    assert about['before']['roc_auc']['value'] == pytest.approx(roc_auc_score(site.labels, probs))
    assert about['before']['brier']['value'] == pytest.approx(brier_score_loss(site.labels, probs))
    assert about['before']['slope']['value'] == pytest.approx(_fit(site, probs).params[1], abs=1e-4)
    after = about['after']
    assert [after[key]['value'] for key in ('slope', 'intercept', 'observed_expected')] == pytest.approx(
        [1, 0, 1], abs=1e-4
    )
    for measures in (about['before'], after):
        for name in ('roc_auc', 'brier', 'intercept', 'slope', 'observed_expected'):
            assert measures[name]['ci_low'] < measures[name]['value'] < measures[name]['ci_high']


def _fit(site: Site, probs: np.ndarray) -> Any:
    x = np.column_stack([np.ones(N), logit(probs)])
    return sm.GLM(site.labels, x, family=sm.families.Binomial()).fit()


def test_answers_of_the_new_bundle_are_the_old_ones_on_the_line_of_the_site(
    site: Site, exam: list[Path]
) -> None:
    about = open_bundle(site.folder / 'ours').json('decision.json')['site']
    assert about['method'] == 'intercept and slope'
    probs = np.array([answer.main.lead for answer in site.answers])
    intercept, slope = _fit(site, probs).params
    expected = expit(intercept + slope * logit(probs))
    assert about['threshold'] == pytest.approx(_threshold(expected, site.labels), abs=1e-6)
    predictor = Predictor.load(site.folder / 'ours', 'cpu')
    for i in (0, 1, 2, 3):
        inputs = site.answers[i].inputs
        answer = predictor.predict(exam[::2], inputs['clinical'], tumor_side=inputs['tumor_side'])
        assert answer.main.lead == pytest.approx(expected[i], abs=1e-5)
        assert answer.main.value == site.answers[i].main.value
        assert answer.main.decision is not None
        assert answer.main.decision['positive'] == (expected[i] >= about['threshold'])
        said = 'recalibration (intercept and slope) and threshold are of 30 patients of Clinic, 9 of them'
        assert any(said in warning for warning in answer.warnings)
        assert said in Pages(predictor, 1).result(answer, 'key').replace('Recal', 'recal')
        CHECKER.validate(json.loads(answer.to_json()))


def _threshold(probs: np.ndarray, labels: np.ndarray) -> float:
    """Highest prob at or above which are 90 % of the positive patients."""
    return max(p for p in probs if (probs[labels == 1] >= p).mean() >= 0.9)


def test_card_tells_both_sites_and_the_old_bundle_is_as_it_was(site: Site) -> None:
    old, new = open_bundle(site.folder / 'bundle'), open_bundle(site.folder / 'ours')
    assert old.id == site.answers[0].bundle_id
    card, before = (bundle.read('MODEL_CARD.md').decode() for bundle in (new, old))
    assert card.startswith(before)
    added = card.removeprefix(before)
    n = site.labels.sum()
    for words in (
        f'## Updated for Clinic\nOf bundle {old.id}.',
        f'Patients with answer and label: {N}, of these positive: {n}. Fewer than 100 positive',
        'Precise estimates take',
        '- recalibration "none" against "intercept and slope"',
        '- recalibration "intercept" against "intercept and slope"',
        '- threshold: 0.',
    ):
        assert words in added


def test_tables_that_end_badly_are_refused_before_any_patient_is_scored(
    site: Site, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    copy_tables(site, tmp_path)
    labels = pd.read_csv(site.folder / 'labels.csv')
    (tmp_path / 'labels.csv').unlink()
    unknown_ids = labels.assign(patient_id='0' + labels.patient_id)
    bad = {
        '30 of 30 rows of labels.csv match no image': unknown_ids,
        '20 of 30 patients with images match no row': labels.head(10),
        'labels of both classes are needed, all 30 are 1': labels.assign(N=1),
        'Clinic: 4 positive and 26 negative patients; 5 of each are the least': labels.assign(
            N=[1] * 4 + [0] * 26
        ),
        "tumor_side is 'links'": labels.assign(tumor_side='links'),
    }
    for message, table in bad.items():
        table.to_csv(tmp_path / 'labels.csv', index=False)
        assert run(tmp_path, 'ours') == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / 'ours').exists()
        assert not (tmp_path / 'ours_answers').exists()


def test_stopped_update_goes_on_with_the_answers_that_are_there(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copy_tables(site, tmp_path)
    asked, predict = [], Predictor.predict

    def stopping(self: Predictor, *given: Any, **options: Any) -> Any:
        asked.append(1)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return predict(self, *given, **options)

    monkeypatch.setattr(Predictor, 'predict', stopping)
    assert run(tmp_path, 'ours') == Exit.INTERRUPTED
    assert not (tmp_path / 'ours').exists()
    assert run(tmp_path, 'ours') == 0
    assert len(asked) == 2 + 1 + (N - 2)
    assert open_bundle(tmp_path / 'ours').id == open_bundle(site.folder / 'ours').id


def test_patients_without_label_are_told_and_left_out(
    site: Site, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    copy_tables(site, tmp_path)
    (tmp_path / 'labels.csv').unlink()
    labels = pd.read_csv(site.folder / 'labels.csv').astype({'N': 'Int64'})
    labels.loc[:9, 'N'] = pd.NA
    labels.to_csv(tmp_path / 'labels.csv', index=False)
    assert run(tmp_path, 'ours', '--sensitivity', '0.8') == 0
    assert '10 of 30 patients of labels.csv have no label' in capsys.readouterr().err
    answered = pd.read_csv(tmp_path / 'ours_answers/predictions.csv').patient_id
    assert [*answered] == [f'q{i}' for i in range(10, 30)]
    about = open_bundle(tmp_path / 'ours').json('decision.json')['site']
    assert (about['n_patients'], about['n_events']) == (20, site.labels[10:].sum())
    assert about['target_sensitivity'] == 0.8
