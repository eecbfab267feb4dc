# Transformer neck on a frozen backbone that learned from phantom patches, with no film of mini-MIAS.
# Run: benchmarks/studies/mini_mias_necks.py says how
_base_ = './mini_mias_448x256_transformer.py'

model = dict(
    backbone=dict(
        frozen_stages=4,
        init_cfg=dict(
            _delete_=True,
            type='Pretrained',
            checkpoint='work_dirs/phantom_patches/backbone.pth',
            prefix='backbone',
        ),
    )
)
optim_wrapper = dict(optimizer=dict(lr=1e-3))  # as published for frozen backbones
param_scheduler = dict(gamma=0.95)
train_cfg = dict(max_epochs=30)
