"""The regression loss."""

import pytest
import torch
from mmpretrain.registry import MODELS

import models


def test_mean_of_squares_by_hand() -> None:
    loss = MODELS.build(dict(type='MSELoss', loss_weight=0.5))
    assert isinstance(loss, models.MSELoss)
    pred, target = torch.tensor([[1.0], [4.0]]), torch.tensor([[0.0], [2.0]])
    assert loss(pred, target).item() == pytest.approx(0.5 * (1 + 4) / 2)


def test_a_given_number_of_samples_replaces_the_count() -> None:
    pred, target = torch.tensor([[1.0], [4.0]]), torch.tensor([[0.0], [2.0]])
    assert models.MSELoss()(pred, target, avg_factor=10).item() == pytest.approx(0.5)


def test_loss_is_zero_for_equal_values_and_symmetric() -> None:
    a, b = torch.randn(6, 1), torch.randn(6, 1)
    assert models.MSELoss()(a, a).item() == 0
    assert torch.equal(models.MSELoss()(a, b), models.MSELoss()(b, a))
