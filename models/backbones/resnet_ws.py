"""ResNet with width scaling: the stock bottleneck network with narrower late stages.

images (B, 3, H, W) -> tuple of maps, by default one of (B, 1024, H/32, W/32)
"""

from typing import Any

from mmpretrain.models.backbones import ResNet
from mmpretrain.registry import MODELS
from torch import nn

# Stage outputs as multiples of base_channels; a stock ResNet has (4, 8, 16, 32).
STAGE_WIDTHS = (4, 4, 8, 16)
STAGE_NAMES = ('layer1', 'block2', 'block3', 'block4')


@MODELS.register_module()
class ResNetWs(ResNet):
    """Width-scaled ResNet of Zhang et al. 2025 (doi 10.1038/s41746-025-01831-8).

    Stage outputs are ``base_channels`` x (4, 4, 8, 16). Stage 1 equals the ImageNet model's;
    stages 2 to 4 have inner width output / ``expansion`` and names of their own (``block2`` to
    ``block4``), so that an ImageNet checkpoint fills stem and stage 1 only.

    Args:
        depth: 50, 101 or 152.
        expansion: output width / inner width of stages 2 to 4.
        **kwargs: those of :class:`mmpretrain.models.ResNet`. ``init_cfg=None`` is its default start:
            Kaiming (fan out) for convolutions.

    Raises:
        ValueError: for depths without bottleneck blocks.

    Example:
        >>> import torch
        >>> ResNetWs(depth=50, expansion=2)(torch.zeros(1, 3, 64, 64))[0].shape
        torch.Size([1, 1024, 2, 2])
    """

    res_layers: list[str]
    frozen_stages: int
    arch_settings = {depth: ResNet.arch_settings[depth] for depth in (50, 101, 152)}

    def __init__(self, depth: int, *, expansion: int = 4, **kwargs: Any) -> None:
        if depth not in self.arch_settings:
            raise ValueError(
                f'ResNetWs needs bottleneck blocks: depth is {depth}, expected one of 50, 101, 152'
            )
        if kwargs.get('init_cfg') is None:  # in configs None undoes a base's checkpoint
            kwargs.pop('init_cfg', None)  # the stock start: Kaiming, and batch norms of 1
        super().__init__(depth, expansion=expansion, **kwargs)
        for stock_name, name in zip(self.res_layers[1:], STAGE_NAMES[1:], strict=False):
            self.add_module(name, self._modules.pop(stock_name))
        self.res_layers = list(STAGE_NAMES[: self.num_stages])

    def make_res_layer(self, **kwargs: Any) -> nn.Module:
        """A stage of the widths of the class; only the first has the inner width of the ImageNet model."""
        stage = len(self.res_layers)
        kwargs['out_channels'] = self.base_channels * STAGE_WIDTHS[stage]
        if stage == 0:
            kwargs['expansion'] = STAGE_WIDTHS[0]
        else:
            kwargs['in_channels'] = self.base_channels * STAGE_WIDTHS[stage - 1]
        return super().make_res_layer(**kwargs)

    def _freeze_stages(self) -> None:
        frozen, self.frozen_stages = self.frozen_stages, min(self.frozen_stages, 0)
        super()._freeze_stages()  # the stem; the stock method knows only stock stage names
        self.frozen_stages = frozen
        for name in self.res_layers[: max(frozen, 0)]:
            getattr(self, name).eval().requires_grad_(False)

    def train(self, mode: bool = True) -> 'ResNetWs':
        """As the stock method, but returns the network."""
        super().train(mode)
        return self  # the stock method returns None, which breaks `model.eval().to(...)`
