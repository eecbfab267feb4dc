"""Task heads: losses over labelled samples, predictions, lists of tasks."""

import math

import pytest
import torch
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample, MultiTaskDataSample

from models.heads.kinds import BinaryTaskHead, RegressionTaskHead, SingleLinearClsHead
from models.heads.multi_task_head import MultiTaskHead
from models.heads.tasks import head_configs

TASKS = [
    dict(name='N', kind='binary', loss_weight=1.0),
    dict(name='NumPos', kind='regression', loss_weight=0.5),
]


def task_sample(label: float | None) -> DataSample:
    sample = DataSample()
    if label is not None:
        sample.set_field(torch.tensor([label]), 'gt_label', dtype=torch.Tensor)
    return sample


def multi_sample(**labels: float | None) -> MultiTaskDataSample:
    sample = MultiTaskDataSample()
    for task, label in labels.items():
        if label is not None:
            sample.set_field(task_sample(label), task)
    return sample


def bce(logit: float, label: float) -> float:
    prob = 1 / (1 + math.exp(-logit))
    return -(label * math.log(prob) + (1 - label) * math.log(1 - prob))


def test_binary_loss_is_weighted_mean_cross_entropy_over_labelled_samples() -> None:
    feats = (torch.tensor([[9.0, 0.7], [9.0, -1.2], [9.0, 5.0]]),)
    head = BinaryTaskHead(task_idx=1, loss_weight=0.5)
    loss = head.loss(feats, [task_sample(1.0), task_sample(0.0), task_sample(None)])['loss']
    assert loss.item() == pytest.approx(0.5 * (bce(0.7, 1) + bce(-1.2, 0)) / 2, abs=1e-6)


def test_regression_loss_is_weighted_mean_square_over_labelled_samples() -> None:
    feats = (torch.tensor([[1.0], [2.0], [50.0]]),)
    head = RegressionTaskHead(loss_weight=0.5)
    loss = head.loss(feats, [task_sample(0.0), task_sample(5.0), task_sample(None)])['loss']
    assert loss.item() == pytest.approx(0.5 * (1 + 9) / 2)


@pytest.mark.parametrize('head_class', [BinaryTaskHead, RegressionTaskHead])
def test_unlabelled_samples_get_zero_gradient(head_class: type) -> None:
    x = torch.randn(4, 2, requires_grad=True)
    labels = [1.0, None, 0.0, None]
    head_class(task_idx=1).loss((x,), [task_sample(v) for v in labels])['loss'].backward()
    assert (x.grad[[0, 2], 1] != 0).all()
    assert (x.grad[[1, 3]] == 0).all()
    assert (x.grad[:, 0] == 0).all()  # another task's column


@pytest.mark.parametrize('head_class', [BinaryTaskHead, RegressionTaskHead])
def test_gradient_is_that_of_the_loss(head_class: type) -> None:
    x = torch.tensor([[0.3], [2.0]], requires_grad=True)
    head_class(loss_weight=0.5).loss((x,), [task_sample(1.0), task_sample(0.0)])['loss'].backward()
    logits, labels = x.detach()[:, 0], torch.tensor([1.0, 0.0])
    slope = logits.sigmoid() - labels if head_class is BinaryTaskHead else 2 * (logits - labels)
    assert torch.allclose(x.grad[:, 0], 0.5 * slope / 2, atol=1e-6)


@pytest.mark.parametrize('head_class', [BinaryTaskHead, RegressionTaskHead])
def test_batch_without_labels_gives_a_graph_connected_zero(head_class: type) -> None:
    x = torch.randn(3, 1, requires_grad=True)
    loss = head_class().loss((x,), [task_sample(None)] * 3)['loss']
    assert loss.item() == 0
    loss.backward()
    assert torch.equal(x.grad, torch.zeros(3, 1))


