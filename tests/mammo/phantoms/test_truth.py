"""The generative model of the phantoms and the best scores it allows."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import r2_score, roc_auc_score

from mammo.phantoms import truth as truth


@pytest.fixture(scope='module')
def table():
    return truth.sample_patients(20_000, np.random.default_rng(11))


@pytest.fixture(scope='module')
def best():
    return truth.best_reachable(50_000)['best']


def test_same_rng_seed_gives_the_same_patients():
    one, two = (truth.sample_patients(50, np.random.default_rng(4)) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)


def test_table_has_every_label_and_clinical_variable_without_gaps(table):
    assert table[truth.LABELS + truth.CLINICAL].notna().all().all()


def test_prevalence_and_ranges_are_plausible(table):
    assert table['N'].mean() == pytest.approx(0.35, abs=0.03)
    assert set(table['N']) == set(table['LVI']) == set(table['multifocality']) == {0, 1}
    assert 0 < table['tumor_size'].quantile(0.01) < table['tumor_size'].quantile(0.99) < 1
    assert table['age'].between(30, 90).all()
    assert table['ki67_pct'].between(1, 95).all()


def test_positive_nodes_agree_with_n(table):
    assert ((table['NumPos'] > 0) == (table['N'] == 1)).all()


def test_labels_follow_from_what_is_drawn(table):
    assert table['tumor_size'].corr(table['diameter_mm']) > 0.9
    agree = (table['multifocality'] == (table['n_lesions'] > 1)).mean()
    assert agree == pytest.approx(1 - truth.FLIP_PROB, abs=0.005)
    assert roc_auc_score(table['LVI'], table['contrast_z']) > 0.7


def test_clinical_score_is_independent_of_the_images_and_about_standard(table):
    score = truth.clinical_score(table)
    assert abs(score.corr(truth.image_score(table))) < 0.03
    assert score.mean() == pytest.approx(0, abs=0.05)
    assert score.std() == pytest.approx(1, abs=0.1)


def test_both_sources_beat_each_alone_for_n(best):
    n_auc = best['N_roc_auc']
    assert n_auc['clinical'] + 0.05 < n_auc['image'] < n_auc['both'] - 0.05
    assert n_auc['clinical'] == pytest.approx(0.70, abs=0.02)
    assert n_auc['image'] == pytest.approx(0.78, abs=0.02)
    assert n_auc['both'] == pytest.approx(0.85, abs=0.01)


def test_logistic_regression_on_all_that_is_known_of_many_patients_reaches_the_best(best):
    """Oracle: no posterior, a fit to the clinical columns and to what is drawn."""
    fitted, held_out = (truth.sample_patients(30_000, np.random.default_rng(seed)) for seed in (21, 22))

    def columns(table, source):
        clinical = dict(
            ki67=np.log(table['ki67_pct']), grade=table['grade'], size=np.log(table['size_imaging_mm']),
            symptomatic=table['mode_of_detection'] == 'symptomatic', age=table['age'], HER2=table['HER2'],
        )  # fmt: skip
        drawn = table[['size_z', 'contrast_z', 'spike_z', 'n_lesions']].to_dict('series')
        known = dict(clinical=clinical, image=drawn, both=clinical | drawn)
        return np.column_stack([np.asarray(column, float) for column in known[source].values()])

    for source, reachable in best['N_roc_auc'].items():
        model = LogisticRegression(max_iter=1000).fit(columns(fitted, source), fitted['N'])
        reached = roc_auc_score(held_out['N'], model.decision_function(columns(held_out, source)))
        assert reached == pytest.approx(reachable, abs=0.012)


def test_every_task_has_a_best_value_between_chance_and_perfect(best):
    assert {key.rsplit('_roc_auc')[0].rsplit('_r2_score')[0] for key in best} == set(truth.LABELS)
    for key, row in best.items():
        chance = 0.5 if key.endswith('roc_auc') else 0.0
        assert all(chance < value < 1 for value in row.values())


def test_two_samples_agree_on_the_truth(best):
    other = truth.best_reachable(50_000, seed=1)['best']
    for key, row in best.items():
        assert row == pytest.approx(other[key], abs=0.02)


def test_best_values_agree_with_posteriors_integrated_by_brute_force(best):
    """Oracle: average the label probability over what a source does not know, patient by patient."""
    table = truth.sample_patients(3000, np.random.default_rng(5))
    rng = np.random.default_rng(6)
    hidden = truth.sample_patients(400, rng)  # stands for the unknown part
    clinical, image = truth.clinical_score(table).to_numpy(), truth.image_score(table).to_numpy()

    def prob(image_part, clinical_part):
        return expit(truth.N_INTERCEPT + truth.N_IMAGE * image_part + truth.N_CLINICAL * clinical_part)

    from_image = prob(image[:, None], truth.clinical_score(hidden).to_numpy()).mean(axis=1)
    # size given its reading: importance weights over the prior, no use of the closed form
    log_error = np.log(table['size_imaging_mm'].to_numpy()[:, None] / hidden['diameter_mm'].to_numpy())
    weight = np.exp(-0.5 * (log_error / truth.READING_SD) ** 2)
    from_clinical = prob(truth.image_score(hidden).to_numpy(), clinical[:, None])
    from_clinical = (weight * from_clinical).sum(axis=1) / weight.sum(axis=1)
    found = {'image': from_image, 'clinical': from_clinical, 'both': prob(image, clinical)}
    for source, posterior in found.items():
        assert roc_auc_score(table['N'], posterior) == pytest.approx(best['N_roc_auc'][source], abs=0.025)
        assert posterior.mean() == pytest.approx(table['N'].mean(), abs=0.03)


def test_no_fitted_model_beats_the_best_r2_of_num_pos(best, table):
    """Oracle: means over narrow bins of the image score, nearly the best function of it."""
    bins = pd.qcut(truth.image_score(table), 100)
    fitted = table['NumPos'].groupby(bins, observed=True).transform('mean')
    assert r2_score(table['NumPos'], fitted) == pytest.approx(best['NumPos_r2_score']['image'], abs=0.03)


def test_truth_carries_its_format_version_and_how_it_was_made():
    record = truth.best_reachable(1000, seed=2)
    assert (record['format_version'], record['n_samples'], record['seed']) == (1, 1000, 2)


@pytest.mark.parametrize('missing_frac', [0.0, 0.1, 0.6])
def test_missing_values_have_the_asked_share_and_the_rest_is_untouched(table, missing_frac):
    columns = truth.LABELS + truth.CLINICAL
    dropped = truth.drop_values(table, columns, missing_frac, np.random.default_rng(0))
    share = dropped[columns].isna().mean()
    assert share.to_numpy() == pytest.approx(missing_frac, abs=0.02)
    for column in columns:
        kept = dropped[column].notna()
        assert (dropped.loc[kept, column] == table.loc[kept, column]).all()
    assert (dropped['diameter_mm'] == table['diameter_mm']).all()


def test_labels_go_missing_independently_of_each_other(table):
    dropped = truth.drop_values(table, truth.LABELS, 0.3, np.random.default_rng(0))
    gaps = dropped[truth.LABELS].isna().astype(float).corr().to_numpy()
    assert np.abs(gaps - np.eye(len(gaps))).max() < 0.05
