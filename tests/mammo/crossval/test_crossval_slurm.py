"""Folds as a SLURM job array: what is asked of SLURM's commands, and what a real SLURM makes of it (slow)."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mammo.crossval.jobs.job import run_fold
from mammo.crossval.jobs.slurm import SlurmEngine
from mammo.crossval.jobs.state import finished
from mammo.crossval.settings import throw_away
from mammo.errors import DataError
from tests.support.slurm_node import slurm_node  # noqa: F401
from tests.support.stand_in_folds import calls, until, wait
from tests.support.stub_slurm import write_stubs

LIMIT_S = 300


def engine_of(specs: list[dict], tmp_path: Path, options: str = '', limit: int | None = None) -> SlurmEngine:
    return SlurmEngine(specs, tmp_path / 'run' / 'slurm', limit, options, poll_s=0)


@pytest.fixture
def stubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where stubs of SLURM's commands write what they are asked."""
    monkeypatch.setenv('PATH', f'{write_stubs(tmp_path)}:{os.environ["PATH"]}')
    return tmp_path


# ---- what is asked ----------------------------------------------------------------------------------------


def test_all_folds_are_one_array_with_the_options_as_a_shell_reads_them(make, stubs: Path) -> None:
    engine = engine_of(
        [make('0/0'), make('0/1'), make('1/0')], stubs, '--partition=gpu --comment="two words"', 2
    )
    engine.running()
    arguments = (stubs / 'sbatch.txt').read_text().splitlines()
    assert {'--array=0,1,2%2', '--partition=gpu', '--comment=two words', '--parsable'} <= set(arguments)
    assert json.loads((stubs / 'run/slurm/job.json').read_text())['job'] == '77'  # without its cluster


def test_a_fold_that_left_the_queue_unfinished_is_submitted_once_more(make, stubs: Path) -> None:
    specs = [make('0/0'), make('0/1')]
    engine = engine_of(specs, stubs, '--job-name=mine')
    assert engine.running()
    run_fold(specs[0])
    wait(engine)
    arguments = (stubs / 'sbatch.txt').read_text().splitlines()
    assert [word for word in arguments if 'array' in word] == ['--array=0,1', '--array=1']
    assert [word for word in arguments if 'job-name' in word][1::2] == ['--job-name=cross_validate'] * 2
    assert not (stubs / 'run/slurm/job.json').exists()


def test_the_array_of_an_earlier_run_is_waited_for_under_its_name_and_user(make, stubs: Path) -> None:
    (stubs / 'run/slurm').mkdir(parents=True)
    (stubs / 'run/slurm/job.json').write_text('{"job": "77"}')
    (stubs / 'queue').write_text('77_0 RUNNING None')
    assert engine_of([make('0/0')], stubs).running()
    assert {'--me', '--name=cross_validate', '--jobs=77'} <= set((stubs / 'squeue.txt').read_text().split())
    assert not (stubs / 'sbatch.txt').exists()


def test_an_array_that_no_node_can_ever_run_is_withdrawn(make, stubs: Path) -> None:
    engine = engine_of([make('0/0')], stubs)
    engine.running()
    (stubs / 'queue').write_text('77_[0] PENDING PartitionConfig')
    with pytest.raises(
        DataError, match=r'job 77: no node can ever run it .*PartitionConfig.*see --sbatch-args'
    ):
        wait(engine)
    assert (stubs / 'scancel.txt').read_text() == '77\n'
    assert not (stubs / 'run/slurm/job.json').exists()


