"""Clinical schema and encoders: what loads, what is refused, what is learned from train."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo.errors import UserError
from mammo.fusion.clinical import ClinicalEncoder, check_table, read_clinical
from mammo.fusion.schema import ClinicalError, Schema, read_schema
from mammo.records.tables.reading import read_table

ROOT = Path(__file__).resolve().parents[3]
SIZE = dict(name='size', column='Size', kind='continuous', unit='mm', range=[1, 200])
GRADE = dict(name='grade', column='Grade', kind='ordinal', levels=[1, 2, 3])
TYPE = dict(name='type', column='Type', kind='nominal', levels=['ductal', 'lobular', 'other'])
ER = dict(name='ER', column='ER', kind='binary', levels=['neg', 'pos'])
ALL = (SIZE, GRADE, TYPE, ER)


def schema(*variables: dict, **top: Any) -> Schema:
    return Schema.from_dict(dict(patient_id='id', variables=list(variables or ALL), **top), 'here')


def frame(**columns: list[str]) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    base = dict(
        id=[f'p{i}' for i in range(n)], Size=['20'] * n, Grade=['1'] * n, Type=['ductal'] * n, ER=['neg'] * n
    )
    return pd.DataFrame(base | columns, dtype=str)


# schema


@pytest.mark.parametrize('name', ['example.yaml', 'metabric.yaml'])
def test_shipped_schemas_are_valid(name: str) -> None:
    assert len(read_schema(ROOT / 'configs/clinical' / name).variables) >= 10


def test_example_schema_declares_the_variables_of_the_specification() -> None:
    names = [v.name for v in read_schema(ROOT / 'configs/clinical/example.yaml').variables]
    wanted = 'age detection tumor_size multifocality location histology grade ER PR HER2 Ki67'
    assert names == wanted.split()


def test_metabric_schema_uses_nothing_that_contains_or_follows_the_node_status() -> None:
    columns = ' '.join(
        v.column for v in read_schema(ROOT / 'configs/clinical/metabric.yaml').variables
    ).lower()
    for word in (
        'node',
        'stage',
        'nottingham',
        'surviv',
        'relapse',
        'therapy',
        'surgery',
        'status (',
        'vital',
        'cohort',
    ):
        assert word not in columns


@pytest.mark.parametrize(
    ('variable', 'message'),
    [
        (SIZE | dict(kind='number'), "kind is 'number', expected one of"),
        (SIZE | dict(colour=1), r"variable 0 'size': fields \['colour'\] are unknown or lacking"),
        (dict(name='a', kind='binary'), r"fields \['column'\] are unknown or lacking"),
        (SIZE | dict(unit=''), r'continuous needs unit and range \[low, high\]'),
        (SIZE | dict(range=[200, 1]), r'continuous needs unit and range .* \(it has \[200, 1\]\)'),
        (SIZE | dict(name=False), r'name and column are \[False, .*\]; put text in quotes'),
        (SIZE | dict(column=7), r'name and column are \[.*, 7\]; put text in quotes'),
        (SIZE | dict(name='mammograms'), 'this name means something else'),
        (SIZE | dict(name='tumor side'), 'this name means something else'),
        (SIZE | dict(name='age missing'), 'this name means something else'),
        (SIZE | dict(name='ER; PR'), 'this name means something else'),
        (SIZE | dict(name='type=ductal'), 'this name means something else'),
        (SIZE | dict(range=['a', 'b']), 'continuous needs unit and range'),
        (SIZE | dict(levels=['a', 'b']), 'continuous needs unit and range .* no levels'),
        (SIZE | dict(impute='zero'), "impute is 'zero', continuous allows"),
        (GRADE | dict(levels=[1]), 'ordinal needs levels'),
        (GRADE | dict(range=[1, 3]), 'ordinal needs levels .* no range'),
        (ER | dict(levels=['a', 'b', 'c']), r'binary needs levels \(2 if binary'),
        (ER | dict(levels=[False, True]), r'truth values \[False, True\]; quote them'),
        (ER | dict(levels='ab'), 'must be lists'),
        (ER | dict(levels=['neg', 'neg']), r"\['neg'\] declared twice"),
        (ER | dict(missing=['neg']), r"\['neg'\] declared twice"),
    ],
)
def test_wrong_variables_are_refused(variable: dict, message: str) -> None:
    with pytest.raises(ClinicalError, match=message):
        schema(variable)


@pytest.mark.parametrize(
    'content', [None, [], {}, dict(patient_id='id'), dict(patient_id='id', variables=[3])]
)
def test_schema_without_the_two_keys_is_refused(content: Any) -> None:
    with pytest.raises(ClinicalError, match='here: needs keys "patient_id" and "variables"'):
        Schema.from_dict(content, 'here')


def test_a_name_or_column_declared_twice_is_refused() -> None:
    with pytest.raises(ClinicalError, match=r"\['size'\] are declared more than once"):
        schema(SIZE, SIZE | dict(column='other'))


def test_a_misspelt_key_of_a_schema_is_refused() -> None:
    with pytest.raises(ClinicalError, match=r"keys \['mising'\] are unknown"):
        Schema.from_dict(dict(patient_id='id', mising=['?'], variables=[SIZE]))


@pytest.mark.parametrize(
    'text',
    [
        'patient_id: id\nvariables: [{}]\nvariables:\n- {}\n',
        'patient_id: id\nvariables:\n- {name: a, column: b, column: c, kind: binary, levels: [0, 1]}\n',
    ],
)
def test_a_key_that_is_twice_in_a_schema_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / 's.yaml').write_text(text)
    with pytest.raises(ClinicalError, match=r's\.yaml: .* are there twice'):
        read_schema(tmp_path / 's.yaml')


def test_a_wrong_variable_is_named_with_its_file(tmp_path: Path) -> None:
    (tmp_path / 's.yaml').write_text(yaml.safe_dump(dict(patient_id='id', variables=[SIZE | dict(kind='x')])))
    with pytest.raises(ClinicalError, match=r"s\.yaml.*: kind is 'x'"):
        read_schema(tmp_path / 's.yaml')


@pytest.mark.parametrize(
    ('value', 'factor'),
    [('0.03', '1000'), ('30000', '0.001'), ('3', '10'), ('300', '0.1'), ('0.3', '100'), ('3000', '0.01')],
)
def test_the_power_of_ten_that_a_unit_is_off_is_named(value: str, factor: str) -> None:
    narrow = schema(SIZE | dict(range=[20, 60]))
    with pytest.raises(ClinicalError, match=f'times {factor} they fit, so the unit may not be mm: convert'):
        check_table(frame(Size=[value]), narrow, 'there')


@pytest.mark.parametrize(
    ('value', 'remedy'),
    [('1,234', 'write decimal points in the whole column'), ('999', 'if that means unknown, declare it as')],
)
def test_what_a_cell_may_mean_that_does_not_fit_is_said(value: str, remedy: str) -> None:
    with pytest.raises(ClinicalError, match=f'missing codes .*; {remedy}'):
        check_table(frame(Size=['20.5', value]), schema(SIZE), 'there')


def test_unreadable_schema_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / 's.yaml'
    path.write_text('a: [1')
    for place in (path, tmp_path / 'absent.yaml'):
        with pytest.raises(ClinicalError, match=f'{place.name}: not a readable YAML schema'):
            read_schema(place)


# table


def test_levels_become_their_index_and_missing_codes_become_nan() -> None:
    table = frame(Size=['18', 'NA', ' 22.5 '], Grade=['3.0', '', '2'], ER=['pos', 'NA', 'neg'])
    values = check_table(table, schema())
    np.testing.assert_array_equal(values['size'], [18, np.nan, 22.5])
    np.testing.assert_array_equal(values['grade'], [2, np.nan, 1])
    np.testing.assert_array_equal(values['ER'], [1, np.nan, 0])
    assert list(values.index) == ['p0', 'p1', 'p2']


def test_missing_codes_may_be_numbers_text_or_per_variable() -> None:
    table = frame(Size=['-1', '-1.0', '?', '5'], Grade=['9', '1', '1', '1'])
    found = check_table(table, schema(SIZE, GRADE | dict(missing=[9]), missing=[-1, '?']))
    assert found.isna().to_numpy().tolist() == [[True, True], [True, False], [True, False], [False, False]]


@pytest.mark.parametrize(
    ('columns', 'message'),
    [
        (dict(Size=['20', '0.018']), r"size \(column 'Size'\): 1 of 2 .*'0.018'.* times 1000 they fit.*mm"),
        (dict(Size=['18000', '20000']), r"2 of 2 .*p0: '18000', p1: '20000'.* times 0.001 they fit"),
        (dict(Size=['20', '-7']), r"numbers in \[1, 200\] mm nor missing codes .*correct the table"),
        (dict(Size=['20.5', '1,5']), "p1: '1,5'.*write decimal points in the whole column"),
        (dict(Size=['2,500', '1,500']), "p0: '2,500'.*write decimal points in the whole column"),
        (dict(Size=['20', '1_5']), "p1: '1_5'"),
        (dict(Size=['20', 'inf']), "p1: 'inf'"),
        (dict(Size=['20', 'nan']), "p1: 'nan'"),
        (dict(Type=['ductal', 'tubular']), r"type \(column 'Type'\): 1 of 2 .*'tubular'.* neither levels"),
        (dict(Grade=['4', '1'], ER=['x', 'neg']), r'(?s)grade .*\nER '),
        (dict(id=['a', 'a']), r"'id' has empty or repeated ids \['a'\]"),
        (dict(id=['a', ' ']), r"'id' has empty or repeated ids \[''\]"),
    ],
)  # fmt: skip
def test_cells_that_are_not_allowed_are_counted_and_shown(columns: dict, message: str) -> None:
    with pytest.raises(ClinicalError, match=message):
        check_table(frame(**columns), schema())


def test_a_number_that_may_be_a_code_is_named(caplog: pytest.LogCaptureFixture) -> None:
    check_table(frame(Size=['20', '99', 'NA']), schema(), 'c.csv')
    assert 'c.csv: column Size: 1 values are 99, the others 20 to 20; if 99 means unknown' in caplog.text


def test_decimal_commas_are_read_where_the_whole_column_has_them() -> None:
    table = frame(Size=['20', '1,5', 'NA'])
    np.testing.assert_array_equal(check_table(table, schema())['size'], [20, 1.5, np.nan])


def test_ids_have_their_normal_form_and_look_alikes_are_named(caplog: pytest.LogCaptureFixture) -> None:
    table = frame(id=[' 042', '7.0', '42\u200b'])
    assert list(check_table(table, schema(), 'c.csv').index) == ['042', '7', '42']
    assert 'c.csv: ids that differ only by case, blanks, leading zeros' in caplog.text
    with pytest.raises(UserError, match="'042' and '42'"):
        check_table(table, schema(), strict=True)


def test_one_id_in_two_spellings_is_there_twice() -> None:
    with pytest.raises(ClinicalError, match=r"repeated ids \['7'\]"):
        check_table(frame(id=['7', '7.0 ']), schema())


def test_a_declared_column_without_any_value_is_all_missing(tmp_path: Path) -> None:
    (tmp_path / 't.csv').write_text('id,Size,Grade,Type,ER\np1,20,1,ductal,\n')
    assert read_clinical(tmp_path / 't.csv', schema())['ER'].isna().all()


def test_absent_and_repeated_columns_are_named() -> None:
    table = frame(Size=['1']).drop(columns='ER')
    with pytest.raises(
        ClinicalError, match=r"columns \['ER'\] are absent or repeated; the header has \['id', 'Size'"
    ):
        check_table(table, schema())
    with pytest.raises(ClinicalError, match=r"columns \['Size'\] are absent or repeated"):
        check_table(pd.concat([frame(Size=['1']), table[['Size']]], axis=1), schema())


# encoder


def values(**columns: list[float]) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    return pd.DataFrame(dict(size=[20.0] * n, grade=[0.0] * n, type=[0.0] * n, ER=[0.0] * n) | columns)


def test_encoded_by_hand() -> None:
    train = values(
        size=[10, 30, 50, np.nan], grade=[2, 2, 0, np.nan], type=[1, 1, 0, np.nan], ER=[1, 1, 0, np.nan]
    )
    encoder = ClinicalEncoder(schema()).fit(train)
    assert encoder.columns == ['size', 'grade', 'type=ductal', 'type=lobular', 'type=other', 'ER']
    expected = [[10, 2, 0, 1, 0, 1], [30, 2, 0, 1, 0, 1], [50, 0, 1, 0, 0, 0], [30, 2, 0, 1, 0, 1]]
    np.testing.assert_array_equal(encoder.transform(train), np.array(expected, np.float32))
    assert encoder.transform(train).dtype == np.float32


def test_many_levels_are_encoded_as_an_ordinary_array() -> None:
    """Of which most entries are 0: scikit-learn would hold them as a sparse matrix."""
    wide = schema(TYPE | dict(levels=list('abcdefgh')))
    values = check_table(frame(Type=['c', 'h']), wide, 'there')
    encoded = ClinicalEncoder(wide).fit(values).transform(values)
    assert encoded.tolist() == np.eye(8)[[2, 7]].tolist()


def test_mean_is_used_if_declared() -> None:
    encoder = ClinicalEncoder(schema(SIZE | dict(impute='mean'))).fit(
        pd.DataFrame(dict(size=[1.0, 2.0, 9.0]))
    )
    assert encoder.transform(pd.DataFrame(dict(size=[np.nan])))[0, 0] == 4


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(*[st.one_of(st.just(np.nan), st.integers(0, 1))] * 4), min_size=1, max_size=6))
def test_stored_as_json_it_encodes_the_same_and_never_gives_nan(rows: list[tuple]) -> None:
    train = values(size=[1, 7, 8], grade=[0, 1, 2], type=[2, 2, 1], ER=[1, 0, 1])
    encoder = ClinicalEncoder(schema()).fit(train)
    again = ClinicalEncoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    new = pd.DataFrame(rows, columns=list(train)).astype(float)
    np.testing.assert_array_equal(again.transform(new), encoder.transform(new))
    assert np.isfinite(encoder.transform(new)).all()
    assert again.columns == encoder.columns


def test_new_rows_do_not_change_what_was_learned_from_train() -> None:
    encoder = ClinicalEncoder(schema()).fit(values(size=[10.0, 20.0, 30.0]))
    before = encoder.to_dict()
    encoder.transform(values(size=[199.0] * 50))
    assert encoder.to_dict() == before
    assert before['fill'][0] == 20


def test_a_variable_without_any_train_value_is_refused() -> None:
    with pytest.raises(
        ClinicalError, match=r"\['ER'\]: no value in 2 train patients; remove it, or check the ids"
    ):
        ClinicalEncoder(schema()).fit(values(ER=[np.nan, np.nan]))


def test_schema_survives_yaml(tmp_path: Path) -> None:
    path = tmp_path / 's.yaml'
    path.write_text(yaml.safe_dump(dict(patient_id='id', variables=list(ALL))))
    assert read_schema(path) == schema()


@pytest.mark.real_data
def test_metabric_reads_without_a_complaint_and_misses_whole_blocks(real_data: Path) -> None:
    table = read_table(real_data / 'clinical/brca_metabric_clinical_data.tsv')
    found = check_table(table, read_schema(ROOT / 'configs/clinical/metabric.yaml'))
    assert len(found) == 2509
    assert found[['PR', 'HER2', 'menopause']].isna().all(axis=1).sum() == 529
    assert np.isfinite(
        ClinicalEncoder(read_schema(ROOT / 'configs/clinical/metabric.yaml')).fit(found).transform(found)
    ).all()
