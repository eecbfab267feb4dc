"""tools/make_bundle.py and tools/predict.py as users call them, on made-up data, phantoms and real films."""

import csv
import json
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from mammo.inference.predictor import Predictor
from mammo.phantoms.drawing import render_exam
from mammo.phantoms.truth import sample_patients
from mammo.preprocess.inputs.job import Job
from mammo.preprocess.inputs.jobs import find_jobs
from mammo.records.predictions import read_predictions
from mammo.records.tables.reading import read_table
from tests.support.toy_config import write_config

FUSED_TEST = 'fusion/clinical-mammo_mlp/predictions_test.csv'
ROOT = Path(__file__).resolve().parents[2]
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Call:
    """Runs a tool in this process -> exit code, standard output, standard error."""

    def run(tool: str, *arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
        code = 0
        try:
            runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope='module')
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config, a checkpoint of random weights, preprocess.json, and films of three patients with a table."""
    folder = tmp_path_factory.mktemp('study')
    config = write_config(folder / 'config.py', folder)
    settings = dict(spacing_mm=0.5, voi=None, for_processing='refuse', flip_to=None, key=None)
    (folder / 'preprocess.json').write_text(json.dumps(dict(format_version=1, settings=settings)))
    init_default_scope('mammo')
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(str(config)).model)
    torch.save(dict(state_dict=model.state_dict()), folder / 'best.pth')
    rows = []
    for i, patient in enumerate(sample_patients(3, np.random.default_rng(0)).to_dict('records')):
        for ds, about in render_exam(patient, i, (480, 320), 0):
            name = f'{about["patient_id"]}_{about["laterality"]}_{about["view"]}.dcm'
            ds.save_as(folder / name, enforce_file_format=True)
            rows.append(f'{name},{about["patient_id"]},{patient["tumor_side"]}')
    (folder / 'table.csv').write_text('dicom_path,patient_id,tumor_side\n' + '\n'.join(rows) + '\n')
    return folder


@pytest.fixture(scope='module')
def bundle(study: Path) -> Path:
    target = study / 'bundle'
    command = [sys.executable, 'tools/make_bundle.py', '--config', study / 'config.py']
    command += ['--checkpoint', study / 'best.pth', '--out', target]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=True)
    assert '1 models, 1 backbones' in done.stdout
    return target


def test_one_patient_gives_a_short_result_json_and_pictures(
    call: Call, study: Path, bundle: Path, tmp_path: Path
) -> None:
    files = sorted(study.glob('P0002_*.dcm'))
    code, out, _ = call('predict.py', '--bundle', bundle, *files, '--out-dir', tmp_path)
    assert code == 0
    assert out.startswith('For research use only. Not a medical device.')
    assert 'multifocality' in out
    assert len(out.splitlines()) < 20
    answer = json.loads((tmp_path / 'prediction.json').read_text())
    assert [i['view'] for i in answer['images']] == ['CC', 'MLO', 'CC', 'MLO']
    for name in ('L_CC', 'L_MLO', 'R_CC', 'R_MLO'):
        assert cv2.imread(str(tmp_path / f'{name}_attention.png')).shape[0] > 100


def test_views_may_be_given(call: Call, study: Path, bundle: Path, tmp_path: Path) -> None:
    image = np.zeros((240, 160), np.uint8)
    cv2.circle(image, (0, 120), 100, 180, -1)
    noise = np.random.default_rng(0).integers(0, 40, image.shape, dtype=np.uint8)
    image += noise * (image > 0)
    cv2.imwrite(str(tmp_path / 'scan.png'), image)
    code, _, error = call('predict.py', '--bundle', bundle, tmp_path / 'scan.png')
    assert code == 2
    expected = 'error: scan.png: nothing tells the side and view; give them, such as L_CC'
    assert error.splitlines()[-1] == expected
    code, out, _ = call('predict.py', '--bundle', bundle, '--view', f'R_MLO={tmp_path / "scan.png"}')
    assert code == 0
    assert 'R MLO' in out


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['P0001_L_CC.dcm', 'P0002_L_CC.dcm'], 'images of 2 patients'),
        (['config.py'], 'config.py: neither a DICOM file nor a PNG or JPEG image'),
        (['gone.dcm'], 'gone.dcm: cannot be read: No such file'),
        (['P0001_L_CC.dcm', '--clinical', 'age'], "--clinical ['age']: expected NAME=VALUE"),
        (['P0001_L_CC.dcm', '--clinical', 'age=50'], 'this bundle takes no clinical values'),
        (['--view', 'CC=P0001_L_CC.dcm'], "'CC': expected side and view such as L_CC"),
        ([], 'give the files of one patient, or --batch TABLE'),
        (['--batch', 'bundle', '--out-dir', 'out'], 'expected a table'),
        (['--batch', 'table.csv'], '--batch needs --out-dir'),
        (['--batch', 'gone.csv', '--out-dir', 'out'], 'gone.csv'),
        (['P0001_L_CC.dcm', '--resume'], '--resume and --fresh belong to --batch'),
    ],
)
def test_bad_input_ends_with_one_message(
    call: Call, study: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch, arguments: list, message: str
) -> None:
    monkeypatch.chdir(study)
    code, out, error = call('predict.py', '--bundle', 'bundle', *arguments)
    assert (code, out) == (2, '')
    assert message in error
    assert 'Traceback' not in error


def test_an_edited_bundle_is_refused(call: Call, study: Path, bundle: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / 'copy'))
    (copy / 'decision.json').write_text('{"mammograms": {"threshold": 0.01}}\n')
    code, _, error = call('predict.py', '--bundle', copy, study / 'P0001_L_CC.dcm')
    assert code == 2
    assert 'decision.json: damaged or edited; copy the bundle again' in error


def test_a_table_of_patients_is_scored_with_a_row_each_and_goes_on_where_it_was(
    call: Call, study: Path, bundle: Path, tmp_path: Path
) -> None:
    table = study / 'with_errors.csv'
    extra = 'gone.dcm,P0009,L\nP0001_L_CC.dcm,P0001,L\n'
    table.write_text((study / 'table.csv').read_text() + extra)
    options = ('--bundle', bundle, '--batch', table, '--out-dir', tmp_path)
    code, out, error = call('predict.py', *options)
    assert code == 1  # P0001 has a path twice, P0009 none
    assert out == ''
    *_, counts, path = error.splitlines()
    assert counts == '2 patients answered, 0 of them positive; 2 refused (DUPLICATE 1, UNREADABLE 1)'
    assert f'{tmp_path}/predictions.csv' in path
    rows = {row['patient_id']: row for row in csv.DictReader((tmp_path / 'predictions.csv').open())}
    assert [rows[p]['reason'] for p in ('P0001', 'P0002', 'P0003', 'P0009')] == [
        'DUPLICATE', '', '', 'UNREADABLE'
    ]  # fmt: skip
    side = next(line for line in table.read_text().splitlines() if 'P0002' in line)[-1]
    predictor = Predictor.load(bundle, 'cpu')
    alone = predictor.predict(sorted(study.glob('P0002_*.dcm')), tumor_side=side)
    assert float(rows['P0002']['N']) == alone.main.value
    record = tmp_path / rows['P0002']['folder'] / 'prediction.json'
    before = record.stat().st_mtime_ns
    assert call('predict.py', *options)[0] == 2  # the folder is used
    assert call('predict.py', *options, '--resume')[0] == 1
    assert record.stat().st_mtime_ns == before  # not done again
    table.write_text((study / 'table.csv').read_text())
    assert call('predict.py', *options, '--resume')[0] == 0


def test_overlays_of_an_earlier_answer_do_not_stay_beside_another(
    call: Call, study: Path, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / 'notes.png').write_bytes(b'mine')
    first = ['P0001_L_CC.dcm', 'P0001_R_MLO.dcm']
    for files, is_other in ((first, False), (first, False), (['P0002_L_CC.dcm'], True)):
        images = [study / name for name in files]
        code, _, error = call('predict.py', '--bundle', bundle, *images, '--out-dir', tmp_path)
        assert (code, 'the answer for other images was here' in error) == (0, is_other)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {'L_CC_attention.png', 'prediction.json', 'notes.png'}


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--cv', 'nothing'], 'nothing: no finished cross-validation'),
        (['--config', 'config.py'], '--config C --checkpoint P'),
        (['--config', 'config.py', '--checkpoint', 'config.py'], 'no weights, but text that begins with'),
        (['--config', 'config.py', '--checkpoint', 'best.pth', '--report', 'preprocess.json'], 'no model'),
        (['--config', 'config.py', '--checkpoint', 'best.pth', '--report', 'gone.json'], 'gone.json: cannot'),
        (['--config', 'config.py', '--checkpoint', 'best.pth', '--fusion', 'bundle'], 'no such checkpoint'),
        (['--config', 'config.py', '--checkpoint', 'best.pth', '--out', 'bundle'], 'bundle: exists'),
    ],
)  # fmt: skip
def test_what_cannot_be_bundled_ends_with_one_message(
    call: Call, study: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch, arguments: list, message: str
) -> None:
    monkeypatch.chdir(study)
    before = sorted(study.iterdir())
    code, _, error = call('make_bundle.py', '--out', 'new', *arguments)
    assert code == 2
    assert any(part in error for part in message.split('|')), error
    assert sorted(study.iterdir()) == before


@pytest.mark.real_data
def test_a_real_exam_and_a_real_film_are_answered(
    call: Call, bundle: Path, real_data: Path, tmp_path: Path
) -> None:
    files = sorted((real_data / 'nyu_gmic_sample/images').glob('*.png'))
    code, out, _ = call('predict.py', '--bundle', bundle, *files, '--out-dir', tmp_path / 'nyu')
    assert code == 0
    answer = json.loads((tmp_path / 'nyu/prediction.json').read_text())
    views = {f'{i["laterality"]}_{i["view"]}' for i in answer['images']}
    assert views == {'L_CC', 'L_MLO', 'R_CC', 'R_MLO'}
    assert {path.stem for path in (tmp_path / 'nyu').glob('*.png')} == {f'{v}_attention' for v in views}
    assert 0 < answer['tasks']['N']['value'] < 1
    film = real_data / 'dicom_mg/nema_wg04_MG1_J2KI.dcm'
    code, out, _ = call('predict.py', '--bundle', bundle, film, '--out-dir', tmp_path / 'film')
    assert code == 0
    assert 'note: only one view of the left breast (MLO)' in out
    assert (tmp_path / 'film/L_MLO_attention.png').is_file()


@pytest.mark.real_data
@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('openrem_MG-Im-GE_Seno_1_ForProcessing.dcm', 'give the For Presentation image'),
        ('nema_wg04_MG1_JPLY_malformed.dcm', 'JPEG Extended'),
        ('openrem_MG-Im-Hologic-PropProj.dcm', ''),
    ],
)
def test_real_files_that_cannot_be_scored_end_with_one_message(
    call: Call, bundle: Path, real_data: Path, name: str, message: str
) -> None:
    code, _, error = call('predict.py', '--bundle', bundle, real_data / 'dicom_mg' / name)
    assert code == 2
    last = error.splitlines()[-1]
    assert last.startswith(f'error: {name}: ')
    assert message in last


# ---- the whole way --------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def cross_validated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantom films, preprocessed, split 2 x 2, cross-validated with fusion, and bundled; by the tools."""
    folder = tmp_path_factory.mktemp('whole')
    dicom, data, folds = folder / 'dicom', folder / 'data', folder / 'folds'
    write_config(folder / 'config.py', data)
    schema, clinical = 'configs/clinical/phantom.yaml', dicom / 'clinical.csv'
    for command in (
        ['make_phantom.py', '--out-dir', dicom, '--patients', 40, '--seed', 3, '--missing-frac', 0.1],
        ['preprocess.py', dicom / 'images.csv', '--labels', dicom / 'labels.csv', '--out-dir', data,
         '--spacing-mm', 0.234375],
        ['split.py', data / 'meta.json', '--out-dir', folds, '--outer', 2, '--inner', 2, '--stratify', 'N',
         '--labelled-only'],
        ['cross_validate.py', folder / 'config.py', '--folds', folds, '--work-dir', folder / 'cv',
         '--bootstrap', 100, '--with-fusion', schema, '--clinical', clinical],
        ['make_bundle.py', '--cv', folder / 'cv', '--out', folder / 'bundle'],
    ):  # fmt: skip
        path, *arguments = command
        environment = os.environ | {'OMP_NUM_THREADS': '1'}
        subprocess.run(
            [sys.executable, f'tools/{path}', *map(str, arguments)], cwd=ROOT, check=True, env=environment
        )
    return folder


