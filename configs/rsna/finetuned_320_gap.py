# As the frozen ResNetWs-50 at 320 x 320, but all of it learns on: with a tenth of the rate, in batches of 16.
# Run: benchmarks/studies/rsna.py
_base_ = './pretrained_320_gap.py'

train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = (320, 320)
model = dict(backbone=dict(frozen_stages=-1))
optim_wrapper = dict(optimizer=dict(lr=1e-4))
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
