# EfficientNet-B5 (Tan and Le 2019, arXiv 1905.11946), stride 32, the network of Mammo-CLIP.
# Frozen, with the Transformer neck on full-breast images; width and position grid follow from the map.
# Needs: tools/convert_weights.py <this file> FILE --source efficientnet --out <the checkpoint of init_cfg>
_base_ = '../multi_task_SL/fullimage1792x1024_resnet50-expan2_barlowtwin_finetune_transformer_Aug3.py'

model = dict(
    image_size=(1792, 1024),  # height, width
    frozen_backbone=True,
    backbone=dict(
        _delete_=True,
        type='EfficientNet',
        arch='b5',
        out_indices=(6,),
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/start/efficientnet_b5.pth', prefix='backbone'),
    ),
    neck=dict(in_dims=None),  # as wide as the map
)
