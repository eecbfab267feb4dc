"""Does a bundle, given DICOM files, say of every patient what the cross-validation said that it was made of?

cross-validation, bundle, data set -> largest difference of any member, image and task; exit 1 above 1e-6
Command, after make demo: python benchmarks/check_bundle.py --cv demo/cross_validation --bundle demo/bundle \
    --data demo/phantom --dicom demo/dicom --clinical demo/dicom/clinical.csv

Each member is compared where tools/test.py and mlp.py have scored it: on the test patients of its fold.
"""

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tqdm import tqdm

from mammo.inference.prediction import Prediction
from mammo.inference.predictor import Predictor
from mammo.records.meta import read_meta
from mammo.records.predictions import read_predictions
from mammo.records.tables import read_table

LIMIT = 1e-6


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


def differences(
    answer: Prediction, items: list[dict], study: Study, members: list[str]
) -> Iterator[tuple[str, float]]:
    """What was compared, and by how much it differs."""
    tasks = list(answer.tasks)
    for k, member in enumerate(members):
        if answer.fused and (member, items[0]['patient_id']) in study.fused:
            said = study.fused[member, items[0]['patient_id']]
            yield 'fused probabilities', abs(answer.fused.members[k] - said)
        for item, (_, seen) in zip(items, answer.shown, strict=True):
            before = study.images.get((member, item['img_path']), {})
            for i, task in enumerate(tasks if before else ()):
                yield 'raw outputs', abs(float(seen.logits[k, i]) - before[task]['logit'])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, text in dict(
        cv='folder of tools/cross_validate.py', bundle='made of it', data='folder of tools/preprocess.py',
        dicom='folder that it read', clinical='table of the fusion',
    ).items():  # fmt: skip
        parser.add_argument(f'--{name}', type=Path, required=True, help=text)
    args = parser.parse_args()
    predictor = Predictor.load(args.bundle)
    assert predictor.fusion, 'the bundle has no fused model'
    study = Study(args.cv, predictor.members, predictor.fusion.model)
    columns = [v['column'] for v in predictor.schema]
    clinical = read_table(args.clinical).set_index(predictor.fusion.schema.patient_id)[columns]
    patients: dict[str, list[dict[str, Any]]] = {}
    for item in read_meta(args.data / 'meta.json')['data_list']:
        patients.setdefault(item['patient_id'], []).append(item)
    found: dict[str, list[float]] = {}
    for patient, items in tqdm(patients.items(), 'patients'):
        files, side = [args.dicom / item['source'] for item in items], items[0].get('tumor_side')
        answer = predictor.predict(files, clinical.loc[patient].to_dict(), tumor_side=side)
        for what, by in differences(answer, items, study, predictor.members):
            found.setdefault(what, []).append(by)
    for what, by in found.items():
        print(f'{len(patients)} patients, {len(by)} {what}: largest difference {max(by):.1e}')
    sys.exit(len(found) != 2 or max(map(max, found.values())) > LIMIT)


if __name__ == '__main__':
    main()
