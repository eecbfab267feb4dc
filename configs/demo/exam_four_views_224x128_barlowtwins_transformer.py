# As breast_CC_MLO_224x128_barlowtwins_transformer.py, with all four views of an exam as one sample.
# Run: benchmarks/studies/multi_view.py
_base_ = './breast_CC_MLO_224x128_barlowtwins_transformer.py'

four = dict(n_views=4)
model = dict(neck=four)
train_dataloader = dict(batch_size=4, dataset=four)  # of four images each
val_dataloader = dict(batch_size=8, dataset=four)
test_dataloader = dict(batch_size=8, dataset=four)
