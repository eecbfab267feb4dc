# EfficientNet-B5 (Tan and Le 2019, arXiv 1905.11946), stride 32, the network of Mammo-CLIP.
# Needs: tools/convert_weights.py <this file> FILE --source efficientnet --out <the checkpoint of init_cfg>
_base_ = '../_base_/any_backbone_transformer.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='EfficientNet',
        arch='b5',
        out_indices=(6,),
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/start/efficientnet_b5.pth', prefix='backbone'),
    ),
)
