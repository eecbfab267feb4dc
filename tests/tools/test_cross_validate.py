"""tools/cross_validate.py as a user calls it: with made predictions in place of training, and for real."""

import itertools
import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from mammo.crossval import finish
from mammo.records.meta import read_meta, write_meta
from mammo.records.predictions import read_predictions, write_predictions
from tests.support.slurm_node import slurm_node  # noqa: F401
from tests.support.toy_config import write_config

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools' / 'cross_validate.py'
TASKS = ['N', 'LVI', 'tumor_size']
MODEL = "tasks=[dict(name='N', kind='binary'), dict(name='LVI', kind='binary'), dict(name='tumor_size', kind='regression')], "  # fmt: skip  # noqa: E501
SCHEMA = """
patient_id: patient_id
missing: ['']
variables:
- {name: age, column: age, kind: continuous, unit: years, range: [18, 110]}
"""


def items(numbers: Sequence[int], folder: Path, prefix: str = 'p') -> list[dict]:
    """Two images per patient; every other patient is positive."""
    made = []
    for i, view in itertools.product(numbers, ('CC', 'MLO')):
        path = folder / f'{prefix}{i}_{view}.png'
        if not path.exists():
            rng = np.random.default_rng([i, *f'{prefix}{view}'.encode()])
            image = rng.integers(0, 60, (96, 64), dtype=np.uint8)
            cv2.circle(image, (30, 48), 8 + 8 * (i % 2), 200, -1)
            cv2.imwrite(str(path), image)
        labels = dict(N=i % 2, tumor_size=0.2 + 0.6 * (i % 2))
        identity = dict(patient_id=f'{prefix}{i}', exam_id='1', view=view, laterality='L')
        made.append(dict(img_path=path.name, **identity, gt_label=labels))
    return made


