# Small twin of the BYOL config for phantom patches on CPU, from random weights.
# Its backbone is that of full_breast_224x128_transformer.py.
_base_ = '../pretrain/byol_resnet50-exp2_coslr-120e_MMpatches.py'

data_root = '{{$MAMMO_PATCHES:demo/patches/}}'
train_pipeline = _base_.train_pipeline
train_pipeline[1]['transforms'][0][0].update(scale=64, crop_ratio_range=(0.2, 1.0))

predictor = _base_.model.head.predictor
predictor.update(in_channels=64, hid_channels=256, out_channels=64)
model = dict(
    base_momentum=0.05,  # some hundred steps, not some ten thousand
    backbone=dict(stem_channels=16, base_channels=16, init_cfg=None),
    neck=dict(in_channels=256, hid_channels=256, out_channels=64),
    head=dict(predictor=predictor),
)
train_cfg = dict(max_epochs=6)
warm_up, decay = _base_.param_scheduler
warm_up.update(end=1)
decay.update(T_max=5, begin=1, end=6)
param_scheduler = [warm_up, decay]
train_dataloader = dict(
    batch_size=64, num_workers=1, drop_last=True, dataset=dict(data_root=data_root, pipeline=train_pipeline)
)
