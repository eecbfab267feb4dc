# Multi-task learning on regions of interest: frozen Barlow Twins backbone, Transformer neck.
# Paper: Zhang et al., npj Digital Medicine 8:425 (2025), doi 10.1038/s41746-025-01831-8.
_base_ = [
    '../_base_/models/resnetws50_transformer.py',
    '../_base_/data/rois_500.py',
    '../_base_/schedules/adamw_steplr_30e.py',
    '../_base_/default_runtime.py',
]

model = dict(neck=dict(pooling_size=1))
