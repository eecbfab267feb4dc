# MoCo v3 (Chen et al. 2021, arXiv 2104.02057) on mammogram patches.
# Run: MAMMO_PATCHES=DIR bash tools/dist_train.sh <this file> 2 --amp
_base_ = '../byol_resnet50-exp2_coslr-120e_MMpatches.py'

mlp = dict(
    type='NonLinearNeck',
    hid_channels=1024,
    out_channels=256,
    num_layers=2,
    with_bias=False,
    with_last_bn_affine=False,
    with_last_bias=False,
)
model = dict(
    _delete_=True,
    type='MoCoV3',
    base_momentum=0.01,
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=_base_.model.backbone,
    neck=dict(in_channels=1024, with_last_bn=True, with_avg_pool=True, **mlp),
    head=dict(
        type='MoCoV3Head',
        predictor=dict(in_channels=256, with_last_bn=False, with_avg_pool=False, **mlp),
        loss=dict(type='CrossEntropyLoss', loss_weight=2.0),  # twice the temperature
        temperature=1.0,
    ),
)
