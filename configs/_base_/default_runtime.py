default_scope = 'mammo'  # mmpretrain's names, and ours in the place of stock classes of the same name
# registers all names used in configs
custom_imports = dict(imports=['models', 'dataset', 'mammo.engine'])
runner_type = 'MammoRunner'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    # NOTE[DIFF]: every 10 iterations, over which the log smooths; published every 100, over 20 to 100
    logger=dict(type='LoggerHook', interval=10),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # best: lowest validation loss of the first task, which is the first metric reported
    # NOTE[DIFF]: saved every epoch, the last two kept, so that a stop costs an epoch at most; published
    # were every fifth, one kept
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=2, save_best='auto'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    epoch_seed=dict(type='EpochSeedHook'),
    plain_checkpoint=dict(type='PlainCheckpointHook'),
    # steps whose loss or gradients are not finite are skipped; so many in a row end the run
    batch_watch=dict(type='BatchWatchHook', max_in_a_row=10),
    data_check=dict(type='DataCheckHook', check_data=True, strict_split=False),
    curves=dict(type='CurvesHook'),
    progress=dict(type='ProgressHook'),
)
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl', timeout=7200),  # seconds; the first process checks all images
)
# TensorBoard, MLflow, Weights & Biases: add a file of trackers/ to _base_ of your config
visualizer = dict(type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
log_processor = dict(type='MammoLogProcessor')
log_level = 'INFO'  # NOTE[DIFF]: published DEBUG
load_from = None
resume = False
randomness = dict(seed=0)  # NOTE[DIFF]: of pretraining too, where the published runs drew one