def test_loss_is_float32_under_half_precision() -> None:
    x = torch.randn(3, 1, dtype=torch.bfloat16, requires_grad=True)
    loss = BinaryTaskHead().loss((x,), [task_sample(1.0)] * 3)['loss']
    assert loss.dtype == torch.float32


def test_large_labels_keep_float32_precision_under_half_precision() -> None:
    x = torch.zeros(1, 1, dtype=torch.bfloat16)
    loss = RegressionTaskHead().loss((x,), [task_sample(1.001)])['loss']
    assert loss.item() == pytest.approx(1.001**2, rel=1e-6)


def test_published_loss_settings_work() -> None:
    loss = dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=2.0)
    head = BinaryTaskHead(num_classes=1, in_channels=1024, task_idx=0, loss=loss, loss_weight=0.5)
    value = head.loss((torch.tensor([[0.7]]),), [task_sample(1.0)])['loss'].item()
    assert value == pytest.approx(bce(0.7, 1), abs=1e-6)
    assert not list(head.parameters())


def test_binary_score_is_the_probability_and_logit_is_raw() -> None:
    (sample,) = BinaryTaskHead(task_idx=1).predict((torch.tensor([[3.0, -0.4]]),))
    assert sample.logit.shape == sample.pred_score.shape == (1,)
    assert sample.logit.item() == pytest.approx(-0.4)
    assert sample.pred_score.item() == pytest.approx(1 / (1 + math.exp(0.4)), abs=1e-6)


def test_regression_score_is_the_value_itself() -> None:
    (sample,) = RegressionTaskHead().predict((torch.tensor([[3.25]]),))
    assert sample.logit.item() == sample.pred_score.item() == 3.25


def test_prediction_tells_kind_and_place_of_the_task() -> None:
    (sample,) = RegressionTaskHead(task_idx=1).predict((torch.zeros(1, 2),))
    assert (sample.kind, sample.task_idx) == ('regression', 1)


def test_prediction_of_more_samples_than_rows_is_refused() -> None:
    with pytest.raises(ValueError, match='zip'):
        BinaryTaskHead().predict((torch.zeros(1, 1),), [DataSample(), DataSample()])


def test_whole_numbers_can_be_labels() -> None:
    sample = DataSample()
    sample.set_field(torch.tensor([2]), 'gt_label', dtype=torch.Tensor)
    assert RegressionTaskHead().loss((torch.full((1, 1), 0.5),), [sample])['loss'].item() == 1.5**2
    values, targets = BinaryTaskHead().labelled((torch.zeros(1, 1),), [sample])
    assert values.dtype == targets.dtype == torch.float32


def test_samples_of_several_tasks_are_refused_by_a_lone_head() -> None:
    with pytest.raises(ValueError, match=r'BinaryTaskHead needs samples of one task: .*MultiTaskHead'):
        BinaryTaskHead().loss((torch.zeros(1, 1),), [multi_sample(N=1.0)])


def test_heads_read_the_last_of_several_outputs() -> None:
    feats = (torch.zeros(1, 3), torch.ones(1, 3), torch.full((1, 3), 2.0))
    assert torch.equal(BinaryTaskHead().pre_logits(feats), feats[-1])
    assert BinaryTaskHead(task_idx=1)(feats).item() == 2


def test_prediction_keeps_the_label() -> None:
    (sample,) = BinaryTaskHead().predict((torch.tensor([[3.25]]),), [task_sample(1.0)])
    assert sample.gt_label.item() == 1


def test_predictions_carry_no_gradient() -> None:
    (sample,) = BinaryTaskHead().predict((torch.randn(1, 1, requires_grad=True),))
    assert not sample.logit.requires_grad
    assert not sample.pred_score.requires_grad


def test_column_beyond_the_neck_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r'BinaryTaskHead: task_idx is 3 but the neck emits 2 numbers.*out_dims'
    ):
        BinaryTaskHead(task_idx=3)((torch.zeros(1, 2),))


