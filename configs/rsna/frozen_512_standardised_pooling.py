# As the Transformer config, with global average pooling, each channel standardised, and one linear layer.
_base_ = './frozen_512_transformer.py'

model = dict(neck=dict(_delete_=True, type='StandardisedPoolingNeck'))
