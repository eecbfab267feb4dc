"""tools/test_ensemble.py: a file per member as tools/test.py writes it, and their mean."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mammo.records.predictions import read_predictions
from tests.support.toy_config import write_config

TASKS = ['N', 'LVI', 'multifocality', 'NumPos', 'tumor_size']


@pytest.fixture(scope='module')
def members(toy_data: Path, tmp_path_factory: pytest.TempPathFactory, call) -> list[Path]:
    """Config and three checkpoints: the first two share a backbone, the third has another."""
    folder = tmp_path_factory.mktemp('members')
    config = write_config(folder / 'own.py', toy_data)
    call('train.py', config, '--work-dir', folder / 'work', '--cfg-options', 'train_cfg.max_epochs=1')
    first = torch.load(folder / 'work' / 'epoch_1.pth', weights_only=True)['state_dict']
    generator = torch.Generator().manual_seed(0)
    paths = []
    for i, changed in enumerate(['', 'neck.', 'neck.|backbone.']):
        learned = [key for key in first if changed and key.startswith(tuple(changed.split('|')))]
        state = dict(first)
        for key in (key for key in learned if key.endswith(('weight', 'bias'))):
            state[key] = first[key] + 0.05 * torch.randn(first[key].shape, generator=generator)
        paths.append(folder / f'{i}.pth')
        torch.save(dict(state_dict=state), paths[-1])
    return [config, *paths]


def numbers(path: Path, field: str) -> np.ndarray:
    return np.array([[r['tasks'][task][field] for task in TASKS] for r in read_predictions(path)])


@pytest.mark.parametrize('n', [2, 3])
def test_members_are_as_separate_runs_to_1e_6(members: list[Path], n: int, tmp_path: Path, call) -> None:
    config, *checkpoints = members
    out = tmp_path / 'out'
    call('test_ensemble.py', config, *checkpoints[:n], '--out-dir', out, '--work-dir', tmp_path / 'work')
    assert sorted(path.name for path in out.iterdir()) == [
        'mean.json', *(f'member_0{i}.json' for i in range(n)),
    ]  # fmt: skip
    for i, checkpoint in enumerate(checkpoints[:n]):
        alone = tmp_path / f'{i}.json'
        call('test.py', config, checkpoint, '--out', alone, '--work-dir', tmp_path / f'work{i}')
        np.testing.assert_allclose(
            numbers(out / f'member_0{i}.json', 'logit'), numbers(alone, 'logit'), atol=1e-6
        )
        given, expected = read_predictions(out / f'member_0{i}.json'), read_predictions(alone)
        assert [r['img_path'] for r in given] == [r['img_path'] for r in expected]
        assert [r['tasks']['LVI']['gt_label'] for r in given] == [
            r['tasks']['LVI']['gt_label'] for r in expected
        ]
    scores = [numbers(out / f'member_0{i}.json', 'pred_score') for i in range(n)]
    assert not np.allclose(scores[0], scores[1], atol=1e-3)
    np.testing.assert_allclose(numbers(out / 'mean.json', 'pred_score'), np.mean(scores, axis=0), atol=1e-6)


def test_meta_file_and_folder_of_another_set(
    members: list[Path], toy_data: Path, tmp_path: Path, call
) -> None:
    out = tmp_path / 'out'
    options = ['--meta', 'val.json', '--data-root', toy_data, '--work-dir', tmp_path / 'work']
    nowhere = ['--cfg-options', 'test_dataloader.batch_size=3']
    call('test_ensemble.py', *members[:2], '--out-dir', out, *options, *nowhere)
    assert len(read_predictions(out / 'mean.json')) == 8


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['nowhere.pth'], 'nowhere.pth: no such checkpoint'),
        (['--launcher', 'pytorch'], 'an ensemble is tested by one process'),
        (['--meta', 'none.json'], 'none.json'),
    ],
)
def test_bad_input_is_one_message(
    members: list[Path], options: list[str], message: str, tmp_path: Path, call, capsys
) -> None:
    with pytest.raises(SystemExit) as end:
        call(
            'test_ensemble.py', *members[:2], *options, '--out-dir', tmp_path / 'out', '--work-dir', tmp_path
        )
    assert end.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()