def test_single_linear_head_has_a_layer_of_its_own() -> None:
    torch.manual_seed(0)
    head = MODELS.build(dict(type='SingleLinearClsHead', num_classes=1, in_channels=16))
    assert {k: tuple(v.shape) for k, v in head.state_dict().items()} == {
        'fc.weight': (1, 16),
        'fc.bias': (1,),
    }
    x = torch.randn(3, 16)
    logits = head((x,))
    assert torch.allclose(logits, (x @ head.fc.weight.T + head.fc.bias)[:, 0], atol=1e-6)
    loss = head.loss((x,), [task_sample(1.0), task_sample(None), task_sample(0.0)])['loss']
    expected = (bce(logits[0].item(), 1) + bce(logits[2].item(), 0)) / 2
    assert loss.item() == pytest.approx(expected, abs=1e-5)
    loss.backward()
    assert (head.fc.weight.grad != 0).any()


def test_single_linear_head_starts_from_narrow_weights_without_bias() -> None:
    torch.manual_seed(0)
    head = SingleLinearClsHead()
    head.init_weights()
    assert head.fc.weight.shape == (1, 1024)  # of the published backbone
    assert head.fc.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert head.fc.bias.item() == 0
    other = SingleLinearClsHead(in_channels=8, init_cfg=dict(type='Constant', layer='Linear', val=0.5))
    other.init_weights()
    assert (other.fc.weight == 0.5).all()


def test_single_linear_head_reads_its_own_layer_whatever_its_place() -> None:
    head = SingleLinearClsHead(num_classes=2, in_channels=4, task_idx=3, loss_weight=0.25)
    x = torch.randn(2, 4)
    assert torch.equal(head((x,)), head.fc(x)[:, 0])
    loss = head.loss((x,), [task_sample(1.0), task_sample(None)])['loss']
    assert loss.item() == pytest.approx(0.25 * bce(head((x,))[0].item(), 1), abs=1e-6)


def test_single_linear_head_is_for_one_task() -> None:
    with pytest.raises(ValueError, match='num_classes is 5, expected 1'):
        SingleLinearClsHead(num_classes=5)


def test_head_i_reads_column_i() -> None:
    head = MultiTaskHead(tasks=TASKS)
    out = head((torch.tensor([[1.0, 2.0]]),))
    assert {task: value.item() for task, value in out.items()} == dict(N=1.0, NumPos=2.0)
    assert [type(h) for h in head.task_heads.values()] == [BinaryTaskHead, RegressionTaskHead]
    assert not list(head.parameters())


def test_multi_task_loss_has_one_weighted_entry_per_task() -> None:
    head = MultiTaskHead(tasks=TASKS)
    feats = (torch.tensor([[0.7, 1.0], [-1.2, 2.0]], requires_grad=True),)
    losses = head.loss(feats, [multi_sample(N=1.0, NumPos=3.0), multi_sample(N=0.0)])
    assert list(losses) == ['N_loss', 'NumPos_loss']
    assert losses['N_loss'].item() == pytest.approx((bce(0.7, 1) + bce(-1.2, 0)) / 2, abs=1e-6)
    assert losses['NumPos_loss'].item() == pytest.approx(0.5 * 4)


def test_task_that_no_sample_has_still_trains_the_others() -> None:
    head = MultiTaskHead(tasks=TASKS)
    x = torch.randn(2, 2, requires_grad=True)
    losses = head.loss((x,), [multi_sample(N=1.0), multi_sample()])
    assert losses['NumPos_loss'].item() == 0
    sum(losses.values()).backward()
    assert x.grad[0, 0] != 0
    assert (x.grad[:, 1] == 0).all()


def test_label_of_a_task_the_config_lacks_is_ignored() -> None:
    losses = MultiTaskHead(tasks=TASKS).loss((torch.zeros(1, 2),), [multi_sample(other=7.0, N=1.0)])
    assert list(losses) == ['N_loss', 'NumPos_loss']


