"""Losses of pretraining: against short implementations of the papers, and on two processes against one."""

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from mmpretrain.registry import MODELS as STOCK_MODELS
from torch import Tensor

from models.registry import MODELS
from models.selfsup import CosineSimilarityLoss, LatentCrossCorrelationHead, SwAVLoss
from models.selfsup.swav import sinkhorn

ROOT = Path(__file__).resolve().parents[3]
SUPPORT = ROOT / 'tests/support'
sys.path.insert(0, str(SUPPORT))
import selfsup_ranks as ranks  # noqa: E402


def barlow_loss(first: np.ndarray, second: np.ndarray, lambd: float = 0.0051) -> float:
    """Zbontar et al. 2021, equations 1 and 2, in float64."""
    a, b = ((z - z.mean(0)) / z.std(0) for z in (first.astype(float), second.astype(float)))
    c = a.T @ b / len(a)
    return float(((np.diag(c) - 1) ** 2).sum() + lambd * (c**2 - np.diag(np.diag(c) ** 2)).sum())


def sinkhorn_as_published(scores: np.ndarray, epsilon: float, iterations: int = 3) -> np.ndarray:
    """Algorithm 1 of Caron et al. 2020 with prototypes as rows, in float64."""
    q = np.exp(scores.astype(float) / epsilon).T
    q /= q.sum()
    k, b = q.shape
    for _ in range(iterations):
        q = q / q.sum(1, keepdims=True) / k
        q = q / q.sum(0, keepdims=True) / b
    return (q * b).T


def swav_loss(
    views: np.ndarray, weight: np.ndarray, queue: list[np.ndarray] | None = None, temperature: float = 0.1
) -> float:
    """Swapped prediction of the first two views by all others; views (V, n, C)."""
    weight = weight / np.linalg.norm(weight, axis=1, keepdims=True)
    logits = views @ weight.T / temperature
    log_p = logits - np.log(np.exp(logits).sum(2, keepdims=True))
    total = 0.0
    for i in (0, 1):
        rows = np.concatenate([views[i], *([queue[i]] if queue else [])])
        q = sinkhorn_as_published(rows @ weight.T, 0.05)[: len(views[i])]
        total += np.mean([-(q * log_p[v]).sum(1).mean() for v in range(len(views)) if v != i])
    return total / 2


def views(seed: int = 0, num_views: int = 4, n: int = 10, width: int = 6) -> Tensor:
    return torch.nn.functional.normalize(
        torch.randn(num_views, n, width, generator=torch.Generator().manual_seed(seed)), dim=2
    )


def head(width: int = 6) -> LatentCrossCorrelationHead:
    return MODELS.build(
        dict(type='LatentCrossCorrelationHead', in_channels=width, loss=dict(type='CrossCorrelationLoss'))
    )


@pytest.mark.parametrize('kind', [LatentCrossCorrelationHead, SwAVLoss, CosineSimilarityLoss])
def test_names_of_published_configs_are_ours_in_our_scope_alone(kind: type) -> None:
    assert MODELS.get(kind.__name__) is kind
    assert STOCK_MODELS.get(kind.__name__) is kind.__bases__[0]


def test_barlow_twins_loss_is_the_papers() -> None:
    first, second = torch.randn(2, 50, 6, generator=torch.Generator().manual_seed(1))
    expected = barlow_loss(first.numpy(), second.numpy())
    assert head().loss(first, second).item() == pytest.approx(expected, rel=1e-4)  # batch norm adds 1e-5


def test_barlow_twins_loss_ignores_scale_shift_and_order_of_rows() -> None:
    first, second = torch.randn(2, 50, 6, generator=torch.Generator().manual_seed(1))
    loss, order = head().loss(first, second), torch.randperm(50)
    torch.testing.assert_close(head().loss(3 * first[order] + 7, second[order]), loss, rtol=1e-4, atol=1e-5)


def test_barlow_twins_loss_of_a_view_with_itself_is_its_redundancy() -> None:
    z = torch.linalg.qr(torch.randn(60, 7, dtype=torch.float64))[0].float()
    z = torch.linalg.qr(torch.cat((torch.ones(60, 1), z[:, 1:]), dim=1))[0][:, 1:]  # centred, uncorrelated
    assert head(6).loss(30 * z, 30 * z).item() == pytest.approx(0, abs=1e-4)


