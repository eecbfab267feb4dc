"""The curves of a run, over its resumptions, as a picture."""

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest
from matplotlib.figure import Figure

from mammo.engine.monitor import CurvesHook
from mammo.engine.monitor.curves import read_panels
from mammo.engine.monitor.panels import draw, on_one_footing


def train(epoch: int, iteration: int, **scalars: float) -> dict:
    return dict(
        **scalars, lr=0.1 / epoch, time=0.2, data_time=0.1, epoch=epoch, iter=iteration, step=iteration
    )


def write(work_dir: Path, stamp: str, *records: dict) -> Path:
    path = work_dir / stamp / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text(''.join(json.dumps(record) + '\n' for record in records))
    return path


def test_training_is_averaged_by_epoch_and_kept_apart_from_validation(tmp_path: Path) -> None:
    write(
        tmp_path,
        '20260101_000000',
        train(1, 10, loss=4.0, N_loss=0.9),
        train(1, 20, loss=2.0, N_loss=0.7),
        dict(N_loss=0.5, N_roc_auc=0.6, LVI_roc_auc=None, time=0.1, step=1),
        {'monitor/backbone_rank': 7.0, 'step': 0},
    )
    assert read_panels(tmp_path) == {
        'train loss': {'loss': {1: 3.0}, 'N_loss': {1: pytest.approx(0.8)}},
        'train lr': {'lr': {1: pytest.approx(0.1)}},
        'val loss': {'N_loss': {1: 0.5}},
        'val auc': {'N_roc_auc': {1: 0.6}},
        'val rank': {'backbone_rank': {0: 7.0}},
    }


def test_a_resumed_run_continues_and_replaces_the_epoch_that_was_cut(tmp_path: Path) -> None:
    first = [train(epoch, epoch, loss=float(epoch)) for epoch in (1, 2, 3)]
    write(tmp_path, '20260101_000000', *first, dict(N_loss=9.0, step=2), dict(N_loss=8.0, step=3))
    write(tmp_path, '20260102_000000', train(3, 3, loss=30.0), train(4, 4, loss=40.0))
    panels = read_panels(tmp_path)
    assert panels['train loss']['loss'] == {1: 1.0, 2: 2.0, 3: 30.0, 4: 40.0}
    assert panels['val loss']['N_loss'] == {2: 9.0}


def test_a_fresh_run_in_a_used_folder_starts_a_new_picture(tmp_path: Path) -> None:
    write(tmp_path, '20260101_000000', {'monitor/x_std': 1.0, 'step': 0}, train(1, 1, old_loss=1.0))
    write(tmp_path, '20260102_000000', train(1, 1, loss=2.0))
    panels = read_panels(tmp_path)
    assert panels.keys() == {'train loss', 'train lr'}
    assert panels['train loss'] == {'loss': {1: 2.0}}


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, '20260101_000000', train(1, 1, loss=1.0))
    path.write_text(path.read_text() + '{"loss": 0.5, "ep')
    assert read_panels(tmp_path)['train loss'] == {'loss': {1: 1.0}}


def test_a_folder_without_runs_gives_no_picture(tmp_path: Path) -> None:
    assert not read_panels(tmp_path)
    CurvesHook().after_train(SimpleNamespace(work_dir=str(tmp_path)))
    assert not list(tmp_path.iterdir())


def test_each_kind_of_number_has_a_panel_and_each_line_of_it_a_look_of_its_own() -> None:
    many = {f'task{i}_loss': {1: 1.0 * i, 2: float('nan')} for i in range(9)}
    figure = draw({'val auc': {'N_roc_auc': {1: 0.5}}, 'train lr': {'lr': {1: 1.0}}, 'train loss': many})
    assert isinstance(figure, Figure)
    titles = [ax.get_title(loc='left') or ax.get_title() for ax in figure.axes]
    assert [title.partition(':')[0] for title in titles] == [
        'loss, training',
        'ROC AUC, validation, and dotted PR AUC',
        'learning rate',
    ]
    assert [len(ax.lines) for ax in figure.axes] == [9, 1, 1]
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(looks) == 9


LOSSES = {
    'train loss': {'loss': {1: 9.0}, 'N_loss': {1: 0.5}, 'size_loss': {1: 2.0}},
    'val loss': {'N_loss': {1: 0.7}, 'size_loss': {1: 50.0}},
    'val auc': {'N_roc_auc': {1: 0.6}, 'N_pr_auc': {1: 0.3}},
}


def test_losses_of_training_stand_beside_those_of_validation_in_their_unit() -> None:
    assert on_one_footing(LOSSES, dict(N=2.0, size=25.0))['loss'] == {
        'N_loss': {1: 0.7},
        'N_loss, training': {1: 1.0},
        'size_loss': {1: 50.0},
        'size_loss, training': {1: 50.0},
    }


def test_task_has_one_colour_in_all_panels_and_the_chosen_epoch_is_marked() -> None:
    figure = draw(LOSSES, chosen=1)
    losses, auc = figure.axes
    n_colours = {line.get_color() for line in losses.lines[:2]}
    assert n_colours == {line.get_color() for line in auc.lines[:2]}
    assert len(n_colours) == 1
    assert [ax.lines[-1].get_xdata()[0] for ax in figure.axes] == [1, 1]


def test_hook_draws_after_each_epoch(tmp_path: Path) -> None:
    write(tmp_path, '20260101_000000', train(1, 1, loss=2.0, a_loss=1.0), train(2, 2, loss=1.0, a_loss=0.5))
    hook, runner = CurvesHook(pause_s=0), SimpleNamespace(work_dir=str(tmp_path), epoch=0)
    hook.before_train(runner)
    hook.before_train_epoch(runner)
    assert not (tmp_path / 'curves.png').exists()
    runner.epoch = 1
    hook.before_train_epoch(runner)
    picture = cv2.imread(str(tmp_path / 'curves.png'))
    assert picture.shape[1] > picture.shape[0] > 200
    blue = (abs(picture.astype(int) - (0xB2, 0x72, 0x00)) < 30).all(axis=2)  # the first line is drawn
    assert blue.sum() > 100


def test_short_epochs_share_a_picture(tmp_path: Path) -> None:
    write(tmp_path, '20260101_000000', train(1, 1, loss=2.0))
    hook, runner = CurvesHook(pause_s=1000), SimpleNamespace(work_dir=str(tmp_path), epoch=1)
    hook.before_train(runner)
    hook.before_train_epoch(runner)
    assert not (tmp_path / 'curves.png').exists()
    hook.after_train(runner)
    assert (tmp_path / 'curves.png').exists()
