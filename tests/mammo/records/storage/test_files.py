"""Whole files or none."""

import json
import math
import os
import stat
from pathlib import Path

import pytest

from mammo.errors import UserError
from mammo.records.storage.files import read_record, replacing, write_json, write_text


def test_parent_folders_are_made(tmp_path: Path) -> None:
    write_text(tmp_path / 'a' / 'b' / 'c.txt', 'größe')
    assert (tmp_path / 'a' / 'b' / 'c.txt').read_bytes() == 'größe'.encode()


def test_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / 'a.txt'
    target.write_text('old')
    with pytest.raises(RuntimeError, match='power cut'), replacing(target) as tmp:  # noqa: PT012
        tmp.write_text('ne')
        raise RuntimeError('power cut')
    assert target.read_text() == 'old'
    assert [path.name for path in tmp_path.iterdir()] == ['a.txt']


def test_failed_first_write_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / 'a.txt'):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_old_file_is_whole_until_the_new_one_is(tmp_path: Path) -> None:
    target = tmp_path / 'a.txt'
    target.write_text('old')
    with replacing(target) as tmp:
        tmp.write_text('new')
        assert target.read_text() == 'old'
        assert tmp.parent == target.parent  # a rename across file systems would not be atomic
        assert tmp.suffix == '.txt'
    assert target.read_text() == 'new'
    assert list(tmp_path.iterdir()) == [target]


def test_file_mode_follows_the_umask(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        write_text(tmp_path / 'a.txt', '')
        assert os.umask(0o027) == 0o027  # and the umask stays
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / 'a.txt').stat().st_mode) == 0o640


def test_json_is_utf8_with_a_final_newline(tmp_path: Path) -> None:
    write_json(tmp_path / 'a.json', {'größe': [1, None]})
    text = (tmp_path / 'a.json').read_text(encoding='utf-8')
    assert 'größe' in text
    assert text.endswith('\n')
    assert json.loads(text) == {'größe': [1, None]}


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_json_without_numbers_that_json_lacks(tmp_path: Path, value: float) -> None:
    (tmp_path / 'a.json').write_text('{}')
    with pytest.raises(ValueError, match='not JSON compliant'):
        write_json(tmp_path / 'a.json', {'N': value})
    assert (tmp_path / 'a.json').read_text() == '{}'


@pytest.mark.parametrize(('name', 'version'), [('report', 1), ('report', 2), ('preprocess', 2), ('final', 2)])
def test_a_record_of_a_version_that_is_read(name, version, tmp_path):
    write_json(tmp_path / f'{name}.json', dict(format_version=version, models={}))
    assert read_record(tmp_path / f'{name}.json')['models'] == {}


@pytest.mark.parametrize(
    ('name', 'version', 'reads'),
    [('cross_validate', 2, '1'), ('report', 3, '1 and 2'), ('preprocess', True, '1 and 2'),
     ('preprocess', '1', '1 and 2')],
)  # fmt: skip
def test_a_record_of_another_version_is_refused(name, version, reads, tmp_path):
    write_json(tmp_path / f'{name}.json', dict(format_version=version))
    with pytest.raises(UserError, match=f'format_version is {version!r}, this release reads {reads}$'):
        read_record(tmp_path / f'{name}.json')
