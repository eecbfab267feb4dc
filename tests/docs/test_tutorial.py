"""Pages are the truth: their commands run in the order in which they stand, in a folder with a blank."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(
    r'^```((?P<kind>bash|python|yaml)?( title="(?P<title>[^"]+)")?)\n(?P<text>.*?)^```', re.M | re.S
)
# Stages of full size as they run on phantoms; everything else of the README runs as it stands.
SMALL = {
    'CONFIG': 'configs/demo/full_breast_224x128_barlowtwins_transformer.py',
    'pretrain/barlowtwins_resnet50-exp2_-coslr-100e_MMpatches.py': 'demo/barlowtwins_64px_patches.py',
    'configs/clinical/example.yaml': 'configs/clinical/phantom.yaml',
    'ER=positive': 'ER=1',
    'exam/*.dcm': '"my exams"/dicom/P0001_*.dcm',
    '${archive}': 'my exams/images.csv',
    '${unlabelled}': 'other exams/dicom',
}
ADDED = {
    'tools/split.py': '--outer 2 --inner 2',
    'tools/preprocess.py': '--spacing-mm 0.375',
    'tools/extract_patches.py': '--size 96 --stride 48 --max-per-image 4',
    'tools/dist_train.sh': '--cfg-options train_cfg.max_epochs=2 train_dataloader.batch_size=16',
    'tools/cross_validate.py': '--bootstrap 200 --cfg-options train_cfg.max_epochs=1',
}
LEFT_OUT = (
    'make ',
    'python tools/serve.py',
    '#',
)  # the first are of continuous integration, the second waits


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty folder from which the project is seen as from its root."""
    folder = tmp_path / 'a folder'
    folder.mkdir()
    for name in ('tools', 'configs'):
        (folder / name).symlink_to(ROOT / name)
    return folder


def _run(line: str, place: Path) -> None:
    environment = os.environ | dict(
        PATH=f'{Path(sys.executable).parent}:{os.environ["PATH"]}', OMP_NUM_THREADS='1'
    )
    run = subprocess.run(['bash', '-c', line], cwd=place, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, f'{line}\n{run.stdout[-2000:]}\n{run.stderr[-2000:]}'
    assert 'OneDL' not in run.stdout
    if line.startswith('python') and '--dry-run' not in line:
        assert run.stderr.rstrip().splitlines()[-1].startswith('made '), run.stderr[-500:]


def _blocks(page: str) -> Iterator[re.Match]:
    return BLOCK.finditer((ROOT / page).read_text(encoding='utf-8'))


def _follow(page: str, place: Path) -> None:
    """Write the files of a page, and run its commands."""
    for block in _blocks(page):
        if block['title']:
            (place / block['title']).write_text(block['text'], encoding='utf-8')
        elif block['kind'] == 'bash':
            for line in block['text'].splitlines():
                _run(line, place)


@pytest.mark.slow
def test_commands_of_the_tutorial_and_of_its_study_file_run_in_their_order(place: Path) -> None:
    _follow('docs/tutorial.md', place)
    assert (place / 'my study/cv/report/report.html').is_file()
    assert (place / 'my study/answer/prediction.json').is_file()
    _run_notebook(place)
    _follow('docs/study.md', place)
    assert (place / 'my study/results/bundle/manifest.json').is_file()


def _run_notebook(place: Path) -> None:
    """Every cell of the page of Python functions, with pictures."""
    notebook = nbformat.read(ROOT / 'docs/python_api.ipynb', as_version=4)
    environment = os.environ | dict(PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
    client = NotebookClient(notebook, timeout=600, resources=dict(metadata=dict(path=str(place))))
    client.execute(env=environment)  # an error of a cell is raised
    outputs = [output for cell in notebook.cells for output in cell.get('outputs', [])]
    pictures = [output for output in outputs if 'image/png' in output.get('data', {})]
    assert len(pictures) == 3, 'two overlays, one curve'
    assert not any(output.get('name') == 'stderr' and 'Traceback' in output['text'] for output in outputs)


def readme_commands() -> list[str]:
    """The commands of the README, at the size of the demo."""
    text = ''.join(block['text'] for block in _blocks('README.md') if not block['title'])
    lines = [line for line in text.replace('\\\n', ' ').splitlines() if line.strip()]
    return [_small(line.partition(' # ')[0]) for line in lines if not line.startswith(LEFT_OUT)]


def _small(line: str) -> str:
    for full, small in SMALL.items():
        line = line.replace(full, small)
    return ' '.join([line.strip(), *(words for tool, words in ADDED.items() if tool in line)])


def test_readme_commands_are_found() -> None:
    tools = [re.search(r'tools/(\w+)', line)[1] for line in readme_commands()]  # type: ignore[index]
    assert tools == [
        'preprocess', 'split', 'preprocess', 'extract_patches', 'dist_train', 'cross_validate', 'make_bundle',
        'predict',
    ]  # fmt: skip


@pytest.mark.slow
def test_commands_of_the_readme_run_in_their_order(place: Path) -> None:
    draw = 'python tools/make_phantom.py --patients 24 --height 400 --width 250'
    _run(f'{draw} --out-dir "my exams" --seed 3', place)
    _run(f'{draw} --out-dir "other exams" --seed 4 --id-prefix S', place)
    for name in ('labels.csv', 'clinical.csv'):
        shutil.copy(place / 'my exams' / name, place)
    for line in readme_commands():
        _run(line, place)
    assert (place / 'out/cv/report/report.html').is_file()
    assert (place / 'out/answer/prediction.json').is_file()
