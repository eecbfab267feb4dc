_base_ = './barlowtwins_resnetws50.py'

model = dict(
    type='SwAV',
    backbone=dict(
        init_cfg=dict(
            checkpoint='https://download.openmmlab.com/mmselfsup/1.x/swav/swav_resnet50_8xb32-mcrop-2-6-coslr-200e_in1k-224-96/swav_resnet50_8xb32-mcrop-2-6-coslr-200e_in1k-224-96_20220825-5b3fc7fc.pth'
        ),
    ),
    neck=dict(_delete_=True, type='SwAVNeck', in_channels=1024, hid_channels=512, out_channels=128),
    head=dict(
        _delete_=True,
        type='SwAVHead',
        loss=dict(
            type='SwAVLoss', feat_dim=128, epsilon=0.05, temperature=0.1, num_crops=[2, 6], num_prototypes=300
        ),
    ),
)
find_unused_parameters = True  # prototypes are frozen at first
