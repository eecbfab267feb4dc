# SwAV on patches of mini-MIAS, training women only; the rest of the women judge it.
# Run: benchmarks/studies/mini_mias_pretraining.py says how
_base_ = '../demo/swav_64px_32px_patches.py'

data_root = 'data/mini_mias/'
param_scheduler = dict(T_max=20, end=20)
train_cfg = dict(max_epochs=20)
train_dataloader = dict(dataset=dict(data_root=data_root + 'patches/'))
default_hooks = dict(
    learning_monitor=dict(label_field='tissue', dataset=dict(data_root=data_root, ann_file='held_out.json'))
)