@pytest.fixture(scope='module')
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 patients in 2 x 2 folds, 6 of another hospital, their ages, a schema and a config."""
    folder = tmp_path_factory.mktemp('study')
    halves = range(12), range(12, 24)
    for outer, inner in itertools.product(range(2), repeat=2):
        rest = halves[1 - outer]
        val, train = (rest[:6], rest[6:])[:: 1 if inner else -1]
        for part, numbers in dict(train=train, val=val, test=halves[outer]).items():
            write_meta(folder / f'folds/{outer}/{inner}/{part}.json', items(numbers, folder), TASKS)
    (folder / 'other').mkdir()
    write_meta(folder / 'other/meta.json', items(range(6), folder / 'other', 'x'), TASKS)
    ages = ''.join(
        f'{p},{40 + i}\n' for i, p in enumerate([f'p{i}' for i in range(24)] + [f'x{i}' for i in range(6)])
    )
    (folder / 'clinical.csv').write_text('patient_id,age\n' + ages)
    (folder / 'schema.yaml').write_text(SCHEMA)
    write_config(folder / 'config.py', folder, MODEL)
    return folder


class MadeUpEngine:
    """Writes what a fold would leave; the prob is 0.1, 0.3, ... by fold and 0.05 higher for odd patients."""

    failing: Sequence[str] = ()

    def __init__(self, specs: Sequence[dict], *_: object) -> None:
        for spec in specs:
            folder = Path(spec['folder'])
            folder.mkdir(parents=True, exist_ok=True)
            if spec['name'] in self.failing:
                (folder / 'log.txt').write_text('the end of the log')
                continue
            if 'checkpoints' in spec:  # all models on an external set
                for target in spec['checkpoints']:
                    write_predictions(target, self.records(Path(spec['site']['meta']), 0.3))
                (folder / 'fold.json').write_text('{"done": []}')
                continue
            metas = {part: Path(spec['metas']) / f'{part}.json' for part in ('val', 'test')}
            sites = {name: site for name, site in spec['external'].items() if not site['together']}
            metas |= {f'external_{name}': Path(site['meta']) for name, site in sites.items()}
            prob = 0.1 + 0.4 * int(spec['name'][0]) + 0.2 * int(spec['name'][2])
            for part, meta in metas.items():
                write_predictions(folder / f'predictions_{part}.json', self.records(meta, prob))
            about = dict(checkpoint='best.pth', sha256='0', backbone_sha256=spec['name'][-1])
            (folder / 'fold.json').write_text(json.dumps(about | dict(done=spec['wanted'])))

    @staticmethod
    def records(meta: Path, prob: float) -> list[dict]:
        made = []
        for item in read_meta(meta)['data_list']:
            score = prob + 0.05 * item['gt_label']['N']
            logit = float(np.log(score / (1 - score)))
            tasks = dict(N=dict(logit=logit, pred_score=score, gt_label=item['gt_label']['N']))
            tasks['tumor_size'] = dict(logit=prob, pred_score=prob, gt_label=item['gt_label']['tumor_size'])
            keys = ('img_path', 'patient_id', 'exam_id', 'view', 'laterality')
            made.append({key: item[key] for key in keys} | dict(tasks=tasks))
        return made

    def running(self) -> bool:
        return False

    def close(self) -> None:
        pass


@pytest.fixture
def call(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs the tool in this process with made-up folds; the exit code."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr('mammo.crossval.jobs.engines.LocalEngine', MadeUpEngine)
    monkeypatch.setattr(MadeUpEngine, 'failing', ())
    handler = signal.getsignal(signal.SIGTERM)

    def run(*options: str | Path, folds: Path = study / 'folds') -> int:
        command = [
            TOOL,
            study / 'config.py',
            '--folds',
            folds,
            '--work-dir',
            tmp_path / 'run',
            '--bootstrap',
            100,
        ]
        monkeypatch.setattr(sys, 'argv', [str(part) for part in (*command, *options)])
        try:
            runpy.run_path(str(TOOL), run_name='__main__')
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(bool(end.code))
        finally:
            signal.signal(signal.SIGTERM, handler)
        return 0

    return run


def test_one_command_makes_ensembles_reports_and_the_record(call, tmp_path: Path) -> None:
    assert call() == 0
    run = tmp_path / 'run'
    test = read_predictions(run / 'ensemble/mammograms/1/mean/test.json')
    assert len(test) == 24
    probs = {record['patient_id']: record['tasks']['N']['pred_score'] for record in test}
    assert probs['p12'] == pytest.approx(0.6)  # of 0.5 and 0.7
    assert probs['p13'] == pytest.approx(0.65)
    development = read_predictions(run / 'ensemble/mammograms/1/mean/val.json')
    assert {record['patient_id'] for record in development} == {f'p{i}' for i in range(12)}
    patients = pd.read_csv(run / 'ensemble/mammograms/patients.csv', index_col='patient_id').query(
        'task == "N"'
    )
    assert len(patients) == 24
    assert patients.loc['p13', ['fold', 'label', 'n_images']].tolist() == [1, 1, 2]
    assert patients.loc['p13', 'score'] == pytest.approx(0.65)
    report = json.loads((run / 'report/report.json').read_text())
    assert report['models']['mammograms']['n_patients'] == 24
    assert report['models']['mammograms']['stability']['n_members'] == 2
    assert report['models']['mammograms']['stability']['mean_absolute_difference'] == pytest.approx(0.1)
    assert set(report['models']['mammograms']['slnb']['development']['threshold_by_fold']) == {'0', '1'}
    assert 'r2' in json.loads((run / 'report/tumor_size/report.json').read_text())['models']['mammograms']
    record = json.loads((run / 'cross_validate.json').read_text())
    assert record['tasks'] == dict(N='binary', LVI='binary', tumor_size='regression')
    assert record['folds']['1/0']['checkpoint'] == 'best.pth'
    assert record['shared_backbone'] is False
    assert record['reports'] == dict(
        N='report', tumor_size='report/tumor_size'
    )  # no patient has an LVI label


def test_a_report_does_not_tell_where_or_when_it_was_made(call, tmp_path: Path) -> None:
    assert call() == 0
    first = (tmp_path / 'run/report/report.json').read_bytes()
    (tmp_path / 'run').rename(tmp_path / 'elsewhere')
    assert call() == 0
    assert (tmp_path / 'run/report/report.json').read_bytes() == first


def test_external_sets_are_scored_by_all_models_and_may_be_added_later(
    call, study: Path, tmp_path: Path
) -> None:
    assert call() == 0
    assert call('--external', f'site_b={study / "other/meta.json"}') == 0
    records = read_predictions(tmp_path / 'run/ensemble/mammograms/external_site_b.json')
    probs = {record['patient_id']: record['tasks']['N']['pred_score'] for record in records}
    assert probs['x0'] == pytest.approx(0.4)  # of 0.1, 0.3, 0.5, 0.7
    report = json.loads((tmp_path / 'run/report/external_site_b/report.json').read_text())
    entry = report['models']['mammograms']
    assert entry['n_patients'] == 6
    assert entry['slnb']['development']['threshold'] == pytest.approx(
        0.25
    )  # 0.9 of the positives of both folds


def test_an_external_set_that_an_earlier_run_left_out_is_scored_by_whatever_engine(
    call, study: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    site = f'b={study / "other/meta.json"}'
    options = ('--external', site, '--cfg-options', 'model.backbone.frozen_stages=4')
    monkeypatch.setattr(MadeUpEngine, 'failing', ('external b',))
    assert call(*options) == 1
    assert 'external set b could not be scored' in capsys.readouterr().err
    monkeypatch.setattr(MadeUpEngine, 'failing', ())
    assert call('--scheduler', 'not asked', *options) == 0  # all folds are done
    records = read_predictions(tmp_path / 'run/ensemble/mammograms/external_b.json')
    assert records[0]['tasks']['N']['pred_score'] == pytest.approx(0.3)
    assert (tmp_path / 'run/report/external_b/report.json').is_file()
    monkeypatch.setattr(finish, '_evaluate', lambda _, out_dir, __: 'external_b' not in str(out_dir))
    assert call(*options) == 1  # its report is refused


def test_images_that_are_missing_are_found_once_before_the_folds(
    call, study: Path, tmp_path: Path, capsys
) -> None:
    assert call('--data-root', tmp_path) == 2
    told = capsys.readouterr().err
    assert re.search(r'error: 48 of 48 images cannot be used; .*p0_CC.png: No such file', told)
    assert told.splitlines()[-1].startswith('error: ')  # one line, and nothing after it
    assert told.count('p0_CC.png') == 1
    assert not (tmp_path / 'run').exists()
    assert call('--data-root', study) == 0


def test_a_fold_of_one_class_is_found_before_anything_is_written(
    call, study: Path, tmp_path: Path, capsys
) -> None:
    folds = tmp_path / 'folds'
    shutil.copytree(study / 'folds', folds)
    for part in ('0/1/val', '1/0/val'):
        meta = read_meta(folds / f'{part}.json')
        relabelled = [item | dict(gt_label=dict(N=0)) for item in meta['data_list']]
        write_meta(folds / f'{part}.json', relabelled, TASKS)
    files = ['--with-fusion', study / 'schema.yaml', '--clinical', study / 'clinical.csv']
    assert call(*files, folds=folds) == 2
    told = capsys.readouterr().err
    assert re.search(
        r"fusion cannot be fitted: \S+0/1/val.json: all labels 'N' are 0.*; \S+1/0/val.json: all", told
    )
    assert not (tmp_path / 'run').exists()


def several_views(n_views: int) -> list[str]:
    """Options that make samples of several views of the config's single images."""
    datasets = [f'{part}_dataloader.dataset' for part in ('train', 'val', 'test')]
    types = [f'{dataset}.type=MammoMultiViewDataset' for dataset in datasets]
    return ['--cfg-options', *types, *(f'+{dataset}.n_views={n_views}' for dataset in datasets)]


