"""With --id-key no name, id, date, path or institution of an input reaches any output."""

import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from tests.support.dicom_files import breast_image, mammogram, save

ROOT = Path(__file__).parents[2]
# name as the header has it, as folders and texts spell it
NAMES = [
    ('Doe^Jane', 'DOE^JANE'), ('Li^Bo', 'Li Bo'), ('Müller^Eva', 'MUELLER_EVA'),
    ('Wong^Ka^Man', 'WongKaMan'),
    ('Yamada^Tarou=山田^太郎', '山田太郎'),
    ("O'Neill^Una", "O'Neill"),
    ('Åström^Siv', 'Aastroem'),
    ('Strauß^Uta', 'STRAUSS-Uta'), ('de la Cruz^Ana', 'delacruz'), ('Ng^Yu', 'Ng-Yu'),
    ('Núñez^Inés', 'NUNEZ'),
    ('Иванова^Анна', 'Иванова'), ('Öz^Ece', 'Oez Ece'), ('Abc123^Xyz', 'abc123xyz'),
    ('Smith-Jones^Kay', 'SmithJones'),
    ('Nguyễn^Thị', 'Nguyen Thi'), ('김^수진', '김수진'), ('Van Dyke^Mo', 'VANDYKE'), ('Quote"^Q', 'Quote"Q'),
    ('Zwock\\slosh^B', 'Zwock-slosh'),
]  # fmt: skip
IDS = [f'MRN-{7_700_000 + i}' for i in range(len(NAMES))]
DATES = ['1961-02-03', '19610203', '03.02.1961', '02/03/61']
PLACE = 'St. Ottilien Klinikum'


def ascii_of(text):
    """As much as a code string can hold."""
    return text.encode('ascii', 'ignore').decode()[:16].upper() or 'NONE'


@pytest.fixture
def archive(tmp_path):
    """One folder per person, named in every way that people name folders; half of the files are broken."""
    root = tmp_path / 'in'
    for i, (name, spelling) in enumerate(NAMES):
        folder = (
            root / unicodedata.normalize('NFD', spelling).replace('/', '-') / DATES[i % 4].replace('/', '-')
        )
        folder.mkdir(parents=True)
        tags = dict(
            SpecificCharacterSet='ISO_IR 192',
            PatientID=IDS[i],
            PatientName=name,
            PatientBirthDate='19610203',
            InstitutionName=PLACE,
        )
        tags |= dict(ReferringPhysicianName=name, IssuerOfPatientID=PLACE)
        tags |= dict(StudyInstanceUID=f'1.2.9.{i}', StationName=spelling[:16], SeriesDescription=spelling)
        image = breast_image((128, 80))
        image[image > 0] += np.random.default_rng(i).integers(0, 300, (image > 0).sum(), np.uint16)
        good = mammogram(image, **tags, Manufacturer=spelling if i % 3 else 'ACME')
        save(good, folder / f'{IDS[i]}.dcm')
        save(mammogram(image, **tags, VOILUTFunction=ascii_of(spelling), WindowCenter=9,
                       WindowWidth=5), folder / 'voi.dcm')  # fmt: skip
        (folder / f'{spelling}.txt').write_text(name)
    return root


def secrets():
    for (name, spelling), number in zip(NAMES, IDS, strict=True):
        parts = [p for p in name.replace('=', '^').replace('\\', '^').split('^') if len(p) > 3]
        yield from (*parts, spelling, number)
    yield from (*DATES, PLACE, 'Ottilien', '1.2.9.')


def folded(text):
    return unicodedata.normalize('NFC', text).casefold()


def tool(name, *args):
    command = [sys.executable, str(ROOT / 'tools' / name), *map(str, args)]
    environment = os.environ | {'OMP_NUM_THREADS': '1'}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.slow
def test_no_tool_writes_a_name_an_id_a_date_or_a_path(archive, tmp_path):
    (tmp_path / 'key').write_text('0123456789abcdef0123456789abcdef')
    rows = ''.join(f'{number},{i % 2}\n' for i, number in enumerate(IDS))
    (tmp_path / 'labels.csv').write_text('patient_id,N\n' + rows)
    out, key = tmp_path / 'out', ('--id-key', tmp_path / 'key')
    labels = ('--labels', tmp_path / 'labels.csv')
    runs = [tool('preprocess.py', archive, '--out-dir', out, *key, *labels, '--spacing-mm', '0.5')]
    runs.append(tool('preprocess.py', archive / 'absent', '--out-dir', tmp_path / 'x', *key))
    runs.append(
        tool('split.py', out / 'meta.json', '--out-dir', tmp_path / 'folds', '--outer', 2, '--inner', 2)
    )
    patches = ('--size', 48, '--stride', 48, '--min-breast-frac', 0.1)
    runs.append(tool('extract_patches.py', out / 'meta.json', '--out-dir', tmp_path / 'patches', *patches))
    assert [run.returncode for run in runs] == [0, 2, 0, 0], runs[2].stderr[-700:]
    outputs = [run.stdout + run.stderr for run in runs]
    for folder in ('out', 'folds', 'patches'):
        for path in (tmp_path / folder).rglob('*'):
            outputs.append(path.name)
            if path.is_file() and path.suffix != '.png':
                text = path.read_text(encoding='utf-8')
                outputs += [text, text.encode().decode('unicode_escape', 'ignore')]
    written = folded('\n'.join(outputs))
    assert [secret for secret in secrets() if folded(secret) in written] == []


def test_the_key_map_is_written_on_request_for_the_owner_only(tmp_path):
    (tmp_path / 'in').mkdir()
    save(mammogram(breast_image((128, 80))), tmp_path / 'in/Doe.dcm')
    (tmp_path / 'key').write_text('0123456789abcdef0123456789abcdef')
    options = ('--id-key', tmp_path / 'key', '--spacing-mm', '0.5')
    tool('preprocess.py', tmp_path / 'in', '--out-dir', tmp_path / 'a', *options)
    assert not (tmp_path / 'a/KEY_MAP.csv').exists()
    tool('preprocess.py', tmp_path / 'in', '--out-dir', tmp_path / 'b', *options, '--key-map')
    path = tmp_path / 'b/KEY_MAP.csv'
    assert path.stat().st_mode & 0o777 == 0o600
    assert {'Doe.dcm', 'P1'} <= set(path.read_text().replace('\n', ',').split(','))
