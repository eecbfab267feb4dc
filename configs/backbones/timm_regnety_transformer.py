# Any network of timm, here RegNetY-3.2GF (Radosavovic et al. 2020, arXiv 2003.13678), stride 32.
# Needs: tools/convert_weights.py <this file> FILE --source timm --out <the checkpoint of init_cfg>
_base_ = '../_base_/any_backbone_transformer.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='TIMMBackbone',
        model_name='regnety_032',
        features_only=True,
        out_indices=(4,),
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/start/timm_regnety.pth', prefix='backbone'),
    ),
)
