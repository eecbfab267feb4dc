"""Transformer blocks, with locality self-attention if wanted; the published names of weights.

tokens (B, N, dim), the class token first -> class token (B, dim)
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

FF_HIDDEN_DIM = 1024


class FeedForward(nn.Module):
    """(B, N, dim) -> (B, N, dim)."""

    def __init__(self, dim: int, *, hidden_layer: bool, dropout: float = 0.3) -> None:
        super().__init__()
        hidden: list[nn.Module] = []
        if hidden_layer:
            hidden = [nn.Linear(dim, FF_HIDDEN_DIM), nn.GELU(), nn.Dropout(dropout)]
        last = nn.Linear(FF_HIDDEN_DIM if hidden_layer else dim, dim)
        self.net = nn.Sequential(nn.LayerNorm(dim), *hidden, last, nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        """Each token by itself: (B, N, dim) -> (B, N, dim)."""
        return self.net(x)


class Attention(nn.Module):
    """Multi-head attention (B, N, dim) -> (B, n, dim) of the first ``n`` tokens to all; default: N.

    With ``is_lsa`` it is the locality self-attention of Lee et al. 2021 (arXiv 2112.13492): a
    learned temperature per head, and no token attends to itself.
    """

    def __init__(self, dim: int, *, heads: int, head_dim: int, is_lsa: bool, dropout: float = 0.2) -> None:
        super().__init__()
        self.heads = heads
        self.is_lsa = is_lsa
        self.dropout = dropout
        self.scale = nn.Parameter(torch.full((heads,), head_dim**-0.5)) if is_lsa else head_dim**-0.5
        self.norm = nn.LayerNorm(dim)
        self.to_qkv = nn.Linear(dim, 3 * heads * head_dim, bias=False)
        project = not (heads == 1 and head_dim == dim)
        self.to_out = (
            nn.Sequential(nn.Linear(heads * head_dim, dim), nn.Dropout(dropout)) if project else nn.Identity()
        )

    def forward(self, x: Tensor, n: int | None = None, shown: Tensor | None = None) -> Tensor:
        """What the first ``n`` tokens take from all, or those ``shown``: (B, N, dim) -> (B, n, dim)."""
        q, k, v, others = self.scaled_qkv(x, n, shown)
        dropout = self.dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(q, k, v, others, dropout, scale=1.0)
        return self.to_out(rearrange(out, 'b h n d -> b n (h d)'))

    def scaled_qkv(
        self, x: Tensor, n: int | None = None, shown: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Scaled queries (B, heads, n, head_dim), keys and values of all N; who may attend to whom (n, N).

        The last is None if all may attend to all, and where not all tokens are ``shown`` (B, N) it is
        (B, 1, n, N).
        """
        x = self.norm(x)
        if n is None:
            qkv = self.to_qkv(x).chunk(3, dim=-1)
        else:
            to_q, to_kv = self.to_qkv.weight.tensor_split([self.to_qkv.out_features // 3])
            qkv = (F.linear(x[:, :n], to_q), *F.linear(x, to_kv).chunk(2, dim=-1))
        q, k, v = (rearrange(part, 'b n (h d) -> b h n d', h=self.heads) for part in qkv)
        scale = rearrange(self.scale, 'h -> h 1 1') if self.is_lsa else self.scale
        others = ~torch.eye(x.shape[1], dtype=torch.bool, device=x.device)[:n] if self.is_lsa else None
        if shown is not None:
            keys = rearrange(shown, 'b n -> b 1 1 n')
            others = keys if others is None else others & keys
        return (q * scale).to(q.dtype), k, v, others


class Transformer(nn.Module):
    """Residual blocks of attention and, optionally, feed-forward; (B, N, dim) -> first token (B, dim).

    The last block is computed for the first token only, since nothing reads the others after it.
    """

    def __init__(
        self,
        dim: int,
        *,
        depth: int,
        heads: int,
        head_dim: int,
        forward_layer: bool,
        ff_hidden_layer: bool,
        is_lsa: bool,
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.layers = nn.ModuleList()
        for _ in range(depth):
            attention = Attention(dim, heads=heads, head_dim=head_dim, is_lsa=is_lsa)
            feed_forward = FeedForward(dim, hidden_layer=ff_hidden_layer)
            # without feed-forward the attention itself is the layer, as published state dicts have it
            self.layers.append(nn.ModuleList([attention, feed_forward]) if forward_layer else attention)

    def forward(self, x: Tensor, shown: Tensor | None = None) -> Tensor:
        """All blocks, over the tokens ``shown`` (B, N); the last is of the class token: -> (B, dim)."""
        for i, layer in enumerate(self.layers):
            attention, *feed_forward = layer if isinstance(layer, nn.ModuleList) else [layer]
            n = 1 if i == len(self.layers) - 1 else None
            x = x[:, :n] + attention(x, n, shown)
            for residual in feed_forward:
                x = x + residual(x)
        return self.norm(x[:, 0])
