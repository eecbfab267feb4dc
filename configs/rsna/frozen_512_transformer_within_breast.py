# As the Transformer config, over the breast alone: no background, nor two cells (32 pixels) of its edge.
_base_ = './frozen_512_transformer.py'

model = dict(neck=dict(breast_margin=2))
