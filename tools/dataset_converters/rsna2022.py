"""RSNA Screening Mammography Breast Cancer Detection (Kaggle 2022) to the input of tools/preprocess.py.

train.csv, folder train_images/ -> images.csv, labels.csv, convert_report.json
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pandas as pd

from mammo.public_sets.layouts import Layout, main


def columns(table: pd.DataFrame) -> dict[str, pd.Series]:
    """One row per image; the site becomes the cohort."""
    return dict(
        dicom_path=table['patient_id'] + '/' + table['image_id'] + '.dcm',
        patient_id=table['patient_id'],
        view=table['view'],
        laterality=table['laterality'],
        cohort='site' + table['site_id'],
    )


def labels(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Labels hold for the breast; invasive means something only where there is a cancer."""
    cancer, invasive = (pd.to_numeric(table[name]) for name in ('cancer', 'invasive'))
    return dict(cancer=cancer, invasive=invasive.where(cancer == 1))


LAYOUT = Layout(
    name='RSNA 2022',
    source='train.csv',
    required=['site_id', 'patient_id', 'image_id', 'laterality', 'view', 'age', 'cancer', 'invasive'],
    columns=columns,
    labels=labels,
    clinical=dict(age='age'),
)


if __name__ == '__main__':
    print(main(LAYOUT, __doc__))
