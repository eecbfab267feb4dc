# Linear probe of a backbone: global average pooling and one linear layer, task N only.
_base_ = './resnetws50_transformer.py'

model = dict(
    tasks=None,
    neck=dict(_delete_=True, type='GlobalAveragePooling'),
    head=dict(task_heads=dict(N=dict(type='SingleLinearClsHead', in_channels=1024))),
)
