"""Batches of grey images become what networks take, under the names of the stock preprocessors.

uint8 (B, 1 or 3, H, W), labels -> float (B, 3, H, W) as stock makes of three equal channels, labels
"""

from collections.abc import Sequence
from typing import Any

from mmpretrain.models.utils import data_preprocessor as stock
from torch import Tensor

from models.registry import MODELS

Statistic = Sequence[float] | None


@MODELS.register_module()
class ClsDataPreprocessor(stock.ClsDataPreprocessor):
    """The preprocessor of supervised models: grey images are normalised in one channel, then expanded.

    Args:
        mean, std: of each channel. If they differ between channels, normalising makes the channels.
        channels: of the result for grey images: 3, or 1 for a network whose first convolution is
            summed over its input channels.
    """

    def __init__(self, mean: Statistic = None, std: Statistic = None, *, channels: int = 3, **kwargs: Any):
        super().__init__(_shared(mean, std), _shared(std, mean), **kwargs)
        self.channels = _checked(channels)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Images (B, 1, H, W) or (B, 3, H, W) -> normalised (B, 3, H, W)."""
        data = super().forward(data, training)
        return dict(data, inputs=_expanded(data['inputs'], self.channels))


@MODELS.register_module()
class SelfSupDataPreprocessor(stock.SelfSupDataPreprocessor):
    """The same for self-supervised models, whose inputs may be a list of views."""

    _channel_conversion: bool

    def __init__(self, mean: Statistic = None, std: Statistic = None, *, channels: int = 3, **kwargs: Any):
        super().__init__(_shared(mean, std), _shared(std, mean), **kwargs)
        self.channels = _checked(channels)
        self._of_colour = self._channel_conversion

    def forward(self, data: dict, training: bool = False) -> dict:
        """Views, each (B, 1, H, W) or (B, 3, H, W) -> normalised (B, 3, H, W)."""
        views = data['inputs']
        first = views[0] if isinstance(views, list) else views
        self._channel_conversion = self._of_colour and first.shape[1] == 3  # one channel has no order
        data = super().forward(data, training)
        views = data['inputs']
        if isinstance(views, list):
            return dict(data, inputs=[_expanded(view, self.channels) for view in views])
        return dict(data, inputs=_expanded(views, self.channels))


def _checked(channels: int) -> int:
    if channels not in (1, 3):
        raise ValueError(f'data_preprocessor.channels is {channels}, expected 1 or 3')
    return channels


def _shared(values: Statistic, others: Statistic) -> Statistic:
    """The one value, in a list, if neither statistic differs between channels."""
    if values is None or others is None or len({*values}) > 1 or len({*others}) > 1:
        return values
    return values[:1]


def _expanded(images: Tensor, channels: int) -> Tensor:
    """(B, 1, H, W) -> (B, channels, H, W), a view; images of three channels stay as they are."""
    if images.shape[1] == 1:
        return images.expand(-1, channels, -1, -1)
    if channels == 1:
        raise ValueError(
            f'data_preprocessor.channels is 1, the images have {images.shape[1]} channels: load grey images '
            'with LoadMammogram, and give one value of mean and std for all channels'
        )
    return images
