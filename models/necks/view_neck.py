"""Transformer neck over the tokens of several views, each told by what it is of.

maps of all views, one below the other (B, C, views * H, W), zero where one is missing -> ((B, out_dims),)
"""

from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from models.necks.breast_cells import shown
from models.necks.transformer_neck import TransformerNeck

VIEWS_OF_A_BREAST = 2  # CC and MLO
EMBEDDING_SD = 0.02  # at the start


class PerView(nn.Module):
    """A module applied to each of the views by itself; (B, C, views * H, W) -> (B, C, views * h, w)."""

    def __init__(self, module: nn.Module, n_views: int) -> None:
        super().__init__()
        self.module, self.n_views = module, n_views

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, views * H, W) -> (B, C, views * h, w)."""
        views = self.module(rearrange(maps, 'b c (v h) w -> (b v) c h w', v=self.n_views))
        return rearrange(views, '(b v) c h w -> b c (v h) w', v=self.n_views)


@MODELS.register_module()
class MultiViewTransformerNeck(TransformerNeck):
    """:class:`TransformerNeck` whose class token reads all views; nothing attends to one that is missing.

    Positions are those of one view, so that the weights of the neck for single images fit; what a token's
    view and side is, is added.

    Args:
        n_views: 2 for CC and MLO of a breast, 4 for those of both, the left one first.
        **kwargs: those of :class:`TransformerNeck`; ``map_size`` is of one view.

    Example:
        >>> neck = MultiViewTransformerNeck(n_views=4, in_dims=16, pooling_size=2)
        >>> neck((torch.ones(2, 16, 4 * 56, 32),))[0].shape
        torch.Size([2, 5])
    """

    def __init__(self, n_views: int = 2, in_dims: int = 1024, out_dims: int = 5, **kwargs: Any) -> None:
        super().__init__(in_dims=in_dims, out_dims=out_dims, **kwargs)
        n_sides, rest = divmod(n_views, VIEWS_OF_A_BREAST)
        if rest or n_sides not in (1, 2):
            raise ValueError(f'MultiViewTransformerNeck: n_views is {n_views}, expected 2 or 4')
        self.n_views, self.pool = n_views, PerView(self.pool, n_views)  # type: ignore[assignment]
        self.view_embedding = nn.Parameter(EMBEDDING_SD * torch.randn(VIEWS_OF_A_BREAST, in_dims))
        self.side_embedding = nn.Parameter(EMBEDDING_SD * torch.randn(n_sides, in_dims))

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Last of feats (B, in_dims, views * H, W) -> (B, out_dims)."""
        maps = feats[-1] if self.pooled else self.pool(feats[-1])
        views = rearrange(maps, 'b c (v h) w -> b v h w c', v=self.n_views)
        positions = self._positions((views.shape[2], views.shape[3]))  # (1, 1 + h*w, C)
        places = rearrange(self.side_embedding, 's c -> s 1 c') + self.view_embedding
        cells = rearrange(views, 'b v h w c -> b (v h w) c')
        of_views = rearrange(positions[:, 1:] + rearrange(places, 's v c -> (s v) 1 c'), 'v n c -> 1 (v n) c')
        tokens = cells + of_views
        first = self.class_tokens(tokens) + positions[:, :1]
        x = torch.cat([first, tokens], dim=1)  # (B, 1 + views*n, C)
        return (self.fc(self.transformer(self.dropout(x), self._seen(cells))),)

    def _seen(self, tokens: Tensor) -> Tensor | None:
        """As of a single image; where the whole image is read, a view that is there is seen as a whole."""
        if self.breast_margin is not None:
            return super()._seen(tokens)
        views = shown(rearrange(tokens, 'b (v n) c -> b v (n c)', v=self.n_views))
        views = repeat(views, 'b v -> b (v n)', n=tokens.shape[1] // self.n_views)
        return F.pad(views, (1, 0), value=True)
