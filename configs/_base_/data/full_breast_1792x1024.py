data_root = 'data/full_breast/'

randaugment_policies = [
    dict(type='AutoContrast'),
    # NOTE[DIFF]: the published corners were filled with (128, 0, 0), which is no grey; 0 is background
    dict(type='Rotate', magnitude_range=(-20, 20), pad_val=(0, 0, 0)),  # degrees
    dict(type='Brightness', magnitude_range=(-0.25, 0.25)),
    dict(type='Sharpness', magnitude_range=(-0.25, 0.25)),
    dict(type='Equalize', prob=0.5),
]
train_pipeline = [
    dict(type='LoadMammogram'),
    dict(
        type='RandomResizedCrop',
        scale=(1792, 1024),  # height, width, while Resize and CenterCrop take width, height
        crop_ratio_range=(0.5, 0.9),
        aspect_ratio_range=(4 / 8, 6 / 8),
    ),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(
        type='RandAugment',
        policies=randaugment_policies,
        num_policies=3,
        magnitude_level=6,
        magnitude_std=0.5,
    ),
    dict(type='MammoPackMultiTaskInputs'),
]
test_pipeline = [
    dict(type='LoadMammogram'),
    dict(type='Resize', scale=(1152, 2048)),  # width, height
    dict(type='CenterCrop', crop_size=(1024, 1792)),
    dict(type='MammoPackMultiTaskInputs'),
]

every_loader = dict(
    batch_size=72,  # NOTE[DIFF]: in validation as in training; published 32, which changes no metric
    num_workers=8,  # NOTE[DIFF]: per process; the published runs had 5 to 16
    pin_memory=True,
    collate_fn=dict(type='default_collate'),
)
every_set = dict(type='MammoMultiTaskDataset', data_root=data_root)
train_dataloader = dict(
    worker_init_fn=dict(type='seed_worker'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(ann_file='train.json', pipeline=train_pipeline, **every_set),
    **every_loader,
)
val_dataloader = dict(
    worker_init_fn=dict(type='seed_worker'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(ann_file='val.json', pipeline=test_pipeline, test_mode=True, **every_set),
    **every_loader,
)
test_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(ann_file='test.json', pipeline=test_pipeline, test_mode=True, **every_set),
    **every_loader,
)
val_evaluator = dict(type='MultiTasksMetric')
test_evaluator = val_evaluator
