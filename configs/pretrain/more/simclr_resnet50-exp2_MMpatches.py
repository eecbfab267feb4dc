# SimCLR (Chen et al. 2020, arXiv 2002.05709) on mammogram patches.
# Run: MAMMO_PATCHES=DIR bash tools/dist_train.sh <this file> 2 --amp
_base_ = '../byol_resnet50-exp2_coslr-120e_MMpatches.py'

model = dict(
    _delete_=True,
    type='SimCLR',
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=_base_.model.backbone,
    neck=dict(
        type='NonLinearNeck',
        in_channels=1024,
        hid_channels=1024,
        out_channels=128,
        num_layers=2,
        with_avg_pool=True,
    ),
    head=dict(type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'), temperature=0.1),
)
