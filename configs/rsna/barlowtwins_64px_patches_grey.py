# As barlowtwins_64px_patches.py, with views that keep the grey values: noise and a little gamma only.
_base_ = './barlowtwins_64px_patches.py'

train_pipeline = _base_.train_pipeline
crop, flip, *_ = train_pipeline[1]['transforms'][0]
gamma = dict(type='RandomGamma', gamma_range=(0.9, 1.1))
noise = dict(type='GreyNoise', std_range=(0.0, 5.0))  # grey values of 255
train_pipeline[1]['transforms'] = [[crop, flip, gamma, noise]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
