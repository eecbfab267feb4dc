"""Grey-value augmentations: ranges that cannot be are refused, ends and means of the grey scale stay."""

import numpy as np
import pytest

from dataset.transforms.grey_noise import GreyNoise, RandomGamma
from mammo.errors import UserError


@pytest.mark.parametrize('gamma_range', [(0, 1), (-1, 1), (1.2, 0.8), (float('nan'), 1)])
def test_gamma_range_that_cannot_be_is_refused(gamma_range: tuple[float, float]) -> None:
    with pytest.raises(UserError, match=r'RandomGamma: gamma_range is .*, expected 0 < low <= high'):
        RandomGamma(gamma_range)


@pytest.mark.parametrize('std_range', [(-1, 1), (3, 2), (float('nan'), 1)])
def test_std_range_that_cannot_be_is_refused(std_range: tuple[float, float]) -> None:
    with pytest.raises(UserError, match=r'GreyNoise: std_range is .*, expected 0 <= low <= high'):
        GreyNoise(std_range)


@pytest.mark.parametrize('gamma', [0.5, 1.0, 2.0])
def test_gamma_is_a_power_of_grey_values_between_0_and_1(gamma: float) -> None:
    img = np.arange(256, dtype=np.uint8).reshape(16, 16)
    out = RandomGamma((gamma, gamma)).transform(dict(img=img))['img']
    assert np.abs(out / 255 - (img / 255) ** gamma).max() <= 0.5 / 255 + 1e-9
    assert (out.flat[0], out.flat[-1]) == (0, 255)


def test_noise_has_its_deviation_and_is_the_same_in_all_channels() -> None:
    np.random.seed(0)
    img = np.full((200, 200, 3), 128, np.uint8)
    out = GreyNoise((5, 5)).transform(dict(img=img))['img']
    assert out.dtype == np.uint8
    assert (out == out[..., :1]).all()
    noise = out[..., 0].astype(float) - 128
    assert noise.mean() == pytest.approx(0, abs=0.15)
    assert noise.std() == pytest.approx(5, rel=0.03)
