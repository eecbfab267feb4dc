# Two views of 224 x 224 pixels of each patch, without labels. The folder of list.txt and patches is
# MAMMO_PATCHES of the environment, or --cfg-options train_dataloader.dataset.data_root=DIR.
data_root = '{{$MAMMO_PATCHES:data/patches/}}'

grey_augmentation = [
    dict(type='AutoContrast'),
    # magnitude_level is the highest by default: -0.5 or 0.5, nothing between
    dict(type='Brightness', magnitude_range=(-0.5, 0.5), prob=0.5),
    dict(type='Sharpness', magnitude_range=(-0.5, 0.5), prob=0.5),
    dict(type='Equalize', prob=0.5),
]
view_pipeline = [
    dict(
        type='RandomResizedCrop',
        scale=224,
        crop_ratio_range=(0.08, 1.0),
        interpolation='bicubic',
        backend='pillow',
    ),
    dict(type='RandomFlip', prob=0.5),
    *grey_augmentation,
]
train_pipeline = [
    dict(type='LoadMammogram'),
    dict(type='MultiView', num_views=[2], transforms=[view_pipeline]),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=256,  # per process
    num_workers=8,
    worker_init_fn=dict(type='seed_worker'),
    pin_memory=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='MammoPatchDataset', data_root=data_root, ann_file='list.txt', pipeline=train_pipeline),
)
