model = dict(
    type='BarlowTwins',
    data_preprocessor=dict(type='SelfSupDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(
        type='ResNetWs',
        depth=50,
        expansion=2,
        norm_cfg=dict(type='SyncBN'),
        zero_init_residual=True,
        # ImageNet, the same method: fills stem and stage 1, whose names alone are those of the stock ResNet
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmselfsup/1.x/barlowtwins/barlowtwins_resnet50_8xb256-coslr-300e_in1k/barlowtwins_resnet50_8xb256-coslr-300e_in1k_20220825-57307488.pth',
            prefix='backbone',
        ),
    ),
    neck=dict(
        type='NonLinearNeck',
        in_channels=1024,
        hid_channels=512,
        out_channels=128,
        num_layers=2,
        with_last_bn=False,
        with_last_bn_affine=False,
        with_avg_pool=True,
        norm_cfg=dict(type='SyncBN'),
        init_cfg=dict(type='Kaiming', distribution='uniform', layer=['Linear']),
    ),
    head=dict(
        type='LatentCrossCorrelationHead',
        in_channels=128,
        loss=dict(type='CrossCorrelationLoss', lambd=0.0051),
    ),
)
