# Small twin of the Barlow Twins config for phantom patches on CPU, from random weights.
# Run: make demo. Its backbone is that of full_breast_224x128_transformer.py, which starts from it.
_base_ = '../pretrain/barlowtwins_resnet50-exp2_-coslr-100e_MMpatches.py'

data_root = '{{$MAMMO_PATCHES:demo/patches/}}'
train_pipeline = _base_.train_pipeline
train_pipeline[1]['transforms'][0][0].update(scale=64, crop_ratio_range=(0.2, 1.0))

model = dict(
    backbone=dict(stem_channels=16, base_channels=16, zero_init_residual=False, init_cfg=None),
    neck=dict(in_channels=256, hid_channels=256, out_channels=64),
    head=dict(in_channels=64),
)
train_cfg = dict(max_epochs=6)
warm_up, decay = _base_.param_scheduler
warm_up.update(end=1)
decay.update(T_max=5, begin=1, end=6)
param_scheduler = [warm_up, decay]
train_dataloader = dict(
    batch_size=64, num_workers=1, drop_last=True, dataset=dict(data_root=data_root, pipeline=train_pipeline)
)