@pytest.mark.slow
def test_the_bundle_of_a_cross_validation_gives_the_numbers_of_test_and_mlp_for_every_patient(
    cross_validated: Path,
) -> None:
    folder, cv = cross_validated, cross_validated / 'cv'
    predictor = Predictor.load(folder / 'bundle', 'cpu')
    sides = {row['patient_id']: row['laterality'] for row in rows_of(folder / 'dicom/labels.csv')}
    clinical = {row.pop('patient_id'): row for row in rows_of(folder / 'dicom/clinical.csv')}
    images: dict[str, list[Job]] = {}
    for job in find_jobs(folder / 'dicom/images.csv', folder / 'none'):
        images.setdefault(job.fields['patient_id'], []).append(job)
    tested = {m: read_predictions(cv / m / 'predictions_test.json') for m in predictor.members}
    fused = {
        m: {r['patient_id']: r for r in read_predictions(cv / m / FUSED_TEST)} for m in predictor.members
    }  # fmt: skip
    n_images = n_fused = 0
    for patient, jobs in images.items():
        answer = predictor.predict(jobs, clinical[patient], tumor_side=sides.get(patient) or None)
        logits = {(i.laterality, i.view): seen.logits for i, seen in answer.shown}
        for k, member in enumerate(predictor.members):
            for record in tested[member]:
                if record['patient_id'] == patient:
                    expected = [task['logit'] for task in record['tasks'].values()]
                    found = logits[record['laterality'], record['view']][k]
                    assert found == pytest.approx(expected, abs=1e-6)
                    n_images += 1
            if patient in fused[member]:
                expected = fused[member][patient]['tasks']['N']['pred_score']
                assert answer.fused.members[k] == pytest.approx(expected, abs=1e-6)
                n_fused += 1
    assert n_images == 40 * 4 * 2  # each image by the two models of its outer fold
    assert n_fused >= 60


@pytest.mark.slow
def test_the_ensemble_of_an_outer_fold_is_the_mean_of_its_members(cross_validated: Path) -> None:
    folder, cv = cross_validated, cross_validated / 'cv'
    predictor = Predictor.load(folder / 'bundle', 'cpu')
    sides = {row['patient_id']: row['laterality'] for row in rows_of(folder / 'dicom/labels.csv')}
    jobs = find_jobs(folder / 'dicom/images.csv', folder / 'none')
    scores = {(r['patient_id'], r['laterality'], r['view']): r['tasks']['N']['pred_score']
              for r in read_predictions(cv / 'ensemble/mammograms/0/mean/test.json')}  # fmt: skip
    patient = next(p for p, _, _ in scores if sides.get(p))
    own = [job for job in jobs if job.fields['patient_id'] == patient]
    answer = predictor.predict(own, tumor_side=sides[patient])
    expected = max(scores[patient, sides[patient], view] for view in ('CC', 'MLO'))
    assert np.mean(answer.tasks['N'].members[:2]) == pytest.approx(expected, abs=1e-6)


def rows_of(path: Path) -> list[dict]:
    return read_table(path).to_dict('records')
