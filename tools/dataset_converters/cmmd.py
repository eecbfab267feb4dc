"""CMMD (Cui et al. 2021, TCIA doi 10.7937/tcia.eqde-4b16) to the input of tools/preprocess.py.

CMMD_clinicaldata_revision saved as CSV, folder of patients -> images.csv, labels.csv, convert_report.json
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pandas as pd

from mammo.public_sets.layouts import Layout, main


def columns(table: pd.DataFrame) -> dict[str, pd.Series]:
    """One row per breast; its images are found by patient folder, view and side by their headers."""
    return dict(dicom_path=table['ID1'], patient_id=table['ID1'], laterality=table['LeftRight'])


def labels(table: pd.DataFrame) -> dict[str, pd.Series]:
    """classification is Benign or Malignant; anything else is unknown."""
    return dict(malignant=table['classification'].str.lower().map({'benign': 0.0, 'malignant': 1.0}))


LAYOUT = Layout(
    name='CMMD',
    source='CMMD_clinicaldata_revision',
    required=['ID1', 'LeftRight', 'Age', 'abnormality', 'classification'],
    columns=columns,
    one_row_per_breast=True,
    labels=labels,
    clinical=dict(age='Age'),
)


if __name__ == '__main__':
    print(main(LAYOUT, __doc__))
