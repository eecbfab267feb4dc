# Barlow Twins on mammogram patches; its epoch 80 is what the published supervised configs start from.
# Paper: Zhang et al., npj Digital Medicine 8:425 (2025), doi 10.1038/s41746-025-01831-8.
# Run: MAMMO_PATCHES=DIR bash tools/dist_train.sh <this file> 2 --amp
_base_ = [
    '../_base_/models/barlowtwins_resnetws50.py',
    '../_base_/data/patches_224.py',
    '../_base_/schedules/lars_100e.py',
    '../_base_/pretrain_runtime.py',
]

# batch norm and biases: no decay, no layer-wise rate and a small learning rate
small = dict(decay_mult=0, lr_mult=0.024, lars_exclude=True)
optim_wrapper = dict(
    # `downsample.1` is the batch norm of a block's shortcut, the one whose name has no "bn"
    paramwise_cfg=dict(custom_keys={'bn': small, 'bias': small, 'downsample.1': small})
)
per_iteration = dict(by_epoch=True, convert_to_iter_based=True)
param_scheduler = [
    dict(type='LinearLR', start_factor=1.6e-4, begin=0, end=5, **per_iteration),
    dict(type='CosineAnnealingLR', T_max=95, eta_min=8e-4, begin=5, end=100, **per_iteration),
]
