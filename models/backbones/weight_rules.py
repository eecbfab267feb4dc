"""Names of weights elsewhere -> names here: one table of rules per source.

state dict of a source, names of the network here -> state dict with these names

A rule is a pattern that a whole name matches and what it becomes; the first that matches is taken, and a
name that none matches stays. ``#`` of a rule's result stands for the place of a block, whose number in the
source counts through all stages.
"""

import re
from collections.abc import Iterable

from einops import rearrange
from torch import Tensor

Rules = list[tuple[str, str]]

VIT: Rules = [
    (r'patch_embed\.proj\.(.*)', r'patch_embed.projection.\1'),
    (r'norm\.(.*)', r'ln1.\1'),
    (r'blocks\.(?:\d+\.)?(\d+)\.norm([12])\.(.*)', r'layers.\1.ln\2.\3'),
    (r'blocks\.(?:\d+\.)?(\d+)\.attn\.(.*)', r'layers.\1.attn.\2'),
    (r'blocks\.(?:\d+\.)?(\d+)\.ls1\.gamma', r'layers.\1.attn.gamma1.weight'),
    (r'blocks\.(?:\d+\.)?(\d+)\.ls2\.gamma', r'layers.\1.ffn.gamma2.weight'),
    (r'blocks\.(?:\d+\.)?(\d+)\.mlp\.fc1\.(.*)', r'layers.\1.ffn.layers.0.0.\2'),
    (r'blocks\.(?:\d+\.)?(\d+)\.mlp\.fc2\.(.*)', r'layers.\1.ffn.layers.1.\2'),
]
CONVNEXT: Rules = [
    (r'stem\.(\d)\.(.*)', r'downsample_layers.0.\1.\2'),
    (r'stages\.(\d+)\.downsample\.(\d)\.(.*)', r'downsample_layers.\1.\2.\3'),
    (r'stages\.(\d+)\.blocks\.(\d+)\.conv_dw\.(.*)', r'stages.\1.\2.depthwise_conv.\3'),
    (r'stages\.(\d+)\.blocks\.(\d+)\.mlp\.fc([12])\.(.*)', r'stages.\1.\2.pointwise_conv\3.\4'),
    (r'stages\.(\d+)\.blocks\.(\d+)\.(gamma|norm.*)', r'stages.\1.\2.\3'),
    (r'head\.norm\.(.*)', r'norm3.\1'),
]
SWIN: Rules = [
    (r'patch_embed\.proj\.(.*)', r'patch_embed.projection.\1'),
    (r'norm\.(.*)', r'norm3.\1'),
    (r'layers\.1\.downsample\.(.*)', r'stages.0.downsample.\1'),
    (r'layers\.2\.downsample\.(.*)', r'stages.1.downsample.\1'),
    (r'layers\.3\.downsample\.(.*)', r'stages.2.downsample.\1'),
    (r'layers\.(\d)\.blocks\.(\d+)\.attn\.(.*)', r'stages.\1.blocks.\2.attn.w_msa.\3'),
    (r'layers\.(\d)\.blocks\.(\d+)\.mlp\.fc1\.(.*)', r'stages.\1.blocks.\2.ffn.layers.0.0.\3'),
    (r'layers\.(\d)\.blocks\.(\d+)\.mlp\.fc2\.(.*)', r'stages.\1.blocks.\2.ffn.layers.1.\3'),
    (r'layers\.(\d)\.blocks\.(\d+)\.(norm[12].*)', r'stages.\1.blocks.\2.\3'),
]
# efficientnet_pytorch, which Mammo-CLIP trains: blocks are numbered through
EFFICIENTNET: Rules = [
    (r'_conv_stem\.(.*)', r'layers.0.conv.\1'),
    (r'_bn0\.(.*)', r'layers.0.bn.\1'),
    (r'_conv_head\.(.*)', r'layers.6.conv.\1'),
    (r'_bn1\.(.*)', r'layers.6.bn.\1'),
    (r'_blocks\.(\d+)\._expand_conv\.(.*)', r'#\1.expand_conv.conv.\2'),
    (r'_blocks\.(\d+)\._bn0\.(.*)', r'#\1.expand_conv.bn.\2'),
    (r'_blocks\.(\d+)\._depthwise_conv\.(.*)', r'#\1.depthwise_conv.conv.\2'),
    (r'_blocks\.(\d+)\._bn1\.(.*)', r'#\1.depthwise_conv.bn.\2'),
    (r'_blocks\.(\d+)\._se_reduce\.(.*)', r'#\1.se.conv1.conv.\2'),
    (r'_blocks\.(\d+)\._se_expand\.(.*)', r'#\1.se.conv2.conv.\2'),
    (r'_blocks\.(\d+)\._project_conv\.(.*)', r'#\1.linear_conv.conv.\2'),
    (r'_blocks\.(\d+)\._bn2\.(.*)', r'#\1.linear_conv.bn.\2'),
]
SOURCES: dict[str, Rules] = {
    'torchvision-resnet': [],  # the names are the same
    'timm-convnext': CONVNEXT,
    'timm-swin': SWIN,
    'dino-vit': VIT,  # DINO, DINOv2 and timm name them alike
    'efficientnet': EFFICIENTNET,
    'timm': [],  # for TIMMBackbone: the names are the same, but for what stands between their parts
    'same': [],
}
# What frameworks wrap a network in, before its own names.
WRAPPERS = re.compile(
    r'^(module|model|backbone|encoder|image_encoder|student|teacher|base_encoder|encoder_q|_orig_mod)\.'
)


