"""One channel gives what the stock transforms make of three equal ones, bit for bit, with the same draws."""

from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
import pytest
from mmcv.transforms import Compose
from mmengine.config import Config
from mmpretrain.registry import TRANSFORMS
from numpy.typing import NDArray

import dataset.transforms.grey_transforms as grey_transforms
from benchmarks.stock import REPLACED, as_stock

ROOT = Path(__file__).resolve().parents[3]
SHAPES = [(1, 1), (1, 7), (9, 1), (2, 2), (3, 5), (17, 31), (32, 32), (45, 64), (101, 77), (224, 224)]
POLICIES = [
    dict(type='AutoContrast', prob=1.0),
    dict(type='AutoContrast'),
    dict(type='Equalize', prob=1.0),
    dict(type='Equalize', prob=0.5),
    dict(type='Brightness', prob=1.0, magnitude_range=(-0.25, 0.25), magnitude_level=6, magnitude_std=0.5),
    dict(type='Brightness', prob=1.0, magnitude_range=(-0.5, 0.5)),
    dict(type='Brightness', prob=1.0, magnitude_range=(0, 1), magnitude_std='inf'),
    dict(type='Brightness', prob=1.0, magnitude=0.9),
    dict(type='Sharpness', prob=1.0, magnitude_range=(-0.25, 0.25), magnitude_level=6, magnitude_std=0.5),
    dict(type='Sharpness', prob=1.0, magnitude_range=(-0.5, 0.5)),
    dict(type='Sharpness', prob=1.0, magnitude_range=(0, 1), magnitude_std='inf'),
    dict(type='Rotate', prob=1.0, magnitude_range=(-20, 20), magnitude_std='inf', pad_val=(0, 0, 0)),
    dict(type='Rotate', prob=1.0, magnitude_range=(-20, 20), magnitude_level=6, magnitude_std=0.5, pad_val=0),
]
GEOMETRY = [
    dict(type='RandomFlip', prob=1.0, direction='horizontal'),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomResizedCrop', scale=(56, 32), crop_ratio_range=(0.5, 0.9), aspect_ratio_range=(0.5, 0.75)
    ),
    dict(type='RandomResizedCrop', scale=50, crop_ratio_range=(0.5, 1.0)),
    dict(type='RandomResizedCrop', scale=48, interpolation='bicubic', backend='pillow'),
    dict(type='RandomResizedCrop', scale=48, crop_ratio_range=(0.25, 1.0), backend='pillow'),
    dict(type='Resize', scale=(36, 64)),
    dict(type='Resize', scale=(50, 50)),
]


