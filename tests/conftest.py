"""Fixtures that several folders share; folders whose tests build networks import tests.support.registered."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import settings

from mammo.records.meta import write_meta

settings.register_profile('unhurried', deadline=None)  # seconds depend on what else the machine does
settings.load_profile('unhurried')
TASKS = ['N', 'LVI', 'multifocality', 'NumPos', 'tumor_size']


def _folder(variable: str) -> Path:
    folder = os.environ.get(variable)
    if not folder:
        pytest.skip(f'{variable} is not set')
    return Path(folder)


@pytest.fixture(scope='session')
def real_data() -> Path:
    """Folder of real images and tables."""
    return _folder('MAMMO_REAL_DATA')


@pytest.fixture(scope='session')
def compat() -> Path:
    """Folder of numbers from the published implementation."""
    return _folder('MAMMO_COMPAT')


@pytest.fixture(scope='session')
def chromium() -> str:
    """Path of a Chromium; there is none on many machines, and nothing but the look of pages needs it."""
    found = filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome')))
    return next(found, None) or pytest.skip('no Chromium on PATH')


@pytest.fixture(scope='session')
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 small images, 2 per patient, whose bright disc is larger where N is 1; labels partly missing."""
    folder = tmp_path_factory.mktemp('toy')
    rng = np.random.default_rng(0)
    items = []
    for i in range(36):
        n = (i // 2) % 2
        image = rng.integers(0, 60, (150, 80), dtype=np.uint8)
        cv2.circle(image, (40, 75), 10 + 10 * n, 200, -1)
        cv2.imwrite(str(folder / f'image{i}.png'), image)
        labels = dict(N=n, LVI=i % 2, NumPos=2.0 * n, tumor_size=0.2 + 0.6 * n)
        if i % 3 == 0:
            del labels['LVI']
        identity = dict(patient_id=f'p{i // 2}', exam_id='1', view='CC' if i % 2 else 'MLO', laterality='L')
        items.append(dict(img_path=f'image{i}.png', **identity, gt_label=labels))
    for name, part in dict(train=items[:20], val=items[20:28], test=items[28:]).items():
        write_meta(folder / f'{name}.json', part, TASKS)
    return folder
