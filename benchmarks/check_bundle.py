"""Does a bundle, given DICOM files, answer what the files of the study and of the bundle say it must?

cross-validation, bundle, data set -> largest difference by what was compared; exit 1 above 1e-6
Command, after make demo: python benchmarks/check_bundle.py --cv demo/cross_validation --bundle demo/bundle \
    --data demo/phantom --dicom demo/dicom --clinical demo/dicom/clinical.csv

Raw outputs and fused probabilities of a member are compared where tools/test.py and mlp.py have scored it: on
the test patients of its fold. Then each patient is answered with the side known and unknown, in 5 patterns of
missing values each; members, calibrated probability, decision and answering model are computed again here,
from the bundle's JSON and arrays and the images' outputs, with NumPy and pandas only.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pandas as pd
from safetensors.numpy import load_file
from tqdm import tqdm

from mammo.inference.prediction import Prediction
from mammo.inference.predictor import Predictor
from mammo.records.meta import read_meta
from mammo.records.predictions import read_predictions

LIMIT = 1e-6
PATTERNS = 5  # of missing values: none, all, and shares of the variables in between


class Study:
    """What a finished cross-validation has said."""

    def __init__(self, folder: Path, members: list[str], model: str) -> None:
        records = {m: read_predictions(folder / m / 'predictions_test.json') for m in members}
        self.images = {(m, r['img_path']): r['tasks'] for m, of in records.items() for r in of}
        self.fused: dict[tuple[str, str], float] = {}
        for m in members:
            with (folder / m / f'fusion/clinical-mammo_{model}/predictions_test.csv').open() as file:
                for row in csv.DictReader(file):
                    (prob,) = (float(row[name]) for name in row if name.endswith('_pred_score'))
                    self.fused[m, row['patient_id']] = prob


class Own:
    """The bundle's numbers, read and used without any code of the product."""

    def __init__(self, folder: Path) -> None:
        content = json.loads((folder / 'clinical.json').read_text())
        self.inputs = content['members']
        names = [f'fusion/member_{i:02d}.safetensors' for i in range(len(self.inputs))]
        self.arrays = [load_file(folder / name) for name in names]
        self.is_mlp = content['model'] == 'mlp'
        self.decision = json.loads((folder / 'decision.json').read_text())
        self.variables = self.inputs[0]['encoding']['x_preope']['encoder']['schema']['variables']

    def fused(self, row: pd.Series, raw: np.ndarray, side_known: bool) -> np.ndarray:
        """Probs of the members (M,): texts of the variables ('' unknown), raw outputs (M, tasks)."""
        probs = []
        for inputs, arrays, outputs in zip(self.inputs, self.arrays, raw, strict=True):
            x = np.float32([*self._clinical(row, inputs), *self._images(inputs, outputs)])
            flags = [
                self._is_missing(name, row, side_known) for name in inputs['columns'] if ' missing' in name
            ]
            x = (np.append(x, np.float32(flags)) - arrays['mean']) * arrays['scale']
            probs.append(self._network(x, arrays))
        return np.array(probs)

    def _clinical(self, row: pd.Series, inputs: dict) -> list[float]:
        values: list[float] = []
        for v, fill in zip(self.variables, inputs['encoding']['x_preope']['encoder']['fill'], strict=True):
            text = row[v['column']]
            is_number = v['kind'] == 'continuous'
            value = fill if text == '' else float(text) if is_number else v['levels'].index(text)
            one_hot = v['kind'] == 'nominal'
            values += [float(value == i) for i in range(len(v['levels']))] if one_hot else [value]
        return values

    def _images(self, inputs: dict, outputs: np.ndarray) -> np.ndarray:
        about = inputs['encoding']['feat_5']
        return (outputs.astype(float) - about['center']) / about['scale']

    def _is_missing(self, column: str, row: pd.Series, side_known: bool) -> float:
        name = column.removesuffix(' missing')
        columns = {v['name']: v['column'] for v in self.variables}
        if name in columns:
            return float(row[columns[name]] == '')
        return float(name == 'tumor side' and not side_known)

    def _network(self, x: np.ndarray, arrays: dict[str, np.ndarray]) -> float:
        if not self.is_mlp:
            return _sigmoid(x @ arrays['state_dict.weight'] + arrays['state_dict.bias'])
        w1, b1, w2, b2 = (
            arrays[f'state_dict.{name}'][0] for name in ('weight1', 'bias1', 'weight2', 'bias2')
        )
        return _sigmoid((np.maximum(x.astype(np.float32) @ w1 + b1, 0) @ w2 + b2).item())

    def answer(self, row: pd.Series, of_images: float, fused: np.ndarray, side: str) -> tuple[Any, ...]:
        """Prob, whether it is positive (None: no threshold), and the model that answers."""
        known = [v['name'] for v in self.variables if row[v['column']] != '']
        pattern = sum(2**i for i, v in enumerate(self.variables) if v['name'] in known)
        patterns = self.decision['fused_patterns'][side]
        cell = (patterns[pattern] if patterns else None) or self.decision['fused'][side][len(known)]
        model = 'fused' if known and cell['better'] else 'mammograms'
        used = cell if model == 'fused' else self.decision['mammograms'][side]
        prob, line = fused.mean() if model == 'fused' else of_images, used['recalibration']
        if line is not None:
            logit = np.log(prob / (1 - prob))
            prob = _sigmoid(line['intercept'] + line['slope'] * logit)
        threshold = used['threshold']
        return prob, None if threshold is None else bool(prob >= threshold), model