def images(rng: np.random.Generator, shape: tuple[int, int]) -> dict[str, NDArray[np.uint8]]:
    """Grey images of very different histograms; the last is a view whose columns run backwards."""
    noise = rng.integers(0, 256, shape, dtype=np.uint8)
    tissue = cv2.GaussianBlur(noise, (5, 5), 2) // 2 + 20
    tissue[:, shape[1] // 2 :] = 0  # background
    return dict(
        full_range=noise,
        constant=np.full(shape, rng.integers(0, 256), np.uint8),
        two_values=rng.choice(rng.choice(256, 2, replace=False).astype(np.uint8), shape),
        one_other=np.where(np.arange(noise.size).reshape(shape) == 0, 255, 7).astype(np.uint8),
        narrow=(noise % 5 + 100).astype(np.uint8),
        tissue=tissue,
        flipped=tissue[:, ::-1],
    )


def assert_same(ours: Any, stocks: Any, item: dict[str, Any], channels: dict[str, Any], seed: int) -> None:
    """Both transforms, seeded alike, give equal images, and leave the random state alike."""
    np.random.seed(seed)
    one = ours({**item})['img']
    state = np.random.get_state()[1:]
    np.random.seed(seed)
    three = stocks({**channels})['img']
    for a, b in zip(state, np.random.get_state()[1:], strict=True):
        assert np.array_equal(a, b)
    for grey, colour in zip(*([x] if isinstance(x, np.ndarray) else x for x in (one, three)), strict=True):
        assert grey.dtype == colour.dtype == np.uint8
        assert grey.shape == colour.shape[:2]
        for channel in range(3):
            assert np.array_equal(grey, colour[..., channel])


@pytest.mark.parametrize('config', POLICIES + GEOMETRY, ids=lambda c: '-'.join(map(str, c.values())))
def test_one_channel_equals_stock_on_three(config: dict) -> None:
    ours, stocks = TRANSFORMS.build(config), TRANSFORMS.build(as_stock(config))
    assert (type(ours) is not type(stocks)) == (config['type'] in REPLACED)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        shape = SHAPES[seed % len(SHAPES)] if seed % 2 else tuple(int(n) for n in rng.integers(1, 120, 2))
        for img in images(rng, shape).values():
            three = np.repeat(img[..., None], 3, axis=2)
            assert_same(ours, stocks, dict(img=img), dict(img=three), seed)


@pytest.mark.parametrize(
    'config', [*POLICIES[::2], *GEOMETRY[2:5]], ids=lambda c: '-'.join(map(str, c.values()))
)
def test_one_channel_equals_stock_at_published_size(config: dict) -> None:
    ours, stocks = TRANSFORMS.build(config), TRANSFORMS.build(as_stock(config))
    img = images(np.random.default_rng(0), (1792, 1024))['tissue']
    for flip in (False, True):
        img = img[:, ::-1] if flip else img
        assert_same(ours, stocks, dict(img=img), dict(img=np.repeat(img[..., None], 3, axis=2)), seed=1)


SPLITS = dict(
    full_breast_1792x1024=['train', 'test'],
    rois_500=['train', 'test'],
    rois_500_N=['train', 'test'],
    patches_224=['train'],  # pretraining tests nothing
    patches_224_96=['train'],
)


@pytest.mark.parametrize(('name', 'split'), [(name, split) for name in SPLITS for split in SPLITS[name]])
def test_pipelines_of_the_configs_equal_stock(tmp_path: Path, name: str, split: str) -> None:
    cfg = Config.fromfile(ROOT / 'configs/_base_/data' / f'{name}.py').to_dict()
    assert [part for part in ('train', 'test') if f'{part}_dataloader' in cfg] == SPLITS[name]
    steps = cfg[f'{split}_dataloader']['dataset']['pipeline'][:-1]
    if name.startswith('full'):
        shape, seeds = (801, 433), range(4)
    else:
        shape, seeds = (512, 511), range(12)
    ours, stocks = Compose(steps), Compose(as_stock(steps))
    for seed in seeds:
        path = str(tmp_path / f'{seed}.png')
        cv2.imwrite(path, images(np.random.default_rng(seed), shape)['tissue'])
        assert_same(ours, stocks, dict(img_path=path), dict(img_path=path), seed)


@pytest.mark.parametrize('name', ['AutoContrast', 'Equalize', 'Brightness'])
def test_three_channels_go_to_the_stock_transform(name: str) -> None:
    config = dict(type=name, prob=1.0, **(dict(magnitude=0.2) if name == 'Brightness' else {}))
    img = np.random.default_rng(0).integers(30, 200, (20, 15, 3), dtype=np.uint8)
    results = []
    for way in (config, as_stock(config)):
        np.random.seed(0)  # decides about the sign of a change
        results.append(TRANSFORMS.build(way)(dict(img=img.copy()))['img'])
    assert np.array_equal(*results)
    assert not np.array_equal(results[0], img)


def test_transforms_leave_the_image_they_were_given() -> None:
    img = np.random.default_rng(0).integers(30, 200, (20, 15), dtype=np.uint8)
    kept = img.copy()
    for config in POLICIES:
        TRANSFORMS.build(config)(dict(img=img))
        assert np.array_equal(img, kept)


def test_auto_contrast_table_of_known_image() -> None:
    table = grey_transforms.auto_contrast_table(np.array([[50, 101]], np.uint8))
    assert table[[50, 51, 100, 101]].tolist() == [0, 5, 250, 255]


def test_equalize_table_of_uniform_histogram_changes_nothing() -> None:
    img = np.repeat(np.arange(256, dtype=np.uint8), 255).reshape(255, 256)
    assert np.array_equal(grey_transforms.equalize_table(img), np.arange(256))


def test_histogram_counts_more_pixels_than_float32_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    img = np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)
    expected = [int((img == value).sum()) for value in range(256)]
    assert grey_transforms.histogram(img).tolist() == expected
    monkeypatch.setattr(grey_transforms, 'MAX_COUNT', 1000)
    assert grey_transforms.histogram(img[:, ::-1]).tolist() == expected


def test_stock_refuses_what_ours_takes() -> None:
    """Were this to change, the tables would no longer be needed."""
    img = np.zeros((4, 4), np.uint8)
    for function in (mmcv.auto_contrast, mmcv.imequalize):
        with pytest.raises(IndexError, match='too many indices'):
            function(img)
