# PYTHON_ARGCOMPLETE_OK
"""Turn weights of elsewhere into start weights of a config's backbone.

config, .pth or .safetensors file -> .pth for init_cfg, and a report of what matched

Sources: torchvision-resnet; timm-convnext, timm-swin; dino-vit (DINO, DINOv2 and ViTs of timm); efficientnet
(efficientnet_pytorch, as in Mammo-CLIP); timm (for TIMMBackbone); same (our own names, in wrappers).
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mammo.command import command, tool_parser
from mammo.options import add_trust
from mammo.terminal import made

SOURCES = (
    'torchvision-resnet', 'timm-convnext', 'timm-swin', 'dino-vit', 'efficientnet', 'timm', 'same',
)  # fmt: skip


@command()
def main() -> None:
    """Parse, convert, print the report."""
    parser = tool_parser(
        __doc__,
        'python tools/convert_weights.py configs/backbones/vit_small_dinov2_transformer.py '
        'dinov2_vits14_pretrain.pth --source dino-vit --out work_dirs/start/vit_small_dinov2.pth',
        loads='PyTorch and MMPreTrain',
    )
    parser.add_argument('config', help='config whose model.backbone is to start from them; it is executed')
    parser.add_argument('file', type=Path, help='.pth or .safetensors')
    parser.add_argument('--source', choices=SOURCES, required=True, help='whose names the file has')
    parser.add_argument('--out', type=Path, required=True, help='checkpoint to write')
    add_trust(parser)
    args = parser.parse_args()

    from mammo.engine.loading.start_weights import convert

    print(convert(**vars(args)))
    start = f"init_cfg=dict(type='Pretrained', checkpoint='{args.out}', prefix='backbone')"
    made(f'{args.out}; in a config: {start}')


if __name__ == '__main__':
    main()
