# Swin-T (Liu et al. 2021, arXiv 2103.14030), stride 32.
# Needs: tools/convert_weights.py <this file> FILE --source timm-swin --out <the checkpoint of init_cfg>
_base_ = '../_base_/any_backbone_transformer.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='SwinTransformer',
        arch='tiny',
        img_size=224,
        pad_small_map=True,  # for maps smaller than a window
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/start/swin_tiny.pth', prefix='backbone'),
    ),
)