def test_multi_task_predictions_reach_labelled_and_unlabelled_samples() -> None:
    head = MultiTaskHead(tasks=TASKS)
    samples = head.predict((torch.tensor([[0.0, 1.5], [1.0, 2.5]]),), [multi_sample(N=1.0), multi_sample()])
    assert samples[0].N.gt_label.item() == 1
    assert 'gt_label' not in samples[1].N
    assert [s.NumPos.pred_score.item() for s in samples] == [1.5, 2.5]
    assert [s.N.pred_score.item() for s in samples] == pytest.approx([0.5, 1 / (1 + math.exp(-1))])


def test_prediction_works_without_samples() -> None:
    samples = MultiTaskHead(tasks=TASKS).predict((torch.zeros(3, 2),))
    assert [sorted(s.tasks) for s in samples] == [['N', 'NumPos']] * 3


@pytest.mark.parametrize('name', ['Tumor size', 'größe', 'a/b', 'a-b', '1', 'HER2+'])
def test_any_ordinary_name_can_name_a_task(name: str) -> None:
    head = MultiTaskHead(tasks=[dict(name=name, kind='regression')])
    sample = MultiTaskDataSample()
    sample.set_field(task_sample(2.0), name)
    assert head.loss((torch.zeros(1, 1),), [sample]) == {f'{name}_loss': torch.tensor(4.0)}
    (predicted,) = head.predict((torch.ones(1, 1),), [sample])
    assert predicted.get(name).pred_score.item() == 1