def test_a_machine_without_slurm_is_told(make, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(DataError, match='sbatch is not on PATH'):
        engine_of([make('0/0')], tmp_path).running()


# ---- a real SLURM -----------------------------------------------------------------------------------------


@pytest.fixture
def node(slurm_node: Callable[..., str]):  # noqa: F811
    """The node, idle and up at the start of each test, and free of jobs at its end."""
    yield slurm_node
    slurm_node('scancel', '--user', str(os.getuid()))
    until(lambda: not slurm_node('squeue', '--noheader'), LIMIT_S)


def poll(engine: SlurmEngine) -> None:
    """Until nothing runs; asks twice a second."""
    engine.poll_s = 0.5
    wait(engine, LIMIT_S)


@pytest.mark.slow
def test_slurm_runs_all_folds(make, node, tmp_path: Path) -> None:
    specs = [make('0/0'), make('0/1'), make('1/0')]
    poll(engine_of(specs, tmp_path, '--partition=cpu --comment="two words"', limit=2))
    assert all(finished(spec) for spec in specs)
    assert [len(calls(spec)) for spec in specs] == [1, 1, 1]


@pytest.mark.slow
def test_an_array_that_is_cancelled_in_the_middle_is_submitted_again(make, node, tmp_path: Path) -> None:
    specs = [make('0/0'), make('0/1', 'sleep', 'work')]
    engine = engine_of(specs, tmp_path)
    engine.running()
    until(lambda: finished(specs[0]) and (Path(specs[1]['folder']) / 'calls').exists(), LIMIT_S)
    node('scancel', str(engine.job))
    poll(engine)
    assert all(finished(spec) for spec in specs)
    assert [len(calls(spec)) for spec in specs] == [1, 2]


@pytest.mark.slow
@pytest.mark.parametrize('options', ['', '--no-requeue'], ids=['requeued by SLURM', 'submitted again'])
def test_folds_of_a_node_that_goes_down_are_run_again(make, node, tmp_path: Path, options: str) -> None:
    spec = make('0/0', 'sleep', 'work')
    engine = engine_of([spec], tmp_path, options)
    engine.running()
    until(lambda: (Path(spec['folder']) / 'calls').exists(), LIMIT_S)
    name = node('sinfo', '--noheader', '--format=%n').strip()
    node('scontrol', 'update', f'nodename={name}', 'state=down', 'reason=test')
    engine.running()
    node('scontrol', 'update', f'nodename={name}', 'state=resume')
    poll(engine)
    assert finished(spec)
    assert len(calls(spec)) == 2


@pytest.mark.slow
def test_a_later_run_waits_for_the_array_and_fresh_is_refused(
    make, node, earlier: Path, tmp_path: Path
) -> None:
    spec = make('1/0', 'sleep')
    engine = engine_of([spec], tmp_path)
    engine.running()
    engine.close()
    later = engine_of([spec], tmp_path)
    assert later.job == engine.job
    assert later.running()
    with pytest.raises(DataError, match=f'--fresh: SLURM job {engine.job} still works here; scancel'):
        throw_away(earlier)
    node('scancel', str(engine.job))
    until(lambda: not node('squeue', '--noheader'), LIMIT_S)
    throw_away(earlier)
    assert not (earlier / '0/0').exists()


@pytest.mark.slow
def test_a_job_of_another_name_that_got_the_number_is_not_waited_for(make, node, tmp_path: Path) -> None:
    other = node(
        'sbatch', '--parsable', '--job-name=simulation', '--output=/dev/null', '--wrap', 'sleep 60'
    ).strip()
    (tmp_path / 'run/slurm').mkdir(parents=True)
    (tmp_path / 'run/slurm/job.json').write_text(json.dumps(dict(job=other)))
    spec = make('0/0')
    poll(engine_of([spec], tmp_path))
    assert finished(spec)
    assert node('squeue', '--noheader', '--format=%i').split() == [other]


@pytest.mark.slow
@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ('--partition=nosuch', 'sbatch refused the job array: .*invalid partition specified: nosuch'),
        ('--cpus-per-task=5', r'no node can ever run it \(.*PartitionConfig\); see --sbatch-args'),
        ('--time=100', r'no node can ever run it \(.*Partition(Config|TimeLimit)\); see --sbatch-args'),
        ('--constraint=fast', 'sbatch refused the job array: .*Invalid feature'),
        ('--no-such-option', 'sbatch refused the job array: .*unrecognized option'),
    ],
)
def test_wrong_options_of_sbatch_end_at_once(make, node, tmp_path: Path, options: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        poll(engine_of([make('0/0')], tmp_path, options))
    assert not node('squeue', '--noheader')