def test_samples_that_the_images_do_not_make_are_named_before_anything_is_written(
    call, study: Path, tmp_path: Path, capsys
) -> None:
    folds = tmp_path / 'folds'
    shutil.copytree(study / 'folds', folds)
    meta = read_meta(folds / '0/0/val.json')
    meta['data_list'][0]['view'] = 'ML'
    write_meta(folds / '0/0/val.json', meta['data_list'], TASKS)
    options = several_views(2)
    assert call(*options) == 0
    assert call(*options, '--fresh', folds=folds) == 2
    told = capsys.readouterr().err
    assert re.search(r'error: 1 images have no view of CC, MLO .*: .*_CC.png; leave them out', told)
    options = ['--unit', 'breast', *several_views(4)]
    assert call(*options, '--work-dir', tmp_path / 'four') == 2
    assert '--unit breast: samples are of both breasts' in capsys.readouterr().err
    assert not (tmp_path / 'four').exists()


def test_a_failing_fold_is_named_with_its_log_and_the_rest_is_kept(
    call, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MadeUpEngine, 'failing', ('1/0',))
    assert call() == 1
    told = capsys.readouterr().err
    assert re.search(r'fold 1/0 failed; the end of \S+/run/1/0/log.txt:\nthe end of the log', told)
    assert 'no report yet: 1/0 not finished' in told
    monkeypatch.setattr(MadeUpEngine, 'failing', ())
    kept = (tmp_path / 'run/0/0/fold.json').stat().st_mtime_ns
    assert call() == 0
    assert (tmp_path / 'run/0/0/fold.json').stat().st_mtime_ns == kept


