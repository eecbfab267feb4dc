# Malignant or abnormal breasts of mini-MIAS, from scratch on CPU with the recipe of the demo.
# Run: python tools/dataset_converters/mias.py --src MINI_MIAS --out-dir data/mini_mias --seed 0
#      python tools/train.py configs/mini_mias/mini_mias_448x256_transformer.py
_base_ = '../demo/full_breast_224x128_transformer.py'

data_root = 'data/mini_mias/'
train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = (448, 256)  # height, width
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (288, 512)  # width, height
test_pipeline[2].crop_size = (256, 448)

model = dict(
    tasks=[
        dict(name='malignant', kind='binary', loss_weight=1.0),
        dict(name='abnormal', kind='binary', loss_weight=0.5),
        dict(name='n_lesions', kind='regression', loss_weight=0.5),
        dict(name='radius_mm', kind='regression', loss_weight=0.005),  # squared errors near 100
    ],
    neck=dict(map_size=(14, 8)),
)
param_scheduler = dict(gamma=0.9)
train_cfg = dict(max_epochs=20)
loader = dict(batch_size=16)
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline), **loader)
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline), **loader)
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline), **loader)
