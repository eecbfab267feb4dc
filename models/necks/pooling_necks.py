"""Necks that begin as global average pooling and learn where to depart from it.

feature maps ((B, C, H, W), ...) -> ((B, out),), read from the last map
"""

from inspect import signature
from typing import Any

import torch
from einops import rearrange
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from models.necks.breast_cells import mean_of_shown, shown
from models.necks.transformer_neck import TransformerNeck


@MODELS.register_module()
class MeanTokenTransformerNeck(TransformerNeck):
    """The Transformer neck with the mean of the tokens as class token, zero positions, and closed residuals.

    The last layer of every residual branch starts at zero, so that before the first step the neck is global
    average pooling, a layer norm and a linear layer; a map that says all by its mean is read as well by it
    as by a linear model. Arguments and shapes are those of :class:`TransformerNeck`.
    """

    __signature__ = signature(TransformerNeck)  # widths are filled in by the names of arguments

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.cls_token
        nn.init.zeros_(self.pos_embedding)
        for layer in self.transformer.layers:
            for residual in layer if isinstance(layer, nn.ModuleList) else [layer]:
                last = [module for module in residual.modules() if isinstance(module, nn.Linear)][-1]
                nn.init.zeros_(last.weight)
                if last.bias is not None:
                    nn.init.zeros_(last.bias)

    def class_tokens(self, tokens: Tensor) -> Tensor:
        """The mean of the tokens that are read; (B, h*w, C) -> (B, 1, C)."""
        return tokens.mean(1, keepdim=True) if self.breast_margin is None else mean_of_shown(tokens)[:, None]


@MODELS.register_module()
class AttentionPoolingNeck(BaseModule):
    """Weighted mean of the cells of a map, and a linear layer; weights start equal.

    A cell's weight is the softmax over the map of one linear score of its normalised channels: C numbers
    more than global average pooling (attention-based pooling of Ilse et al. 2018, arXiv 1802.04712, with a
    linear score).

    Args:
        in_channels: channels of the map.
        out_channels: numbers to emit, one per task.
        breast_margin: leave out what lies outside the breast, and this many cells of its edge; default:
            all cells are read. See :mod:`models.necks.breast_cells`.

    Shape:
        last of feats (B, in_channels, H, W) -> (B, out_channels)

    Example:
        >>> AttentionPoolingNeck(in_channels=16, out_channels=5)((torch.zeros(2, 16, 7, 4),))[0].shape
        torch.Size([2, 5])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        breast_margin: int | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.breast_margin = breast_margin
        self.norm = nn.LayerNorm(in_channels)
        self.score = nn.Linear(in_channels, 1, bias=False)
        nn.init.zeros_(self.score.weight)
        self.fc = nn.Linear(in_channels, out_channels)

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Last of feats (B, C, H, W) -> (B, out_dims)."""
        cells = rearrange(feats[-1], 'b c h w -> b (h w) c')
        scores = self.score(self.norm(cells))  # (B, h*w, 1)
        if self.breast_margin is not None:
            scores = scores.masked_fill(~shown(cells)[..., None], -torch.inf)
        weights = torch.softmax(scores, dim=1)
        return (self.fc((weights * cells).sum(dim=1)),)


@MODELS.register_module()
class StandardisedPoolingNeck(BaseModule):
    """Mean of the cells of a map, each channel standardised over the batch, and a linear layer.

    Linear probing as of He et al. 2022 (arXiv 2111.06377, A.1): channels of a frozen network differ in their
    range by orders of magnitude, and a linear layer reads them all at one learning rate only when brought to
    one range. Standardisation has no weights; means and variances are kept for the answer, and for a batch of
    one image, which has no variance.

    Args:
        in_channels: channels of the map.
        out_channels: numbers to emit, one per task.
        breast_margin: leave out what lies outside the breast, and this many cells of its edge; default:
            all cells are read. See :mod:`models.necks.breast_cells`.

    Shape:
        last of feats (B, in_channels, H, W) -> (B, out_channels)

    Example:
        >>> StandardisedPoolingNeck(in_channels=16, out_channels=5)((torch.zeros(2, 16, 7, 4),))[0].shape
        torch.Size([2, 5])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        breast_margin: int | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.breast_margin = breast_margin
        self.norm = nn.BatchNorm1d(in_channels, eps=1e-6, affine=False)
        self.fc = nn.Linear(in_channels, out_channels)
        nn.init.zeros_(self.fc.weight)

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Last of feats (B, C, H, W) -> (B, out_dims)."""
        cells, norm = rearrange(feats[-1], 'b c h w -> b (h w) c'), self.norm
        means = feats[-1].mean(dim=(2, 3)) if self.breast_margin is None else mean_of_shown(cells)
        learns = self.training and len(means) > 1
        means = F.batch_norm(means, norm.running_mean, norm.running_var, training=learns, eps=norm.eps)
        return (self.fc(means),)
