# DenseCL (Wang et al. 2021, arXiv 2011.09157) on mammogram patches: contrast of cells beside that of patches.
# Run: MAMMO_PATCHES=DIR bash tools/dist_train.sh <this file> 2 --amp
_base_ = '../byol_resnet50-exp2_coslr-120e_MMpatches.py'

model = dict(
    _delete_=True,
    type='DenseCL',
    queue_len=65536,
    feat_dim=128,
    momentum=0.001,
    loss_lambda=0.5,
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=_base_.model.backbone,
    neck=dict(type='DenseCLNeck', in_channels=1024, hid_channels=1024, out_channels=128, num_grid=None),
    head=dict(type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'), temperature=0.2),
)
find_unused_parameters = True
train_dataloader = dict(drop_last=True)  # the queue holds whole batches
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='SGD', lr=0.03, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=None,
)
