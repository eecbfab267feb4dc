# ConvNeXt-T (Liu et al. 2022, arXiv 2201.03545), stride 32.
# Needs: tools/convert_weights.py <this file> FILE --source timm-convnext --out <the checkpoint of init_cfg>
_base_ = '../_base_/any_backbone_transformer.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ConvNeXt',
        arch='tiny',
        out_indices=(3,),
        gap_before_final_norm=False,  # a map, not one vector
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/start/convnext_tiny.pth', prefix='backbone'),
    ),
)
