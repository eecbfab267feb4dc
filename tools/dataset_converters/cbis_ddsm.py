"""CBIS-DDSM (Lee et al. 2017, doi 10.1038/sdata.2017.177) to the input of tools/preprocess.py.

{mass,calc}_case_description_{train,test}_set.csv -> images.csv, labels.csv, convert_report.json
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pandas as pd

from mammo.public_sets.layouts import Layout, main


def columns(table: pd.DataFrame) -> dict[str, pd.Series]:
    """One row per lesion; the split is part of the file name. Pooling mass and calc mixes the two splits."""
    return dict(
        dicom_path=table['image_file_path'],
        patient_id=table['patient_id'],
        view=table['image_view'],
        laterality=table['left_or_right_breast'].str[0],
        split=table['file'].str.extract('(train|test)', expand=False),
    )


def labels(table: pd.DataFrame) -> dict[str, pd.Series]:
    """BENIGN and BENIGN_WITHOUT_CALLBACK are both benign."""
    return dict(malignant=(table['pathology'] == 'MALIGNANT').astype(float))


LAYOUT = Layout(
    name='CBIS-DDSM',
    source='case description CSVs, all four at once',
    required=[
        'patient_id',
        'left_or_right_breast',
        'image_view',
        'pathology',
        'image_file_path',
        'breast_density',
    ],
    columns=columns,
    labels=labels,
    clinical=dict(breast_density='breast_density', abnormality='abnormality_type', assessment='assessment'),
)


if __name__ == '__main__':
    print(main(LAYOUT, __doc__))
