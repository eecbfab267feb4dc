# SimSiam (Chen and He 2021, arXiv 2011.10566) on mammogram patches.
# Run: MAMMO_PATCHES=DIR bash tools/dist_train.sh <this file> 2 --amp
_base_ = '../byol_resnet50-exp2_coslr-120e_MMpatches.py'

model = dict(
    _delete_=True,
    type='SimSiam',
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=_base_.model.backbone,
    neck=dict(
        type='NonLinearNeck',
        in_channels=1024,
        hid_channels=1024,
        out_channels=1024,
        num_layers=3,
        with_last_bn_affine=False,
        with_avg_pool=True,
    ),
    head=dict(
        type='LatentPredictHead',
        loss=dict(type='CosineSimilarityLoss'),
        predictor=dict(
            type='NonLinearNeck',
            in_channels=1024,
            hid_channels=256,
            out_channels=1024,
            with_avg_pool=False,
            with_last_bn=False,
            with_last_bias=True,
        ),
    ),
)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='SGD', lr=0.05, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(_delete_=True, custom_keys=dict(predictor=dict(fix_lr=True))),
)
param_scheduler = dict(_delete_=True, type='CosineAnnealingLR', T_max=100, by_epoch=True, begin=0, end=100)
# the predictor keeps its learning rate
custom_hooks = [dict(type='SimSiamHook', priority='HIGH', fix_pred_lr=True, lr=0.05)]
