# The same regions with the one task N, from a text list or a meta file.
_base_ = './rois_500.py'

single_task = dict(type='MammoSingleTaskDataset', task='N')
train_dataloader = dict(batch_size=64, dataset=dict(ann_file='train_N.txt', **single_task))
val_dataloader = dict(batch_size=64, dataset=dict(ann_file='val_N.txt', **single_task))
test_dataloader = dict(batch_size=64, dataset=dict(ann_file='test_N.txt', **single_task))

val_evaluator = [dict(type='BinaryCrossEntropy', task='N'), dict(type='AUC', task='N')]
test_evaluator = val_evaluator
