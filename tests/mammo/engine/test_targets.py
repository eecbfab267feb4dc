"""Regression targets take their scale from the training part; large ones that do not are pointed out."""

from types import SimpleNamespace

import pytest

from mammo.engine.targets import fit_scales
from models.heads.multi_task_head import MultiTaskHead


@pytest.fixture
def dataset() -> SimpleNamespace:
    labels = [dict(size_mm=10.0, n=1.0), dict(size_mm=30.0), {}]
    return SimpleNamespace(data_list=[dict(gt_label=label) for label in labels])


@pytest.fixture
def told(monkeypatch) -> list[str]:
    """What is logged."""
    lines: list[str] = []
    monkeypatch.setattr('mammo.engine.targets.warn', lambda text, *_: lines.append(text))
    return lines


def _model(**size: bool) -> SimpleNamespace:
    tasks = [
        dict(name='size_mm', kind='regression', **size),
        dict(name='n', kind='regression'),
        dict(name='N', kind='binary'),
    ]
    return SimpleNamespace(head=MultiTaskHead(tasks=tasks))


def test_standardised_task_takes_mean_and_deviation_of_its_known_labels(dataset, told) -> None:
    model = _model(standardise=True)
    fit_scales(model, dataset)
    head = model.head.task_heads['size_mm']
    assert (head.target_mean.item(), head.target_std.item()) == (20, 10)
    assert not told


def test_large_labels_that_are_not_standardised_are_pointed_out(dataset, told) -> None:
    fit_scales(_model(), dataset)
    (line,) = told
    assert line.startswith('task size_mm: labels of the training part have mean 20 and deviation 10')


def test_models_without_such_heads_are_left_alone(dataset) -> None:
    fit_scales(SimpleNamespace(), dataset)
