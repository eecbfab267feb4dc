# ConvNeXt-T (Liu et al. 2022, arXiv 2201.03545), stride 32.
# Frozen, with the Transformer neck on full-breast images; width and position grid follow from the map.
# Needs: tools/convert_weights.py <this file> FILE --source timm-convnext --out <the checkpoint of init_cfg>
_base_ = '../multi_task_SL/fullimage1792x1024_resnet50-expan2_barlowtwin_finetune_transformer_Aug3.py'

model = dict(
    image_size=(1792, 1024),  # height, width
    frozen_backbone=True,
    backbone=dict(
        _delete_=True,
        type='ConvNeXt',
        arch='tiny',
        out_indices=(3,),
        gap_before_final_norm=False,  # a map, not one vector
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/start/convnext_tiny.pth', prefix='backbone'),
    ),
    neck=dict(in_dims=None),  # as wide as the map
)
