"""Meta files: what loads, what is refused and with which words, round trip."""

import gc
import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo.records.ids import is_nobody, normal_id, normal_path
from mammo.records.meta import MetaError, read_meta, write_meta

MINIMAL = {
    'metainfo': {'tasks': ['Tumor size', 'LNM']},
    'data_list': [
        {'img_path': 'a.jpg', 'gt_label': {'Tumor size': 0.765, 'LNM': 0}},
        {'img_path': 'b.jpg', 'gt_label': {'Tumor size': 0.2, 'LNM': 1}},
    ],
}


def read(folder: Path, content: Any) -> dict[str, Any]:
    path = folder / 'meta.json'
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_meta(path)


def read_item(folder: Path, item: Any, tasks: tuple = ('N',)) -> dict[str, Any]:
    good = {'img_path': 'good.png', 'gt_label': {}}
    return read(folder, dict(metainfo=dict(tasks=list(tasks)), data_list=[good, item]))['data_list'][1]


def test_minimal_form_loads(tmp_path: Path) -> None:
    meta = read(tmp_path, MINIMAL)
    assert meta['metainfo']['tasks'] == ['Tumor size', 'LNM']
    assert [item['gt_label'] for item in meta['data_list']] == [
        {'Tumor size': 0.765, 'LNM': 0.0},
        {'Tumor size': 0.2, 'LNM': 1.0},
    ]


def test_without_metainfo_tasks_are_the_union_of_the_keys(tmp_path: Path) -> None:
    items = [
        {'img_path': 'a', 'gt_label': {'B': 1}},
        {'img_path': 'b', 'gt_label': None},
        {'img_path': 'c', 'gt_label': {'A': None, 'B': 0}},
        {'img_path': 'd'},
    ]
    assert read(tmp_path, dict(data_list=items))['metainfo']['tasks'] == ['B', 'A']


@pytest.mark.parametrize(
    'item',
    [
        '{"img_path": "a", "gt_label": {"N": NaN}}',
        '{"img_path": "a", "gt_label": {"N": null}}',
        '{"img_path": "a", "gt_label": {}}',
        '{"img_path": "a", "gt_label": null}',
        '{"img_path": "a"}',
    ],
)
def test_every_way_of_missing_loads_as_missing(tmp_path: Path, item: str) -> None:
    meta = read(tmp_path, '{"metainfo": {"tasks": ["N"]}, "data_list": [' + item + ']}')
    assert meta['data_list'] == [{'img_path': 'a', 'gt_label': {}}]
    assert meta['metainfo']['tasks'] == ['N']


def test_list_of_one_number_counts_as_that_number(tmp_path: Path) -> None:
    assert read_item(tmp_path, {'img_path': 'a', 'gt_label': {'N': [0.765]}})['gt_label'] == {'N': 0.765}


def test_other_fields_stay_and_ids_become_text(tmp_path: Path) -> None:
    fields = dict(
        patient_id=7, exam_id=2.5, exam_order=3, view='CC', laterality='L', tumor_side='R', spacing_mm=0.1,
        cohort='x', clinic_vars={'age': 50}, own=[1],
    )  # fmt: skip
    item = read_item(tmp_path, {'img_path': 'a', **fields})
    assert item == {'img_path': 'a', 'gt_label': {}, **fields, 'patient_id': '7', 'exam_id': '2.5'}


def test_null_identity_stays_null(tmp_path: Path) -> None:
    assert read_item(tmp_path, {'img_path': 'a', 'patient_id': None})['patient_id'] is None


def test_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / 'meta.json'
    path.write_text(json.dumps(MINIMAL), encoding='utf-8-sig')
    assert len(read_meta(path)['data_list']) == 2


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MetaError, match=r'none\.json: no such meta file; check data_root and ann_file'):
        read_meta(tmp_path / 'none.json')


def test_folder_instead_of_file(tmp_path: Path) -> None:
    with pytest.raises(MetaError, match='cannot be read'):
        read_meta(tmp_path)


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    (tmp_path / 'meta.json').write_bytes('{"a": "é"}'.encode('latin-1'))
    with pytest.raises(MetaError, match=r'meta\.json: cannot be read'):
        read_meta(tmp_path / 'meta.json')


