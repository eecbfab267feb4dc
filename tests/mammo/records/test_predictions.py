"""Prediction records on disk: round trips, and each refusal."""

import contextlib
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo.records.ids import ID_FIELDS, normal_id, normal_path
from mammo.records.predictions import PredictionError, read_predictions, write_predictions


def record(**changes):
    base = dict(img_path='p1_CC_L.png', patient_id='p1', exam_id='1', view='CC', laterality='L')
    tasks = {
        'N': dict(logit=-0.4, pred_score=0.401, gt_label=0),
        'NumPos': dict(logit=0.2, pred_score=0.2, gt_label=None),
    }
    return {**base, 'tasks': tasks, **changes}


def score(**changes):
    return {'N': {**dict(logit=-0.4, pred_score=0.4, gt_label=0), **changes}}


texts = st.text(st.characters(codec='utf-8', exclude_characters='\r\x00'), min_size=1, max_size=8)
numbers = st.floats(allow_nan=False, allow_infinity=False)
scores = st.fixed_dictionaries(
    dict(logit=numbers | st.none(), pred_score=numbers, gt_label=numbers | st.none())
)
records = st.fixed_dictionaries(
    dict.fromkeys(['patient_id', 'exam_id', 'view', 'laterality'], texts | st.none())
    | dict(img_path=texts, tasks=st.dictionaries(st.sampled_from(['N', 'tumor_size', 'é b']), scores)),
    optional=dict(cohort=texts, fold=st.integers(), density=numbers, screened=st.booleans()),
)


def normal(record):
    ids = {key: normal_id(record[key]) for key in ID_FIELDS if key in record}
    if ids.get('cohort', '') is None:  # a further field without a value is left out
        record = {key: value for key, value in record.items() if key != 'cohort'}
        ids.pop('cohort')
    return {**record, **ids, 'img_path': normal_path(record['img_path'])}


@pytest.mark.parametrize('suffix', ['.json', '.pkl', '.csv'])
@settings(deadline=None)
@given(written=st.lists(records, max_size=4))
def test_what_is_written_is_read_back_the_same(tmp_path_factory, suffix, written):
    path = tmp_path_factory.mktemp('records') / f'a{suffix}'
    write_predictions(path, written)
    assert read_predictions(path) == [normal(record) for record in written]


@pytest.mark.parametrize(
    'note', ['7', '1e5', 'true', 'null', '"quoted"', 'NaN', '007', 'a,b', 'two\nlines', ' x ']
)
def test_text_that_looks_like_another_thing_stays_text_in_csv(tmp_path, note):
    write_predictions(tmp_path / 'a.csv', [record(note=note)])
    assert read_predictions(tmp_path / 'a.csv')[0]['note'] == note


def test_json_form_is_that_of_the_design(tmp_path):
    write_predictions(tmp_path / 'a.json', [record()])
    assert json.loads((tmp_path / 'a.json').read_text()) == dict(format_version=1, records=[record()])


def test_csv_columns_are_those_of_the_design(tmp_path):
    write_predictions(tmp_path / 'a.csv', [record()])
    header = (tmp_path / 'a.csv').read_text().splitlines()[0]
    assert header.startswith(
        'img_path,patient_id,exam_id,view,laterality,N_logit,N_pred_score,N_gt_label,NumPos_logit'
    )


def test_numpy_scalars_become_plain_numbers_in_every_form(tmp_path):
    tasks = {'N': dict(logit=np.float32(0.5), pred_score=np.float64(0.25), gt_label=np.int64(1))}
    written = [record(tasks=tasks, patient_id=np.str_('p'), exam_id=np.int64(3), fold=np.int64(2))]
    for suffix in ('.json', '.pkl', '.csv'):
        write_predictions(tmp_path / f'a{suffix}', written)
        (read,) = read_predictions(tmp_path / f'a{suffix}')
        assert (read['patient_id'], read['exam_id'], read['fold']) == ('p', '3', 2)
        assert read['tasks'] == {'N': dict(logit=0.5, pred_score=0.25, gt_label=1.0)}


def test_csv_made_by_hand_needs_no_version_column(tmp_path):
    (tmp_path / 'a.csv').write_text(
        '\ufeffimg_path,patient_id,exam_id,view,laterality,N_logit,N_pred_score,N_gt_label,cohort\n,p1,,,,,0.7,1,A\n'
    )
    (read,) = read_predictions(tmp_path / 'a.csv')
    assert read == dict(
        img_path='', patient_id='p1', exam_id=None, view=None, laterality=None, cohort='A',
        tasks={'N': dict(logit=None, pred_score=0.7, gt_label=1.0)},
    )  # fmt: skip