def test_sinkhorn_is_the_papers_algorithm() -> None:
    scores = views()[0] @ views(1, n=7)[0].T
    expected = sinkhorn_as_published(scores.numpy(), 0.05)
    np.testing.assert_allclose(sinkhorn(scores, epsilon=0.05, iterations=3).numpy(), expected, atol=1e-5)


def test_sinkhorn_balances_prototypes_and_does_not_overflow() -> None:
    scores = 1000 * torch.randn(40, 5)
    q = sinkhorn(scores / 1000, epsilon=0.5, iterations=200)
    torch.testing.assert_close(q.sum(0), torch.full((5,), 8.0), atol=1e-2, rtol=0)
    assert torch.isfinite(sinkhorn(scores, epsilon=0.05, iterations=3)).all()


def test_swav_loss_is_the_papers_with_and_without_queue() -> None:
    weight = torch.randn(5, 6, generator=torch.Generator().manual_seed(3))
    loss = SwAVLoss(6, num_crops=[2, 2], num_prototypes=5)
    loss.prototypes.weight.data = weight.clone()
    x = [views(step) for step in range(4)]
    without = [loss(z.flatten(0, 1)).item() for z in x]
    assert without == pytest.approx([swav_loss(z.numpy(), weight.numpy()) for z in x], rel=1e-5)
    loss.queue = torch.zeros(2, 20, 6)
    with_queue = [loss(z.flatten(0, 1)).item() for z in x]
    assert with_queue[:2] == pytest.approx(without[:2])  # not used before it is full
    for step in (2, 3):
        queue = [np.concatenate([x[step - 1][i], x[step - 2][i]]) for i in (0, 1)]
        assert with_queue[step] == pytest.approx(swav_loss(x[step].numpy(), weight.numpy(), queue), rel=1e-5)
    assert with_queue[3] != pytest.approx(without[3], rel=1e-4)


def test_swav_loss_without_iterations_takes_the_softmax_over_the_whole_batch() -> None:
    x = views()
    loss = SwAVLoss(feat_dim=6, num_prototypes=5, num_crops=[2, 2], sinkhorn_iterations=0)
    weight = torch.nn.functional.normalize(loss.prototypes.weight.detach(), dim=1)
    log_p = (x @ weight.T / 0.1).log_softmax(2)
    expected = 0.0
    for i in (0, 1):
        q = (x[i] @ weight.T / 0.05).flatten().softmax(0).reshape(len(x[i]), -1) * len(x[i])
        expected += sum(-(q * log_p[v]).sum(1).mean() for v in range(4) if v != i) / 6
    assert loss(x.flatten(0, 1)).item() == pytest.approx(float(expected), rel=1e-5)


def test_swav_prototypes_are_normalised_and_their_order_does_not_matter() -> None:
    loss = SwAVLoss(6, num_crops=[2, 2], num_prototypes=5)
    first = loss(views().flatten(0, 1))
    torch.testing.assert_close(loss.prototypes.weight.norm(dim=1), torch.ones(5))
    loss.prototypes.weight.data = 7 * loss.prototypes.weight.data.flip(0)
    torch.testing.assert_close(loss(views().flatten(0, 1)), first)


def test_swav_loss_without_any_structure_is_ln_of_the_prototypes() -> None:
    loss = SwAVLoss(6, num_crops=[2], num_prototypes=300)
    row = torch.nn.functional.normalize(torch.ones(1, 6), dim=1)
    loss.prototypes.weight.data[:] = row
    assert loss(row.repeat(20, 1)).item() == pytest.approx(math.log(300), rel=1e-5)


def test_byol_loss_is_the_papers_and_stops_the_gradient_at_the_target() -> None:
    """Equation 2: |p/|p| - z/|z||^2 = 2 - 2 cos, here -cos."""
    p, z = torch.randn(2, 9, 6)
    loss = MODELS.build(dict(type='CosineSimilarityLoss'))(p, z).item()
    distance = ((p / p.norm(dim=1, keepdim=True) - z / z.norm(dim=1, keepdim=True)) ** 2).sum(1).mean()
    assert 2 + 2 * loss == pytest.approx(distance.item(), rel=1e-5)
    assert MODELS.build(dict(type='CosineSimilarityLoss'))(5 * p, 0.1 * z).item() == pytest.approx(loss)


