"""The fusion stage: model, fit, predict, files in and out, and what is refused."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mlp
from mammo.fusion.clinical import ClinicalEncoder, check_table
from mammo.fusion.mlp import MLP
from mammo.fusion.model import fit, predict, read_model
from mammo.fusion.schema import read_schema
from mammo.records.fusion_set import FusionError
from mammo.records.predictions import read_predictions
from mammo.records.tables.reading import read_table

PER_SPLIT = [
    f'{name}_{split}{suffix}'
    for name, suffix in (('p', '.npy'), ('predictions', '.csv'))
    for split in ('test', 'val')
]
FILES = ['checkpoint.pth', 'checkpoint.pth.sha256', *PER_SPLIT, 'stats.json', 'training.png']


def table(n: int, seed: int = 0, columns: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(3, 2, size=(n, columns)).astype(np.float32)
    return x, (x[:, 0] - 3 + rng.normal(size=n) > 0).astype(np.float32)


def write_set(folder: Path, **changes: np.ndarray) -> Path:
    """The bare published files; ``changes`` replaces files by stem."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (split, n) in enumerate(dict(train=80, val=40, test=40).items()):
        x, y = table(n, seed, columns=8)
        ids = np.array([f'{split}{i}' for i in range(n)])
        for name, array in dict(x_preope=x[:, :3], feat_5=x[:, 3:], y=y, fortnr=ids).items():
            np.save(folder / f'{split}_{name}.npy', array)
    for stem, array in changes.items():
        np.save(folder / f'{stem}.npy', array, allow_pickle=True)
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, 'argv', ['mlp.py', *map(str, words)])
    mlp.main()


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Callable:
    def call(root: Path, out: Path, *more: object, mode: str = 'clinical-mammo') -> Path:
        run(monkeypatch, '--data-root', root, '--work-dir', out, '--mode', mode, '--max-epoch', 3, *more)
        return out

    return call


@pytest.fixture
def refused(cli: Callable, tmp_path: Path, capsys: pytest.CaptureFixture) -> Callable:
    """Run, expect exit code 2, nothing written, and give back the message."""

    def call(root: Path, *more: object, mode: str = 'clinical-mammo') -> str:
        with pytest.raises(SystemExit) as stop:
            cli(root, tmp_path / 'refused', *more, mode=mode)
        assert stop.value.code == 2
        assert not (tmp_path / 'refused').exists()
        return capsys.readouterr().err

    return call


# model


def test_forward_equals_two_linear_layers_written_with_numpy() -> None:
    net = MLP(in_dims=4, hidden_dims=6, members=2).eval()
    x = torch.randn(5, 4)
    w1, b1, w2, b2 = (p.detach().numpy() for p in net.parameters())
    for m in range(2):
        expected = np.maximum(x.numpy() @ w1[m] + b1[m], 0) @ w2[m] + b2[m]
        np.testing.assert_allclose(net(x)[m].detach(), expected[:, 0], rtol=1e-5, atol=1e-6)


def test_dropout_keeps_the_share_and_the_mean_and_is_off_in_eval() -> None:
    net = MLP(in_dims=3, hidden_dims=200, dropout=0.2)
    with torch.no_grad():
        for parameter, value in zip(net.parameters(), (0, 1, 1, 0), strict=True):
            parameter.fill_(value)  # every hidden unit is 1, the logit their sum
        x = torch.ones(500, 3)
        assert torch.equal(net.eval()(x), torch.full((1, 500), 200.0))
        logit = net.train()(x)
    kept = logit * 0.8  # each unit gives 0 or 1 / 0.8
    torch.testing.assert_close(kept, kept.round(), atol=1e-2, rtol=0)
    assert float(kept.mean()) == pytest.approx(160, abs=2)
    assert float(kept.std()) == pytest.approx((200 * 0.8 * 0.2) ** 0.5, rel=0.1)


@pytest.mark.parametrize('dropout', [0.0, 0.3])
def test_gradients_are_those_of_autograd(dropout: float) -> None:
    x, y = torch.randn(3, 7, 4), torch.rand(3, 7).round()
    by_hand, by_autograd = (MLP(in_dims=4, dropout=dropout, members=3, seed=1).train() for _ in range(2))
    with torch.no_grad():
        loss = by_hand.learn(x, y)
    logit = by_autograd(x)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logit, y, reduction='none').mean(1)
    expected.sum().backward()
    torch.testing.assert_close(loss, expected.detach())
    for found, wanted in zip(by_hand.parameters(), by_autograd.parameters(), strict=True):
        torch.testing.assert_close(found.grad, wanted.grad)


