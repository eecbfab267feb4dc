"""tools/export.py as users call it; what the file computes is in tests/mammo/inference/test_export.py."""

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from tests.support.toy_config import write_config


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Config, and a checkpoint of random weights."""
    folder = tmp_path_factory.mktemp('trained')
    config = write_config(folder / 'config.py', folder)
    init_default_scope('mammo')
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(str(config)).model)
    torch.save(dict(state_dict=model.state_dict()), folder / 'best.pth')
    return [config, folder / 'best.pth']


def test_the_file_agrees_with_pytorch_and_names_the_tasks(
    trained: list[Path], tmp_path: Path, call: Callable, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / 'preprocess.json').write_text('{"format_version": 1, "settings": {"spacing_mm": 0.5}}')
    out = tmp_path / 'new' / 'model.onnx'
    call('export.py', *trained, '--out', out, '--preprocess', tmp_path / 'preprocess.json')
    assert 'at most from PyTorch' in capsys.readouterr().out
    content = onnx.load(str(out))
    assert [o.name for o in content.graph.output] == ['N', 'LVI', 'multifocality', 'NumPos', 'tumor_size']
    described = json.loads({p.key: p.value for p in content.metadata_props}['mammogram'])
    assert described['preprocess'] == dict(format_version=1, settings=dict(spacing_mm=0.5))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--preprocess', 'gone.json'], 'gone.json'),
        (['--preprocess', 'broken.json'], 'broken.json'),
        (['--cfg-options', 'test_dataloader.dataset.pipeline.1.keep_ratio=True'], 'keep_ratio'),
    ],
)
def test_what_cannot_be_exported_ends_with_one_message(
    trained: list[Path], tmp_path: Path, call: Callable, capsys: pytest.CaptureFixture,
    options: list[str], message: str,
) -> None:  # fmt: skip
    (tmp_path / 'broken.json').write_text('{')
    options = [str(tmp_path / option) if option.endswith('.json') else option for option in options]
    with pytest.raises(SystemExit) as end:
        call('export.py', *trained, '--out', tmp_path / 'model.onnx', *options)
    assert end.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'model.onnx').exists()
