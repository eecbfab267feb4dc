"""Checkpoints of plain values: the history of a run survives `weights_only` loading."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, MessageHub

from mammo.engine.saving.plain_state import (
    PlainCheckpointHook,
    history_from_plain,
    history_to_plain,
    to_plain,
)


def test_history_survives_a_round_trip() -> None:
    history = HistoryBuffer([0.1, 2.0, 3.5], [1, 2, 1], max_length=2000)
    back = history_from_plain(history_to_plain(history))
    assert [a.tolist() for a in back.data] == [a.tolist() for a in history.data]
    assert back.max_length == 2000
    assert back.mean(2) == history.mean(2)
    back.update(9.0)
    assert back.current() == 9.0


def test_empty_history_survives() -> None:
    assert [len(a) for a in history_from_plain(history_to_plain(HistoryBuffer())).data] == [0, 0]


def test_numpy_values_become_plain() -> None:
    plain = to_plain(
        dict(a=np.float64(0.5), b=[np.int64(2)], c=(np.bool_(True), 'x'), d=np.arange(3), e=None)
    )
    assert plain == dict(a=0.5, b=[2], c=(True, 'x'), d=plain['d'], e=None)
    assert [type(v) for v in (plain['a'], plain['b'][0], plain['c'][0])] == [float, int, bool]
    assert plain['d'].tolist() == [0, 1, 2]


def test_message_hub_survives_saving_and_weights_only_loading(tmp_path: Path) -> None:
    hub = MessageHub.get_instance('test_plain_state')
    for value in (1.0, 0.5):
        hub.update_scalar('train/loss', value)
    hub.update_info('best_score', np.float64(0.25))
    hub.update_info('iter', 7)
    checkpoint = dict(state_dict={}, meta=dict(seed=np.int64(3)), message_hub=hub.state_dict())
    hook, runner = PlainCheckpointHook(), SimpleNamespace()
    hook.before_save_checkpoint(runner, checkpoint)
    torch.save(checkpoint, tmp_path / 'a.pth')
    loaded = torch.load(tmp_path / 'a.pth', weights_only=True)
    hook.after_load_checkpoint(runner, loaded)
    fresh = MessageHub.get_instance('test_plain_state_fresh')
    fresh.load_state_dict(loaded['message_hub'])
    assert fresh.get_scalar('train/loss').data[0].tolist() == [1.0, 0.5]
    assert fresh.get_scalar('train/loss').mean(2) == 0.75
    assert (fresh.get_info('best_score'), fresh.get_info('iter')) == (0.25, 7)
    assert isinstance(hub.get_scalar('train/loss'), HistoryBuffer)  # the running hub is untouched
    assert hub.get_scalar('train/loss').current() == 0.5


def test_checkpoint_without_history_loads() -> None:
    checkpoint = dict(state_dict={})
    PlainCheckpointHook().after_load_checkpoint(SimpleNamespace(), checkpoint)
    assert checkpoint == dict(state_dict={})