def test_single_quotes_are_pointed_out_with_line_and_column(tmp_path: Path) -> None:
    text = json.dumps(MINIMAL, indent=1).replace('"', "'")
    with pytest.raises(
        MetaError,
        match=r'meta\.json: not JSON at line 2, column 2: .*double quotes.*a valid file: \{"metainfo"',
    ):
        read(tmp_path, text)


def test_example_in_messages_is_valid(tmp_path: Path) -> None:
    with pytest.raises(MetaError) as error:
        read(tmp_path, '{')
    example = str(error.value).split('a valid file: ')[1]
    assert read(tmp_path, example)['data_list'][0]['gt_label'] == {'N': 1.0}


@pytest.mark.parametrize('text', ['', 'img label', '{"data_list": [}', '{"data_list": []} x'])
def test_text_that_is_not_json(tmp_path: Path, text: str) -> None:
    with pytest.raises(MetaError, match=r'not JSON at line 1, column \d+'):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ('content', 'kind'), [([], 'list'), ('"a"', 'str'), ('3', 'int'), ('null', 'NoneType')]
)
def test_top_level_must_be_an_object(tmp_path: Path, content: Any, kind: str) -> None:
    with pytest.raises(MetaError, match=rf'meta\.json: the top level is a {kind}, expected an object like'):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ('content', 'found'),
    [({}, 'is missing'), ({'data_list': {}}, 'is a dict'), ({'data_list': None}, 'is a NoneType')],
)
def test_data_list_must_be_a_list(tmp_path: Path, content: dict, found: str) -> None:
    with pytest.raises(
        MetaError, match=rf'meta\.json: key "data_list" {found}, expected a list as in \{{"meta'
    ):
        read(tmp_path, content)


def test_unknown_format_version(tmp_path: Path) -> None:
    with pytest.raises(MetaError, match='format_version is 2, this release reads 1'):
        read(tmp_path, dict(MINIMAL, format_version=2))


@pytest.mark.parametrize('metainfo', [[], 'N', None])
def test_metainfo_must_be_an_object(tmp_path: Path, metainfo: Any) -> None:
    with pytest.raises(MetaError, match=r'key "metainfo" is .*expected an object'):
        read(tmp_path, dict(data_list=[], metainfo=metainfo))


@pytest.mark.parametrize('tasks', ['N', [1], None])
def test_tasks_must_be_a_list_of_names(tmp_path: Path, tasks: Any) -> None:
    with pytest.raises(MetaError, match=r'metainfo\.tasks is .*expected a list of names'):
        read(tmp_path, dict(data_list=[], metainfo=dict(tasks=tasks)))


@pytest.mark.parametrize('item', [3, 'a.png', None, []])
def test_item_must_be_an_object(tmp_path: Path, item: Any) -> None:
    with pytest.raises(MetaError, match=r'meta\.json: item 1 is .*expected an object with "img_path"'):
        read_item(tmp_path, item)


@pytest.mark.parametrize('item', [{}, {'img_path': ''}, {'img_path': 3}, {'img_path': None}])
def test_item_needs_an_image_path(tmp_path: Path, item: dict) -> None:
    with pytest.raises(MetaError, match=r'meta\.json: item 1: "img_path" is .*expected a path relative to'):
        read_item(tmp_path, item)


@pytest.mark.parametrize(
    ('value', 'shown'),
    [('"yes"', "'yes'"), ('"1"', "'1'"), ('Infinity', 'inf'), ('-Infinity', '-inf'), ('1e400', 'inf'),
     ('[1, 2]', r'\[1, 2\]'), ('[]', r'\[\]'), ('{}', r'\{\}'), ('["a"]', "'a'")],
)  # fmt: skip
def test_label_that_is_no_finite_number(tmp_path: Path, value: str, shown: str) -> None:
    text = '{"data_list": [{"img_path": "a"}, {"img_path": "b", "gt_label": {"N": ' + value + '}}]}'
    with pytest.raises(
        MetaError, match=rf"meta\.json: item 1: task 'N' has value {shown}, expected a finite"
    ):
        read(tmp_path, text)


