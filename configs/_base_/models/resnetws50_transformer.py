_base_ = '../tasks.py'

model = dict(
    type='ImageTabClassifier',
    data_preprocessor=dict(type='ClsDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(
        type='ResNetWs',
        depth=50,
        expansion=2,
        frozen_stages=4,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/barlowtwins_resnet50-exp2_-coslr-100e_MMpatches/epoch_80.pth',
            prefix='backbone',
        ),
    ),
    neck=dict(
        type='TransformerNeck',
        in_dims=1024,
        depth=1,
        num_heads=8,
        head_dim=64,
        pooling_size=2,
        forward_layer=True,
        ff_hidden_layer=True,
        is_LSA=True,
    ),
    head=dict(type='MultiTaskHead'),
)
