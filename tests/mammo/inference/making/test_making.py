"""Bundles from trained models: what is taken, and what cannot be bundled."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mammo.inference.bundle.architecture import plain_model
from mammo.inference.bundle.folder import BundleError
from mammo.inference.making import bundle_files, from_checkpoint, from_cross_validation
from mammo.inference.predictor import FUSED, IMAGES
from mammo.records.predictions import PredictionError, read_predictions, write_predictions
from mammo.records.storage.files import sha256_of, write_json
from tests.mammo.inference.conftest import MODEL, PIPELINE

CONFIG = dict(model=MODEL, test_dataloader=dict(dataset=dict(pipeline=PIPELINE, data_root='gone')))


def estimate(value: float) -> dict[str, Any]:
    return dict(value=value, ci_low=value - 0.1, ci_high=value + 0.1, method='Wilson')


def report(**of_mammograms: Any) -> dict[str, Any]:
    at = {key: estimate(0.8) for key in ('sensitivity', 'reduction_rate', 'fnr', 'npv')}
    entry = dict(
        n_patients=40, n_events=12, roc_auc=estimate(0.7), pr_auc=estimate(0.6), brier=estimate(0.2),
        calibration=dict(slope=dict(value=None, reason='constant')), recalibration=None,
        slnb=dict(development=dict(threshold=0.3, threshold_chosen_on='development', **at),
                  test=dict(threshold=0.35, threshold_chosen_on='test', **at)),
        subgroups=[dict(column='cohort', group='site1', n_patients=20, n_events=6, roc_auc=estimate(0.65))],
        flow=dict(images=160, images_used=80),
    )  # fmt: skip
    return dict(task='N', settings=dict(sensitivity=0.9), models=dict(mammograms=entry | of_mammograms))


@pytest.fixture
def cross_validation(toy: Any, tmp_path: Path) -> Path:
    """A finished cross-validation of the toy members, whose patients score 0.1, 0.2 ... by number."""
    folds = {}
    for i, (name, checkpoint) in enumerate(toy.trained.members.items()):
        target = tmp_path / name / 'best.pth'
        target.parent.mkdir(parents=True)
        target.write_bytes(checkpoint.read_bytes())
        folds[name] = dict(checkpoint='best.pth', sha256=sha256_of(target))
        fused = tmp_path / name / 'fusion/clinical-mammo_mlp/checkpoint.pth'
        fused.parent.mkdir(parents=True)
        fused.write_bytes(toy.trained.fusions[i].read_bytes())
        write_tested(tmp_path / name / 'fusion/data', toy.checkpoints[i]['inputs'], int(name[0]))
    for model in ('mammograms', 'clinical-mammo_mlp'):
        for outer in range(2):
            texts = dict(img_path='', exam_id=None, view=None, laterality=None)
            records = [
                dict(texts, patient_id=f'p{i}',
                     tasks=dict(N=dict(logit=0.0, pred_score=i / 20, gt_label=int(i % 4 == 0))))
                for i in range(1 + 10 * outer, 11 + 10 * outer)
            ]  # fmt: skip
            write_predictions(tmp_path / f'ensemble/{model}/{outer}/mean/test.json', records)
    config = json.loads(json.dumps(CONFIG))
    settings = dict(config=config, label='N', files=dict(schema='0', clinical='0'))
    record = dict(format_version=1, settings=settings, folds=folds, shared_backbone=True)
    write_json(tmp_path / 'cross_validate.json', record)
    return tmp_path


def test_a_cross_validation_gives_all_members_and_a_threshold_of_all_outer_folds(
    cross_validation: Path,
) -> None:
    trained = from_cross_validation(cross_validation, 'mlp', {})
    assert list(trained.members) == ['0/0', '0/1', '1/0', '1/1']
    decision = trained.decisions[IMAGES]['unknown']
    assert raw_threshold(decision) == pytest.approx(4 / 20)  # of 5 positives 4, 8, 12, 16, 20: 90 % are all
    assert decision['achieved']['sensitivity']['value'] == 1
    assert decision['achieved']['reduction_rate']['value'] == pytest.approx(3 / 20)
    assert (decision['n_patients'], decision['n_events']) == (20, 5)
    assert [cell['n_known'] for cell in trained.decisions[FUSED]['known']] == [0, 1, 2, 3]


@pytest.mark.parametrize('amp', [True, False])
def test_mixed_precision_of_the_development_scores_is_recorded(cross_validation: Path, amp: bool) -> None:
    path = cross_validation / 'cross_validate.json'
    record = json.loads(path.read_text())
    record['settings']['amp'] = amp
    path.write_text(json.dumps(record))
    files = dict(bundle_files(from_cross_validation(cross_validation, 'mlp', {}), None))
    assert json.loads(files['model.json'])['amp'] is amp
    assert ('with mixed precision (--amp)' in files['MODEL_CARD.md'].decode()) == amp


def test_the_preprocessor_that_published_configs_have_beside_the_model_is_kept(
    cross_validation: Path,
) -> None:
    path = cross_validation / 'cross_validate.json'
    record = json.loads(path.read_text())
    config = record['settings']['config']
    config['data_preprocessor'] = config['model'].pop('data_preprocessor')
    path.write_text(json.dumps(record))
    files = dict(bundle_files(from_cross_validation(cross_validation, 'mlp', {}), None))
    assert json.loads(files['model.json'])['model']['data_preprocessor'] == MODEL['data_preprocessor']


def test_a_promise_that_so_few_positives_cannot_keep_gives_no_threshold(cross_validation: Path) -> None:
    trained = from_cross_validation(cross_validation, 'mlp', {}, confidence=0.95)
    cell = trained.decisions[IMAGES]['unknown']
    assert cell['threshold'] is None
    assert cell['reason'] == 'not attainable with 5 positives, 29 are needed'
    card = dict(bundle_files(trained, None))['MODEL_CARD.md'].decode()
    assert 'not attainable with 5 positives, 29 are needed' in card


def test_a_regression_task_as_label_has_no_threshold(cross_validation: Path) -> None:
    record = json.loads((cross_validation / 'cross_validate.json').read_text())
    record['settings'] |= dict(label='size', files={})
    write_json(cross_validation / 'cross_validate.json', record)
    assert from_cross_validation(cross_validation, 'mlp', {}).decisions == {}


def raw_threshold(cell: dict[str, Any]) -> float:
    """Mean prob of the members whose calibrated prob is the threshold."""
    z = np.log(cell['threshold'] / (1 - cell['threshold']))
    made = cell['recalibration']
    return float(1 / (1 + np.exp(-(z - made['intercept']) / made['slope'])))


def write_tested(folder: Path, inputs: dict[str, Any], outer: int) -> None:
    """Ten test patients of a fold as a fusion set, all known."""
    rng = np.random.default_rng(outer)
    blocks = inputs['encoding']
    missing = [c.removesuffix(' missing') for c in inputs['columns'] if c.endswith(' missing')]
    write_json(folder / 'schema.json', dict(format_version=2, label='N', missing=missing, **blocks))
    numbers = np.arange(1 + 10 * outer, 11 + 10 * outer)
    arrays = dict(
        x_preope=rng.normal(size=(10, len(blocks['x_preope']['columns']))), feat_5=rng.normal(size=(10, 3)),
        y=(numbers % 4 == 0).astype(float), fortnr=np.array([f'p{i}' for i in numbers]),
        missing=np.zeros((10, len(missing)), bool),
    )  # fmt: skip
    for name, array in arrays.items():
        np.save(folder / f'test_{name}.npy', array)


def test_the_report_tells_how_thresholds_did_on_test_patients(cross_validation: Path) -> None:
    trained = from_cross_validation(cross_validation, 'mlp', report())
    assert trained.decisions[IMAGES]['known']['tested']['sensitivity']['value'] == 0.8
    card = dict(bundle_files(trained, None))['MODEL_CARD.md'].decode()
    assert '| mammograms | 40 | 0.700 (0.600 to 0.800) | 0.600 (0.500 to 0.700) |' in card
    assert '| mammograms | cohort | site1 | 20 | 0.650 (0.550 to 0.750) |' in card
    assert '| unknown |' in card  # the calibration slope
    assert 'preprocessing: unknown' in card
    assert 'positive: 12' in card


def test_an_unfinished_or_changed_cross_validation_is_refused(cross_validation: Path, tmp_path: Path) -> None:
    (cross_validation / '1/0/best.pth').write_bytes(b'something else')
    with pytest.raises(BundleError, match=r'1/0/best.pth: missing or changed since it was tested'):
        from_cross_validation(cross_validation, 'mlp', {})
    record = json.loads((cross_validation / 'cross_validate.json').read_text())
    del record['folds']
    write_json(cross_validation / 'cross_validate.json', record)
    with pytest.raises(BundleError, match='no finished cross-validation'):
        from_cross_validation(cross_validation, 'mlp', {})
    with pytest.raises(BundleError, match='no finished cross-validation'):
        from_cross_validation(tmp_path / 'nothing', 'mlp', {})


def test_members_said_to_share_a_backbone_must(toy: Any) -> None:
    other = dict(toy.trained.members)
    other['0/1'] = other['0/0'].with_name('unlike.pth')
    state = torch.load(toy.trained.members['0/1'], weights_only=True)['state_dict']
    state['backbone.conv1.weight'] = state['backbone.conv1.weight'] + 1
    torch.save(dict(state_dict=state), other['0/1'])
    with pytest.raises(BundleError, match='member 1 has another backbone than member 0'):
        list(bundle_files(toy.trained._replace(members=other), None))
    files = dict(bundle_files(toy.trained._replace(members=other, shared=False, fusions=[]), None))
    assert 'backbone.safetensors' not in files


def test_labels_by_breast_give_the_threshold_that_the_report_had(cross_validation: Path) -> None:
    for path in cross_validation.glob('ensemble/*/*/mean/test.json'):
        records = read_predictions(path)
        healthy = [
            r | dict(img_path='other', tasks=dict(N=r['tasks']['N'] | dict(gt_label=0))) for r in records
        ]
        write_predictions(path, [*records, *healthy])
    with pytest.raises(PredictionError, match='differing labels'):
        from_cross_validation(cross_validation, 'mlp', {})
    record = json.loads((cross_validation / 'cross_validate.json').read_text())
    write_json(cross_validation / 'cross_validate.json', record | dict(patient_label='max'))
    trained = from_cross_validation(cross_validation, 'mlp', {})
    assert raw_threshold(trained.decisions[IMAGES]['unknown']) == pytest.approx(4 / 20)


def test_a_bundle_of_breasts_decides_on_a_breast_if_its_side_is_known_and_else_on_the_woman(
    cross_validation: Path,
) -> None:
    for path in cross_validation.glob('ensemble/*/*/mean/test.json'):
        left = [r | dict(img_path='l', laterality='L') for r in read_predictions(path)]
        right = [
            r | dict(img_path='r', laterality='R',
                     tasks=dict(N=dict(logit=0.0, pred_score=r['tasks']['N']['pred_score'] / 2, gt_label=0)))
            for r in left
        ]  # fmt: skip
        write_predictions(path, [*left, *right])
    record = json.loads((cross_validation / 'cross_validate.json').read_text())
    no_fusion = record | dict(unit='breast', settings=record['settings'] | dict(files={}))
    write_json(cross_validation / 'cross_validate.json', no_fusion)
    cells = from_cross_validation(cross_validation, 'mlp', {}).decisions[IMAGES]
    counts = {side: (c['unit'], c['n_patients'], c['n_events']) for side, c in cells.items()}
    assert counts == dict(known=('breast', 40, 5), unknown=('patient', 20, 5))
    # at 4 / 20, where all positives are found: of 20 right breasts 8 and more reach it
    spared = {side: c['achieved']['reduction_rate']['value'] for side, c in cells.items()}
    assert spared == dict(known=pytest.approx((3 + 7) / 40), unknown=pytest.approx(3 / 20))


def test_a_fusion_of_another_task_or_other_features_is_refused(toy: Any) -> None:
    with pytest.raises(BundleError, match=r"fusion0\.pth: predicts 'N', the bundle 'LVI'; give its fusion"):
        list(bundle_files(toy.trained._replace(label='LVI'), None))
    tasks = [*reversed(MODEL['tasks'])]
    with pytest.raises(BundleError, match=r"learned from .*'N', 'LVI', 'size'.*gives .*'size', 'LVI', 'N'"):
        list(bundle_files(toy.trained._replace(model={**MODEL, 'tasks': tasks}), None))


@pytest.mark.parametrize(
    ('setting', 'value'), [('aggregate', 'mean'), ('all_sides', True), ('all_exams', True)]
)
def test_a_threshold_for_another_score_is_refused(toy: Any, setting: str, value: Any) -> None:
    other = report()
    other['settings'][setting] = value
    with pytest.raises(BundleError, match=f'made with .*{setting}.*run tools/evaluate.py'):
        from_checkpoint(Config(CONFIG), toy.trained.members['0/0'], None, other, names())


def test_a_report_of_an_unknown_task_is_refused(toy: Any) -> None:
    with pytest.raises(
        BundleError, match=r"the report is on task 'LVI2', the config has \['N', 'LVI', 'size'\]"
    ):
        from_checkpoint(
            Config(CONFIG), toy.trained.members['0/0'], None, report() | dict(task='LVI2'), names()
        )


def test_a_report_of_a_regression_task_gives_no_threshold(toy: Any) -> None:
    entry = dict(n_patients=40, r2=estimate(0.3))
    of_size = dict(task='size', settings={}, models=dict(mammograms=entry))
    trained = from_checkpoint(Config(CONFIG), toy.trained.members['0/0'], None, of_size, names())
    assert trained.decisions == {}


def names(images: str = 'mammograms', fusion: str = 'both') -> dict[str, str]:
    return {IMAGES: images, FUSED: fusion}


def test_a_checkpoint_takes_the_thresholds_of_its_report(toy: Any) -> None:
    checkpoint = toy.trained.members['0/0']
    trained = from_checkpoint(Config(CONFIG), checkpoint, None, report(), names())
    decision = trained.decisions[IMAGES]['known']
    assert 'unknown' not in trained.decisions[IMAGES]  # the report says nothing of it
    assert (decision['threshold'], decision['chosen_on']) == (0.3, 'development data')
    assert decision['tested']['sensitivity']['value'] == 0.8
    none = dict(development=None, test=report()['models']['mammograms']['slnb']['test'])
    trained = from_checkpoint(Config(CONFIG), checkpoint, None, report(slnb=none), names())
    decision = trained.decisions[IMAGES]['known']
    assert (decision['threshold'], decision['chosen_on'], decision['tested']) == (0.35, 'test data', None)
    assert from_checkpoint(Config(CONFIG), checkpoint, None, {}, names()).decisions == {}


def test_models_that_the_report_does_not_name_are_an_error(toy: Any) -> None:
    checkpoint = toy.trained.members['0/0']
    with pytest.raises(BundleError, match=r"no model \['other', 'both'\], but \['mammograms'\]"):
        from_checkpoint(Config(CONFIG), checkpoint, None, report(), names('other'))
    with pytest.raises(BundleError, match=r"no model \['both'\].*--report-names"):
        from_checkpoint(Config(CONFIG), checkpoint, toy.folder, report(), names())


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(pipeline=[*PIPELINE, dict(type='RandomFlip', prob=1.0)]), 'RandomFlip'),
        (dict(model={**MODEL, 'backbone': dict(type='HFModel')}), 'HFModel.*may not hold'),
        (dict(model={**MODEL, 'backbone': dict(type='os.system')}), r'os\.system.*may not hold'),
        (
            dict(model={**MODEL, 'backbone': dict(type='TIMMBackbone', model_name='hf-hub:owner/name')}),
            'hf-hub:owner/name.*names a file or an address',
        ),
    ],
)
def test_what_cannot_be_described_as_data_is_refused(toy: Any, change: dict, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        list(bundle_files(toy.trained._replace(**change), None))


def test_a_fusion_of_other_features_is_refused(toy: Any, tmp_path: Path) -> None:
    content = torch.load(toy.trained.fusions[0], weights_only=True)
    content['inputs']['encoding']['feat_5']['stage'] = 'neck'
    torch.save(content, tmp_path / 'fusion.pth')
    trained = toy.trained._replace(
        fusions=[tmp_path / 'fusion.pth'], members={'0': toy.trained.members['0/0']}
    )
    with pytest.raises(BundleError, match=r"features \('neck', 'mean'\); a bundle needs"):
        list(bundle_files(trained, None))


def test_the_architecture_is_without_training_and_with_batch_norm_of_one_process() -> None:
    model = plain_model(
        dict(
            MODEL,
            backbone=dict(MODEL['backbone'], norm_cfg=dict(type='SyncBN', eps=1e-4)),
            train_cfg=dict(augments=dict(type='Mixup')),
            from_maps=True,
        )
    )
    assert model['backbone']['norm_cfg'] == dict(type='BN', eps=1e-4)
    assert 'init_cfg' not in model['backbone']
    assert {'train_cfg', 'from_maps'}.isdisjoint(model)
