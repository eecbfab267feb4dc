# Small twin of the SwAV config for phantom patches on CPU, from random weights.
# Its backbone is that of full_breast_224x128_transformer.py.
_base_ = '../pretrain/swav_resnet50-exp2_mcrop-coslr-100e_MMpatches-224px-96px.py'

data_root = '{{$MAMMO_PATCHES:demo/patches/}}'
train_pipeline = _base_.train_pipeline
train_pipeline[1]['transforms'][0][0].update(scale=64)
train_pipeline[1]['transforms'][1][0].update(scale=32)
train_pipeline[1].update(num_views=[2, 4])

model = dict(
    backbone=dict(stem_channels=16, base_channels=16, zero_init_residual=False, init_cfg=None),
    neck=dict(in_channels=256, hid_channels=256, out_channels=64),
    head=dict(loss=dict(feat_dim=64, num_crops=[2, 4], num_prototypes=30)),
)
train_cfg = dict(max_epochs=6)
param_scheduler = dict(T_max=6, end=6)
default_hooks = dict(swav=dict(epoch_queue_starts=2, queue_length=256, frozen_layers_cfg=dict(prototypes=20)))
train_dataloader = dict(
    batch_size=64, num_workers=1, dataset=dict(data_root=data_root, pipeline=train_pipeline)
)
