# All four views of an exam as one sample, so that the breasts are compared: left CC and MLO, then right.
# The answer is for the woman; no side can be left out of it.
_base_ = './breast_CC_MLO_transformer.py'

four = dict(n_views=4)
model = dict(neck=four)
train_dataloader = dict(batch_size=18, dataset=four)  # of four images each
val_dataloader = dict(batch_size=18, dataset=four)
test_dataloader = dict(batch_size=18, dataset=four)