class Exploit:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_pickle_that_would_run_code_is_refused_and_not_run(tmp_path):
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(Exploit(f'touch {tmp_path}/ran')))
    with pytest.raises(PredictionError, match=r'a\.pkl: refused.*system.*could run code'):
        read_predictions(tmp_path / 'a.pkl')
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('value', [np.float32(1), Path('a'), np.zeros(2), Exploit])
def test_pickle_with_any_imported_name_is_refused(tmp_path, value):
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(dict(format_version=1, records=[value])))
    with pytest.raises(PredictionError, match=r'it holds .*could run code'):
        read_predictions(tmp_path / 'a.pkl')


@settings(deadline=None)
@given(data=st.binary(max_size=40))
def test_any_bytes_give_a_prediction_error_or_records(tmp_path_factory, data):
    for suffix in ('.json', '.pkl', '.csv'):
        path = tmp_path_factory.mktemp('bytes') / f'a{suffix}'
        path.write_bytes(data)
        with contextlib.suppress(PredictionError):
            assert isinstance(read_predictions(path), list)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(tasks=score(pred_score=float('nan'))), r"p1_CC_L\.png.*'N': pred_score is nan.*finite"),
        (dict(tasks=score(logit=float('inf'))), r"p1_CC_L\.png.*'N': logit is inf.*finite"),
        (dict(tasks=score(pred_score=None)), 'pred_score is missing'),
        (dict(tasks=score(pred_score='0.4')), "pred_score is '0.4', expected a number"),
        (dict(tasks=score(gt_label=True)), 'gt_label is True, expected a number'),
        (
            dict(tasks={'N': dict(pred_score=0.1)}),
            'expected an object with exactly logit, pred_score, gt_label',
        ),
        (dict(tasks=[0.1]), r'tasks is \[0.1\]'),
        (dict(patient_id=[1]), r'patient_id is \[1\], expected text'),
        (dict(patient_id=1e17), 'patient_id is 1e.17, a number too long to be exact'),
        (dict(cohort=['a']), r"cohort is \['a'\], expected text or a number"),
        (dict(note=['a']), r"'note' is \['a'\], expected text, a number or null"),
        (dict(N_logit=1), "'N_logit': this name belongs to the format"),
        (dict(format_version=1), "'format_version': this name belongs to the format"),
    ],
)
@pytest.mark.parametrize('suffix', ['.json', '.pkl', '.csv'])
def test_wrong_record_is_refused_on_write_and_leaves_no_file(tmp_path, changes, message, suffix):
    with pytest.raises(PredictionError, match=message):
        write_predictions(tmp_path / f'a{suffix}', [record(), record(**changes)])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{', 'not JSON at line 1, column 2'),
        ('[]', 'no object with "format_version"'),
        ('{"format_version": 2, "records": []}', 'format_version is 2, this release reads 1'),
        ('{"records": []}', 'format_version is None'),
        ('{"format_version": 1, "records": {}}', '"records" is a dict'),
        ('{"format_version": 1, "records": [3]}', 'record 0 is 3'),
        (
            '{"format_version": 1, "records": [{"img_path": "a.png"}]}',
            r"record 0 \(img_path 'a.png'.*patient_id,.*tasks",
        ),
        ('[' * 100_000, 'cannot be read'),
        (
            json.dumps(dict(format_version=1, records=[record(tasks=score(logit=float('nan')))])),
            'logit is nan',
        ),
    ],
)
def test_broken_json_is_refused(tmp_path, content, message):
    (tmp_path / 'a.json').write_text(content)
    with pytest.raises(PredictionError, match=message):
        read_predictions(tmp_path / 'a.json')


