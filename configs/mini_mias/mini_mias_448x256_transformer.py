# Malignant or abnormal breasts of mini-MIAS, from scratch, on CPU; the README gives the results.
# Run: python tools/dataset_converters/mias.py --src MINI_MIAS --out-dir data/mini_mias --seed 0
#      python tools/train.py configs/mini_mias/mini_mias_448x256_transformer.py
_base_ = '../multi_task_SL/fullimage1792x1024_resnet50-expan2_barlowtwin_finetune_transformer_Aug3.py'

data_root = 'data/mini_mias/'
size = (256, 448)  # width, height
train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = size[::-1]
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (288, 512)
test_pipeline[2].crop_size = size

model = dict(
    tasks=[
        dict(name='malignant', kind='binary', loss_weight=1.0),
        dict(name='abnormal', kind='binary', loss_weight=0.5),
        dict(name='n_lesions', kind='regression', loss_weight=0.5),
        dict(name='radius_mm', kind='regression', loss_weight=0.005),  # squared errors are near 100
    ],
    backbone=dict(stem_channels=16, base_channels=16, frozen_stages=-1, init_cfg=None),
    neck=dict(in_dims=256, pooling_size=4, map_size=(14, 8)),
)
train_dataloader = dict(
    batch_size=16, num_workers=2, dataset=dict(data_root=data_root, pipeline=train_pipeline)
)
val_dataloader = dict(batch_size=16, num_workers=2, dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=16, num_workers=2, dataset=dict(data_root=data_root, pipeline=test_pipeline)
)
