# BYOL on mammogram patches. 100 epochs, whatever the published file name says.
# Paper: Zhang et al., npj Digital Medicine 8:425 (2025), doi 10.1038/s41746-025-01831-8.
# Run: MAMMO_PATCHES=DIR bash tools/dist_train.sh <this file> 2 --amp
# NOTE[DIFF]: the published config sets resume=True; here a run is resumed with --resume.
_base_ = [
    '../_base_/models/byol_resnetws50.py',
    '../_base_/data/patches_224.py',
    '../_base_/schedules/lars_100e.py',
    '../_base_/pretrain_runtime.py',
]

plain = dict(decay_mult=0, lars_exclude=True)  # batch norm and biases: no decay, no layer-wise rate
optim_wrapper = dict(
    # `downsample.1` is the batch norm of a block's shortcut, the one whose name has no "bn"
    paramwise_cfg=dict(custom_keys={'bn': plain, 'bias': plain, 'downsample.1': plain})
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=95, by_epoch=True, begin=5, end=100),
]
