# SwAV on mammogram patches.
# Paper: Zhang et al., npj Digital Medicine 8:425 (2025), doi 10.1038/s41746-025-01831-8.
# Run: MAMMO_PATCHES=DIR bash tools/dist_train.sh <this file> 2 --amp
_base_ = [
    '../_base_/models/swav_resnetws50.py',
    '../_base_/data/patches_224_96.py',
    '../_base_/schedules/lars_100e.py',
    '../_base_/pretrain_runtime.py',
]

param_scheduler = dict(
    type='CosineAnnealingLR',
    T_max=100,
    eta_min=6e-3,
    by_epoch=True,
    begin=0,
    end=100,
    convert_to_iter_based=True,
)
default_hooks = dict(
    swav=dict(
        type='SwAVHook',
        priority='VERY_HIGH',
        epoch_queue_starts=8,
        crops_for_assign=[0, 1],
        queue_length=1280,  # rows of all processes, rounded down to whole batches
        frozen_layers_cfg=dict(prototypes=1200),  # iterations
    )
)
