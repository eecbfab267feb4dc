"""Is an answer true when part of the input is unknown? Calibration and sensitivity by what is known.

phantom patients with simulated outputs, or METABRIC (clinical only) -> table: a row per pattern of inputs
Command: python benchmarks/studies/partial_input.py [--table brca_metabric_clinical_data.tsv] [--before]

Development patients are cross-validated as tools/cross_validate.py does it; cells are made as those of
tools/make_bundle.py; the rows are of patients whom no model and no cell has seen.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit
from sklearn.metrics import roc_auc_score

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.studies.partial_input_patients import Study, cross_validated, metabric, phantoms
from mammo.command import tool_parser
from mammo.evaluation.cells import cell
from mammo.evaluation.clinical_use.calibration import recalibrate, slope
from mammo.fusion.masking import SHARE
from mammo.fusion.partial import KNOWN, UNKNOWN, rescored, without
from mammo.inference.bundle.decisions import FUSED, PATTERNS
from mammo.inference.making.decisions import fused_cells

TARGET = 0.9


def patterns(n_variables: int, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """0, 1, 4, all variables known, and 20 random subsets -> name, mask of the hidden ones."""
    for number in (0, 1, 4, n_variables):
        mask = np.arange(n_variables) >= number
        yield f'first {number}', mask
    for i in range(20):
        mask = np.zeros(n_variables, bool)
        mask[rng.permutation(n_variables)[: rng.integers(1, n_variables)]] = True
        yield f'random {i}', mask


def image_cells(study: Study, dev: pd.Series) -> dict[str, tuple[pd.Series, dict]]:
    """Per side: probs of the images alone, and their cell."""
    cells = {}
    for side, frame in ((KNOWN, study.features.sided), (UNKNOWN, study.features.both_sides)):
        if frame is not None and 'N' in frame:
            prob = pd.Series(expit(frame['N'].astype(float)), frame.index)
            rows = pd.DataFrame(dict(patient_id=dev.index, prob=prob[dev.index], label=dev, subset=0))
            cells[side] = prob, cell(rows, TARGET, None)
    return cells


def answers(
    cells: tuple[list, list],
    everyone: list,
    mask: np.ndarray,
    side: str,
    images: tuple | None,
    *,
    before: bool,
) -> pd.DataFrame | None:
    """Calibrated prob, threshold and stated interval of each test patient, as a bundle answers.

    Threshold and interval are NaN where the cell has none: a bundle gives no decision then.

    Args:
        cells: by number of known variables, and by pattern; without the latter, the first is that of all.
    """
    by_number, by_pattern = cells
    rows = without(everyone, mask, side=side)
    if rows is None:
        return None
    rows = rows[rows.n_known == (~mask).sum()]  # of whom just these values are known
    parts = []
    for (n_known, pattern), part in rows.groupby(['n_known', 'pattern']):
        made = (by_pattern[pattern] if by_pattern else None) or by_number[-1 if before else int(n_known)]
        prob, model = part.prob.to_numpy(), 'fused'
        if not before and images and not made['better']:
            prob, made, model = images[0][part.patient_id].to_numpy(), images[1], 'images'
        prob = recalibrate(made['recalibration'], prob) if made['recalibration'] else prob
        parts.append(part.assign(prob=prob, model=model, **stated(made)))
    return pd.concat(parts)


def stated(made: dict) -> dict[str, float]:
    """Threshold and interval of the sensitivity that a cell states."""
    if made['threshold'] is None:
        return dict(threshold=np.nan, low=np.nan, high=np.nan)
    sensitivity = made['achieved']['sensitivity']
    return dict(threshold=made['threshold'], low=sensitivity['ci_low'], high=sensitivity['ci_high'])


def row_of(frame: pd.DataFrame) -> dict[str, Any]:
    """One pattern; the sensitivity is that of the patients who get a decision."""
    decided = frame.threshold.notna()
    positive = frame[decided & (frame.label == 1)]
    steepness = slope(frame.prob.to_numpy(), frame.label.to_numpy())
    return dict(
        bias=frame.prob.mean() - frame.label.mean(),
        auc=roc_auc_score(frame.label, frame.prob) if frame.prob.nunique() > 1 else np.nan,
        sensitivity=(positive.prob >= positive.threshold).mean(),
        low=positive.low.mean(), high=positive.high.mean(),
        slope=steepness['value'],
        one=np.nan if steepness['value'] is None else steepness['ci_low'] < 1 < steepness['ci_high'],
        fused=(frame.model == 'fused').mean(), decided=decided.mean(),
    )  # fmt: skip


def run(
    study: Study,
    dev: pd.Series,
    test: pd.Series,
    *,
    before: bool,
    by_number: bool,
    model: str,
    mask_share: float,
) -> pd.DataFrame:
    """One split of one study -> a row per pattern."""
    groups, everyone = cross_validated(study, dev, test, model=model, mask_share=0 if before else mask_share)
    images, unknowns, table = image_cells(study, dev), everyone[0].unknowns, []
    made = fused_cells(groups, TARGET, None, {side: of_side for side, (_, of_side) in images.items()})
    if before:  # one calibration and threshold, of all values and a known side
        complete = rescored(groups).query(f'side == "{KNOWN}" and n_known == {unknowns.n_variables}')
        made = {FUSED: {side: [cell(complete, TARGET, None)] for side in made[FUSED]}, PATTERNS: {}}
    for side, of_number in made[FUSED].items():
        cells = of_number, [] if by_number else made[PATTERNS].get(side, [])
        for name, mask in patterns(unknowns.n_variables, np.random.default_rng(1)):
            frame = answers(cells, everyone, mask, side, images.get(side), before=before)
            if frame is not None:
                table.append(dict(side=side, known=name, **row_of(frame)))
    return pd.DataFrame(table)


def over_splits(table: pd.DataFrame) -> pd.DataFrame:
    """A row per pattern: means over splits, and half the 95 % interval of those of bias and slope."""
    within = table.sensitivity.between(table.low, table.high).astype(float)
    table = table.assign(within=within.where(table.decided > 0))
    rows = table.groupby(['side', 'known'], sort=False)
    means = rows[['bias', 'slope', 'one', 'auc', 'sensitivity', 'within', 'fused', 'decided']].mean()
    n = rows.size().iloc[0]
    half = (
        rows[['bias', 'slope']].sem() * stats.t.ppf(0.975, n - 1)
        if n > 1
        else means[['bias', 'slope']] * np.nan
    )
    return means.assign(bias_half=half.bias, slope_half=half.slope).reset_index()


def main() -> None:
    parser = tool_parser(__doc__)
    parser.add_argument('--table', help='METABRIC, half of it test; without it phantoms')
    parser.add_argument('--patients', type=int, default=600, help='phantoms for development')
    parser.add_argument('--test-patients', type=int, default=4000, help='phantoms for test')
    parser.add_argument(
        '--splits',
        type=int,
        default=20,
        help='of METABRIC, halves used both ways; of phantoms, sets of patients',
    )
    parser.add_argument('--model', choices=['mlp', 'logistic'], default='mlp')
    parser.add_argument('--mask-share', type=float, default=SHARE)
    parser.add_argument('--by-number', action='store_true', help='cells by number of known values only')
    parser.add_argument('--before', action='store_true', help='no masks, and the cell of all values for all')
    args = parser.parse_args()
    options = {name: vars(args)[name] for name in ('before', 'by_number', 'model', 'mask_share')}
    parts = []
    for seed in range(args.splits):
        n_patients = args.patients + args.test_patients
        study = metabric(args.table) if args.table else phantoms(n_patients, seed)
        n_test = len(study.labels) // 2 if args.table else args.test_patients
        order = np.random.default_rng(seed).permutation(len(study.labels))
        halves = study.labels.iloc[order[n_test:]], study.labels.iloc[order[:n_test]]
        for dev, test in (halves, halves[::-1])[: 2 if args.table else 1]:
            parts.append(run(study, dev, test, **options))
    table = over_splits(pd.concat(parts))
    print(table.round(3).to_string(index=False))
    decided = table[table.decided > 0]
    print(f'largest mean bias {decided.bias.abs().max():.3f}; sensitivity within the stated interval in '
          f'{decided.within.mean():.1%} of rows and splits; lowest mean {decided.sensitivity.min():.3f}; no '
          f'decision in {len(table) - len(decided)} rows')  # fmt: skip


if __name__ == '__main__':
    main()
