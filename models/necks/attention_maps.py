"""Where the class token of a neck looks, if its class says that it ``attends`` (:mod:`models.necks.fitting`).

neck, feature maps ((B, C, H, W), ...) -> attention (B, depth, heads, h, w) on the token grid
"""

from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from models.necks.transformer import Attention


def class_row(attention: Attention, x: Tensor, shown: Tensor | None = None) -> Tensor:
    """Weights that the first token gives to the others; (B, N, C) -> (B, heads, N - 1), float32.

    They sum to 1 with locality self-attention, else to 1 minus the weight of the class token itself; of
    tokens that are not ``shown`` (B, N) they are 0.
    """
    q, k, _, others = attention.scaled_qkv(x, 1, shown)
    scores = q.float() @ k.float().transpose(2, 3)  # (B, heads, 1, N)
    if others is not None:
        scores = scores.masked_fill(~others, -torch.inf)
    return scores.softmax(-1)[:, :, 0, 1:]


@torch.no_grad()
def attention_maps(neck: Any, feats: tuple[Tensor, ...]) -> Tensor:
    """Class-token attention of every block and head to every token; see :func:`class_row`.

    Shape:
        last of feats (B, C, H, W) -> (B, depth, heads, h, w)
    """
    rows: list[Tensor] = []

    def keep(block: Any, args: tuple[Any, ...]) -> None:
        x, _, shown = args
        rows.append(class_row(block, x, shown))

    blocks = [module for module in neck.modules() if isinstance(module, Attention)]
    hooks = [block.register_forward_pre_hook(keep) for block in blocks]
    try:
        neck(feats)
    finally:
        for hook in hooks:
            hook.remove()
    height = neck.pool(feats[-1]).shape[2]
    return rearrange(torch.stack(rows, dim=1), 'b depth heads (h w) -> b depth heads h w', h=height)
