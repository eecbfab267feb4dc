# CC and MLO of a breast as one sample: the class token of the Transformer neck reads the tokens of both
# views, told by embeddings which they are of; one that is missing is masked. Two breasts are two samples.
# Images go through the pipeline of single images, each by itself; model.image_size is that of one view.
_base_ = '../multi_task_SL/fullimage1792x1024_resnet50-expan2_barlowtwin_finetune_transformer_Aug3.py'

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
train_dataloader = dict(batch_size=36, dataset=train_views)  # of two images each
val_dataloader = dict(batch_size=36, dataset=test_views)
test_dataloader = dict(batch_size=36, dataset=test_views)
