# As the frozen ResNetWs-50 at 320 x 320, but all of it learns on: at 1e-4, its new layer at 1e-3.
# Run: benchmarks/studies/rsna.py
_base_ = './pretrained_320_gap.py'

train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = (320, 320)
model = dict(backbone=dict(frozen_stages=-1), neck=dict(_delete_=True, type='StandardisedPoolingNeck'))
optim_wrapper = dict(optimizer=dict(lr=1e-4), paramwise_cfg=dict(custom_keys=dict(neck=dict(lr_mult=10))))
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
