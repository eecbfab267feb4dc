# The demo's second stage: full_breast_224x128_transformer.py, started from the backbone that
# barlowtwins_64px_patches.py pretrained, and trained as a whole.
# Run: make demo
_base_ = './full_breast_224x128_transformer.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            _delete_=True, type='Pretrained', checkpoint='demo/pretraining/backbone.pth', prefix='backbone'
        )
    )
)
param_scheduler = dict(gamma=0.9)
train_cfg = dict(max_epochs=14)
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1))
