# MAE (He et al. 2022, arXiv 2111.06377) on mammogram patches; its backbone is a ViT-S/16.
# Run: MAMMO_PATCHES=DIR bash tools/dist_train.sh <this file> 2 --amp
_base_ = '../byol_resnet50-exp2_coslr-120e_MMpatches.py'

arch = dict(embed_dims=384, num_layers=12, num_heads=6, feedforward_channels=1536)
model = dict(
    _delete_=True,
    type='MAE',
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=dict(type='MAEViT', arch=arch, img_size=224, patch_size=16, mask_ratio=0.75),
    neck=dict(
        type='MAEPretrainDecoder',
        num_patches=196,  # (img_size / patch_size) squared
        patch_size=16,
        embed_dim=384,
        decoder_embed_dim=256,
        decoder_depth=4,
        decoder_num_heads=8,
    ),
    head=dict(
        type='MAEPretrainHead',
        norm_pix=True,
        patch_size=16,
        loss=dict(type='PixelReconstructionLoss', criterion='L2'),
    ),
)
view = [  # one, whose grey values stay
    dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.2, 1.0), interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5),
]
train_pipeline = [dict(type='LoadMammogram'), *view, dict(type='PackInputs')]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=3e-4, betas=(0.9, 0.95), weight_decay=0.05),
    paramwise_cfg=dict(_delete_=True, norm_decay_mult=0.0, bias_decay_mult=0.0),
)
