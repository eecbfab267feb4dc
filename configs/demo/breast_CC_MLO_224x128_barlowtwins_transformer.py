# As full_breast_224x128_barlowtwins_transformer.py, with CC and MLO of a breast as one sample.
# Run: benchmarks/studies/multi_view.py
_base_ = './full_breast_224x128_barlowtwins_transformer.py'

train_views = dict(
    type='MammoMultiViewDataset',
    n_views=2,
    pipeline=[dict(type='LoadViews', transforms=_base_.train_pipeline[:-1]), _base_.train_pipeline[-1]],
)
test_views = dict(
    type='MammoMultiViewDataset',
    n_views=2,
    pipeline=[dict(type='LoadViews', transforms=_base_.test_pipeline[:-1]), _base_.test_pipeline[-1]],
)
model = dict(neck=dict(type='MultiViewTransformerNeck', n_views=2))
train_dataloader = dict(batch_size=8, dataset=train_views)  # of two images each
val_dataloader = dict(batch_size=16, dataset=test_views)
test_dataloader = dict(batch_size=16, dataset=test_views)
