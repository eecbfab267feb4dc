# Plain ViT-S/14 with weights of DINOv2 (Oquab et al. 2023, arXiv 2304.07193), stride 14.
# Needs: tools/convert_weights.py <this file> FILE --source dino-vit --out <the checkpoint of init_cfg>
_base_ = '../_base_/any_backbone_transformer.py'

model = dict(
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
)