def test_one_model_per_outer_fold_makes_a_report_and_two_in_one_do_not(call, capsys) -> None:
    assert call('--only', '0/1,1/1') == 0
    assert call('--only', '0/0') == 1
    assert 'no report yet: 1/0 not finished' in capsys.readouterr().err


def test_changed_settings_are_refused_and_fresh_starts_anew(call, tmp_path: Path, capsys) -> None:
    assert call() == 0
    assert call('--cfg-options', 'train_cfg.max_epochs=3') == 2
    assert 'config.train_cfg.max_epochs: 2 -> 3' in capsys.readouterr().err
    assert call('--cfg-options', 'train_cfg.max_epochs=3', '--fresh') == 0
    assert json.loads((tmp_path / 'run/cross_validate.json').read_text())['settings']['config']['train_cfg']['max_epochs'] == 3  # fmt: skip  # noqa: E501


def test_the_cache_comes_before_the_folds_and_its_views_are_a_setting(
    call, tmp_path: Path, capsys, monkeypatch
) -> None:
    started = []

    class Engine(MadeUpEngine):
        def __init__(self, specs: Sequence[dict], n_devices: int) -> None:
            started.append(([spec['name'] for spec in specs], n_devices))
            super().__init__([spec for spec in specs if spec['name'] != 'cache'])
            for spec in specs:
                if spec['name'] == 'cache' and 'cache' not in self.failing:
                    Path(spec['folder']).mkdir(parents=True)
                    (Path(spec['folder']) / 'fold.json').write_text('{"done": []}')

    monkeypatch.setattr('mammo.crossval.jobs.engines.LocalEngine', Engine)
    frozen = ('--devices', '2', '--cfg-options', 'model.backbone.frozen_stages=4')
    monkeypatch.setattr(MadeUpEngine, 'failing', ('cache',))
    assert call('--cache', '3', *frozen) == 1
    assert started == [(['cache'], 1)]
    monkeypatch.setattr(MadeUpEngine, 'failing', ())
    assert call('--cache', '3', *frozen) == 0
    assert call('--cache', '3', *frozen) == 0
    assert started[1:] == [(['cache'], 1), (['0/0', '0/1', '1/0', '1/1'], 2)]
    assert json.loads((tmp_path / 'run/cross_validate.json').read_text())['settings']['cache'] == 3
    assert call(*frozen) == 2
    assert 'cache: 3 -> absent' in capsys.readouterr().err
    assert call('--cache', '4', '--fresh', *frozen) == 0
    assert not (tmp_path / 'run/cache').exists()  # the old maps are gone
    shutil.rmtree(tmp_path / 'run')
    assert call('--cache', '4', '--cache-dir', str(tmp_path / 'maps'), *frozen) == 0
    assert (tmp_path / 'maps/fold.json').is_file()
    assert call('--cache-dir', str(tmp_path / 'maps'), '--fresh', *frozen) == 2
    assert 'say with --cache VIEWS' in capsys.readouterr().err


def test_fresh_refuses_a_folder_of_something_else(call, tmp_path: Path, capsys) -> None:
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run/thesis.txt').touch()
    assert call('--fresh') == 2
    assert 'holds no cross_validate.json' in capsys.readouterr().err


def test_a_leak_ends_with_one_message_before_anything_is_written(
    call, study: Path, tmp_path: Path, capsys
) -> None:
    assert call('--external', study / 'folds/0/0/test.json') == 2
    assert 'leak check: 12 patients are in the folds and external set test: p0' in capsys.readouterr().err
    assert not (tmp_path / 'run').exists()