def test_a_member_of_an_ensemble_is_the_single_fit_of_its_seed() -> None:
    (x, y), (x_val, y_val) = table(100), table(40, 1)
    together = fit(x, y, x_val, y_val, members=3, max_epoch=4, seed=5)['state_dict']
    for m in range(3):
        alone = fit(x, y, x_val, y_val, max_epoch=4, seed=5 + m)['state_dict']
        for name, value in alone.items():
            np.testing.assert_allclose(together[name][m], value[0], rtol=1e-3, atol=1e-4)


def test_first_step_moves_each_weight_as_adamw_by_hand() -> None:
    x, y = table(16)
    options = dict(max_epoch=1, batch_size=16, dropout=0.0, lr=0.01, weight_decay=0.1)
    checkpoint = fit(x, y, x, y, **options)
    net = MLP(in_dims=4, dropout=0.0)
    scaled = torch.from_numpy((x - x.mean(0, dtype=np.float64)) / x.std(0, dtype=np.float64)).float()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(net(scaled)[0], torch.from_numpy(y))
    loss.backward()
    for name, before in net.named_parameters():
        grad = before.grad
        # Loshchilov and Hutter 2019: with zero moments the first step is sign-like, g / (|g| + eps)
        expected = before * (1 - 0.01 * 0.1) - 0.01 * grad / (grad.abs() + 1e-8)
        np.testing.assert_allclose(checkpoint['state_dict'][name], expected.detach(), rtol=1e-4, atol=1e-4)


def test_training_stops_16_epochs_after_the_best_and_keeps_the_best() -> None:
    (x, y), (x_val, y_val) = table(60), table(200, 1)
    checkpoint = fit(x, y, x_val, y_val, max_epoch=100)
    val = [epoch['val_loss'][0] for epoch in checkpoint['history']]
    assert len(val) < 100
    assert len(val) - 1 - int(np.argmin(val)) == 16
    prob = 1 / (1 + np.exp(-predict(checkpoint, x_val)))
    assert log_loss(y_val, prob) == pytest.approx(min(val), rel=1e-4)


def test_members_that_stopped_early_stay_at_their_best() -> None:
    (x, y), (x_val, y_val) = table(60), table(100, 1)
    checkpoint = fit(x, y, x_val, y_val, members=4, max_epoch=60, patience=3)
    val = np.array([epoch['val_loss'] for epoch in checkpoint['history']])  # (epochs, M)
    for m in range(4):
        best, waited = np.inf, 0
        for loss in val[:, m]:
            best, waited = (loss, 0) if loss < best else (best, waited + 1)
            if waited == 3:
                break
        one = dict(checkpoint, state_dict={k: v[m : m + 1] for k, v in checkpoint['state_dict'].items()})
        assert log_loss(y_val, 1 / (1 + np.exp(-predict(one, x_val)))) == pytest.approx(best, rel=1e-4)


def test_ensemble_logit_is_that_of_the_mean_probability_even_when_saturated() -> None:
    x, y = table(50)
    checkpoint = fit(x, y, x, y, members=3, max_epoch=2)
    single = [
        dict(checkpoint, state_dict={k: v[m : m + 1] for k, v in checkpoint['state_dict'].items()})
        for m in range(3)
    ]
    prob = np.mean([1 / (1 + np.exp(-predict(one, x))) for one in single], axis=0)
    np.testing.assert_allclose(predict(checkpoint, x), np.log(prob / (1 - prob)), atol=1e-5)
    assert np.isfinite(predict(checkpoint, x * 1e6)).all()


def test_logistic_equals_scikit_learn_on_the_same_table() -> None:
    (x, y), (x_val, y_val) = table(100), table(40, 1)
    reference = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
    logit = predict(fit(x, y, x_val, y_val, model='logistic'), x_val)
    np.testing.assert_allclose(logit, reference.decision_function(x_val), atol=1e-3)


@pytest.mark.parametrize('model', ['mlp', 'logistic'])
def test_a_column_constant_in_train_is_ignored_later(model: str) -> None:
    x, y = table(60)
    x[:, 2] = 0.1
    checkpoint = fit(x, y, x, y, model=model, max_epoch=3)
    other = x.copy()
    other[:, 2] = 1000
    np.testing.assert_array_equal(predict(checkpoint, other), predict(checkpoint, x))


