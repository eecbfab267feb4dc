# Barlow Twins as published, on views that keep grey values: crops, mirroring, noise, a small change of gamma.
# The published augmentation stretches and equalises them, and so unlearns what tissue classes differ in.
_base_ = '../barlowtwins_resnet50-exp2_-coslr-100e_MMpatches.py'

view_pipeline = [
    dict(
        type='RandomResizedCrop',
        scale=224,
        crop_ratio_range=(0.2, 1.0),
        interpolation='bicubic',
        backend='pillow',
    ),
    dict(type='RandomFlip', prob=0.5, direction=['horizontal', 'vertical']),
    dict(type='RandomGamma', gamma_range=(0.9, 1.1)),
    dict(type='GreyNoise', std_range=(0.0, 5.0)),  # grey values of 255
]
train_pipeline = [
    dict(type='LoadMammogram'),
    dict(type='MultiView', num_views=[2], transforms=[view_pipeline]),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