def test_patients_of_the_pretraining_list_are_refused(call, tmp_path: Path, capsys, monkeypatch) -> None:
    from mammo.crossval import inputs

    monkeypatch.setattr(inputs, 'patients_of_list', lambda _: {'p3'})
    assert call('--pretrain-list', tmp_path / 'list.txt') == 2
    assert '1 patients are in the pretraining list and the test patients: p3' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--with-fusion', 'schema.yaml'], '--with-fusion SCHEMA and --clinical TABLE belong together'),
        (['--devices', '0'], '--devices is 0, expected 1 or more'),
        (['--fusion'], 'LVI.*choose another --label'),
        (
            ['--fusion', '--label', 'tumor_size'],
            'the fusion predicts binary tasks; tumor_size is a regression',
        ),
        (['--fusion', '--clinical', 'no.csv'], 'no.csv: (cannot be read|No such file)'),
        (
            ['--external', 'a b=meta.json'],
            'meta.json: no such meta file|name .a b. is taken or not of letters',
        ),
        (['--external', 'meta.json'], 'no such meta file'),
        (['--label', 'n'], '--label n: no task of the config; choose one of N, LVI, tumor_size'),
        (['--label', 'LVI'], "no test part has a label 'LVI'"),
        (
            ['--cache', '2'],
            r'--cache 2: .*a frozen backbone \(model.backbone.frozen_stages is -1\); freeze all',
        ),
        (
            ['--cache', '-1', '--cfg-options', 'model.backbone.frozen_stages=4'],
            '--cache -1: expected 0 or more',
        ),
    ],
)
def test_bad_options_end_with_one_message(
    call, study: Path, capsys, options: list[str], message: str
) -> None:
    if options[0] == '--fusion':
        files = ['--with-fusion', str(study / 'schema.yaml'), '--clinical', str(study / 'clinical.csv')]
        options = [*files, *options[1:]] if len(options) > 1 else [*files, '--label', 'LVI']
    assert call(*options) == 2
    assert re.search(message, capsys.readouterr().err)


# ---- for real -------------------------------------------------------------------------------------------


def command(study: Path, work_dir: Path, *options: str) -> list[str]:
    fusion = ['--with-fusion', str(study / 'schema.yaml'), '--clinical', str(study / 'clinical.csv')]
    where = ['--folds', str(study / 'folds'), '--work-dir', str(work_dir), '--bootstrap', '100']
    external = ['--external', f'site_b={study / "other/meta.json"}']
    return [sys.executable, str(TOOL), str(study / 'config.py'), *where, *fusion, *external, *options]


def reports(work_dir: Path) -> dict[str, bytes]:
    return {str(path.relative_to(work_dir)): path.read_bytes() for path in work_dir.rglob('report.json')}


def traces(work_dir: Path) -> set[tuple[str, int]]:
    """What a run has left so far, and when."""
    patterns = ('*/*/state.json', '*/*/checkpoints/*.pth', '*/*/predictions_*.json', '*/*/fold.json')
    paths = [path for pattern in patterns for path in work_dir.glob(pattern)]
    return {(str(path), path.stat().st_mtime_ns) for path in paths if path.exists()}


