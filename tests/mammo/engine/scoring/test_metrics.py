"""Metrics of a run: against scikit-learn, with missing labels, padding and undefined values."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmpretrain.registry import METRICS
from sklearn.metrics import average_precision_score, log_loss, mean_squared_error, r2_score, roc_auc_score

from mammo.engine.scoring.metrics import MultiTasksMetric, predicted_tasks
from mammo.errors import UserError

RNG = np.random.default_rng(0)
KINDS = dict(N='binary', NumPos='regression')


def task_sample(logit: float, label: float | None, kind: str = 'binary', task_idx: int = 0) -> dict:
    score = 1 / (1 + np.exp(-logit)) if kind == 'binary' else logit
    sample = dict(
        logit=torch.tensor([logit]), pred_score=torch.tensor([float(score)]), kind=kind, task_idx=task_idx
    )
    return sample if label is None else dict(sample, gt_label=torch.tensor([label]))


def evaluate(metric: Any, samples: list[dict], size: int | None = None) -> dict[str, float | None]:
    for start in range(0, len(samples), 4):  # in batches
        metric.process({}, samples[start : start + 4])
    return metric.evaluate(len(samples) if size is None else size)


def build(name: str, **arguments: Any) -> Any:
    return METRICS.build(dict(type=name, **arguments))


def binary_set(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    return RNG.normal(size=n).astype(np.float32), RNG.integers(0, 2, n).astype(np.float32)


def test_binary_metrics_agree_with_scikit_learn() -> None:
    logits, labels = binary_set()
    samples = [dict(N=task_sample(*pair)) for pair in zip(logits.tolist(), labels.tolist(), strict=True)]
    probs = 1 / (1 + np.exp(-logits.astype(float)))
    auc = evaluate(build('AUC', task='N'), samples)
    assert auc == pytest.approx(
        dict(roc_auc=roc_auc_score(labels, probs), pr_auc=average_precision_score(labels, probs))
    )
    loss = evaluate(build('BinaryCrossEntropy', task='N'), samples)
    assert loss == pytest.approx(dict(loss=log_loss(labels, probs)), abs=1e-6)


def test_regression_metrics_agree_with_scikit_learn() -> None:
    values, labels = RNG.normal(size=30).tolist(), RNG.normal(size=30).tolist()
    samples = [task_sample(v, y, 'regression') for v, y in zip(values, labels, strict=True)]
    assert evaluate(build('MSELoss'), samples) == pytest.approx(
        dict(loss=mean_squared_error(labels, values)), rel=1e-5
    )
    assert evaluate(build('R2'), samples) == pytest.approx(dict(r2_score=r2_score(labels, values)), rel=1e-5)


def test_single_task_metrics_have_bare_keys() -> None:
    samples = [dict(N=task_sample(1.0, 1.0)), dict(N=task_sample(0.0, 0.0))]
    assert list(evaluate(build('AUC', task='N'), samples)) == ['roc_auc', 'pr_auc']
    assert list(evaluate(build('BinaryCrossEntropy', task='N'), samples)) == ['loss']


def test_cross_entropy_is_finite_for_extreme_logits() -> None:
    samples = [task_sample(500.0, 0.0), task_sample(-500.0, 0.0)]
    assert evaluate(build('BinaryCrossEntropy'), samples) == dict(loss=pytest.approx(250.0))


def test_saturated_probabilities_still_rank() -> None:
    samples = [task_sample(40.0, 0.0), task_sample(50.0, 1.0)]  # both probabilities are 1.0 in float32
    assert evaluate(build('AUC'), samples)['roc_auc'] == 1.0


def test_auc_of_negated_logits_is_the_complement() -> None:
    logits, labels = binary_set()
    aucs = [
        evaluate(
            build('AUC'),
            [task_sample(sign * x, y) for x, y in zip(logits.tolist(), labels.tolist(), strict=True)],
        )
        for sign in (1, -1)
    ]
    assert aucs[0]['roc_auc'] + aucs[1]['roc_auc'] == pytest.approx(1)


@pytest.mark.parametrize('labels', [[], [None, None], [1.0, 1.0], [0.0, None]])
def test_fewer_than_two_classes_give_null(labels: list) -> None:
    samples = [task_sample(0.3 * i, label) for i, label in enumerate(labels)] or [task_sample(0.1, None)]
    assert evaluate(build('AUC'), samples) == dict(roc_auc=None, pr_auc=None)


@pytest.mark.parametrize('name', ['BinaryCrossEntropy', 'MSELoss', 'R2'])
def test_no_labels_give_null(name: str) -> None:
    assert set(evaluate(build(name), [task_sample(0.3, None)]).values()) == {None}


@pytest.mark.parametrize('labels', [[2.0], [2.0, 2.0, 2.0]])
def test_r2_needs_two_different_labels(labels: list) -> None:
    samples = [task_sample(float(i), y, 'regression') for i, y in enumerate(labels)]
    assert evaluate(build('R2'), samples) == dict(r2_score=None)


@pytest.mark.parametrize('name', ['AUC', 'BinaryCrossEntropy', 'MSELoss', 'R2'])
def test_unlabelled_samples_do_not_count(name: str) -> None:
    logits, labels = binary_set(20)
    labelled = [task_sample(x, y) for x, y in zip(logits.tolist(), labels.tolist(), strict=True)]
    mixed = [s for sample in labelled for s in (task_sample(9.0, None), sample)]
    assert evaluate(build(name), labelled) == evaluate(build(name), mixed)


@pytest.mark.parametrize('name', ['AUC', 'BinaryCrossEntropy', 'MSELoss', 'R2'])
def test_padding_of_the_sampler_is_dropped(name: str) -> None:
    logits, labels = binary_set(20)
    samples = [task_sample(x, y) for x, y in zip(logits.tolist(), labels.tolist(), strict=True)]
    assert evaluate(build(name), samples + samples[:3], size=20) == evaluate(build(name), samples)


def multi_samples(n: int = 24) -> list[dict]:
    """Every second sample lacks N, every third NumPos; the fields come in an order of chance."""
    samples = []
    for i in range(n):
        tasks = dict(
            NumPos=task_sample(float(RNG.normal()), None if i % 3 == 0 else float(i), 'regression', 1),
            N=task_sample(float(RNG.normal()), None if i % 2 else float(i % 4 == 0), 'binary', 0),
        )
        samples.append(dict(img_name=f'{i}.png', **tasks))
    return samples


def test_keys_name_task_and_metric_in_the_order_of_the_columns() -> None:
    metrics = evaluate(MultiTasksMetric(), multi_samples())
    assert list(metrics) == ['N_loss', 'N_roc_auc', 'N_pr_auc', 'NumPos_loss', 'NumPos_r2_score']
    assert all(isinstance(value, float) for value in metrics.values())


def test_multi_task_values_are_those_of_the_single_metrics() -> None:
    samples = multi_samples()
    metrics = evaluate(MultiTasksMetric(), samples)
    assert metrics['N_roc_auc'] == evaluate(build('AUC', task='N'), samples)['roc_auc']
    assert metrics['NumPos_r2_score'] == evaluate(build('R2', task='NumPos'), samples)['r2_score']


def test_multi_task_padding_is_dropped() -> None:
    samples = multi_samples()
    assert evaluate(MultiTasksMetric(), samples + samples[:5], 24) == evaluate(MultiTasksMetric(), samples)


def test_metrics_do_not_depend_on_sample_order() -> None:
    samples = multi_samples()
    assert evaluate(MultiTasksMetric(), samples) == pytest.approx(evaluate(MultiTasksMetric(), samples[::-1]))


def test_evaluating_twice_starts_afresh() -> None:
    metric, samples = MultiTasksMetric(), multi_samples()
    assert evaluate(metric, samples) == evaluate(metric, samples)


def test_undefined_metrics_are_null_in_json_and_the_reason_is_logged() -> None:
    records: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record.getMessage())

    logger = MMLogger.get_current_instance()
    handler = Keep()
    logger.addHandler(handler)
    try:
        samples = [dict(N=task_sample(0.1, 1.0), NumPos=task_sample(1.0, None, 'regression', 1))] * 3
        metrics = evaluate(MultiTasksMetric(), samples)
    finally:
        logger.removeHandler(handler)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert metrics['N_loss'] > 0
    assert {k for k, v in metrics.items() if v is None} == {
        'N_roc_auc',
        'N_pr_auc',
        'NumPos_loss',
        'NumPos_r2_score',
    }
    text = '\n'.join(records)
    for key in ('N_roc_auc', 'N_pr_auc', 'NumPos_loss', 'NumPos_r2_score'):
        assert key in text
    assert 'no labels, fewer than two different ones' in text


def test_published_metric_config_works() -> None:
    metric = METRICS.build(
        dict(
            type='MultiTasksMetric',
            task_metrics=dict(
                N=[dict(type='AUC'), dict(type='BinaryCrossEntropy')],
                NumPos=[dict(type='MSELoss'), dict(type='R2')],
            ),
        )
    )
    assert isinstance(metric, MultiTasksMetric)
    metrics = evaluate(metric, multi_samples())
    assert list(metrics) == ['N_roc_auc', 'N_pr_auc', 'N_loss', 'NumPos_loss', 'NumPos_r2_score']


def test_tasks_are_ordered_by_column() -> None:
    sample = dict(b=task_sample(0.0, None, task_idx=0), a=task_sample(0.0, None, task_idx=1), img_name='x')
    assert predicted_tasks(sample) == ['b', 'a']


def test_predictions_are_written_without_padding(tmp_path: Path) -> None:
    samples = multi_samples(5)
    evaluate(build('PredictionWriter', out_file=str(tmp_path / 'sub' / 'p.json')), samples + samples[:1], 5)
    content = json.loads((tmp_path / 'sub' / 'p.json').read_text())
    assert content['format_version'] == 1
    assert [record['img_path'] for record in content['records']] == [f'{i}.png' for i in range(5)]
    first = content['records'][0]['tasks']
    assert list(first) == ['N', 'NumPos']
    assert first['N']['logit'] == pytest.approx(samples[0]['N']['logit'].item())
    assert first['N']['pred_score'] == pytest.approx(samples[0]['N']['pred_score'].item())
    assert (first['N']['gt_label'], first['NumPos']['gt_label']) == (1.0, None)
    assert content['records'][0]['patient_id'] is None


def test_metric_without_a_task_asks_for_one_of_several() -> None:
    sample = dict(N=task_sample(0.0, 1.0), LVI=task_sample(0.0, 1.0, task_idx=1))
    with pytest.raises(UserError, match=r"AUC: task is None, the model predicts \['N', 'LVI'\]; name one"):
        build('AUC').process({}, [sample])