def _sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def with_study(
    answer: Prediction, items: list[dict], study: Study, members: list[str]
) -> Iterator[tuple[str, float]]:
    """What was compared with the cross-validation, and by how much it differs."""
    tasks, patient = list(answer.tasks), items[0]['patient_id']
    for k, member in enumerate(members):
        if answer.fused and (member, patient) in study.fused:
            yield (
                'fused probabilities of the study',
                abs(answer.fused.members[k] - study.fused[member, patient]),
            )
        for item, (_, seen) in zip(items, answer.shown, strict=True):
            before = study.images.get((member, item['img_path']), {})
            for i, task in enumerate(tasks if before else ()):
                yield 'raw outputs of the study', abs(float(seen.logits[k, i]) - before[task]['logit'])


def with_own(answer: Prediction, own: Own, row: pd.Series, side: str | None) -> Iterator[tuple[str, float]]:
    """What was computed here, and by how much the answer differs."""
    used = [seen.logits for image, seen in answer.shown if side is None or image.laterality == side]
    logits, main = np.stack(used), list(answer.tasks).index(answer.label)  # (images, members, tasks)
    of_images = (1 / (1 + np.exp(-logits[..., main].astype(float)))).mean(axis=1).max()
    yield 'probabilities of the images', abs(answer.tasks[answer.label].value - of_images)
    fused = own.fused(row, logits.mean(axis=0), side is not None)
    if answer.fused:
        yield 'fused probabilities', float(np.abs(answer.fused.members - fused).max())
    prob, positive, model = own.answer(row, of_images, fused, 'unknown' if side is None else 'known')
    yield 'answers', abs(answer.main.lead - prob)
    decided = None if answer.main.decision is None else answer.main.decision['positive']
    yield 'decisions and answering models', float(decided != positive or answer.model != model)


def patterns(row: pd.Series, number: int) -> Iterator[pd.Series]:
    """All values, none, and a quarter, half, three quarters of them hidden at random."""
    rng = np.random.default_rng(number)
    for share in np.linspace(0, 1, PATTERNS):
        hidden = rng.permutation(len(row)) < round(share * len(row))
        yield row.where(~hidden, '')


class Remembered:
    """Outputs of the last exam: patterns of values do not change what the networks see."""

    def __init__(self, network: Any) -> None:
        self.network, self.of, self.passes = network, b'', []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)

    def __call__(self, images: Sequence[np.ndarray], *others: Any) -> list:
        pixels = b''.join(image.tobytes() for image in images)
        if pixels != self.of:
            self.of, self.passes = pixels, self.network(images, *others)
        return self.passes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, text in dict(
        cv='folder of tools/cross_validate.py', bundle='made of it', data='folder of tools/preprocess.py',
        dicom='folder that it read', clinical='table of the fusion',
    ).items():  # fmt: skip
        parser.add_argument(f'--{name}', type=Path, required=True, help=text)
    parser.add_argument('--patients', type=int, help='only so many')
    args = parser.parse_args()
    predictor = Predictor.load(args.bundle)
    assert predictor.fusion, 'the bundle has no fused model'
    study, own = Study(args.cv, predictor.members, predictor.fusion.model), Own(args.bundle)
    predictor.network = Remembered(predictor.network)  # type: ignore[assignment]
    columns = [v['column'] for v in own.variables]
    clinical = pd.read_csv(args.clinical, dtype=str, keep_default_na=False).set_index('patient_id')[columns]
    patients: dict[str, list[dict[str, Any]]] = {}
    for item in read_meta(args.data / 'meta.json')['data_list']:
        patients.setdefault(item['patient_id'], []).append(item)
    found: dict[str, list[float]] = {}
    for number, (patient, items) in enumerate(tqdm([*patients.items()][: args.patients], 'patients')):
        files, tumor_side = [args.dicom / item['source'] for item in items], items[0].get('tumor_side')
        for side in dict.fromkeys((tumor_side, None)):
            for row in patterns(clinical.loc[patient], number):
                answer = predictor.predict(files, row.to_dict(), tumor_side=side)
                compared = [*with_own(answer, own, row, side)]
                if side == tumor_side and row.equals(clinical.loc[patient]):
                    compared += with_study(answer, items, study, predictor.members)
                for what, by in compared:
                    found.setdefault(what, []).append(by)
    for what, by in found.items():
        print(f'{number + 1} patients, {len(by)} {what}: largest difference {max(by):.1e}')
    sys.exit(len(found) != 6 or max(map(max, found.values())) > LIMIT)


if __name__ == '__main__':
    main()
