"""No payload of any kind runs through any command; what is refused is named."""

import contextlib
import pickle
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
import yaml
from mmengine.runner import CheckpointLoader

from mammo.engine.loading.checkpoint import CheckpointError
from mammo.fusion.model import read_model
from mammo.records.storage.pickles import load_tensors, unsafe_names
from tests.support.toy_config import write_config
from tests.torture import fork
from tests.torture.payloads import CHECKPOINT_KINDS, OTHER_KINDS, commands

KINDS = [*CHECKPOINT_KINDS, *OTHER_KINDS]
N_COMMANDS = 7  # that load checkpoints


@pytest.fixture(scope='module')
def trained(toy_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work dir after one epoch, with its config.py."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp('trained')
    config = write_config(folder / 'config.py', toy_data)
    options = ['--cfg-options', 'train_cfg.max_epochs=1']
    code, output = fork.run(
        ['tools/train.py', str(config), '--work-dir', str(folder), *options],
        folder / 'log',
        XDG_CACHE_HOME=str(folder),
    )
    assert code == 0, output[-3000:]
    return folder


@pytest.fixture(scope='module')
def content(trained: Path) -> dict:
    return torch.load(trained / 'epoch_1.pth', weights_only=True)


@pytest.fixture
def write(tmp_path: Path, content: dict) -> Callable[[str], Path]:
    """Writes the file of a kind, whose marker is tmp_path/ran."""

    def write_kind(kind: str) -> Path:
        name, writer = OTHER_KINDS.get(kind) or ('evil.pth', CHECKPOINT_KINDS.get(kind))
        writer(tmp_path / name, tmp_path / 'ran', dict(content))
        return tmp_path / name

    return write_kind


def open_carelessly(kind: str, path: Path) -> None:
    if 'joblib' in kind:
        joblib.load(path)
    elif 'bare pickle' in kind or path.suffix == '.pkl':
        pickle.loads(path.read_bytes())
    elif 'config text' in kind:
        exec(torch.load(path)['meta']['config'])
    elif path.suffix == '.pth':
        torch.load(path, weights_only=False)
    elif path.suffix == '.npz':
        np.load(path, allow_pickle=True)['format_version']
    elif path.suffix == '.npy':
        np.load(path, allow_pickle=True)
    elif path.suffix == '.yaml':
        yaml.unsafe_load(path.read_text())


@pytest.mark.parametrize('kind', [kind for kind in KINDS if 'HTML' not in kind])
def test_the_trap_works(kind: str, write: Callable[[str], Path], tmp_path: Path) -> None:
    path = write(kind)
    assert not (tmp_path / 'ran').exists()
    with contextlib.suppress(EOFError, RuntimeError):  # what follows the payload is no checkpoint
        open_carelessly(kind, path)
    assert (tmp_path / 'ran').exists()


@pytest.mark.parametrize('load', [CheckpointLoader.load_checkpoint, read_model], ids=['engine', 'mlp'])
@pytest.mark.parametrize('kind', CHECKPOINT_KINDS)
def test_checkpoints_are_refused_and_not_run(
    kind: str, load: Callable, write: Callable[[str], Path], tmp_path: Path
) -> None:
    path = write(kind)
    with pytest.raises(CheckpointError, match=r'(?s)evil\.pth: refused.*run code: .*--trust-checkpoint'):
        load(str(path))
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize(
    ('kind', 'names'),
    [
        ('pth: os.system', 'posix.system'),
        ('pth: eval in the message hub', 'builtins.eval'),
        ('pth: exec in the optimizer state', 'builtins.exec'),
        ('pth: chain of getattr', 'builtins.__import__, builtins.getattr'),
        ('pth: torch.load of a second file', 'functools.partial, torch.serialization.load'),
        ('pth, legacy', 'posix.system'),
    ],
)
def test_names_that_would_run_are_said(kind: str, names: str, write: Callable[[str], Path]) -> None:
    with pytest.raises(CheckpointError, match=f'could run code: {names}. If you trust'):
        load_tensors(write(kind))


def test_a_plain_checkpoint_holds_no_such_name(trained: Path) -> None:
    assert unsafe_names(trained / 'epoch_1.pth', '') == []


@pytest.mark.parametrize('address', ['torchvision://resnet50', 's3://a/b.pth', 'openmmlab://x', 'pavi://y'])
def test_addresses_with_loaders_of_their_own_are_refused(address: str) -> None:
    with pytest.raises(CheckpointError, match='only files and http'):
        CheckpointLoader.load_checkpoint(address)


def run_all(kind: str, path: Path, trained: Path, only: int | None = None) -> None:
    """Run the commands of a kind; each must end well or refuse the file by name, and run nothing."""
    cache = dict(XDG_CACHE_HOME=str(trained))
    every = list(commands(kind, path, trained / 'config.py', trained / 'epoch_1.pth'))
    assert len(every) == (N_COMMANDS if kind in CHECKPOINT_KINDS else 1)
    for command in every if only is None else [every[only % len(every)]]:
        code, output = fork.run(command, path.parent / 'log', **cache)
        assert not (path.parent / 'ran').exists(), command
        if 'HTML' in kind or 'config text' in kind:
            assert code == 0, output[-3000:]
        else:
            assert code == 2, output[-3000:]
            assert path.name in output.split('error: ')[-1], (command, output[-3000:])
            assert 'Traceback' not in output


@pytest.mark.parametrize(('turn', 'kind'), enumerate(KINDS))
def test_no_payload_runs_through_a_command(
    turn: int, kind: str, write: Callable[[str], Path], trained: Path, tmp_path: Path
) -> None:
    run_all(kind, write(kind), trained, only=turn)
    if 'HTML' in kind:
        page = (tmp_path / 'out/report.html').read_text()
        assert str(tmp_path / 'ran') in page  # it is there, as text
        assert '<img src=x' not in page
        assert '<script' not in page


@pytest.mark.slow
@pytest.mark.parametrize('kind', CHECKPOINT_KINDS)
def test_no_payload_runs_through_any_command(kind: str, write: Callable[[str], Path], trained: Path) -> None:
    run_all(kind, write(kind), trained)


def test_a_trusted_file_opens_and_runs(write: Callable[[str], Path], trained: Path, tmp_path: Path) -> None:
    path = write('pth: os.system')
    command = next(commands('pth: os.system', path, trained / 'config.py', path))
    code, output = fork.run([*command, '--trust-checkpoint'], tmp_path / 'log', XDG_CACHE_HOME=str(trained))
    assert code == 0, output[-3000:]
    assert (tmp_path / 'ran').exists()


@pytest.mark.parametrize('tool', ['train', 'test', 'extract_features', 'attention_maps'])
def test_every_tool_that_loads_checkpoints_offers_to_trust_them(tool: str, tmp_path: Path) -> None:
    assert '--trust-checkpoint' in fork.run([f'tools/{tool}.py', '--help'], tmp_path / 'log')[1]
    assert '--trust-checkpoint' in fork.run(['mlp.py', '--help'], tmp_path / 'log')[1]
