# The demo's second stage: full_breast_224x128_transformer.py, started from the backbone that
# barlowtwins_64px_patches.py pretrained, and trained as a whole.
# Run: make demo
# Quantities are learned in deviations from their mean, and the learning rate ends at 0: otherwise R2 of the
# tumour's size swings by more than 1 between epochs (docs/results/phantoms.md).
_base_ = './full_breast_224x128_transformer.py'

tasks = _base_.model.tasks
tasks[3].update(loss_weight=0.5, standardise=True)  # NumPos
tasks[4].update(loss_weight=0.5, standardise=True)  # tumor_size
model = dict(
    tasks=tasks,
    backbone=dict(
        init_cfg=dict(
            _delete_=True, type='Pretrained', checkpoint='demo/pretraining/backbone.pth', prefix='backbone'
        )
    ),
)
optim_wrapper = dict(optimizer=dict(lr=7e-4))
param_scheduler = dict(
    _delete_=True, type='CosineAnnealingLR', T_max=20, by_epoch=True, convert_to_iter_based=True
)
train_cfg = dict(max_epochs=20, val_interval=4)
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1))