@pytest.mark.parametrize(
    ('tasks', 'message'),
    [
        ([dict(kind='binary')], r'tasks\[0\]: name is None'),
        ([dict(name='', kind='binary')], r"tasks\[0\]: name is ''"),
        (
            [dict(name='a.b', kind='binary')],
            r"tasks\[0\]: name is 'a.b'.*no dot.* among the words that torch reserves",
        ),
        ([dict(name='N', kind='binary')] * 2, r"tasks\[1\]: name is 'N'.*differ"),
        ([dict(name='N')], r"tasks\[0\] \(N\): kind is None, expected one of \['binary', 'regression'\]"),
        ([dict(name='N', kind='multiclass')], r"kind is 'multiclass'"),
        (
            [dict(name='N', kind='binary', loss_wieght=0)],
            r'tasks\[0\] \(N\): no such key: loss_wieght; a task has .*\. Options of a loss belong into it',
        ),
        ([dict(name='N', kind='binary', a=0, b=0)], r'no such key: a, b; a task has name, kind, '),
        ([dict(name='N', kind='binary', pos_weight=3.0)], r'pos_weight; .*loss=dict\(pos_weight=3.0\)'),
    ],
)
def test_bad_task_lists_are_refused(tasks: list[dict], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MultiTaskHead(tasks=tasks)


@pytest.mark.parametrize('name', ['type', 'keys', 'loss'])
def test_names_that_cannot_name_a_module_or_field_work_or_are_refused(name: str) -> None:
    """`type` is an attribute of every torch module, `keys` a method of every data sample."""
    try:
        head = MultiTaskHead(tasks=[dict(name=name, kind='binary')])
    except ValueError as error:
        assert name in str(error)  # noqa: PT017
        return
    sample = MultiTaskDataSample()
    sample.set_field(task_sample(1.0), name)
    (predicted,) = head.predict((torch.zeros(1, 1),), [sample])
    assert head.loss((torch.zeros(1, 1),), [sample])[f'{name}_loss'].item() == pytest.approx(math.log(2))
    assert predicted.to_dict()[name]['pred_score'].item() == 0.5


@pytest.mark.parametrize('arguments', [dict(), dict(tasks=[]), dict(task_heads={})])
def test_a_head_without_tasks_is_refused(arguments: dict) -> None:
    with pytest.raises(ValueError, match='no task given; fill `tasks` or `task_heads`'):
        MultiTaskHead(**arguments)


def test_weight_defaults_to_one() -> None:
    assert MultiTaskHead(tasks=[dict(name='N', kind='binary')]).task_heads['N'].loss_weight == 1.0


@pytest.mark.parametrize('unlabelled', [math.inf, -math.inf, math.nan])
def test_an_output_that_is_not_finite_of_an_unlabelled_sample_changes_nothing(unlabelled: float) -> None:
    x = torch.tensor([[0.7, 1.0], [unlabelled, unlabelled]], requires_grad=True)
    losses = MultiTaskHead(tasks=TASKS).loss((x,), [multi_sample(N=1.0), multi_sample()])
    assert losses['N_loss'].item() == pytest.approx(bce(0.7, 1), abs=1e-6)
    assert losses['NumPos_loss'].item() == 0
    sum(losses.values()).backward()
    assert x.grad[0, 0].item() == pytest.approx(1 / (1 + math.exp(-0.7)) - 1, abs=1e-6)
    assert (x.grad[1] == 0).all()


def test_all_tasks_are_counted_and_summed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two exchanges between processes per step, however many tasks; a second process here has the same."""
    shapes = []

    def twice(tensor: torch.Tensor) -> None:
        shapes.append(tuple(tensor.shape))
        tensor.mul_(2)

    monkeypatch.setattr('models.heads.task_heads.all_reduce', twice)
    monkeypatch.setattr('models.heads.task_heads.get_world_size', lambda: 2)
    x = torch.tensor([[0.7, 1.0], [-1.2, 2.0]], requires_grad=True)
    losses = MultiTaskHead(tasks=TASKS).loss((x,), [multi_sample(N=1.0, NumPos=3.0), multi_sample(N=0.0)])
    assert shapes == [(2,), (2,)]
    assert losses['N_loss'].item() == pytest.approx((bce(0.7, 1) + bce(-1.2, 0)) / 2, abs=1e-6)
    sum(losses.values()).backward()
    assert x.grad[0, 1].item() == pytest.approx(0.5 * 2 * (1 - 3))  # this process's share, times 2


def test_processes_share_one_mean_whatever_each_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside this process another one has two labels, and a sum of losses of 5."""
    others = [torch.tensor([2.0]), torch.tensor([5.0 / 3])]  # labels, share of the mean over all three
    monkeypatch.setattr('models.heads.task_heads.all_reduce', lambda tensor: tensor.add_(others.pop(0)))
    monkeypatch.setattr('models.heads.task_heads.get_world_size', lambda: 2)
    x = torch.tensor([[3.0]], requires_grad=True)
    loss = RegressionTaskHead(loss_weight=0.5).loss((x,), [task_sample(1.0)])['loss']
    assert loss.item() == pytest.approx(0.5 * (4 + 5) / 3)
    loss.backward()  # averaged over two processes it is the gradient of the mean over three labels
    assert x.grad.item() / 2 == pytest.approx(0.5 * 2 * (3 - 1) / 3)


def test_positives_can_weigh_more() -> None:
    (head,) = MultiTaskHead(
        tasks=[dict(name='N', kind='binary', loss=dict(pos_weight=20.0))]
    ).task_heads.values()
    loss = head.loss((torch.tensor([[0.7], [-1.2]]),), [task_sample(1.0), task_sample(0.0)])['loss']
    assert loss.item() == pytest.approx((20 * bce(0.7, 1) + bce(-1.2, 0)) / 2, rel=1e-6)


def test_a_task_may_have_another_loss() -> None:
    brier = dict(name='N', kind='binary', loss=dict(type='MammoTestLoss'), loss_weight=0.5)

    @MODELS.register_module(force=True)
    class MammoTestLoss(torch.nn.Module):
        def forward(self, pred: torch.Tensor, target: torch.Tensor, avg_factor: torch.Tensor) -> torch.Tensor:
            return (pred.sigmoid() - target).abs().sum() / avg_factor

    losses = MultiTaskHead(tasks=[brier]).loss((torch.zeros(2, 1),), [multi_sample(N=1.0), multi_sample()])
    assert losses['N_loss'].item() == pytest.approx(0.25)


@pytest.mark.parametrize('loss', [dict(type='NoSuchLoss'), dict(pos_wieght=3.0)])
def test_a_loss_that_does_not_exist_is_refused(loss: dict) -> None:
    with pytest.raises((KeyError, TypeError), match=r'NoSuchLoss|pos_wieght'):
        MultiTaskHead(tasks=[dict(name='N', kind='binary', loss=loss)])


def test_published_head_configs_work() -> None:
    bce_loss = dict(type='CrossEntropyLoss', use_sigmoid=True)
    head = MODELS.build(
        dict(
            type='MultiTaskHead',
            task_heads={
                'N': dict(type='LymphNodeClsHead', num_classes=1, task_idx=0, loss=bce_loss, loss_weight=1.0),
                'LVI': dict(type='LVIClsHead', num_classes=1, in_channels=1024, task_idx=1, loss_weight=0.5),
                'multifocality': dict(type='MultifocalityClsHead', num_classes=1, task_idx=2, loss=bce_loss),
                'NumPos': dict(type='NposRegHead', task_idx=3, loss=dict(type='MSELoss'), loss_weight=0.5),
                'tumor_size': dict(type='TsizeRegHead', in_channels=1024, task_idx=4, loss_weight=0.5),
            },
        )
    )
    assert isinstance(head, MultiTaskHead)
    assert not list(head.parameters())
    losses = head.loss((torch.zeros(1, 5),), [multi_sample(N=1.0, LVI=1.0, NumPos=2.0, tumor_size=1.0)])
    assert {task: round(loss.item(), 5) for task, loss in losses.items()} == dict(
        N_loss=round(math.log(2), 5), LVI_loss=round(math.log(2) / 2, 5), multifocality_loss=0.0,
        NumPos_loss=2.0, tumor_size_loss=0.5,
    )  # fmt: skip


class TestStandardisedTargets:
    """The network learns deviations from the mean; everybody else sees values in the unit of the labels."""

    LABELS = (10.0, 14.0, 18.0)

    @pytest.fixture
    def head(self) -> RegressionTaskHead:
        made = RegressionTaskHead(standardise=True)
        made.fit_scale(self.LABELS)
        return made

    def test_scale_is_mean_and_deviation_of_the_labels(self, head) -> None:
        assert head.target_mean.item() == 14
        assert head.target_std.item() == pytest.approx((32 / 3) ** 0.5)

    def test_outputs_are_scaled_back(self, head) -> None:
        sample = head.predict((torch.tensor([[1.0]]),))[0]
        expected = 14 + (32 / 3) ** 0.5
        assert sample.pred_score.item() == pytest.approx(expected)
        assert sample.logit.item() == pytest.approx(expected)

    def test_loss_of_raw_labels_is_that_of_a_plain_head_on_scaled_labels(self, head) -> None:
        z = torch.randn(3, 1)
        raw = [task_sample(label) for label in self.LABELS]
        scaled = (torch.tensor(self.LABELS) - 14) / (32 / 3) ** 0.5
        plain = [task_sample(label.item()) for label in scaled]
        assert head.loss((z,), raw)['loss'].item() == pytest.approx(
            RegressionTaskHead().loss((z,), plain)['loss'].item(), rel=1e-5
        )

    def test_the_loss_sees_outputs_and_labels_in_deviations_from_the_mean(self, head) -> None:
        values, targets = head.labelled(
            (torch.tensor([[0.5], [9.0]]),), [task_sample(18.0), task_sample(None)]
        )
        assert values.item() == pytest.approx(0.5, abs=1e-6)
        assert targets.item() == pytest.approx(4 / (32 / 3) ** 0.5)

    def test_scale_of_large_labels_keeps_its_digits(self) -> None:
        head = RegressionTaskHead(standardise=True)
        head.fit_scale([1e6, 1e6 + 0.1, 1e6 + 0.2])
        assert head.target_std.item() == pytest.approx(0.1 * (2 / 3) ** 0.5, rel=1e-5)

    def test_other_arguments_are_those_of_any_head(self) -> None:
        assert RegressionTaskHead(1, 8, 2, standardise=True).task_idx == 2

    def test_checkpoints_keep_the_scale(self, head) -> None:
        other = RegressionTaskHead(standardise=True)
        other.load_state_dict(head.state_dict())
        assert other.target_std == head.target_std
        assert RegressionTaskHead().state_dict() == {}

    def test_labels_without_deviation_or_no_labels_keep_the_unit(self) -> None:
        head = RegressionTaskHead(standardise=True)
        head.fit_scale([])
        assert (head.target_mean.item(), head.target_std.item()) == (0, 1)
        head.fit_scale([7.0, 7.0])
        assert (head.target_mean.item(), head.target_std.item()) == (7, 1)

    def test_values_keep_their_digits_in_half_precision(self, head) -> None:
        head.fit_scale([1000.0, 1001.0])
        with torch.autocast('cpu', dtype=torch.bfloat16):
            value = head((torch.tensor([[0.25]], dtype=torch.bfloat16),))
        assert value.item() == pytest.approx(1000.5 + 0.125, abs=1e-4)

    def test_a_task_of_the_config_says_so(self) -> None:
        tasks = [
            dict(name='size', kind='regression', standardise=True),
            dict(name='N', kind='binary', standardise=False),
        ]
        heads = MultiTaskHead(tasks=tasks).task_heads
        assert heads['size'].standardise
        assert not MultiTaskHead(tasks=[dict(name='size', kind='regression')]).task_heads['size'].standardise

    def test_binary_tasks_refuse_it(self) -> None:
        with pytest.raises(ValueError, match='standardise is for regression'):
            head_configs([dict(name='N', kind='binary', standardise=True)])


def test_the_head_of_one_task_is_saved_and_loaded_as_a_lone_one() -> None:
    lone = MODELS.build(dict(type='SingleLinearClsHead', in_channels=16))
    head = MultiTaskHead(task_heads=dict(N=dict(type='SingleLinearClsHead', in_channels=16)))
    head.load_state_dict(lone.state_dict())
    assert head.state_dict().keys() == lone.state_dict().keys()
    assert torch.equal(head.task_heads['N'].fc.weight, lone.fc.weight)
    inside = torch.nn.ModuleDict(dict(head=head))
    assert [*inside.state_dict()] == ['head.fc.weight', 'head.fc.bias']
    inside.load_state_dict(
        {f'head.task_heads.N.{key}': value + 1 for key, value in lone.state_dict().items()}
    )
    assert torch.equal(head.task_heads['N'].fc.weight, lone.fc.weight + 1)


def test_heads_of_several_tasks_keep_their_names() -> None:
    linear = dict(type='SingleLinearClsHead', in_channels=4)
    head = MultiTaskHead(task_heads=dict(N=linear, LVI=linear))
    assert [*head.state_dict()] == [
        f'task_heads.{t}.fc.{p}' for t in ('N', 'LVI') for p in ('weight', 'bias')
    ]


def test_stock_heads_in_the_stock_scope_stay_stock() -> None:
    from mmpretrain.models.heads import MultiTaskHead as StockMultiTaskHead

    with DefaultScope.overwrite_default_scope('mmpretrain'):
        linear = dict(type='LinearClsHead', num_classes=3)
        head = MODELS.build(
            dict(type='MultiTaskHead', task_heads=dict(a=linear, b=linear), in_channels=4,
                 loss=dict(type='CrossEntropyLoss'))
        )  # fmt: skip
    assert type(head) is StockMultiTaskHead
    samples = [MultiTaskDataSample() for _ in range(2)]
    samples[0].set_field(DataSample().set_gt_label(1), 'a')
    assert set(head.loss((torch.rand(2, 4),), samples)) >= {'a_loss'}