@pytest.mark.parametrize('value', [10**400, 1e39, -1e39], ids=['400 digits', '1e39', '-1e39'])
def test_label_that_float32_cannot_hold(tmp_path: Path, value: float) -> None:
    """Labels become float32 tensors: a value beyond them would be infinite there."""
    with pytest.raises(MetaError, match=r"item 1: task 'N' has value -?1"):
        read_item(tmp_path, {'img_path': 'a', 'gt_label': {'N': value}})


@pytest.mark.parametrize('labels', [[1], 1, 'N', 0, '', [], False])
def test_labels_must_be_an_object(tmp_path: Path, labels: Any) -> None:
    """Also when the value is falsy: `"gt_label": 0` is a label, and must not load as unknown."""
    with pytest.raises(MetaError, match=r'meta\.json: item 1: "gt_label" is .*expected an object'):
        read_item(tmp_path, {'img_path': 'a', 'gt_label': labels})


@pytest.mark.parametrize('declared', [True, False])
def test_a_task_with_the_name_of_a_field_that_every_image_has_is_refused(
    declared: bool, tmp_path: Path
) -> None:
    content = dict(data_list=[dict(img_path='a.png', gt_label=dict(view=1))])
    content |= dict(metainfo=dict(tasks=['view'])) if declared else {}
    (tmp_path / 'meta.json').write_text(json.dumps(content))
    with pytest.raises(MetaError, match=r"meta\.json: task 'view' has the name of a field .* \"view_label\""):
        read_meta(tmp_path / 'meta.json')


def test_task_that_the_file_does_not_declare(tmp_path: Path) -> None:
    with pytest.raises(
        MetaError, match=r"item 1: task 'LVI' \(value 1\) is not in metainfo.tasks \['N'\]; add"
    ):
        read_item(tmp_path, {'img_path': 'a', 'gt_label': {'LVI': 1}})


@pytest.mark.parametrize(
    'text', ['[' * 100_000, '{"data_list": ' + '9' * 5000 + '}'], ids=['deep nesting', 'endless number']
)
def test_hostile_json_is_one_clear_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(MetaError, match=r'meta\.json'):
        read(tmp_path, text)


names = st.text(min_size=1, max_size=8)
paths = names.filter(lambda name: '..' not in name.split('/') and '\0' not in name and normal_path(name))
patients = names.filter(lambda name: not is_nobody(normal_id(name) or 'none is read as unknown'))
numbers = st.floats(-1e30, 1e30) | st.integers(-(2**31), 2**31)
labels = st.dictionaries(names, numbers | st.none() | st.just(math.nan), max_size=4)
items = st.fixed_dictionaries(
    dict(img_path=paths, gt_label=labels), optional=dict(patient_id=patients, exam_id=names, view=names)
)


@settings(max_examples=50, deadline=None)
@given(data_list=st.lists(items, max_size=4))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, data_list: list[dict]
) -> None:
    path = tmp_path_factory.mktemp('meta') / 'meta.json'
    tasks = sorted({task for item in data_list for task in item['gt_label']})
    write_meta(path, data_list, tasks)
    meta = read_meta(path)
    assert meta['metainfo']['tasks'] == tasks
    known = [
        {k: float(v) for k, v in item['gt_label'].items() if v is not None and not math.isnan(v)}
        for item in data_list
    ]
    for item in data_list:
        item['img_path'] = normal_path(item['img_path'])
        item |= {key: normal_id(item[key]) for key in ('patient_id', 'exam_id') if key in item}
    assert meta['data_list'] == [
        {**item, 'gt_label': gt_label} for item, gt_label in zip(data_list, known, strict=True)
    ]
    assert json.loads(path.read_text())['format_version'] == 1


def test_writing_does_not_change_the_items(tmp_path: Path) -> None:
    data_list = [dict(img_path='a', gt_label=dict(N=math.nan))]
    write_meta(tmp_path / 'meta.json', data_list, ['N'])
    assert math.isnan(data_list[0]['gt_label']['N'])


