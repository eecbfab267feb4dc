"""Where the images of a fold are."""

import os
import shutil
from pathlib import Path

import pytest

from mammo.records.folds import REPORT, image_folder
from mammo.records.storage.files import write_json


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A data set with folds beside its meta file, in a path with a blank."""
    folder = tmp_path / 'my study'
    (folder / 'png').mkdir(parents=True)
    (folder / 'png/a.png').touch()
    (folder / 'folds/0/0').mkdir(parents=True)
    return folder


def test_images_are_found_above_the_folds(study: Path) -> None:
    assert image_folder(study / 'folds/0/0/train.json', 'png/a.png') == study


def test_images_are_found_where_the_split_has_noted_them(study: Path, tmp_path: Path) -> None:
    away = tmp_path / 'elsewhere/folds'
    (away / '0/0').mkdir(parents=True)
    assert image_folder(away / '0/0/train.json', 'png/a.png') is None
    write_json(away / REPORT, dict(images=os.path.relpath(study, away)))
    assert image_folder(away / '0/0/train.json', 'png/a.png') == study


def test_note_wins_over_a_namesake_above(study: Path, tmp_path: Path) -> None:
    other = tmp_path / 'other'
    shutil.copytree(study / 'png', other / 'png')
    write_json(study / 'folds' / REPORT, dict(images=os.path.relpath(other, study / 'folds')))
    assert image_folder(study / 'folds/0/0/train.json', 'png/a.png') == other


def test_missing_image_is_found_nowhere(study: Path) -> None:
    (study / 'folds' / REPORT).write_text('{damaged')
    assert image_folder(study / 'folds/0/0/train.json', 'png/b.png') is None
