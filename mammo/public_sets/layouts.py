"""What four public data sets call things, and what each of their published label values means.

text table of a data set -> columns of images.csv; name of a task -> column and its values
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pandas as pd


class Labelling(NamedTuple):
    """A task's column, and the number that each published value means; all other values are unknown."""

    column: str
    values: Mapping[str, float]  # by value in lower case
    only_if: tuple[str, str] | None = None  # column and value of the rows that the task is about

    def applies_to(self, table: pd.DataFrame) -> pd.Series:
        """Rows that the task is about."""
        if self.only_if is None:
            return pd.Series(True, table.index)
        return table[self.only_if[0]] == self.only_if[1]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One data set."""

    name: str
    source: str  # the tables, as they are published
    required: Sequence[str]
    filled: Sequence[str]  # required columns that must hold a value: of patients and paths
    side: str  # column of the side
    columns: Mapping[str, str]  # of images.csv, each made of the cells of a row
    labels: Mapping[str, Labelling]  # by task
    one_row_per_breast: bool = False  # dicom_path is then the folder of the patient
    optional: Sequence[str] = ()  # columns that exports may have, and images.csv then has, too
    clinical: Mapping[str, str] = field(default_factory=dict)  # our name -> column

    def images(self, table: pd.DataFrame) -> pd.DataFrame:
        """``columns`` of every row of a text table."""
        rows = table.to_dict('records')
        copied: dict[str, Any] = {name: table[name] for name in self.optional if name in table}
        made = {name: [form.format_map(row) for row in rows] for name, form in self.columns.items()}
        return pd.DataFrame(copied | made, table.index)


# Lee et al. 2017, doi 10.1038/sdata.2017.177
CBIS_DDSM = Layout(
    name='CBIS-DDSM',
    source='case description CSVs, all four at once',
    required=[
        'patient_id', 'left_or_right_breast', 'image_view', 'pathology', 'image_file_path', 'breast_density',
    ],
    filled=['patient_id', 'image_file_path'],
    side='left_or_right_breast',
    columns=dict(  # one row per lesion; pooling mass and calc mixes the two splits
        dicom_path='{image_file_path}', patient_id='{patient_id}', view='{image_view}',
        laterality='{left_or_right_breast}', split='{part}',
    ),
    labels=dict(
        malignant=Labelling('pathology', dict(benign=0, benign_without_callback=0, malignant=1)),
    ),
    clinical=dict(breast_density='breast_density', abnormality='abnormality_type', assessment='assessment'),
)  # fmt: skip


# Cui et al. 2021, TCIA doi 10.7937/tcia.eqde-4b16
CMMD = Layout(
    name='CMMD',
    source='CMMD_clinicaldata_revision',
    required=['ID1', 'LeftRight', 'Age', 'abnormality', 'classification'],
    filled=['ID1'],
    side='LeftRight',
    # one row per breast; its images are found by patient folder, view and side by their headers
    columns=dict(dicom_path='{ID1}', patient_id='{ID1}', laterality='{LeftRight}'),
    labels=dict(malignant=Labelling('classification', dict(benign=0, malignant=1))),
    one_row_per_breast=True,
    clinical=dict(age='Age'),
)


# RSNA Screening Mammography Breast Cancer Detection, Kaggle 2022; labels hold for the breast
RSNA2022 = Layout(
    name='RSNA 2022',
    source='train.csv',
    required=[
        'site_id', 'patient_id', 'image_id', 'laterality', 'view', 'age', 'cancer', 'invasive', 'implant',
        'density', 'machine_id',
    ],
    filled=['patient_id', 'image_id'],
    side='laterality',
    optional=['photometric'],
    columns=dict(  # one row per image; the site becomes the cohort
        dicom_path='{patient_id}/{image_id}.dcm', patient_id='{patient_id}',
        view='{view}', laterality='{laterality}', cohort='site{site_id}',
    ),
    labels=dict(
        cancer=Labelling('cancer', {'0': 0, '1': 1}),
        invasive=Labelling('invasive', {'0': 0, '1': 1}, only_if=('cancer', '1')),
        dense=Labelling('density', dict(a=0, b=0, c=1, d=1)),
    ),
    clinical=dict(age='age', site='site_id', machine='machine_id', density='density', implant='implant'),
)  # fmt: skip


# Nguyen et al. 2023, doi 10.1038/s41597-023-02100-7; from BI-RADS 4 on a biopsy is advised
VINDR_MAMMO = Layout(
    name='VinDr-Mammo',
    source='breast-level_annotations.csv',
    required=[
        'study_id', 'image_id', 'laterality', 'view_position', 'breast_birads', 'breast_density', 'split',
    ],
    filled=['study_id', 'image_id'],
    side='laterality',
    columns=dict(  # one row per image; patients are not published: the study stands for the patient
        dicom_path='{study_id}/{image_id}.dicom', patient_id='{study_id}', exam_id='{study_id}',
        view='{view_position}', laterality='{laterality}', split='{split}',
    ),
    labels=dict(
        birads=Labelling('breast_birads', {f'bi-rads {i}': i for i in range(1, 6)}),
        suspicious=Labelling('breast_birads', {f'bi-rads {i}': int(i >= 4) for i in range(1, 6)}),
    ),
    clinical=dict(breast_density='breast_density'),
)  # fmt: skip
