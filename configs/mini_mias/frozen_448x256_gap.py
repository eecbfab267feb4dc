# As the Transformer config, with global average pooling and one linear layer.
_base_ = './frozen_448x256_transformer.py'

model = dict(
    neck=dict(
        _delete_=True,
        type='LinearNeck',
        in_channels=256,
        out_channels=len(_base_.model.tasks),
        gap_dim=2,
        norm_cfg=None,
    )
)
