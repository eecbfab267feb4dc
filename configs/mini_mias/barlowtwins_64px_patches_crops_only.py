# barlowtwins_64px_patches.py without changes of grey values: its views differ in crop and mirroring only.
# What it keeps, and that one loses, is what the grey values tell of the tissue.
_base_ = './barlowtwins_64px_patches.py'

train_pipeline = _base_.train_pipeline
crop, flip, *_ = train_pipeline[1]['transforms'][0]
train_pipeline[1]['transforms'] = [[crop, flip]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
