# As barlowtwins_64px_patches.py, by SwAV: two views of 64 and six of 32 pixels; prototypes are frozen in the
# first of 8 epochs, the queue begins in the fifth.
# Run: benchmarks/studies/rsna.py
_base_ = '../pretrain/swav_resnet50-exp2_mcrop-coslr-100e_MMpatches-224px-96px.py'

train_pipeline = _base_.train_pipeline
large_view, small_view = train_pipeline[1]['transforms']
large_view[0].update(scale=64)
small_view[0].update(scale=32)
train_cfg = dict(max_epochs=8)
param_scheduler = dict(T_max=8, end=8)
train_dataloader = dict(batch_size=64, num_workers=0, dataset=dict(pipeline=train_pipeline))
default_hooks = dict(swav=dict(epoch_queue_starts=4, frozen_layers_cfg=dict(prototypes=42)))
