# The published linear protocol: a frozen ResNetWs-50 and a linear layer on its averaged map, at 320 x 320.
# Run: benchmarks/studies/rsna.py; model.backbone.init_cfg.checkpoint names the start, None is random weights
_base_ = './frozen_512_gap.py'

data_root = 'data/rsna/'
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (320, 320)
model = dict(
    image_size=(320, 320),
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),  # as in pretraining
    backbone=dict(
        _delete_=True,
        type='ResNetWs',
        depth=50,
        expansion=2,
        frozen_stages=4,
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/rsna/backbone.pth', prefix='backbone'),
    ),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
