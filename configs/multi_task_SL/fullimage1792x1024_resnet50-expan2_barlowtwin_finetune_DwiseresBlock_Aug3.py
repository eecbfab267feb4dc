# As the Transformer config, with a neck of two depthwise residual blocks.
_base_ = './fullimage1792x1024_resnet50-expan2_barlowtwin_finetune_transformer_Aug3.py'

model = dict(
    neck=dict(
        _delete_=True, type='DwiseConvResBlockPooling', in_channels=1024, num_block=2, expansion_ratio=8
    )
)
