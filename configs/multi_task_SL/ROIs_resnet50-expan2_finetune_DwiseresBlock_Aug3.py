# As the Transformer config, with a neck of one depthwise residual block.
_base_ = './ROIs_resnet50-expan2_finetune_transformer_Aug3.py'

model = dict(
    neck=dict(
        _delete_=True, type='DwiseConvResBlockPooling', in_channels=1024, num_block=1, expansion_ratio=8
    )
)
