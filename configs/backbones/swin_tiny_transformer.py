# Swin-T (Liu et al. 2021, arXiv 2103.14030), stride 32.
# Frozen, with the Transformer neck on full-breast images; width and position grid follow from the map.
# Needs: tools/convert_weights.py <this file> FILE --source timm-swin --out <the checkpoint of init_cfg>
_base_ = '../multi_task_SL/fullimage1792x1024_resnet50-expan2_barlowtwin_finetune_transformer_Aug3.py'

model = dict(
    image_size=(1792, 1024),  # height, width
    frozen_backbone=True,
    backbone=dict(
        _delete_=True,
        type='SwinTransformer',
        arch='tiny',
        img_size=224,
        pad_small_map=True,  # for maps smaller than a window
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/start/swin_tiny.pth', prefix='backbone'),
    ),
    neck=dict(in_dims=None),  # as wide as the map
)
