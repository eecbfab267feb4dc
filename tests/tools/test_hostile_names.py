"""With --id-key no name, id, date, path or institution of an input reaches any output."""

import csv
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from mammo.records.meta import read_meta
from tests.support.dicom_files import breast_image, mammogram, save
from tests.support.hostile_names import (
    DATES,
    IDS,
    NAMES,
    ascii_of,
    hostile_image,
    texts_of,
    told_secrets,
)  # fmt: skip

ROOT = Path(__file__).parents[2]


@pytest.fixture
def archive(tmp_path):
    """One folder per person, named in every way that people name folders; half of the files are broken."""
    root = tmp_path / 'in'
    for i, (name, spelling) in enumerate(NAMES):
        folder = (
            root / unicodedata.normalize('NFD', spelling).replace('/', '-') / DATES[i % 4].replace('/', '-')
        )
        folder.mkdir(parents=True)
        save(hostile_image(i, Manufacturer=spelling if i % 3 else 'ACME'), folder / f'{IDS[i]}.dcm')
        bad = dict(VOILUTFunction=ascii_of(spelling), WindowCenter=9, WindowWidth=5)
        save(hostile_image(i, **bad), folder / 'voi.dcm')
        (folder / f'{spelling}.txt').write_text(name)
    return root


def boxes_of(column, images, path):
    """A table with a box in each image."""
    with path.open('w', newline='', encoding='utf-8') as file:
        csv.writer(file).writerows([[column, 'x', 'y'], *([image, 20, 60] for image in images)])
    return path


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
    by_image = [item['img_path'] for item in read_meta(out / 'meta.json')['data_list']]
    by_source = [str(file.relative_to(archive)) for file in archive.rglob('*.dcm')]  # what only the owner has
    for name, images in dict(img_path=by_image, source=by_source).items():
        boxes = ('--boxes', boxes_of(name, images, tmp_path / f'{name}.csv'), '--size', 32)
        runs.append(
            tool('extract_rois.py', out / 'meta.json', '--out-dir', tmp_path / f'rois_{name}', *boxes)
        )
    assert [run.returncode for run in runs] == [0, 2, 0, 0, 0, 1], runs[-1].stderr[-700:]
    outputs = [run.stdout + run.stderr for run in runs]
    for folder in ('out', 'folds', 'patches', 'rois_img_path', 'rois_source'):
        outputs += texts_of(tmp_path / folder)
    assert told_secrets(outputs) == []


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
