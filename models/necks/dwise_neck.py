"""Depthwise-convolution neck, the lighter alternative to the Transformer.

feature maps ((B, in_channels, H, W), ...) -> ((B, out_channels),), read from the last map
"""

from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.nn.functional import relu


class DwiseResBlock(nn.Module):
    """Bottleneck with a strided depthwise middle: (B, C, H, W) -> (B, C, ceil(H/2), ceil(W/2))."""

    def __init__(self, channels: int, *, expansion_ratio: int, dropout: float = 0.2) -> None:
        super().__init__()
        inner = channels // expansion_ratio
        self.conv1 = nn.Sequential(
            nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU()
        )
        self.conv2 = nn.Sequential(
            nn.Conv2d(inner, inner, 3, stride=2, padding=1, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
        )
        self.conv3 = nn.Sequential(
            nn.Conv2d(inner, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.Dropout(dropout)
        )
        self.identity = nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, ceil(H / 2), ceil(W / 2))."""
        return relu(self.identity(x) + self.conv3(self.conv2(self.conv1(x))))


@MODELS.register_module()
class DwiseConvResBlockPooling(BaseModule):
    """Residual depthwise blocks, global average pooling and a linear layer.

    Args:
        in_channels: channels of the feature map.
        out_channels: numbers to emit, one per task.
        num_block: residual blocks, each halves height and width.
        expansion_ratio: channels / inner channels of a block.

    Shape:
        last of feats (B, in_channels, H, W) -> (B, out_channels)

    Example:
        >>> import torch
        >>> DwiseConvResBlockPooling(in_channels=16, out_channels=5)((torch.zeros(2, 16, 7, 4),))[0].shape
        torch.Size([2, 5])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_block: int = 2,
        expansion_ratio: int = 8,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        blocks = [DwiseResBlock(in_channels, expansion_ratio=expansion_ratio) for _ in range(num_block)]
        self.res_blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(in_channels, out_channels) if in_channels != out_channels else nn.Identity()

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Last of feats (B, C, H, W) -> (B, out_channels)."""
        x = self.res_blocks(feats[-1])
        return (self.fc(x.mean(dim=(2, 3))),)  # (B, out_channels)
