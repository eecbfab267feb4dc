"""The gallery shows the patients that its titles promise."""

import json
from pathlib import Path

import pandas as pd
import pytest

from mammo.evaluation.page.gallery import gallery
from mammo.records.predictions import PredictionError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures of each of the patients p0 to p7."""
    images = [
        dict(patient_id=f'p{i // 2}', file=f'{i}.png', laterality='L', view=('CC', 'MLO')[i % 2])
        for i in range(16)
    ]
    for image in images:
        (tmp_path / image['file']).write_bytes(b'picture')
    (tmp_path / 'attention.json').write_text(json.dumps(dict(images=images)))
    return tmp_path


def patients(**scores: float) -> pd.DataFrame:
    frame = pd.DataFrame(dict(score=scores, label=0.0))
    frame.loc[['p0', 'p1'], 'label'] = 1.0
    return frame


def test_groups_hold_the_highest_the_lowest_and_the_most_wrong(folder: Path) -> None:
    found = gallery(folder, patients(p0=0.01, p1=0.95, p2=0.9, p3=0.5, p4=0.4, p5=0.3, p6=0.2, p7=0.1))
    names = {group['title']: [patient['name'] for patient in group['patients']] for group in found}
    assert names == {
        'Highest scores': ['p1', 'p2', 'p3', 'p4'],
        'Lowest scores': ['p0', 'p7', 'p6', 'p5'],
        'Most wrong': ['p0', 'p2', 'p3', 'p4'],
    }
    shown = [patient['pictures'] for group in found for patient in group['patients']]
    assert all([picture['name'] for picture in pictures] == ['L CC', 'L MLO'] for pictures in shown)


def test_of_breasts_only_the_pictures_of_their_side_are_shown(folder: Path) -> None:
    content = json.loads((folder / 'attention.json').read_text())
    right = [image | dict(laterality='R', file=f'r{image["file"]}') for image in content['images'][:2]]
    for image in right:
        (folder / image['file']).write_bytes(b'picture')
    (folder / 'attention.json').write_text(json.dumps(dict(images=content['images'] + right)))
    breasts = patients(p0=0.9, p1=0.1).assign(woman=['p0', 'p1']).set_axis(['p0 R', 'p1 L'])
    pictures = {
        patient['name']: [picture['name'] for picture in patient['pictures']]
        for group in gallery(folder, breasts)
        for patient in group['patients']
    }
    assert pictures == {'p0 R': ['R CC', 'R MLO'], 'p1 L': ['L CC', 'L MLO']}


def test_a_patient_without_pictures_is_named(folder: Path) -> None:
    with pytest.raises(PredictionError, match='no attention map of patients p9'):
        gallery(folder, patients(p0=0.5, p1=0.5, p9=0.99))


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match='not a folder of tools/attention_maps'):
        gallery(tmp_path, patients(p0=0.5, p1=0.5))