@settings(max_examples=10, deadline=None)
@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-100, 100))
def test_units_of_a_column_do_not_matter(scale: float, shift: float) -> None:
    x, y = table(60)
    x = x.astype(np.float64)
    changed = x * [scale, 1, 1, 1] + [shift, 0, 0, 0]
    before, after = (predict(fit(v, y, v, y, model='logistic'), v) for v in (x, changed))
    np.testing.assert_allclose(after, before, atol=1e-3)


def test_fit_learns_what_can_be_learned() -> None:
    (x, y), (x_val, y_val) = table(400), table(400, 1)
    best = roc_auc_score(y_val, x_val[:, 0])  # the generator's own score
    for options in (dict(), dict(members=5), dict(model='logistic')):
        assert roc_auc_score(y_val, predict(fit(x, y, x_val, y_val, **options), x_val)) > best - 0.02


def test_divergence_is_an_error() -> None:
    x, y = table(60)
    with pytest.raises(FusionError, match='validation loss is not finite in epoch'):
        fit(x, y, x, y, lr=1e30)


# files


@pytest.mark.parametrize('model', ['mlp', 'logistic'])
@pytest.mark.parametrize('mode', ['clinical-only', 'mammo-only', 'clinical-mammo'])
def test_every_mode_and_model_runs_on_the_bare_published_files(
    mode: str, model: str, cli: Callable, tmp_path: Path
) -> None:
    root = write_set(tmp_path / 'set')
    out = cli(root, tmp_path / 'out', '--model', model, mode=mode)
    assert sorted(p.name for p in out.iterdir()) == FILES
    checkpoint = torch.load(out / 'checkpoint.pth', weights_only=True)
    assert len(checkpoint['mean']) == {'clinical-only': 3, 'mammo-only': 5, 'clinical-mammo': 8}[mode]
    assert np.load(out / 'p_test.npy').shape == (40,)


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not(cli: Callable, tmp_path: Path) -> None:
    root = write_set(tmp_path / 'set')
    a, b, c = (cli(root, tmp_path / name, '--seed', seed) for name, seed in (('a', 1), ('b', 1), ('c', 2)))
    assert [(a / f).read_bytes() for f in FILES] == [(b / f).read_bytes() for f in FILES]
    assert (a / 'p_test.npy').read_bytes() != (c / 'p_test.npy').read_bytes()


def test_predictions_hold_logits_probabilities_and_labels(cli: Callable, tmp_path: Path) -> None:
    root = write_set(tmp_path / 'set')
    out = cli(root, tmp_path / 'out')
    logit, y = np.load(out / 'p_test.npy'), np.load(root / 'test_y.npy')
    header = (out / 'predictions_test.csv').read_text().split('\n')[0]
    assert header.startswith('img_path,patient_id,exam_id,view,laterality,N_logit,N_pred_score,N_gt_label')
    for i, record in enumerate(read_predictions(out / 'predictions_test.csv')):
        assert (record['img_path'], record['patient_id']) == ('', f'test{i}')
        assert record['tasks']['N']['logit'] == pytest.approx(logit[i])
        assert record['tasks']['N']['pred_score'] == pytest.approx(1 / (1 + np.exp(-logit[i])))
        assert record['tasks']['N']['gt_label'] == y[i]
    stats = json.loads((out / 'stats.json').read_text())['splits']['test']
    assert stats['roc_auc'] == pytest.approx(roc_auc_score(y, logit))
    assert stats['pr_auc'] == pytest.approx(average_precision_score(y, logit))
    assert stats['loss'] == pytest.approx(log_loss(y, 1 / (1 + np.exp(-logit.astype(float)))))


def test_patients_without_label_are_left_out_of_fit_and_scored_by_test(cli: Callable, tmp_path: Path) -> None:
    y = table(40, 2, columns=8)[1]
    y[:5] = np.nan
    root = write_set(tmp_path / 'set', test_y=y, train_y=np.append(table(80, 0, 8)[1][:-1], np.nan))
    out = cli(root, tmp_path / 'out')
    assert [r['patient_id'] for r in read_predictions(out / 'predictions_test.csv')] == [
        f'test{i}' for i in range(5, 40)
    ]
    assert json.loads((out / 'stats.json').read_text())['splits']['train']['n'] == 79
    (root / 'test_y.npy').unlink()
    site2 = cli(root, tmp_path / 'site2', '--test', out / 'checkpoint.pth')
    np.testing.assert_allclose(np.load(site2 / 'p_test.npy')[5:], np.load(out / 'p_test.npy'), atol=1e-5)
    assert json.loads((site2 / 'stats.json').read_text())['splits']['test']['roc_auc'] is None
    assert read_predictions(site2 / 'predictions_test.csv')[0]['tasks']['N']['gt_label'] is None


