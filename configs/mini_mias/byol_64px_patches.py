# BYOL on patches of mini-MIAS, training women only; the rest of the women judge it.
# Run: benchmarks/studies/mini_mias_pretraining.py says how
_base_ = '../demo/byol_64px_patches.py'

data_root = 'data/mini_mias/'
warm_up, decay = _base_.param_scheduler
decay.update(T_max=19, end=20)
param_scheduler = [warm_up, decay]
train_cfg = dict(max_epochs=20)
train_dataloader = dict(dataset=dict(data_root=data_root + 'patches/'))
default_hooks = dict(
    learning_monitor=dict(label_field='tissue', dataset=dict(data_root=data_root, ann_file='held_out.json'))
)
