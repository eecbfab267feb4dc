"""What an answer tells of hostile headers: nothing, on paper, in records, on pages and in logs."""

import logging
import runpy
import sys
from pathlib import Path

import pytest

from mammo.inference.predictor import Predictor
from mammo.inference.web.app import Limits, build_app
from tests.mammo.inference.conftest import Toy
from tests.support.dicom_files import save
from tests.support.hostile_names import NAMES, ascii_of, hostile_image, texts_of, told_secrets
from tests.support.web_server import Browser

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Per person one good image, and one that is refused for a value that may name her."""
    folder = tmp_path_factory.mktemp('hostile')
    made = []
    for i, (_, spelling) in enumerate(NAMES):
        word = ascii_of(spelling)
        bad = [
            dict(VOILUTFunction=word, WindowCenter=9, WindowWidth=5),
            dict(ViewPosition=word),
            dict(Modality=word),
            dict(PhotometricInterpretation=word),
        ]
        made.append(save(hostile_image(i, Manufacturer=spelling), folder / f'{i}good.dcm'))
        made.append(save(hostile_image(i, **bad[i % len(bad)]), folder / f'{i}bad.dcm'))
    return made


def predict(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Runs tools/predict.py in this process -> exit code."""
    monkeypatch.setattr(sys, 'argv', ['predict.py', *map(str, arguments)])
    try:
        runpy.run_path(str(ROOT / 'tools/predict.py'), run_name='__main__')
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_answers_for_one_exam_tell_nothing_of_the_header(
    toy: Toy,
    files: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    codes = [
        predict(monkeypatch, '--bundle', toy.folder, path, '--out-dir', tmp_path / path.stem)
        for path in files
    ]
    assert {0, 2} == set(codes)
    assert [code for code, path in zip(codes, files, strict=True) if 'good' in path.name] == [0] * len(NAMES)
    assert told_secrets([*capsys.readouterr(), *texts_of(tmp_path)]) == []


def test_answers_for_a_table_tell_nothing_of_the_headers(
    toy: Toy,
    files: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    rows = ''.join(f'{path},S{i}\n' for i, path in enumerate(files))
    (tmp_path / 'table.csv').write_text('dicom_path,patient_id\n' + rows)
    out = tmp_path / 'out'
    assert (
        predict(monkeypatch, '--bundle', toy.folder, '--batch', tmp_path / 'table.csv', '--out-dir', out) == 1
    )
    assert len((out / 'predictions.csv').read_text().splitlines()) == len(files) + 1
    assert told_secrets([*capsys.readouterr(), *texts_of(out)]) == []


@pytest.mark.parametrize('address', ['/predict', '/api/predict'])
def test_the_web_calculator_tells_nothing_of_the_header_and_logs_no_file_name(
    predictor: Predictor, files: list[Path], address: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told = []
    with Browser(build_app(predictor, Limits()), base_url='http://localhost') as client:
        for i, path in enumerate(files):
            content = path.read_bytes()
            told.append(client.post(address, files=[('images', (path.name, content))]))
            client.post(address, files=[('images', (f'{NAMES[i // 2][1]}.dcm', content))])
    assert [answer.status_code for answer in told] == [200, 422] * len(NAMES)
    assert told_secrets([answer.text for answer in told]) == []
    assert told_secrets([record.getMessage() for record in caplog.records]) == []
