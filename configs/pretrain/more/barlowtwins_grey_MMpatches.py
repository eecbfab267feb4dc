# Barlow Twins as published, on views that keep grey values.
_base_ = [
    '../../_base_/models/barlowtwins_resnetws50.py',
    '../../_base_/data/patches_224_grey.py',
    '../../_base_/schedules/lars_100e.py',
    '../../_base_/pretrain_runtime.py',
]

small = dict(decay_mult=0, lr_mult=0.024, lars_exclude=True)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'bn': small, 'bias': small, 'downsample.1': small}))
per_iteration = dict(by_epoch=True, convert_to_iter_based=True)
param_scheduler = [
    dict(type='LinearLR', start_factor=1.6e-4, begin=0, end=5, **per_iteration),
    dict(type='CosineAnnealingLR', T_max=95, eta_min=8e-4, begin=5, end=100, **per_iteration),
]
