# The stock ResNet-50, pretrained with Barlow Twins on the same patches.
_base_ = './resnet50-expan2_SSL_finetune_Gap_Aug3_ep20.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=50,
        frozen_stages=4,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/barlowtwins_resnet50_-coslr-100e_MMpatches/epoch_80.pth',
            prefix='backbone',
        ),
    ),
    head=dict(task_heads=dict(N=dict(in_channels=2048))),
)