def test_missing_mask_adds_inputs_and_is_told_per_patient(cli: Callable, tmp_path: Path) -> None:
    masks = {
        f'{s}_missing': np.random.default_rng(n).random((n, 3)) < 0.3
        for s, n in dict(train=80, val=40, test=40).items()
    }
    root = write_set(tmp_path / 'set', **masks)
    both = cli(root, tmp_path / 'both')
    assert json.loads((both / 'stats.json').read_text())['inputs']['columns'][-3:] == [
        f'missing_{i} missing' for i in range(3)
    ]
    records = read_predictions(both / 'predictions_test.csv')
    for record, row in zip(records, masks['test_missing'], strict=True):
        assert record.get('missing_inputs', '') == '; '.join(f'missing_{i}' for i in np.flatnonzero(row))
    for mode, n in (('clinical-only', 3 + 2), ('mammo-only', 5 + 1)):
        out = cli(root, tmp_path / mode, mode=mode)
        assert len(read_model(out / 'checkpoint.pth')['mean']) == n


# refusals


def objects() -> np.ndarray:
    return np.array([None] * 80, dtype=object)


WRONG = {
    'rows': (dict(val_y=np.ones(39)), r"val_fortnr.npy: 40 ids, but rows are .*'y': 39"),
    'nan': (
        dict(train_x_preope=np.full((80, 3), np.nan)),
        r'240 entries are NaN or infinite.*patient train0 column 0: nan',
    ),
    'inf': (
        dict(train_feat_5=np.full((80, 5), np.inf)),
        r'train_feat_5.npy: 400 entries are NaN or infinite',
    ),
    'one class': (dict(val_y=np.zeros(40)), r'val: 40 rows, labels by class \{0: 40, 1: 0\}; both'),
    'not binary': (dict(train_y=np.full(80, 3.0)), r'80 labels in y are not 0, 1 or NaN .*train0: 3.0'),
    'repeated': (dict(test_fortnr=np.array(['p'] * 40)), r"1 ids are repeated or empty: \['p'\]"),
    'one id as number and as text': (
        dict(val_fortnr=np.arange(40.0), test_fortnr=np.arange(39, 79)),
        r"1 patients of test are also in other splits: \['39'\]",
    ),
    'shared': (
        dict(test_fortnr=np.array([f'val{i}' for i in range(40)])),
        r"40 patients of test are also in .*'val0'",
    ),
    'objects': (dict(train_y=objects()), r'train_y.npy: Object arrays.*convert it once: np.save'),
    'text': (dict(train_x_preope=np.full((80, 3), 'a')), r'expected numbers \(n, d\)'),
    'axes': (dict(train_y=np.ones((80, 1))), r'of shape \(80, 1\); expected numbers'),
    'widths': (dict(val_x_preope=np.ones((40, 4))), r'val against train: inputs differ in .*columns'),
}


@pytest.mark.parametrize('case', WRONG)
def test_bad_files_are_refused_before_anything_is_written(
    case: str, refused: Callable, tmp_path: Path
) -> None:
    changes, message = WRONG[case]
    assert re.search(message, refused(write_set(tmp_path / 'set', **changes)).replace('\n', ' '))


def test_a_missing_file_is_named(refused: Callable, tmp_path: Path) -> None:
    root = write_set(tmp_path / 'set')
    (root / 'val_feat_5.npy').unlink()
    assert 'val_feat_5.npy: no such file' in refused(root)


def test_checkpoint_of_another_mode_label_column_or_encoding_is_refused(
    cli: Callable, refused: Callable, tmp_path: Path
) -> None:
    block = dict(columns=['a', 'b', 'c'], encoder=dict(fill=[1.0, 2.0, 3.0]))
    schema = dict(format_version=1, label='N', x_preope=block, feat_5=dict(columns=list('vwxyz')), missing=[])
    root = write_set(tmp_path / 'set')
    (root / 'schema.json').write_text(json.dumps(schema))
    checkpoint = cli(root, tmp_path / 'out') / 'checkpoint.pth'
    assert 'mode: expected' in refused(root, '--test', checkpoint, mode='mammo-only')
    changes = {
        "label: expected 'N', found 'LVI'": dict(label='LVI'),
        r"columns[0]: expected 'a', found 'q'": dict(x_preope=block | dict(columns=['q', 'b', 'c'])),
        'fill[1]: expected 2.0, found 9.0': dict(x_preope=block | dict(encoder=dict(fill=[1.0, 9.0, 3.0]))),
    }
    for message, change in changes.items():
        other = shutil.copytree(root, tmp_path / 'other', dirs_exist_ok=True)
        (other / 'schema.json').write_text(json.dumps(schema | change))
        assert message in refused(other, '--test', checkpoint)
    (root / 'schema.json').unlink()
    assert 'inputs differ' in refused(root, '--test', checkpoint)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'not a readable checkpoint'),
        (b'not a checkpoint', 'no weights, but text that begins with'),
        (dict(code=Path('x')), 'could run code: pathlib'),
        (dict(state_dict={}), 'no checkpoint of mlp.py: format_version is None'),
        ([1], 'no checkpoint of mlp.py: format_version is None'),
    ],
)
def test_a_foreign_checkpoint_is_refused(
    content: object, message: str, refused: Callable, tmp_path: Path
) -> None:
    path = tmp_path / 'checkpoint.pth'
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    assert message in refused(write_set(tmp_path / 'set'), '--test', path)


