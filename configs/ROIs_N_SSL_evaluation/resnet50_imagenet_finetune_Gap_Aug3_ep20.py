# The stock ResNet-50, trained on ImageNet with labels.
_base_ = './resnet50_SSL_finetune_Gap_Aug3_ep20.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            checkpoint='https://download.openmmlab.com/mmclassification/v0/resnet/resnet50_8xb32_in1k_20210831-ea4938fc.pth'
        )
    )
)
