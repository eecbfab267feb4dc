"""Networks of timm, whose maps come channels first, in whatever order the network computes.

images (B, 3, H, W) -> tuple of maps (B, C, h, w)
"""

from einops import rearrange
from mmpretrain.models.backbones import TIMMBackbone as StockBackbone
from torch import Tensor

from models.registry import MODELS


# Under the stock name: configs name the stock class, which hands on the maps of Swin and its like as
# (B, h, w, C), so that a neck would take rows for channels.
@MODELS.register_module()
class TIMMBackbone(StockBackbone):
    """The stock class; of a network that says its maps are NHWC they are turned."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (B, 3, H, W) -> maps (B, C, h, w), or what else the network gives."""
        is_last = getattr(self.timm_model, 'output_fmt', 'NCHW') == 'NHWC'
        return tuple(
            rearrange(out, 'b h w c -> b c h w') if is_last and out.ndim == 4 else out
            for out in super().forward(x)
        )