@pytest.fixture(scope='module')
def undisturbed(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run with training, fusion and an external set."""
    work_dir = tmp_path_factory.mktemp('undisturbed')
    subprocess.run(command(study, work_dir, '--devices', '2'), check=True, env=environment())
    return work_dir


def environment() -> dict[str, str]:
    return {**os.environ, 'OMP_NUM_THREADS': '1'}


@pytest.mark.slow
def test_everything_is_there_after_a_real_run(undisturbed: Path) -> None:
    models = json.loads((undisturbed / 'report/report.json').read_text())['models']
    assert len(models) == 5
    assert models['clinical-mammo_mlp']['n_patients'] == 24
    external = json.loads((undisturbed / 'report/external_site_b/report.json').read_text())['models']
    assert external['clinical-mammo_logistic']['n_patients'] == 6


@pytest.mark.slow
def test_fusion_encoders_know_the_train_patients_only(study: Path, undisturbed: Path) -> None:
    schema = json.loads((undisturbed / '1/1/fusion/data/schema.json').read_text())
    train = {item['patient_id'] for item in read_meta(study / 'folds/1/1/train.json')['data_list']}
    ids, x = (np.load(undisturbed / f'1/1/fusion/data/train_{name}.npy') for name in ('fortnr', 'feat_5'))
    assert set(ids) == train
    assert schema['feat_5']['fill'] == pytest.approx(x.mean(0).tolist(), rel=1e-4, abs=1e-5)


@pytest.mark.slow
def test_fusion_learns_from_what_other_networks_say_of_its_train_patients(undisturbed: Path) -> None:
    """Fold 1/1 trains on patients whom fold 1/0 had in validation: their outputs are of that network."""
    records = read_predictions(undisturbed / '1/0/predictions_val.json')
    ids, x = (np.load(undisturbed / f'1/1/fusion/data/train_{name}.npy') for name in ('fortnr', 'feat_5'))
    logits = pd.DataFrame([{t: v['logit'] for t, v in r['tasks'].items()} for r in records])
    means = logits.groupby([r['patient_id'] for r in records]).mean()
    expected = (means - means.mean()) / means.std(ddof=0).replace(0, 1)
    np.testing.assert_allclose(x, expected.loc[list(ids)].to_numpy(), atol=1e-4)


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_in_the_same_reports(
    study: Path, undisturbed: Path, tmp_path: Path
) -> None:
    for n_changes in (1, 5, 9, 13):  # in training, testing, fusion of the first folds, and later
        process = subprocess.Popen(command(study, tmp_path, '--devices', '2'), env=environment())
        before = traces(tmp_path)
        while len(traces(tmp_path) - before) < n_changes and process.poll() is None:
            time.sleep(0.1)
        process.kill()
        process.wait()
    subprocess.run(command(study, tmp_path, '--devices', '2'), check=True, env=environment())
    assert reports(tmp_path) == reports(undisturbed)
    assert len(reports(tmp_path)) == 4


@pytest.mark.slow
def test_a_dask_worker_that_dies_in_a_fold_costs_nothing_but_time(
    study: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dask.distributed import Client, LocalCluster

    monkeypatch.chdir(ROOT)
    monkeypatch.setenv('OMP_NUM_THREADS', '1')  # also for the worker that replaces the dead one
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        process = subprocess.Popen(
            command(study, tmp_path, '--scheduler', cluster.scheduler_address), env=environment()
        )
        while not list(tmp_path.glob('*/*/checkpoints/*/vis_data/scalars.json')):
            assert process.poll() is None
            time.sleep(0.2)
        victim = next(worker for worker, tasks in client.processing().items() if tasks)
        pids = client.run(os.getpid)
        os.kill(pids[victim], signal.SIGKILL)
        assert process.wait(600) == 0
    assert reports(tmp_path) == reports(undisturbed)


@pytest.mark.slow
def test_a_slurm_array_that_is_killed_in_the_middle_ends_in_the_same_reports(
    study: Path,
    undisturbed: Path,
    tmp_path: Path,
    slurm_node: Callable[..., str],  # noqa: F811
) -> None:
    whole = command(study, tmp_path / 'run', '--launcher', 'slurm', '--sbatch-args=--partition=cpu')
    process = subprocess.Popen(whole, env=environment())
    while len(traces(tmp_path / 'run')) < 5 and process.poll() is None:
        time.sleep(0.1)
    slurm_node('scancel', json.loads((tmp_path / 'run/slurm/job.json').read_text())['job'])
    assert process.wait(1200) == 0
    assert len(list((tmp_path / 'run/slurm').glob('folds_*.txt'))) == 2  # submitted twice
    assert reports(tmp_path / 'run') == reports(undisturbed)


@pytest.mark.slow
def test_maps_of_a_frozen_backbone_give_the_predictions_that_images_give(study: Path, tmp_path: Path) -> None:
    """Without augmentation; the run with maps is killed in its first fold and goes on."""
    config, runs = frozen(study, tmp_path), dict(images=[], maps=['--cache', '0'])
    for name, options in runs.items():
        where = ['--folds', study / 'folds', '--work-dir', tmp_path / name, '--only', '0/0,1/0']
        whole = [TOOL, config, *where, '--bootstrap', '100', *options]
        if options:
            process = subprocess.Popen([sys.executable, *map(str, whole)], env=environment())
            while not list((tmp_path / name).glob('0/0/checkpoints/epoch_1.pth')):
                assert process.poll() is None
                time.sleep(0.1)
            process.kill()
            process.wait()
            made = (tmp_path / 'maps/cache/plain.npy').stat()
        call_tool(*whole)
    assert (
        tmp_path / 'maps/cache/plain.npy'
    ).stat().st_mtime_ns == made.st_mtime_ns  # once, before the folds
    for fold, part in itertools.product(('0/0', '1/0'), ('val', 'test')):
        expected, found = (
            {r['img_path']: [task['logit'] for task in r['tasks'].values()] for r in read_predictions(path)}
            for path in (tmp_path / run / fold / f'predictions_{part}.json' for run in runs)
        )
        assert len(expected) == (12 if part == 'val' else 24)
        assert np.ptp(list(expected.values()), axis=0).max() > 1e-4  # images differ by more than the bound
        for image, logits in expected.items():
            assert found[image] == pytest.approx(logits, abs=1e-6)
    record = json.loads((tmp_path / 'maps/cross_validate.json').read_text())
    assert record['settings']['cache'] == 0
    checkpoint = tmp_path / 'maps/0/0' / record['folds']['0/0']['checkpoint']  # whole: fits the config
    data = f'test_dataloader.dataset.ann_file={study}/folds/0/0/test.json'
    out = tmp_path / 'test.json'
    call_tool(ROOT / 'tools/test.py', config, checkpoint, '--work-dir', tmp_path / 'log', '--out', out, '--cfg-options', data)  # fmt: skip  # noqa: E501
    again, found = (
        [r['tasks']['N']['logit'] for r in read_predictions(path)]
        for path in (out, tmp_path / 'maps/0/0/predictions_test.json')
    )
    assert again == pytest.approx(found, abs=1e-6)


def frozen(study: Path, folder: Path) -> Path:
    """The config of the study with a frozen backbone of given weights."""
    cfg = Config.fromfile(study / 'config.py')
    torch.manual_seed(0)
    backbone = MODELS.build(cfg.model.backbone)
    torch.save(dict(state_dict=backbone.state_dict()), folder / 'backbone.pth')
    weights = f"init_cfg=dict(_delete_=True, type='Pretrained', checkpoint='{folder}/backbone.pth')"
    text = (study / 'config.py').read_text()
    path = folder / 'frozen.py'
    path.write_text(text.replace('base_channels=8)', f'base_channels=8, frozen_stages=4, {weights})'))
    return path


@pytest.mark.slow
def test_a_frozen_backbone_scores_external_sets_once_for_all_models(study: Path, tmp_path: Path) -> None:
    meta = study / 'other/meta.json'
    where = ['--folds', study / 'folds', '--work-dir', tmp_path, '--only', '0/0,1/0', '--bootstrap', 100]
    options = ['--external', f'b={meta}', '--cfg-options', 'model.backbone.frozen_stages=4']
    call_tool(TOOL, study / 'config.py', *where, *options)
    record = json.loads((tmp_path / 'cross_validate.json').read_text())
    assert record['shared_backbone'] is True
    for fold in ('0/0', '1/0'):
        checkpoint = tmp_path / fold / record['folds'][fold]['checkpoint']
        alone = tmp_path / 'alone' / fold / 'test.json'
        data = [f'test_dataloader.dataset.{key}={value}' for key, value in dict(ann_file=meta, data_root=meta.parent).items()]  # fmt: skip  # noqa: E501
        call_tool(ROOT / 'tools/test.py', tmp_path / 'config.py', checkpoint, '--work-dir', tmp_path / 'log', '--out', alone, '--cfg-options', *data)  # fmt: skip  # noqa: E501
        expected, found = (
            {record['img_path']: record['tasks']['N']['logit'] for record in read_predictions(path)}
            for path in (alone, tmp_path / fold / 'predictions_external_b.json')
        )
        assert found == pytest.approx(expected, abs=1e-6)
    assert json.loads((tmp_path / 'report/external_b/report.json').read_text())


def call_tool(*command: object) -> None:
    subprocess.run([sys.executable, *map(str, command)], check=True, env=environment())
