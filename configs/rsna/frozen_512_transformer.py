# The published Transformer neck on a frozen ImageNet ResNet-50 without its last stage, on RSNA 2022.
# Run: benchmarks/studies/rsna.py
# The whole crop of the breast is resized to 512 x 512: a map of 32 x 32 cells of 16 pixels.
_base_ = '../backbones/resnet50_stride16_transformer.py'

data_root = 'data/rsna/'
train_pipeline = _base_.train_pipeline
train_pipeline[1].update(scale=512, crop_ratio_range=(0.7, 1.0), aspect_ratio_range=(0.6, 0.9))
test_pipeline = [_base_.test_pipeline[0], dict(type='Resize', scale=(512, 512)), _base_.test_pipeline[-1]]

model = dict(
    tasks=[
        dict(name='cancer', kind='binary', loss_weight=1.0),
        dict(name='dense', kind='binary', loss_weight=0.5),  # density C or D against A or B
        dict(name='invasive', kind='binary', loss_weight=0.5),  # of the cancers
        dict(name='age', kind='regression', loss_weight=5.0, unit='years', scale=100.0),
    ],
    image_size=(512, 512),
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),  # ImageNet's
    backbone=dict(style='caffe', init_cfg=dict(prefix=None)),
)
train_cfg = dict(max_epochs=6)
loader = dict(num_workers=0)
train_dataloader = dict(batch_size=24, dataset=dict(data_root=data_root, pipeline=train_pipeline), **loader)
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline), **loader)
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline), **loader)
