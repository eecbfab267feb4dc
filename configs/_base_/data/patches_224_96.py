# SwAV's views: two of 224 and six of 96 pixels.
_base_ = './patches_224.py'

large_view = [
    dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.25, 1.0), backend='pillow'),
    *_base_.grey_augmentation,
    dict(type='RandomFlip', prob=0.5),
]
small_view = [
    dict(type='RandomResizedCrop', scale=96, crop_ratio_range=(0.1, 0.25), backend='pillow'),
    *_base_.grey_augmentation,
    dict(type='RandomFlip', prob=0.5),
]
train_pipeline = [
    dict(type='LoadMammogram'),
    dict(type='MultiView', num_views=[2, 6], transforms=[large_view, small_view]),
    dict(type='PackInputs'),
]
train_dataloader = dict(drop_last=True, dataset=dict(pipeline=train_pipeline))
