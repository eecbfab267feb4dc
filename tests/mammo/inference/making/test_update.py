"""A bundle for a site: labelled patients decide, the old bundle stays, and what does not fit is refused."""

import csv
import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from mammo.errors import UserError
from mammo.evaluation.clinical_use.thresholds import promised_threshold
from mammo.inference.bundle.folder import BundleError, open_bundle
from mammo.inference.making import update
from mammo.inference.making.site import site_entry, site_lines
from mammo.inference.making.update import labels_of, update_bundle
from mammo.inference.predictor import Predictor
from mammo.records.storage.files import sha256_of


def patients(n: int, intercept: float = 0, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(-0.5, 1, n)
    label = (rng.random(n) < expit(intercept + x)).astype(float)
    return pd.DataFrame(dict(patient_id=[f'p{i}' for i in range(n)], prob=expit(x), label=label))


def test_threshold_is_of_the_recalibrated_probs_and_its_promise_is_exact() -> None:
    rows = patients(1000, intercept=-1)
    site = site_entry(rows, 'Clinic', 0.9, 0.95)
    assert site['method'] == 'intercept'
    after = expit(site['recalibration']['intercept'] + np.log(rows.prob / (1 - rows.prob)))
    expected = promised_threshold(after.to_numpy(), rows.label.to_numpy(), 0.9, 0.95)
    assert site['threshold'] == pytest.approx(expected['threshold'])
    assert site['after']['intercept']['value'] == pytest.approx(0, abs=1e-6)
    assert site['achieved']['sensitivity']['value'] >= 0.9


def test_few_events_are_told_with_the_number_that_is_needed() -> None:
    site = site_entry(patients(60), 'Clinic', 0.9, 0.95)
    text = '\n'.join(site_lines(site))
    assert 'Fewer than 100 positive' in text
    assert f'take {site["needed"]["n"]} patients' in text
    assert site['needed']['n'] > 60
    assert 'not attainable with' in text
    assert site['threshold'] is None


def test_fewer_than_five_of_a_class_are_refused() -> None:
    rows = patients(40)
    with pytest.raises(UserError, match='Clinic: 4 positive'):
        site_entry(pd.concat([rows[rows.label == 1].head(4), rows[rows.label == 0]]), 'Clinic', 0.9, None)


@pytest.mark.parametrize(
    ('table', 'message'),
    [
        ('patient_id,N\na,0\na,1\n', 'more than once: a; keep one row'),
        ('patient_id,N\na,0\nb,0\n', 'both classes are needed, all 2 are 0'),
        ('patient_id,N\na,\nb,\n', 'both classes are needed, there is none'),
        ('patient_id,N\na,0\nb,2\n', 'neither 0 nor 1 for b: 2'),
        ('patient_id,M\na,0\nb,1\n', 'column .* is missing'),
        ('patient_id,N\na,0\n,1\n', 'a row has no id'),
    ],
)
def test_labels_that_cannot_be_used_are_refused(table: str, message: str, tmp_path: Path) -> None:
    (tmp_path / 'labels.csv').write_text(table)
    with pytest.raises(UserError, match=message):
        labels_of(tmp_path / 'labels.csv', 'N')


@pytest.fixture
def args(tmp_path: Path, toy: Any, exam: list[Path]) -> Namespace:
    """Twenty patients with one image; whose image it is does not matter here."""
    rows = [f'{exam[i % 4]},q{i}' for i in range(20)]
    (tmp_path / 'images.csv').write_text('\n'.join(['dicom_path,patient_id', *rows]))
    labels = [f'q{i},{int(i % 4 < 2)}' for i in range(20)]
    (tmp_path / 'labels.csv').write_text('\n'.join(['patient_id,N', *labels]))
    return Namespace(
        bundle=toy.folder, batch=tmp_path / 'images.csv', labels=tmp_path / 'labels.csv', clinical_table=None,
        out=tmp_path / 'ours', out_dir=tmp_path / 'answers', site='Clinic', sensitivity=None, confidence=None,
        allow_unmatched=False, cropped_png=None, device='cpu',
    )  # fmt: skip


def faked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Answers of known probs in the place of the networks -> how many patients were asked for."""
    asked: list[int] = []

    def answer_table(predictor: Predictor, batch: Path, out_dir: Path, **_: Any) -> str:
        out_dir.mkdir(exist_ok=True)
        with (out_dir / 'predictions.csv').open('w', newline='') as file:
            table = csv.DictWriter(file, ['patient_id', 'folder', 'reason'])
            table.writeheader()
            for i in range(20):
                asked.append(i)
                prob = float(expit(2 * (i % 4 < 2) + ((7 * i) % 20 - 10) / 5))
                folder = out_dir / f'f{i}'
                folder.mkdir(exist_ok=True)
                task = dict(recalibrated=prob)
                answer = dict(model='mammograms', label='N', fused=None, tasks=dict(N=task))
                (folder / 'prediction.json').write_text(json.dumps(answer))
                table.writerow(dict(patient_id=f'q{i}', folder=f'f{i}', reason=''))
        return ''

    monkeypatch.setattr(update, 'answer_table', answer_table)
    return asked


def test_new_bundle_answers_with_the_sites_threshold_and_the_old_one_is_unchanged(
    args: Namespace, monkeypatch: pytest.MonkeyPatch, exam: list[Path], toy: Any
) -> None:
    faked(monkeypatch)
    before = {path: sha256_of(path) for path in toy.folder.rglob('*') if path.is_file()}
    lines = update_bundle(**vars(args))
    assert {path: sha256_of(path) for path in toy.folder.rglob('*') if path.is_file()} == before
    old, new = open_bundle(args.bundle), open_bundle(args.out)
    changed = {name for name in old.files if old.files[name] != new.files[name]}
    assert changed == {'decision.json', 'MODEL_CARD.md'}
    card = new.read('MODEL_CARD.md').decode()
    assert card.startswith(old.read('MODEL_CARD.md').decode())
    assert '## Updated for Clinic' in card
    assert old.id in card
    site = new.json('decision.json')['site']
    answer = Predictor.load(args.out, 'cpu').predict(exam, tumor_side='L')
    assert answer.main.decision is not None
    assert answer.main.decision['threshold'] == site['threshold']
    assert answer.main.decision['achieved'] == site['achieved']
    assert any('patients of Clinic' in warning for warning in answer.warnings)
    assert any(new.id in line for line in lines)
    json.loads(answer.to_json())
    with pytest.raises(BundleError, match='updated already, for Clinic'):
        update_bundle(**{**vars(args), 'bundle': args.out, 'out': args.out.with_name('again')})


def test_labels_of_other_patients_are_refused_before_anything_is_scored(
    args: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = faked(monkeypatch)
    rows = args.labels.read_text()
    args.labels.write_text(rows + ''.join(f'\nz{i},1' for i in range(4)))
    with pytest.raises(UserError, match=r'4 of 24 rows of labels\.csv match no image: z0'):
        update_bundle(**vars(args))
    args.labels.write_text('\n'.join(rows.split('\n')[:-4]))
    with pytest.raises(UserError, match='4 of 20 patients with images match no row'):
        update_bundle(**vars(args))
    assert not asked
    args.allow_unmatched = True
    assert update_bundle(**vars(args))
