"""VinDr-Mammo (Nguyen et al. 2023, doi 10.1038/s41597-023-02100-7) to the input of tools/preprocess.py.

breast-level_annotations.csv, folder images/ -> images.csv, labels.csv, convert_report.json
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pandas as pd

from mammo.public_sets.layouts import Layout, main


def columns(table: pd.DataFrame) -> dict[str, pd.Series]:
    """One row per image. Patients are not published: the study stands for the patient."""
    return dict(
        dicom_path=table['study_id'] + '/' + table['image_id'] + '.dicom',
        patient_id=table['study_id'],
        exam_id=table['study_id'],
        view=table['view_position'],
        laterality=table['laterality'],
        split=table['split'],
    )


def labels(table: pd.DataFrame) -> dict[str, pd.Series]:
    """'BI-RADS 4' -> 4; from 4 on a biopsy is advised."""
    birads = pd.to_numeric(table['breast_birads'].str.extract(r'(\d)', expand=False))
    return dict(birads=birads, suspicious=(birads >= 4).astype(float).where(birads.notna()))


LAYOUT = Layout(
    name='VinDr-Mammo',
    source='breast-level_annotations.csv',
    required=[
        'study_id',
        'image_id',
        'laterality',
        'view_position',
        'breast_birads',
        'breast_density',
        'split',
    ],
    columns=columns,
    labels=labels,
    clinical=dict(breast_density='breast_density'),
)


if __name__ == '__main__':
    print(main(LAYOUT, __doc__))
