# As full_breast_224x128_barlowtwins_transformer.py, with global average pooling and one linear layer.
# Run: benchmarks/studies/phantom_claims.py
_base_ = './full_breast_224x128_barlowtwins_transformer.py'

model = dict(neck=dict(_delete_=True, type='LinearNeck', gap_dim=2, norm_cfg=None))