def test_a_checkpoint_with_a_pickled_class_opens_when_trusted(cli: Callable, tmp_path: Path) -> None:
    root = write_set(tmp_path / 'set')
    path = cli(root, tmp_path / 'out') / 'checkpoint.pth'
    torch.save(torch.load(path, weights_only=True) | dict(made_at=Path('x')), tmp_path / 'old.pth')
    path = tmp_path / 'old.pth'
    out = cli(root, tmp_path / 'trusted', '--test', path, '--trust-checkpoint')
    assert (out / 'predictions_test.csv').exists()


def test_a_checkpoint_with_a_changed_bit_is_refused(cli: Callable, refused: Callable, tmp_path: Path) -> None:
    root = write_set(tmp_path / 'set')
    path = cli(root, tmp_path / 'out') / 'checkpoint.pth'
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert 'damaged: its SHA-256' in refused(root, '--test', path)


def test_versions_of_later_releases_are_refused(cli: Callable, refused: Callable, tmp_path: Path) -> None:
    root = write_set(tmp_path / 'set')
    path = tmp_path / 'c.pth'
    torch.save(dict(format_version=99), path)
    assert 'format_version is 99, this release reads 1' in refused(root, '--test', path)
    (root / 'schema.json').write_text('{"format_version": 99}')
    assert 'format_version is 99, this release reads 1 and 2' in refused(root)
    (root / 'schema.json').write_text('[]')
    assert 'not written by tools/build_fusion.py' in refused(root)


def test_predict_refuses_another_number_of_columns() -> None:
    x, y = table(40)
    checkpoint = fit(x, y, x, y, model='logistic')
    with pytest.raises(FusionError, match='x has 3 columns, the checkpoint expects 4'):
        predict(checkpoint, x[:, :3])


@pytest.mark.real_data
def test_metabric_logistic_is_that_of_scikit_learn_within_0005_auc(real_data: Path) -> None:
    table = read_table(real_data / 'clinical/brca_metabric_clinical_data.tsv')
    known = (table['Lymph nodes examined positive'] != 'NA').to_numpy()
    y = (table['Lymph nodes examined positive'][known].astype(float) > 0).to_numpy(np.float32)
    schema = read_schema(Path(__file__).resolve().parents[1] / 'configs/clinical/metabric.yaml')
    values = check_table(table, schema)[known]
    assert (len(y), y.sum()) == (2243, 1047)
    x = np.column_stack([ClinicalEncoder(schema).fit(values[:1500]).transform(values), values.isna()])
    reference = make_pipeline(StandardScaler(), LogisticRegression()).fit(x[:1500], y[:1500])
    expected = roc_auc_score(y[1800:], reference.decision_function(x[1800:]))
    for model, tolerance in (('logistic', 0.005), ('mlp', 0.05)):
        logit = predict(fit(x[:1500], y[:1500], x[1500:1800], y[1500:1800], model=model), x[1800:])
        assert roc_auc_score(y[1800:], logit) == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize(
    'words',
    [
        '--members 0',
        '--batch-size 0',
        '--max-epoch 0',
        '--seed -1',
        '--lr nan',
        '--lr 0',
        '--weight-decay -1',
        '--mask-share 2',
    ],
)
def test_numbers_that_nothing_can_be_trained_with_are_refused(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as stop:
        run(
            monkeypatch,
            '--data-root',
            tmp_path,
            '--work-dir',
            tmp_path,
            '--mode',
            'mammo-only',
            *words.split(),
        )
    assert stop.value.code == 2
    assert f'argument {words.split()[0]}: ' in capsys.readouterr().err
