"""ImageTabClassifier: one list of tasks sets neck width and heads."""

import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample, MultiTaskDataSample

BACKBONE = dict(type='ResNetWs', depth=50, expansion=2, stem_channels=8, base_channels=8)
TRANSFORMER = dict(type='TransformerNeck', in_dims=128, head_dim=4, map_size=(4, 4))
DWISE = dict(type='DwiseConvResBlockPooling', in_channels=128)
OWN_TASKS = [dict(name='Tumor size', kind='regression', loss_weight=0.5), dict(name='LNM', kind='binary')]


def build(**config: object) -> torch.nn.Module:
    return MODELS.build(dict(type='ImageTabClassifier', backbone=BACKBONE, **config))


@pytest.mark.parametrize('neck', [TRANSFORMER, DWISE])
@pytest.mark.parametrize('n_tasks', [1, 2, 3])
def test_own_tasks_set_width_of_neck_and_heads(neck: dict, n_tasks: int) -> None:
    tasks = [*OWN_TASKS, dict(name='age', kind='regression')][:n_tasks]
    model = build(neck=neck, tasks=tasks).eval()
    assert model.neck.fc.out_features == n_tasks
    assert list(model.head.task_heads) == [task['name'] for task in tasks]
    samples = model(torch.randn(2, 3, 64, 64), mode='predict')
    assert all(set(sample.tasks) == {task['name'] for task in tasks} for sample in samples)


def test_building_leaves_the_config_as_it_was() -> None:
    neck, head = dict(TRANSFORMER), dict(type='MultiTaskHead')
    build(neck=neck, head=head, tasks=OWN_TASKS)
    assert neck == TRANSFORMER
    assert head == dict(type='MultiTaskHead')


def test_a_neck_too_narrow_for_the_tasks_is_refused() -> None:
    model = build(neck=dict(TRANSFORMER, out_dims=1), tasks=OWN_TASKS).eval()
    with pytest.raises(ValueError, match='the neck emits 1 numbers'):
        model(torch.randn(1, 3, 64, 64), mode='predict')


def test_without_tasks_neck_and_head_are_those_of_the_config() -> None:
    head = dict(type='MultiTaskHead', task_heads=dict(N=dict(type='LymphNodeClsHead', task_idx=0)))
    model = build(neck=dict(TRANSFORMER, out_dims=1), head=head)
    assert list(model.head.task_heads) == ['N']


def test_training_step_fills_gradients_of_the_whole_network() -> None:
    model = build(neck=TRANSFORMER, tasks=OWN_TASKS).train()
    sample = MultiTaskDataSample()
    for task, label in {'Tumor size': 0.765, 'LNM': 0.0}.items():
        sample.set_field(DataSample().set_gt_label([int(label)]), task)
        sample.get(task).set_field(torch.tensor([label]), 'gt_label', dtype=torch.Tensor)
    losses = model(torch.randn(2, 3, 64, 64), [sample, MultiTaskDataSample()], mode='loss')
    assert list(losses) == ['Tumor size_loss', 'LNM_loss']
    total, _ = model.parse_losses(losses)
    assert total.item() == pytest.approx(sum(loss.item() for loss in losses.values()), rel=1e-6)
    total.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert without == []


def test_data_preprocessor_normalises_to_plus_minus_one_and_keeps_labels() -> None:
    model = build(
        neck=TRANSFORMER,
        tasks=OWN_TASKS,
        data_preprocessor=dict(type='ClsDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3),
    )
    inputs = [torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 2).expand(3, 1, 2)]
    data = model.data_preprocessor(dict(inputs=inputs, data_samples=[MultiTaskDataSample()]), training=True)
    assert data['inputs'][0, 0, 0].tolist() == [-1, 1]


def test_a_bare_task_head_as_in_published_configs_becomes_the_head_of_one_task() -> None:
    head = dict(type='SingleLinearClsHead', in_channels=128, num_classes=1)
    model = build(neck=dict(type='GlobalAveragePooling'), head=head).eval()
    sample = MultiTaskDataSample()
    sample.set_field(DataSample(gt_label=torch.ones(1)), 'N')
    images = torch.rand(1, 3, 64, 64)
    (predicted,) = model(images, [sample], mode='predict')
    expected = torch.nn.functional.softplus(-predicted.N.logit)[0]  # cross-entropy of label 1
    torch.testing.assert_close(model(images, [sample], mode='loss')['N_loss'], expected)


def test_a_model_without_a_head_has_no_pre_logits_and_says_so() -> None:
    model = build(neck=dict(type='GlobalAveragePooling'))
    assert model.extract_feat(torch.zeros(1, 3, 64, 64))[-1].shape == (1, 128)
    with pytest.raises(AssertionError, match='no head with pre_logits'):
        model.extract_feat(torch.zeros(1, 3, 64, 64), stage='pre_logits')
