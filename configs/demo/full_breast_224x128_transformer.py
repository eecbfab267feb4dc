# Small twin of the full-breast Transformer config for phantom images, trained from scratch on CPU.
# Run: make demo
_base_ = '../multi_task_SL/fullimage1792x1024_resnet50-expan2_barlowtwin_finetune_transformer_Aug3.py'

data_root = 'demo/phantom/'
size = (128, 224)  # width, height
train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = size[::-1]
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (144, 256)
test_pipeline[2].crop_size = size

model = dict(
    backbone=dict(stem_channels=16, base_channels=16, frozen_stages=-1, init_cfg=None),
    neck=dict(in_dims=256, pooling_size=4, map_size=(7, 4)),
)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
train_cfg = dict(max_epochs=20)
train_dataloader = dict(
    batch_size=16, num_workers=2, dataset=dict(data_root=data_root, pipeline=train_pipeline)
)
val_dataloader = dict(batch_size=32, num_workers=2, dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=32, num_workers=2, dataset=dict(data_root=data_root, pipeline=test_pipeline)
)
