"""Members of an ensemble against their mean."""

import pandas as pd
import pytest

from mammo.evaluation.entry.stability import read_members, stability
from mammo.records.predictions import write_predictions


def test_differences_and_changed_decisions_by_hand():
    table = pd.DataFrame(dict(score=[0.3, 0.8], threshold=[0.35, 0.35]), index=['p', 'q'])
    members = pd.DataFrame(dict(patient_id=['p', 'p', 'q', 'q'], score=[0.2, 0.4, 0.9, 0.7]))
    result = stability(members, table)
    assert result['n_members'] == 2
    assert result['mean_absolute_difference'] == pytest.approx(0.1)
    assert result['changed_decisions'] == pytest.approx(0.25)  # one member lifts p over the threshold


def test_without_a_threshold_there_are_no_decisions():
    table = pd.DataFrame(dict(score=[0.3], threshold=[float('nan')]), index=['p'])
    members = pd.DataFrame(dict(patient_id=['p', 'p'], score=[0.2, 0.4]))
    assert stability(members, table)['changed_decisions'] is None


def write(path, score):
    task = dict(logit=None, pred_score=score, gt_label=1)
    fields = dict(img_path='', patient_id='p', exam_id=None, view=None, laterality=None)
    write_predictions(path, [fields | dict(tasks=dict(N=task))])
    return path


def test_members_are_read_one_by_one(tmp_path):
    files = [('', write(tmp_path / f'{i}.json', score)) for i, score in enumerate((0.2, 0.4))]
    assert read_members(files, 'N').score.tolist() == [0.2, 0.4]


def test_single_models_of_the_folds_have_no_members(tmp_path):
    files = [(str(i), write(tmp_path / f'{i}.json', 0.5)) for i in range(2)]
    assert read_members(files, 'N') is None
