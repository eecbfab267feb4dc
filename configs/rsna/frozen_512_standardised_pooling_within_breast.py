# As the standardised pooling config, over the breast alone: no background, nor two cells of its edge.
_base_ = './frozen_512_standardised_pooling.py'

model = dict(neck=dict(breast_margin=2))
