# Second phase: the whole network is trained, from the best checkpoint of the first phase.
# The paper does not give its settings; these are ours: a tenth of the learning rate, the backbone a
# tenth of that, batch-norm statistics kept, since batches that fit are too small to estimate them.
# Run with --cfg-options load_from=work_dirs/fullimage1792x1024_.../best_N_loss_epoch_12.pth
_base_ = './fullimage1792x1024_resnet50-expan2_barlowtwin_finetune_transformer_Aug3.py'

model = dict(backbone=dict(frozen_stages=-1, norm_eval=True, init_cfg=None))
optim_wrapper = dict(
    optimizer=dict(lr=1e-4),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))),
)
train_dataloader = dict(batch_size=8)
load_from = 'work_dirs/fullimage1792x1024_resnet50-expan2_barlowtwin_finetune_transformer_Aug3/best.pth'