HEAD = 'img_path,patient_id,exam_id,view,laterality,N_logit,N_pred_score,N_gt_label'


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('', 'no data; expected a header line'),
        (HEAD.replace(',N_logit', ''), r"column \['N_logit'\] is missing"),
        (HEAD.replace('patient_id,', ''), r"column \['patient_id'\] is missing"),
        (f'{HEAD},cohort,cohort\n', "column 'cohort' is there 2 times"),
        (f'{HEAD}\na.png,p,1,CC,L,x,0.4,0\n', "column N_logit: row 2 is 'x', expected a number"),
        (f'{HEAD}\na.png,p,1,CC,L,0,nan,0\n', "column N_pred_score: row 2 is 'nan', expected a number"),
        (f'{HEAD}\na.png,p,1,CC,L,1_0,0.4,0\n', "column N_logit: row 2 is '1_0', expected a number"),
        (f'{HEAD}\na.png,p,1,CC\n', r'lines 2 \(\d\) have not the 8 cells of the header'),
        (f'{HEAD}\na.png,p,1,CC,L,0,0.4,0,9\n', r'lines 2 \(\d\) have not the 8 cells of the header'),
        (f'{HEAD},format_version\na.png,p,1,CC,L,0,0.4,0,3\n', "format_version is '3'"),
        (f'{HEAD}\n"a.png', 'line 2: .*a quote opens here'),
    ],
)
def test_broken_csv_is_refused(tmp_path, content, message):
    (tmp_path / 'a.csv').write_text(content)
    with pytest.raises(PredictionError, match=message):
        read_predictions(tmp_path / 'a.csv')


def test_unknown_suffix_is_refused(tmp_path):
    for call in (lambda path: write_predictions(path, []), read_predictions):
        with pytest.raises(PredictionError, match=r"a\.txt: suffix '\.txt' is none of \.json, \.pkl, \.csv"):
            call(tmp_path / 'a.txt')


def test_missing_file_is_named(tmp_path):
    with pytest.raises(PredictionError, match=r'none\.json: no such prediction file'):
        read_predictions(tmp_path / 'none.json')


@pytest.mark.parametrize('put', [b'r\xff\xff\xff\x7f', b'p2147483647\n'])
def test_a_pickle_that_numbers_its_objects_absurdly_is_refused(tmp_path, put):
    path = tmp_path / 'p.pkl'
    path.write_bytes(b'\x80\x04}' + put + b'.')  # an empty dict, kept under a number near 2^31
    with pytest.raises(PredictionError, match=r'p\.pkl: refused, .*more memory than it has content'):
        read_predictions(path)


def test_a_table_of_another_form_is_read_the_same(tmp_path):
    write_predictions(tmp_path / 'a.csv', [record(cohort='042', note='1E5')])
    text = (tmp_path / 'a.csv').read_text().replace(',', ';').replace('-0.4', '-0,4').replace('0.2', '0,2')
    text = text.replace('0.401', '0,401')
    (tmp_path / 'b.csv').write_bytes(('sep=;\r\n' + text).encode('utf-16'))
    assert read_predictions(tmp_path / 'b.csv') == read_predictions(tmp_path / 'a.csv')


@pytest.mark.parametrize('cohort', ['042', '1E5', '1_5', '1.5'])
def test_codes_of_a_table_made_by_hand_stay_text(tmp_path, cohort):
    row = f'a.png,p1,1,CC,L,,0.5,1,{cohort},{cohort}'
    (tmp_path / 'a.csv').write_text(f'{HEAD},cohort,note\n{row}\n')
    (read,) = read_predictions(tmp_path / 'a.csv')
    assert read['cohort'] == cohort
    assert read['note'] == (1.5 if cohort == '1.5' else cohort)


@pytest.mark.parametrize('suffix', ['.json', '.pkl', '.csv'])
def test_a_message_names_file_record_image_and_patient(tmp_path, suffix):
    place = rf'a\{suffix}: record 1 \(img_path .p1_CC_L.png., patient_id .p1.\): '
    wrong = dict(
        view=[2],
        note=[1],
        laterality=True,
        exam_id=[3],
        tasks={'N': dict(logit=0, pred_score='x', gt_label=0)},
    )
    for key, value in wrong.items():
        with pytest.raises(
            PredictionError, match=place + "('note'|" + key.replace('tasks', "task 'N': pred_score") + ')'
        ):
            write_predictions(tmp_path / f'a{suffix}', [record(), record(**{key: value})])
    with pytest.raises(PredictionError, match=rf'a\{suffix}: record 0 is 3, .* img_path, patient_id'):
        write_predictions(tmp_path / f'a{suffix}', [3])


def test_read_messages_name_the_file(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(dict(format_version=1, records=[record(density=float('inf'))])))
    with pytest.raises(
        PredictionError, match=r"a\.json: record 0 .*'density' is inf, expected a finite number"
    ):
        read_predictions(path)


def test_json_keeps_letters_of_any_language_readable(tmp_path):
    write_predictions(tmp_path / 'a.json', [record(patient_id='Zoë-日本')])
    assert 'Zoë-日本' in (tmp_path / 'a.json').read_text(encoding='utf-8')