def renamed(state: dict[str, Tensor], source: str, names: Iterable[str]) -> dict[str, Tensor]:
    """Weights of a source under the names of a network here; of a student and its teacher the teacher's.

    Args:
        state: weights by name, as the source has them, in whatever wrappers.
        source: key of :data:`SOURCES`.
        names: of the network here, in order.

    Raises:
        KeyError: there is no such source.
    """
    names = list(names)
    blocks = _blocks(names)
    places = {_run_together(name): name for name in names} if source == 'timm' else {}
    left_out = 'student' if any('teacher' in name.split('.') for name in state) else None
    result = {}
    for name, value in state.items():
        if left_out in name.split('.'):
            continue
        new = _new_name(_unwrapped(name), SOURCES[source], blocks)
        new = places.get(_run_together(new), new)
        result[new] = _permuted(new, value) if source == 'timm-swin' else value
    return result


def _unwrapped(name: str) -> str:
    while WRAPPERS.match(name):
        name = WRAPPERS.sub('', name)
    return name


def _run_together(name: str) -> str:
    """Where timm gives maps of a network, it writes ``_`` for some dots, and ``model.`` before the names."""
    return _unwrapped(name.removeprefix('timm_model.')).replace('.', '_')


def _new_name(name: str, rules: Rules, blocks: list[str]) -> str:
    for pattern, result in rules:
        match = re.fullmatch(pattern, name)
        if match:
            new = match.expand(result)
            number, _, rest = new.removeprefix('#').partition('.')
            is_block = new.startswith('#') and int(number) < len(blocks)
            return f'{blocks[int(number)]}.{rest}' if is_block else new
    return name


def _blocks(names: Iterable[str]) -> list[str]:
    """Places of the blocks of a network (``layers.STAGE.BLOCK``), in order."""
    places = (re.match(r'layers\.\d+\.\d+(?=\.)', name) for name in names)
    return list(dict.fromkeys(match[0] for match in places if match))


def _permuted(name: str, value: Tensor) -> Tensor:
    """Patch merging reads its four cells by columns and cell by cell there, by rows and per channel here."""
    if '.downsample.' not in name:
        return value
    return rearrange(value, '... (column row c) -> ... (c row column)', column=2, row=2)
