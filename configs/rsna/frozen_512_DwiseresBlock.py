# As the Transformer config, with a neck of two depthwise residual blocks.
_base_ = './frozen_512_transformer.py'

model = dict(neck=dict(_delete_=True, type='DwiseConvResBlockPooling', num_block=2, expansion_ratio=8))
