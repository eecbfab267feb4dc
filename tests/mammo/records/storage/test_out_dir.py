"""A used output folder: resumed, started anew or refused, and nobody else's file is touched."""

import json
import subprocess
import sys

import pytest

from mammo.errors import UserError
from mammo.records.storage.out_dir import JOURNAL, made_files, out_dir

HEAD = dict(tool='demo', settings=dict(size=3), versions=dict(numpy='1'))


def run(folder, names=('png/a.png', 'png/b.png'), head=HEAD, **modes):
    with out_dir(folder, head, **modes) as out:
        out.start(out.records, names)
        for name in names:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(name)
            out.append(dict(id=name))
        return out


def files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob('*') if p.is_file())


def test_a_used_folder_is_refused_without_resume_or_fresh(tmp_path):
    run(tmp_path / 'out')
    with pytest.raises(UserError, match=r'holds 2 files of an earlier run.*--resume.*--fresh'):
        run(tmp_path / 'out')


def test_resuming_hands_out_the_records_and_ignores_a_torn_line(tmp_path):
    run(tmp_path)
    with (tmp_path / JOURNAL).open('a') as file:
        file.write('{"id": "to')
    with out_dir(tmp_path, HEAD, resume=True) as out:
        assert [record['id'] for record in out.records] == ['png/a.png', 'png/b.png']


@pytest.mark.parametrize('change', [dict(settings=dict(size=4)), dict(versions={})])
def test_resuming_with_other_settings_names_what_differs(change, tmp_path):
    run(tmp_path)
    with pytest.raises(UserError, match=r"size 3 -> 4|numpy '1' -> None"):
        run(tmp_path, head=HEAD | change, resume=True)


def test_fresh_removes_what_the_journal_names_and_nothing_else(tmp_path):
    run(tmp_path)
    for name in ('png/mine.png', 'notes.txt'):
        (tmp_path / name).write_text('mine')
    run(tmp_path, ['png/c.png'], fresh=True)
    assert files(tmp_path) == ['.journal.jsonl', '.lock', 'notes.txt', 'png/c.png', 'png/mine.png']


def test_a_file_of_somebody_else_is_never_replaced(tmp_path):
    (tmp_path / 'png').mkdir()
    (tmp_path / 'png/b.png').write_text('mine')
    for modes in ({}, dict(fresh=True), dict(resume=True)):
        with pytest.raises(UserError, match=r'png/b.png: not made by this tool'):
            run(tmp_path, **modes)
    assert (tmp_path / 'png/b.png').read_text() == 'mine'


def test_what_a_killed_run_had_begun_to_write_counts_as_made(tmp_path):
    with out_dir(tmp_path, HEAD) as out:
        out.start([], ['a.png'])
        (tmp_path / 'a.png').write_text('half')
    run(tmp_path, ['b.png'], fresh=True)
    assert 'a.png' not in files(tmp_path)


def test_finishing_removes_files_that_no_record_needs_any_more(tmp_path):
    run(tmp_path)
    with out_dir(tmp_path, HEAD, resume=True) as out:
        out.finish(out.records[:1], ['png/a.png'])
    assert files(tmp_path) == ['.journal.jsonl', '.lock', 'png/a.png']
    assert made_files(tmp_path, 'demo') == {tmp_path / name for name in files(tmp_path)}


@pytest.mark.parametrize('name', ['../outside.txt', 'link/outside.txt'])
def test_a_journal_that_names_files_elsewhere_deletes_nothing_there(name, tmp_path):
    out, outside = tmp_path / 'out', tmp_path / 'outside.txt'
    run(out)
    (out / 'link').symlink_to(tmp_path)
    outside.write_text('mine')
    with (out / JOURNAL).open('a') as file:
        file.write(json.dumps(dict(files=[name, str(outside)])) + '\n')
    run(out, fresh=True)
    assert outside.read_text() == 'mine'


def test_a_folder_that_holds_inputs_is_refused_but_made_files_are_no_inputs(tmp_path):
    run(tmp_path)
    run(tmp_path, inputs=[tmp_path / 'png/a.png'], resume=True)
    (tmp_path / 'scan.dcm').write_text('x')
    with pytest.raises(UserError, match=r"holds inputs, such as 'scan\.dcm'"):
        run(tmp_path, inputs=[tmp_path / 'scan.dcm'], fresh=True)


def test_the_folder_of_another_tool_and_of_an_older_release_are_refused(tmp_path):
    run(tmp_path)
    with pytest.raises(UserError, match="'demo', not of this release of 'other'"):
        run(tmp_path, head=HEAD | dict(tool='other'), fresh=True)
    (tmp_path / JOURNAL).write_text('{"format_version": 1}\n')
    with pytest.raises(UserError, match='older release'):
        run(tmp_path, fresh=True)


def test_two_processes_cannot_hold_one_folder(tmp_path):
    code = (
        'import sys\nfrom pathlib import Path\nfrom mammo.records.storage.out_dir import out_dir\n'
        f'with out_dir(Path({str(tmp_path)!r}), dict(tool="demo")):\n'
        ' print("held", flush=True)\n sys.stdin.read()'
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, '-c', code], stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout.readline() == 'held\n'
        with pytest.raises(UserError, match=f'process {other.pid} on .* is writing into this folder'):
            run(tmp_path)
        other.stdin.close()
        other.wait()
    run(tmp_path)


def test_both_modes_at_once_are_refused(tmp_path):
    with pytest.raises(UserError, match='give one of them'):
        run(tmp_path, resume=True, fresh=True)


def test_a_folder_of_inputs_is_refused_before_anything_is_made_in_it(tmp_path):
    (tmp_path / 'a.dcm').touch()
    with (
        pytest.raises(UserError, match='holds inputs'),
        out_dir(tmp_path, HEAD, inputs=[tmp_path / 'a.dcm']),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ['a.dcm']
