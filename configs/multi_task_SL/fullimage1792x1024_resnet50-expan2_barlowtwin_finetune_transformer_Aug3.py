# Multi-task learning on full-breast images: frozen Barlow Twins backbone, Transformer neck.
# Paper: Zhang et al., npj Digital Medicine 8:425 (2025), doi 10.1038/s41746-025-01831-8.
# Run: python tools/train.py <this file> --cfg-options train_dataloader.dataset.data_root=DIR ...
# Needs: epoch 80 of configs/pretrain/barlowtwins_*.
_base_ = [
    '../_base_/models/resnetws50_transformer.py',
    '../_base_/data/full_breast_1792x1024.py',
    '../_base_/schedules/adamw_steplr_30e.py',
    '../_base_/default_runtime.py',
]
