"""Nothing that judges a test patient of a double cross-validation was fitted on his own outer fold."""

from pathlib import Path

import numpy as np
import pytest

from mammo.evaluation.cohort.reading import read_patients
from mammo.evaluation.entry.model_entry import Options
from mammo.evaluation.report.build import build_report
from mammo.records.predictions import write_predictions

PATIENTS = [f'p{i}' for i in range(80)]


def write(folder: Path, flipped: str | None = None) -> Path:
    """Predictions of 2 outer folds; every patient is tested in one and development in the other."""
    rng = np.random.default_rng(0)
    labels = {p: int(i % 3 == 0) for i, p in enumerate(PATIENTS)}
    for outer in (0, 1):
        for part in ('val', 'test'):
            chosen = [p for i, p in enumerate(PATIENTS) if (i // 40 == outer) == (part == 'test')]
            records = []
            for p in chosen:
                prob = float(np.clip(0.4 + 0.2 * outer + 0.15 * labels[p] + rng.normal(0, 0.1), 0.01, 0.99))
                label = 1 - labels[p] if p == flipped else labels[p]
                texts = dict(img_path=f'{p}.png', patient_id=p, exam_id='1', view='CC', laterality='L')
                records.append(texts | dict(tasks=dict(N=dict(logit=None, pred_score=prob, gt_label=label))))
            write_predictions(folder / f'{outer}/mean/{part}.json', records)
    return folder


def entry(folder: Path) -> dict:
    test, development = (dict(m=read_patients([folder], 'N', part=part)) for part in ('test', 'val'))
    return build_report(test, development, 'N', Options(n_bootstrap=100))['models']['m']


@pytest.mark.parametrize(('patient', 'tested_in', 'developed_in'), [('p1', '0', '1'), ('p50', '1', '0')])
def test_the_label_of_a_test_patient_changes_nothing_that_he_is_judged_by(
    tmp_path: Path, patient: str, tested_in: str, developed_in: str
) -> None:
    before, after = entry(write(tmp_path / 'a')), entry(write(tmp_path / 'b', flipped=patient))
    assert (
        before['slnb']['development']['threshold_by_fold'][tested_in]
        == (after['slnb']['development']['threshold_by_fold'][tested_in])
    )
    for kind in ('platt', 'isotonic'):
        old, new = (e['recalibration'][kind]['parameters']['by_fold'] for e in (before, after))
        assert old[tested_in] == new[tested_in]
        assert old[developed_in] != new[developed_in]


def test_each_fold_is_recalibrated_by_its_own_development(tmp_path: Path) -> None:
    """Scores of fold 1 are 0.2 too high; development of the same fold tells so, pooled it could not."""
    found = entry(write(tmp_path))['recalibration']['platt']
    by_fold = found['parameters']['by_fold']
    assert by_fold['1']['intercept'] < by_fold['0']['intercept']
    assert found['brier']['value'] < entry(write(tmp_path))['brier']['value']
