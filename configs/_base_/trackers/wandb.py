# needs: pip install wandb. Stays on this machine; to send: wandb sync WORK_DIR/TIME/vis_data/wandb/offline-*
# To send all while training: --cfg-options tracker_wandb.init_kwargs.mode=online
tracker_wandb = dict(
    type='WandbTracker',
    init_kwargs=dict(
        project='mammograms',
        mode='offline',
        # no log, which names images; no code, host name, command line or repository
        settings=dict(console='off', save_code=False, disable_git=True, x_disable_meta=True, host='-'),
    ),
    define_metric_cfg=[
        dict(name='train/*', step_metric='train/step'),
        dict(name='val/*', step_metric='val/step'),
        dict(name='monitor/*', step_metric='val/step'),
    ],
)
