# As the Transformer config, with global average pooling and one linear layer.
_base_ = './frozen_512_transformer.py'

model = dict(neck=dict(_delete_=True, type='LinearNeck', gap_dim=2, norm_cfg=None))
