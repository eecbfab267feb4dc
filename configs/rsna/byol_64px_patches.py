# As barlowtwins_64px_patches.py, by BYOL.
# Run: benchmarks/studies/rsna.py
_base_ = '../pretrain/byol_resnet50-exp2_coslr-120e_MMpatches.py'

train_pipeline = _base_.train_pipeline
train_pipeline[1]['transforms'][0][0].update(scale=64, crop_ratio_range=(0.2, 1.0))
train_cfg = dict(max_epochs=8)
warm_up, decay = _base_.param_scheduler
warm_up.update(end=1)
decay.update(T_max=7, begin=1, end=8)
param_scheduler = [warm_up, decay]
train_dataloader = dict(batch_size=64, num_workers=0, drop_last=True, dataset=dict(pipeline=train_pipeline))
