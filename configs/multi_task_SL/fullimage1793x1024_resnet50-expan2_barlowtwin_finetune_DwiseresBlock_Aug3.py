_base_ = (
    './fullimage1792x1024_resnet50-expan2_barlowtwin_finetune_DwiseresBlock_Aug3.py'  # published file name
)