@pytest.mark.parametrize('kind', ['barlow', 'swav', 'byol'])
def test_losses_are_computed_in_float32_under_autocast(kind: str) -> None:
    z = views(num_views=4, n=32)
    swav = SwAVLoss(6, num_crops=[2, 2], num_prototypes=5)
    loss = dict(
        barlow=lambda: head().loss(z[0], z[1]),
        swav=lambda: swav(z.flatten(0, 1)),
        byol=lambda: CosineSimilarityLoss()(z[0], z[1]),
    )[kind]
    expected = loss()
    with torch.autocast('cpu', torch.bfloat16):
        found = loss()
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


def test_byol_target_follows_with_the_cosine_schedule_of_its_steps() -> None:
    """Momentum of step k of K: 0.5 (1 + cos(pi k / K)) times the base, the steps are part of the state."""
    neck = dict(type='GlobalAveragePooling')
    byol = MODELS.build(
        dict(
            type='BYOL',
            base_momentum=0.1,
            backbone=dict(type='ResNetWs', depth=50, stem_channels=4, base_channels=4),
            neck=neck,
            head=dict(type='LatentPredictHead', loss=dict(type='CosineSimilarityLoss'), predictor=neck),
        )
    )
    MessageHub.get_current_instance().update_info('max_iters', 40)
    online = torch.nn.Sequential(byol.backbone, byol.neck)
    byol.target_net.load_state_dict({**byol.target_net.state_dict(), 'steps': torch.tensor(10)})
    before = byol.target_net.module[0].conv1.weight.clone()
    byol.backbone.conv1.weight.data += 1
    byol.target_net.update_parameters(online)
    momentum = 0.1 * 0.5 * (1 + math.cos(math.pi * 10 / 40))
    torch.testing.assert_close(byol.target_net.module[0].conv1.weight, before + momentum)
    assert byol.state_dict()['target_net.steps'] == 11


@pytest.fixture(scope='module')
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """By case: what one process computed on the whole batch, then the two on their shares."""
    folder = tmp_path_factory.mktemp('ranks')
    env = dict(os.environ, PYTHONPATH=f'{ROOT}:{SUPPORT}', OMP_NUM_THREADS='1')
    command = [sys.executable, str(SUPPORT / 'selfsup_ranks.py'), str(folder)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    two = [torch.load(folder / f'rank{rank}.pt', weights_only=True) for rank in (0, 1)]
    return {name: [ranks.run(model), *(rank[name] for rank in two)] for name, model in ranks.cases().items()}


@pytest.mark.parametrize('case', ['barlow', 'swav', 'swav_queue', 'swav_sharp'])
def test_two_processes_give_the_loss_of_one(results: dict, case: str) -> None:
    one, *two = results[case]
    for rank in two:
        assert rank['losses'] == pytest.approx(one['losses'], abs=1e-5)


@pytest.mark.parametrize('case', ['barlow', 'swav', 'swav_queue', 'swav_sharp'])
def test_two_processes_give_the_gradient_of_one(results: dict, case: str) -> None:
    one, *two = results[case]
    assert any(grad.abs().max() > 1e-3 for grad in one['grads'].values())
    for rank in two:
        assert rank['grads'].keys() == one['grads'].keys()
        for name, grad in one['grads'].items():
            torch.testing.assert_close(rank['grads'][name], grad, atol=1e-5, rtol=1e-5)


def test_two_processes_fill_the_queue_of_one(results: dict) -> None:
    one, *two = results['swav_queue']
    assert one['queue'].abs().sum(dim=2).min() > 0  # full
    for rank in two:
        torch.testing.assert_close(rank['queue'], one['queue'], atol=1e-5, rtol=0)


def test_share_of_one_process_alone_has_another_loss(results: dict) -> None:
    """So the tests above fail for a loss that does not look at the other's rows."""
    model = ranks.Model(ranks.barlow_head())
    alone = ranks.run(model, slice(0, ranks.ROWS // 2))
    assert alone['losses'] != pytest.approx(results['barlow'][0]['losses'], rel=1e-2)
