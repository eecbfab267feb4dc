# Regions of interest of 500 x 500 pixels around the lesion.
_base_ = './full_breast_1792x1024.py'

data_root = 'data/rois/'

train_pipeline = [
    dict(type='LoadMammogram'),
    dict(type='RandomResizedCrop', scale=500, crop_ratio_range=(0.5, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(
        type='RandAugment',
        policies=_base_.randaugment_policies,
        num_policies=3,
        magnitude_level=6,
        magnitude_std=0.5,
    ),
    dict(type='MammoPackMultiTaskInputs'),
]
test_pipeline = [
    dict(type='LoadMammogram'),
    dict(type='Resize', scale=(500, 500)),
    dict(type='MammoPackMultiTaskInputs'),
]

train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
