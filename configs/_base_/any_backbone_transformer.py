# Any frozen backbone with the Transformer neck on full-breast images; width and grid follow from its map.
_base_ = '../multi_task_SL/fullimage1792x1024_resnet50-expan2_barlowtwin_finetune_transformer_Aug3.py'

model = dict(
    image_size=(1792, 1024),  # height, width
    frozen_backbone=True,
    neck=dict(in_dims=None),  # as wide as the map
)
