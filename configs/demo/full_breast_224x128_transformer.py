# Small twin of the full-breast Transformer config for phantom images, trained from scratch on CPU.
# Run: make demo
# It differs in what a few hundred steps from random weights need: weaker augmentation, a learning rate
# that falls faster, and weights that bring the squared errors of the two quantities to the size of the rest.
_base_ = '../multi_task_SL/fullimage1792x1024_resnet50-expan2_barlowtwin_finetune_transformer_Aug3.py'

data_root = 'demo/phantom/'
size = (128, 224)  # width, height
train_pipeline = _base_.train_pipeline
train_pipeline[1].update(scale=size[::-1], crop_ratio_range=(0.9, 1.0))
train_pipeline[3].update(num_policies=1, policies=_base_.randaugment_policies[1:4])
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (144, 256)
test_pipeline[2].crop_size = size

tasks = _base_.model.tasks
tasks[3].loss_weight = 0.05  # NumPos, squared errors near 3
tasks[4].loss_weight = 10.0  # tumor_size, squared errors near 0.02
model = dict(
    tasks=tasks,
    backbone=dict(stem_channels=16, base_channels=16, frozen_stages=-1, init_cfg=None),
    neck=dict(in_dims=256, pooling_size=4, map_size=(7, 4)),
)
optim_wrapper = dict(optimizer=dict(lr=3e-4))
param_scheduler = dict(gamma=0.85)
train_cfg = dict(max_epochs=12)
loader = dict(num_workers=2)
train_dataloader = dict(batch_size=16, dataset=dict(data_root=data_root, pipeline=train_pipeline), **loader)
val_dataloader = dict(batch_size=32, dataset=dict(data_root=data_root, pipeline=test_pipeline), **loader)
test_dataloader = dict(batch_size=32, dataset=dict(data_root=data_root, pipeline=test_pipeline), **loader)
