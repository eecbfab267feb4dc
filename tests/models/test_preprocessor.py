"""Grey batches become, bit for bit, what the stock preprocessors make of three equal channels."""

import numpy as np
import pytest
import torch
from mmpretrain.models.utils import data_preprocessor as stock
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

import models

GREY = dict(mean=[127.5] * 3, std=[127.5] * 3)
COLOUR = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
SETTINGS = [GREY, COLOUR, dict(GREY, to_rgb=True), dict(COLOUR, to_rgb=True), dict(mean=[7.0], std=[3.0]), {}]
NAMES = ['ClsDataPreprocessor', 'SelfSupDataPreprocessor']


def batch(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def ids(settings: dict) -> str:
    return '-'.join(f'{key}={value}' for key, value in settings.items()) or 'plain'


@pytest.mark.parametrize('settings', SETTINGS, ids=ids)
@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('shape', [(1, 1), (33, 17), (64, 40)])
def test_one_channel_equals_stock_on_three(name: str, settings: dict, shape: tuple[int, int]) -> None:
    grey = torch.cat([batch(2, 1, *shape), torch.full((1, 1, *shape), 255, dtype=torch.uint8)])
    expected = getattr(stock, name)(**settings)(dict(inputs=grey.repeat(1, 3, 1, 1), data_samples=None))
    found = MODELS.build(dict(type=name, **settings))(dict(inputs=grey, data_samples=None))
    assert found['inputs'].dtype == torch.float32
    assert torch.equal(found['inputs'], expected['inputs'])


@pytest.mark.parametrize('settings', SETTINGS, ids=ids)
@pytest.mark.parametrize('name', NAMES)
def test_three_channels_equal_stock(name: str, settings: dict) -> None:
    colour = batch(2, 3, 15, 9)
    expected = getattr(stock, name)(**settings)(dict(inputs=colour.clone(), data_samples=None))
    found = MODELS.build(dict(type=name, **settings))(dict(inputs=colour, data_samples=None))
    assert torch.equal(found['inputs'], expected['inputs'])


@pytest.mark.parametrize('settings', SETTINGS, ids=ids)
def test_list_of_views_equals_stock(settings: dict) -> None:
    views = [batch(2, 1, 12, 12), batch(2, 1, 12, 12, seed=1), batch(2, 1, 7, 7, seed=2)]
    stocks = [view.repeat(1, 3, 1, 1) for view in views]
    expected = stock.SelfSupDataPreprocessor(**settings)(dict(inputs=stocks, data_samples=[]))
    found = models.SelfSupDataPreprocessor(**settings)(dict(inputs=views, data_samples=[]))
    for one, three in zip(found['inputs'], expected['inputs'], strict=True):
        assert torch.equal(one, three)


def test_grey_and_colour_batches_may_take_turns() -> None:
    preprocessor = models.SelfSupDataPreprocessor(**COLOUR, to_rgb=True)
    colour, grey = batch(1, 3, 5, 5), batch(1, 1, 5, 5)
    before = preprocessor(dict(inputs=colour, data_samples=None))['inputs']
    preprocessor(dict(inputs=grey, data_samples=None))
    assert torch.equal(preprocessor(dict(inputs=colour, data_samples=None))['inputs'], before)


def test_list_of_images_of_unequal_size_is_padded_as_stock_does() -> None:
    images = [batch(1, 9, 6), batch(1, 7, 8)]
    stocks = [image.repeat(3, 1, 1) for image in images]
    expected = stock.ClsDataPreprocessor(**GREY, pad_value=2, pad_size_divisor=4)(dict(inputs=stocks))
    found = models.ClsDataPreprocessor(**GREY, pad_value=2, pad_size_divisor=4)(dict(inputs=images))
    assert torch.equal(found['inputs'], expected['inputs'])


def test_mixed_images_equal_stock() -> None:
    """Batch augmentation writes into the images, which an expanded view does not allow."""
    mix = dict(GREY, num_classes=2, batch_augments=dict(augments=dict(type='CutMix', alpha=1.0)))
    grey, results = batch(4, 1, 20, 16), []
    for module, inputs in (
        (stock.ClsDataPreprocessor(**mix), grey.repeat(1, 3, 1, 1)),
        (models.ClsDataPreprocessor(**mix), grey.clone()),
    ):
        torch.manual_seed(0)
        np.random.seed(0)
        samples = [DataSample().set_gt_label(i % 2) for i in range(4)]
        results.append(module(dict(inputs=inputs, data_samples=samples), training=True))
    assert torch.equal(results[0]['inputs'], results[1]['inputs'])
    for a, b in zip(*(result['data_samples'] for result in results), strict=True):
        assert torch.equal(a.gt_score, b.gt_score)


@pytest.mark.parametrize('name', NAMES)
def test_channels_are_a_view_and_not_a_copy(name: str) -> None:
    images = MODELS.build(dict(type=name, **GREY))(dict(inputs=batch(2, 1, 8, 8), data_samples=None))[
        'inputs'
    ]
    assert images.shape == (2, 3, 8, 8)
    assert images.untyped_storage().nbytes() == 2 * 8 * 8 * 4


@pytest.mark.parametrize('name', NAMES)
def test_first_convolution_can_be_summed_over_channels(name: str) -> None:
    conv = torch.nn.Conv2d(3, 4, 7, bias=False)
    folded = torch.nn.Conv2d(1, 4, 7, bias=False)
    folded.weight = torch.nn.Parameter(conv.weight.sum(1, keepdim=True))
    grey = dict(inputs=batch(2, 1, 20, 20), data_samples=None)
    one, three = (MODELS.build(dict(type=name, channels=n, **GREY))(dict(grey))['inputs'] for n in (1, 3))
    assert one.shape == (2, 1, 20, 20)
    torch.testing.assert_close(folded(one), conv(three), rtol=0, atol=1e-5)


@pytest.mark.parametrize(('settings', 'shape'), [(GREY, (2, 3, 8, 8)), (COLOUR, (2, 1, 8, 8))])
@pytest.mark.parametrize('name', NAMES)
def test_one_channel_cannot_be_kept_of_three(name: str, settings: dict, shape: tuple) -> None:
    preprocessor = MODELS.build(dict(type=name, channels=1, **settings))
    with pytest.raises(ValueError, match=r'channels is 1, the images have 3 channels: load grey images'):
        preprocessor(dict(inputs=batch(*shape), data_samples=None))


@pytest.mark.parametrize('name', NAMES)
def test_other_numbers_of_channels_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r'data_preprocessor\.channels is 2, expected 1 or 3'):
        MODELS.build(dict(type=name, channels=2, **GREY))
