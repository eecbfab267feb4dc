optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='LARS', lr=0.6, momentum=0.9, weight_decay=1e-6)
)
train_cfg = dict(by_epoch=True, max_epochs=100)
# used with --auto-scale-lr. NOTE[DIFF]: by SwAV as well, whose published config has no base batch size
auto_scale_lr = dict(base_batch_size=512)
