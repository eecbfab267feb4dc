# How good are SSL features? Frozen Barlow Twins backbone, linear layer, task N on regions of interest.
# Paper: Zhang et al., npj Digital Medicine 8:425 (2025), doi 10.1038/s41746-025-01831-8.
_base_ = [
    '../_base_/models/resnetws50_gap.py',
    '../_base_/data/rois_500_N.py',
    '../_base_/schedules/adamw_steplr_30e.py',
    '../_base_/default_runtime.py',
]

optim_wrapper = dict(optimizer=dict(weight_decay=1e-4), clip_grad=None)
train_cfg = dict(max_epochs=20)
