# As the Transformer config, with a Transformer neck that begins as global average pooling.
_base_ = './frozen_512_transformer.py'

model = dict(neck=dict(type='MeanTokenTransformerNeck'))
