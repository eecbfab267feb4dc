# The reference for SSL: the same network trained from scratch, all of it.
_base_ = './resnet50-expan2_SSL_finetune_Gap_Aug3_ep20.py'

model = dict(backbone=dict(frozen_stages=-1, init_cfg=None))
optim_wrapper = dict(optimizer=dict(lr=0.05, weight_decay=1e-3))
train_cfg = dict(max_epochs=100)
