_base_ = './barlowtwins_resnetws50.py'

mlp = dict(  # of two layers, without batch norm at the end
    type='NonLinearNeck', hid_channels=512, out_channels=128, num_layers=2, with_bias=True, with_last_bn=False
)
model = dict(
    type='BYOL',
    base_momentum=0.01,
    backbone=dict(
        zero_init_residual=False,
        init_cfg=dict(
            checkpoint='https://download.openmmlab.com/mmselfsup/1.x/byol/byol_resnet50_16xb256-coslr-200e_in1k/byol_resnet50_16xb256-coslr-200e_in1k_20220825-de817331.pth'
        ),
    ),
    neck=dict(_delete_=True, in_channels=1024, with_avg_pool=True, **mlp),
    head=dict(
        _delete_=True,
        type='LatentPredictHead',
        loss=dict(type='CosineSimilarityLoss'),
        predictor=dict(in_channels=128, with_avg_pool=False, **mlp),
    ),
)
