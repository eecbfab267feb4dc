# Any network of timm, here RegNetY-3.2GF (Radosavovic et al. 2020, arXiv 2003.13678), stride 32.
# Frozen, with the Transformer neck on full-breast images; width and position grid follow from the map.
# Needs: tools/convert_weights.py <this file> FILE --source timm --out <the checkpoint of init_cfg>
_base_ = '../multi_task_SL/fullimage1792x1024_resnet50-expan2_barlowtwin_finetune_transformer_Aug3.py'

model = dict(
    image_size=(1792, 1024),  # height, width
    frozen_backbone=True,
    backbone=dict(
        _delete_=True,
        type='TIMMBackbone',
        model_name='regnety_032',
        features_only=True,
        out_indices=(4,),
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/start/timm_regnety.pth', prefix='backbone'),
    ),
    neck=dict(in_dims=None),  # as wide as the map
)
