# Pretraining: all checkpoints are kept (supervised runs start from epoch 80), the backbone is handed over
# alone in backbone.pth, and held-out images tell whether it learns.
_base_ = './default_runtime.py'

# NOTE[DIFF]: the published runs kept three checkpoints, in folders named in each config (out_dir); ours lie
# in the work dir.
default_hooks = dict(
    checkpoint=dict(interval=10, max_keep_ckpts=-1, save_best=None),
    backbone_export=dict(type='BackboneExportHook'),
    # On the command line: default_hooks.learning_monitor.dataset.ann_file=FILE (meta file of whole images),
    # ...dataset.data_root=DIR and, for the scores, default_hooks.learning_monitor.label_field=FIELD
    learning_monitor=dict(
        type='LearningMonitorHook',
        interval=5,  # epochs
        label_field=None,
        dataset=dict(
            type='MammoMultiTaskDataset',
            data_root='',
            ann_file='',  # none: off
            pipeline=[
                dict(type='LoadMammogram'),
                dict(type='Resize', scale=(224, 224)),
                dict(type='MammoPackMultiTaskInputs'),
            ],
        ),
    ),
)
