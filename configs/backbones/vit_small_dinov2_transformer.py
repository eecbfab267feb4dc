# Plain ViT-S/14 with weights of DINOv2 (Oquab et al. 2023, arXiv 2304.07193), stride 14.
# Frozen, with the Transformer neck on full-breast images; width and position grid follow from the map.
# Needs: tools/convert_weights.py <this file> FILE --source dino-vit --out <the checkpoint of init_cfg>
_base_ = '../multi_task_SL/fullimage1792x1024_resnet50-expan2_barlowtwin_finetune_transformer_Aug3.py'

model = dict(
    image_size=(1792, 1024),  # height, width
    frozen_backbone=True,
    backbone=dict(
        _delete_=True,
        type='VisionTransformer',
        arch='dinov2-small',
        img_size=518,  # of the pretraining; positions are resampled
        patch_size=14,
        layer_scale_init_value=1e-5,
        out_type='featmap',
        init_cfg=dict(
            type='Pretrained', checkpoint='work_dirs/start/vit_small_dinov2.pth', prefix='backbone'
        ),
    ),
    neck=dict(in_dims=None),  # as wide as the map
)
