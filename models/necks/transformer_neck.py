"""Transformer neck: pooled feature map to one number per task through a class token.

feature maps ((B, in_dims, H, W), ...) -> ((B, out_dims),), read from the last map
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from models.necks.breast_cells import PoolOfShown, shown
from models.necks.transformer import Transformer

# pooling_size -> pool geometry and the feature map it was made for (height, width).
POOLS: dict[int, dict] = {
    1: dict(kernel=(2, 2), stride=(1, 1), padding=(0, 0), map_size=(16, 16)),  # ROI 500 x 500
    2: dict(kernel=(4, 3), stride=(3, 2), padding=(0, 1), map_size=(56, 32)),  # breast 1792 x 1024
    3: dict(kernel=(3, 2), stride=(2, 1), padding=(1, 0), map_size=(28, 16)),  # breast 896 x 512
    4: dict(kernel=(2, 2), stride=(1, 1), padding=(0, 0), map_size=(16, 16)),  # 512 x 512
}


@MODELS.register_module()
class TransformerNeck(BaseModule):
    """Average pooling to tokens, a class token, Transformer blocks, and a linear layer on the class token.

    Args:
        in_dims: channels of the feature map, and token width.
        out_dims: numbers to emit, one per task.
        pooling_size: a name for one of the pool geometries in :data:`POOLS`, not a size.
        map_size: (height, width) of the feature map for which positions are learned; default: the
            map the pool geometry was made for. Positions are resampled for images of another size.
        is_LSA: locality self-attention, see :class:`models.necks.transformer.Attention`.
        pooled: the input has gone through the pool already, as maps of a feature cache have.
        breast_margin: leave out what lies outside the breast, and this many cells of its edge; default:
            all cells are read. See :mod:`models.necks.breast_cells`.

    Shape:
        last of feats (B, in_dims, H, W) -> (B, out_dims)

    Raises:
        ValueError: ``pooling_size`` is unknown, or the map is smaller than the pool.

    Example:
        >>> neck = TransformerNeck(in_dims=16, out_dims=5, pooling_size=2)
        >>> neck((torch.zeros(2, 16, 56, 32),))[0].shape
        torch.Size([2, 5])
    """

    in_argument, out_argument, size_argument = 'in_dims', 'out_dims', 'map_size'
    if_pooled = dict(pooled=True)
    attends = True

    def __init__(
        self,
        in_dims: int = 1024,
        out_dims: int = 5,
        depth: int = 1,
        num_heads: int = 2,
        head_dim: int = 64,
        pooling_size: int = 4,
        forward_layer: bool = False,
        ff_hidden_layer: bool = False,
        is_LSA: bool = False,  # noqa: N803 (published name)
        map_size: tuple[int, int] | None = None,
        pooled: bool = False,
        breast_margin: int | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if pooling_size not in POOLS:
            raise ValueError(
                f'TransformerNeck: pooling_size is {pooling_size!r}, expected one of {sorted(POOLS)}'
            )
        pool, self.pooling_size, self.pooled = POOLS[pooling_size], pooling_size, pooled
        self.breast_margin = breast_margin
        # of the pool: kernel, stride, padding, each (height, width)
        self.geometry = (pool['kernel'], pool['stride'], pool['padding'])
        self.pool = (nn.AvgPool2d if breast_margin is None else PoolOfShown)(*self.geometry)
        self.grid = self._grid_of(tuple(map_size or pool['map_size']))
        self.pos_embedding = nn.Parameter(torch.randn(1, self.grid[0] * self.grid[1] + 1, in_dims))
        self.cls_token = nn.Parameter(torch.randn(1, 1, in_dims))
        self.dropout = nn.Dropout(0.2)
        self.transformer = Transformer(
            in_dims,
            depth=depth,
            heads=num_heads,
            head_dim=head_dim,
            forward_layer=forward_layer,
            ff_hidden_layer=ff_hidden_layer,
            is_lsa=is_LSA,
        )
        self.fc = nn.Linear(in_dims, out_dims)

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Last of feats (B, C, H, W) -> (B, out_dims)."""
        size = (feats[-1].shape[2], feats[-1].shape[3])
        grid, maps = (size, feats[-1]) if self.pooled else (self._grid_of(size), self.pool(feats[-1]))
        tokens = rearrange(maps, 'b c h w -> b (h w) c')
        x = torch.cat([self.class_tokens(tokens), tokens], dim=1) + self._positions(grid)  # (B, 1 + h*w, C)
        return (self.fc(self.transformer(self.dropout(x), self._seen(tokens))),)

    def _seen(self, tokens: Tensor) -> Tensor | None:
        """Which of class token and tokens are attended to: (B, h*w, C) -> bool (B, 1 + h*w); None: all."""
        return None if self.breast_margin is None else F.pad(shown(tokens), (1, 0), value=True)

    def class_tokens(self, tokens: Tensor) -> Tensor:
        """What the class token of each image is at the start; (B, h*w, C) -> (B, 1, C)."""
        return self.cls_token.expand(tokens.shape[0], -1, -1)

    def _positions(self, grid: tuple[int, int]) -> Tensor:
        """The position embedding (1, 1 + h*w, C) for a token grid, resampled if it is another one."""
        if grid == self.grid:
            return self.pos_embedding
        cls_position, positions = self.pos_embedding[:, :1], self.pos_embedding[:, 1:]
        positions = rearrange(positions.float(), '1 (h w) c -> 1 c h w', h=self.grid[0])
        positions = F.interpolate(positions, size=grid, mode='bicubic', antialias=True, align_corners=False)
        positions = rearrange(positions, '1 c h w -> 1 (h w) c')
        return torch.cat([cls_position, positions.to(cls_position.dtype)], dim=1)

    def _grid_of(self, map_size: tuple[int, int]) -> tuple[int, int]:
        """Token grid (h, w) that the pool makes of a feature map."""
        axes = zip(map_size, *self.geometry, strict=True)
        height, width = ((size + 2 * pad - kernel) // stride + 1 for size, kernel, stride, pad in axes)
        if height < 1 or width < 1:
            raise ValueError(
                f'TransformerNeck: a map of {map_size} is smaller than the pool {self.pool.kernel_size}; '
                'use larger images or another pooling_size'
            )
        return height, width
