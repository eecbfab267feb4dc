"""tools/build_fusion.py: joining by patient, imputation from train only, refusals; mlp.py on its output."""

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import mlp
from mammo.records.fusion_set import read_split
from mammo.records.meta import write_meta
from mammo.records.predictions import read_predictions

SPLITS = dict(train=24, val=12, test=12)
VARIABLES = [
    dict(name='size', column='Size', kind='continuous', unit='mm', range=[1, 200]),
    dict(name='type', column='Type', kind='nominal', levels=['ductal', 'lobular']),
]
spec = importlib.util.spec_from_file_location(
    'build_fusion', Path(__file__).resolve().parents[2] / 'tools/build_fusion.py'
)
build_fusion = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build_fusion)


class Site:
    """Input files of one hospital, kept as plain values so that a test can change them before writing."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        self.folder = folder
        self.ids = {split: [f'{split}{i}' for i in range(n)] for split, n in SPLITS.items()}
        everyone = [i for ids in self.ids.values() for i in ids]
        self.rows = {
            i: [str(rng.integers(5, 60)), 'ductal' if rng.random() < 0.5 else 'lobular'] for i in everyone
        }
        self.x = {i: rng.normal(size=5) for i in everyone}
        self.labels = {i: [float(k % 2)] * 2 for k, i in enumerate(everyone)}  # two images each
        self.arrays: dict[str, Any] = dict(format_version=1, stage='head', aggregate='mean')
        self.columns = ['N', 'LVI', 'multifocality', 'NumPos', 'tumor_size']
        self.variables = VARIABLES

    def write(self) -> list[str]:
        splits = self.folder / 'splits'
        for split, ids in self.ids.items():
            items = [
                dict(img_path=f'{i}_{k}.png', patient_id=i, gt_label=dict(N=y))
                for i in ids
                for k, y in enumerate(self.labels[i])
            ]
            write_meta(splits / f'{split}.json', items, ['N'])
        lines = ['id,Size,Type', *(','.join([i, *row]) for i, row in self.rows.items())]
        (self.folder / 'clinical.csv').write_text('\n'.join(lines) + '\n')
        (self.folder / 'schema.yaml').write_text(
            yaml.safe_dump(dict(patient_id='id', variables=self.variables))
        )
        data = dict(
            patient_id=np.array(list(self.x)),
            x=np.array(list(self.x.values()), np.float32),
            column=np.array(self.columns),
        )
        np.savez(self.folder / 'features.npz', **(data | self.arrays))
        words = {
            '--clinical': 'clinical.csv',
            '--features': 'features.npz',
            '--splits': 'splits',
            '--out-dir': 'set',
        }
        return [*(str(w) for k, v in words.items() for w in (k, self.folder / v)), '--label', 'N']


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / 'site').mkdir()
    return Site(tmp_path / 'site')


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Callable:
    def call(site: Site, *more: object) -> Path:
        words = [*site.write(), *(more or ('--schema', site.folder / 'schema.yaml'))]
        monkeypatch.setattr(sys, 'argv', ['build_fusion.py', *map(str, words)])
        build_fusion.main()
        return site.folder / 'set'

    return call


@pytest.fixture
def refused(build: Callable, capsys: pytest.CaptureFixture) -> Callable:
    def call(site: Site, *more: object) -> str:
        with pytest.raises(SystemExit) as stop:
            build(site, *more)
        assert stop.value.code == 2
        assert not (site.folder / 'set').exists()
        return capsys.readouterr().err

    return call


def load(root: Path, name: str) -> np.ndarray:
    return np.load(root / f'{name}.npy', allow_pickle=False)


def test_rows_of_all_files_belong_to_the_patient_in_fortnr(site: Site, build: Callable) -> None:
    site.rows = dict(reversed(site.rows.items()))
    root = build(site)
    for split, ids in site.ids.items():
        assert load(root, f'{split}_fortnr').tolist() == ids
        for i, patient in enumerate(ids):
            np.testing.assert_allclose(load(root, f'{split}_feat_5')[i], site.x[patient], rtol=1e-6)
            size, kind = site.rows[patient]
            assert load(root, f'{split}_x_preope')[i].tolist() == [
                float(size),
                kind == 'ductal',
                kind == 'lobular',
            ]
            assert load(root, f'{split}_y')[i] == site.labels[patient][0]
    assert not load(root, 'train_missing').any()
    schema = json.loads((root / 'schema.json').read_text())
    assert schema['feat_5']['columns'] == site.columns
    assert schema['missing'] == ['size', 'type', 'mammograms']
    assert schema['patients'] == SPLITS


def test_missing_inputs_are_imputed_from_train_only_and_marked(site: Site, build: Callable) -> None:
    site.rows['val0'][0] = 'NA'
    del site.rows['val1'], site.x['test0'], site.rows['test1'], site.x['test1']
    for patient in site.ids['test'][2:]:
        site.rows[patient][0] = '199'  # must not move the median
        site.x[patient] = site.x[patient] + 1000
    root = build(site)
    median = np.median([float(site.rows[i][0]) for i in site.ids['train']])
    assert load(root, 'val_x_preope')[:2, 0].tolist() == [median, median]
    np.testing.assert_allclose(
        load(root, 'test_feat_5')[0], np.mean([site.x[i] for i in site.ids['train']], axis=0), atol=1e-5
    )
    assert load(root, 'val_missing')[:3].tolist() == [
        [True, False, False],
        [True, True, False],
        [False, False, False],
    ]
    assert load(root, 'test_missing')[0].tolist() == [False, False, True]
    assert load(root, 'test_fortnr').tolist() == [
        i for i in site.ids['test'] if i != 'test1'
    ]  # nothing known of her
    unmatched = json.loads((root / 'schema.json').read_text())['unmatched']
    assert unmatched == {'clinical.csv': ['test1', 'val1'], 'features.npz': ['test0', 'test1']}
    assert np.isfinite(load(root, 'val_x_preope')).all()
    assert read_split(root, 'val', 'clinical-only').missing[:3] == ['size', 'size; type', '']


def test_a_patient_has_the_label_of_the_images_that_have_one(site: Site, build: Callable) -> None:
    site.labels |= dict(train0=[np.nan, 1.0], train1=[np.nan, np.nan])
    y = load(build(site), 'train_y')
    assert y[0] == 1
    assert np.isnan(y[1])


def test_other_features_than_five_keep_the_file_name_and_are_logged(
    site: Site, build: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level('INFO')
    site.columns, site.x = ['a', 'b'], {i: x[:2] for i, x in site.x.items()}
    assert load(build(site), 'train_feat_5').shape == (24, 2)
    assert "feat_5.npy keeps its name but holds the columns ['a', 'b']" in caplog.text


def test_another_site_is_encoded_as_the_first_and_scored_by_its_checkpoint(
    site: Site, build: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build(site)

    def run(*words: object) -> None:
        monkeypatch.setattr(
            sys, 'argv', ['mlp.py', '--mode', 'clinical-mammo', '--max-epoch', '2', *map(str, words)]
        )
        mlp.main()

    run('--data-root', first, '--work-dir', tmp_path / 'out')
    (tmp_path / 'other').mkdir()
    other = Site(tmp_path / 'other')
    other.ids = dict(test=other.ids['test'])
    other.rows['test0'][0] = ''
    for patient in other.ids['test'][1:]:
        other.rows[patient][0] = '100'
    second = build(other, '--fitted', first / 'schema.json', '--allow-unmatched')
    assert load(second, 'test_x_preope')[0, 0] == np.median(
        [float(site.rows[i][0]) for i in site.ids['train']]
    )
    run('--data-root', second, '--work-dir', tmp_path / 'site2', '--test', tmp_path / 'out/checkpoint.pth')
    assert read_predictions(tmp_path / 'site2/predictions_test.csv')[0]['missing_inputs'] == 'size'
    other.arrays['aggregate'] = 'max'
    with pytest.raises(SystemExit):
        build(other, '--fitted', first / 'schema.json')


# refusals


def test_images_of_one_patient_that_disagree_are_listed(site: Site, refused: Callable) -> None:
    site.labels['val3'] = [0.0, 1.0]
    assert "1 patients with several values of N: {'val3': [0.0, 1.0]}" in refused(site)


def test_a_patient_in_two_splits_is_refused(site: Site, refused: Callable) -> None:
    site.ids['test'].append('train0')
    assert "1 patients are in more than one split: ['train0']" in refused(site)


def test_ids_that_match_nowhere_are_shown_from_both_sides(site: Site, refused: Callable) -> None:
    site.rows = {f'0{i}': row for i, row in site.rows.items()}
    message = refused(site)
    assert '48 of 48 rows of clinical.csv match no image: 0test0, ' in message
    assert '48 of 48 patients with images match no row of clinical.csv: test0, ' in message
    assert '--allow-unmatched' in message


def test_few_unmatched_patients_are_named_and_look_alikes_refused_on_demand(
    site: Site, build: Callable, refused: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    site.rows['Test-0'] = site.rows.pop('test0')
    folder = build(site)
    assert "'Test-0' and 'test0'; if it is one, write one id" in caplog.text
    assert '1 of 48 rows of clinical.csv match no image: Test-0' in caplog.text
    shutil.rmtree(folder)
    assert "'Test-0' and 'test0'" in refused(site, '--schema', site.folder / 'schema.yaml', '--strict')


def test_unknown_level_and_wrong_unit_at_test_time_are_refused(site: Site, refused: Callable) -> None:
    site.rows['test0'] = ['0.018', 'mucinous']
    message = refused(site)
    assert "test0: '0.018'" in message
    assert "test0: 'mucinous'" in message
    assert 'times 1000 they fit' in message


def test_an_unknown_label_is_refused(site: Site, refused: Callable) -> None:
    assert "no task 'X' among ['N']" in refused(site, '--schema', site.folder / 'schema.yaml', '--label', 'X')


def test_an_image_without_patient_is_refused(site: Site, refused: Callable) -> None:
    site.ids['val'][2] = ''
    site.labels[''] = [0.0, 0.0]
    assert "'_0.png' has no patient_id" in refused(site)


def test_train_patients_without_any_mammogram_are_refused(site: Site, refused: Callable) -> None:
    site.x = {i: x for i, x in site.x.items() if 'train' not in i}
    assert 'none of the 24 train patients has mammogram features' in refused(site)


@pytest.mark.parametrize(
    ('arrays', 'message'),
    [
        (dict(format_version=3), 'format_version is 3, this release reads 1 and 2'),
        (dict(patient_id=np.array(['a'] * 48)), 'repeated ids a'),
        (dict(x=np.full((48, 5), np.nan, np.float32)), '240 entries are NaN or infinite'),
        (dict(x=np.ones((47, 5), np.float32)), 'not of tools/extract_features.py'),
        (dict(patient_id=np.array([None] * 48, dtype=object)), 'Object arrays cannot be loaded'),
    ],
)
def test_broken_features_are_refused(arrays: dict, message: str, site: Site, refused: Callable) -> None:
    site.arrays |= arrays
    assert message in refused(site)


def test_a_file_that_is_no_feature_file_is_refused(site: Site, refused: Callable) -> None:
    assert 'not of tools/extract_features.py' in refused(
        site, '--schema', site.folder / 'schema.yaml', '--features', site.folder / 'schema.yaml'
    )


def test_a_variable_that_is_the_label_is_named(
    site: Site, build: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    for patient, (_, kind) in site.rows.items():
        label = site.labels[patient][0]
        site.rows[patient] = (str(2 if label == 1 else 1), kind)
    build(site)
    assert 'clinical.csv: size: each alone tells the label of nearly all train patients' in caplog.text
