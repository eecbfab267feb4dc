"""A convolution that does what follows it: the sum of a shortcut, ReLU, and in its weights batch norm.

convolution, maps (B, C, H, W), maps of a shortcut (B, D, h, w) -> (B, D, h, w)
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights


class FusedConv(nn.Module):
    """Convolution, then optionally a sum, then optionally ReLU, in one pass over memory where that exists.

    Shape:
        x (B, C, H, W), other (B, D, h, w) -> (B, D, h, w). Channels that are one (as ``expand`` makes
        them: stride 0) are read once, with the sum of their weights.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.stride, self.dilation, self.groups = list(conv.stride), list(conv.dilation), conv.groups
        self.padding: Any = list(conv.padding)
        self.relu = False

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """See the class: x (B, C, H, W), other (B, D, h, w) or None -> (B, D, h, w)."""
        weight = self.weight
        if x.shape[1] > 1 and x.stride(1) == 0 and self.groups == 1:
            x, weight = x[:, :1], weight.sum(1, keepdim=True)
            x = x.clone(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
        if _fuses_on_cpu(x):
            return self._in_one_pass(x, weight, other)
        out = F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
        out = out if other is None else out.add_(other)
        return out.relu_() if self.relu else out

    def _in_one_pass(self, x: Tensor, weight: Tensor, other: Tensor | None) -> Tensor:
        activation = 'relu' if self.relu else 'none'
        geometry = (self.padding, self.stride, self.dilation, self.groups)
        convolve = torch.ops.mkldnn._convolution_pointwise
        if other is None:
            return convolve(x, weight, self.bias, *geometry, activation, [], '')
        return convolve.binary(x, other, weight, self.bias, *geometry, 'add', 1.0, activation, [], '')


def _fuses_on_cpu(x: Tensor) -> bool:
    """Whether oneDNN convolves this type with what follows (the operators that torch.compile uses)."""
    if x.device.type != 'cpu' or not torch.backends.mkldnn.is_available():
        return False
    return x.dtype == torch.float32 or (
        x.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def fold_norm(conv: FusedConv, norm: _BatchNorm) -> None:
    """y = norm(conv(x)) -> y = conv(x), computed in float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        conv.weight.double(),
        None if conv.bias is None else conv.bias.double(),
        norm.running_mean.double(),
        norm.running_var.double(),
        norm.eps,
        norm.weight.double() if norm.affine else None,
        norm.bias.double() if norm.affine else None,
    )
    conv.weight, conv.bias = (nn.Parameter(value.to(conv.weight.dtype)) for value in (weight, bias))