def test_gaps_in_ids_are_missing_and_whole_floats_are_the_number(tmp_path: Path) -> None:
    path = tmp_path / 'meta.json'
    path.write_text(
        '{"data_list": [{"img_path": "a", "patient_id": NaN}, {"img_path": "b", "patient_id": 123.0}]}'
    )
    assert [item['patient_id'] for item in read_meta(path)['data_list']] == [None, '123']
    path.write_text('{"data_list": [{"img_path": "a", "patient_id": ["p1"]}]}')
    with pytest.raises(MetaError, match=r"item 0: 'patient_id' is \['p1'\]"):
        read_meta(path)


@pytest.mark.parametrize(
    'path', ['../../etc/passwd', 'png/../../a.png', '..', 'a/..', '/data/../etc/passwd', 'a\0.png']
)
def test_path_that_leaves_the_data_root_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(
        MetaError, match=r'item 1: the image path is .*expected one inside data_root, without'
    ):
        read_item(tmp_path, {'img_path': path})


@pytest.mark.parametrize('path', ['/disk2/a.png', 'a..b/..c.png', 's3://bucket/a.png'])
def test_absolute_and_odd_paths_stay(tmp_path: Path, path: str) -> None:
    assert read_item(tmp_path, {'img_path': path})['img_path'] == path


@pytest.mark.parametrize('text', ['{"data_list": []}', 'no json'])
def test_garbage_collector_runs_again_after_reading(tmp_path: Path, text: str) -> None:
    assert gc.isenabled()
    with suppress(MetaError):
        read(tmp_path, text)
    assert gc.isenabled()


def test_ids_have_one_normal_form(tmp_path: Path) -> None:
    item = dict(img_path='./png//a.png', patient_id=' Mu\u0308ller\u200b', exam_id=2.0, cohort=3)
    assert read_item(tmp_path, item) == dict(
        img_path='png/a.png', patient_id='Müller', exam_id='2', cohort='3', gt_label={}
    )


def test_ids_that_are_read_in_another_spelling_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read_item(tmp_path, dict(img_path='a', patient_id='p0 ', exam_id='1', cohort='site_1'))
    assert "ids with blanks, invisible characters or another spelling: 'p0 ' is 'p0'" in caplog.text
    assert 'site_1' not in caplog.text


def test_whole_numbers_of_any_length_stay_exact(tmp_path: Path) -> None:
    ids = [10**22, 10**22 + 1, 2**64, 2**53 + 1]
    path = tmp_path / 'meta.json'
    path.write_text(json.dumps(dict(data_list=[dict(img_path='a', patient_id=i) for i in ids])))
    assert [item['patient_id'] for item in read_meta(path)['data_list']] == list(map(str, ids))


@pytest.mark.parametrize('number', ['1e22', '9007199254740992.0', '1E400', '-1e17'])
def test_numbers_too_long_to_be_exact_identify_nobody(tmp_path: Path, number: str) -> None:
    path = tmp_path / 'meta.json'
    path.write_text(f'{{"data_list": [{{"img_path": "a", "patient_id": {number}}}]}}')
    with pytest.raises(MetaError, match=r"item 0: 'patient_id' is .* too long to be exact; .* as text"):
        read_meta(path)


@pytest.mark.parametrize('name', ['nan', 'None', 'NA', '?'])
def test_a_patient_id_that_names_nobody_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(MetaError, match=r'item 1: "patient_id" is .* names nobody; write null'):
        read_item(tmp_path, dict(img_path='a.png', patient_id=name))


@pytest.mark.parametrize('key', ['laterality', 'tumor_side'])
def test_sides_have_one_spelling_and_others_are_refused(tmp_path: Path, key: str) -> None:
    sides = {'L': 'L', 'left': 'L', 'r': 'R', 'RIGHT': 'R', '': None, 'nan': None}
    assert {side: read_item(tmp_path, {'img_path': 'a.png', key: side})[key] for side in sides} == sides
    with pytest.raises(MetaError, match=f"item 1: {key} is 'B', expected L or R"):
        read_item(tmp_path, {'img_path': 'a.png', key: 'B'})


@pytest.mark.parametrize('order', ['first', '2', True, [1]])
def test_an_order_of_exams_that_is_no_number_is_refused(tmp_path: Path, order: Any) -> None:
    with pytest.raises(MetaError, match=r'item 1: "exam_order" is .*, expected a number, or null'):
        read_item(tmp_path, dict(img_path='a.png', exam_order=order))
