"""tools/preprocess.py from the command line: records, exit codes, resuming, privacy, bad input."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from mammo.preprocess import images, run
from mammo.preprocess.inputs.jobs import find_jobs
from mammo.workers import WorkerDiedError
from tests.support.dicom_files import ACCESSION, BIRTH, NAME, PLACE, breast_image, mammogram, save
from tools.preprocess import main

ROOT = Path(__file__).parents[2]
KEY = '0123456789abcdef0123456789abcdef'


@pytest.fixture
def archive(tmp_path):
    """Two patients with two exams, a duplicate, a text file and a broken file."""
    folder = tmp_path / 'in'
    (folder / 'sub').mkdir(parents=True)
    for patient in ('P1', 'P2'):
        for date in ('20200102', '20190102'):
            for side in 'LR':
                image = breast_image() if side == 'L' else np.ascontiguousarray(breast_image()[:, ::-1])
                study, sop = (f'1.2.{patient[1]}.{date}{end}' for end in ('', '.7' if side == 'L' else '.8'))
                tags = dict(PatientID=patient, StudyDate=date, StudyInstanceUID=study, SOPInstanceUID=sop)
                ds = mammogram(image, ImageLaterality=side, PatientOrientation=None, **tags)
                save(ds, folder / 'sub' / f'{patient}_{date[:4]}{side}.dcm')
    save(ds, folder / 'zz_again.dcm')
    (folder / 'notes.txt').write_text('no image')
    (folder / 'cut.dcm').write_bytes((folder / 'zz_again.dcm').read_bytes()[:-9000])
    return folder


def call(*args):
    """Run the tool in this process -> exit code."""
    old, sys.argv = sys.argv, ['preprocess.py', *map(str, args)]
    try:
        main()
    except SystemExit as end:
        return end.code
    finally:
        sys.argv = old
    return 0


def records(out):
    meta = json.loads((out / 'meta.json').read_text())['data_list']
    return meta, pd.read_csv(out / 'skipped.csv', keep_default_na=False)


def contents(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob('*')) if p.is_file()
    }


def test_every_input_is_in_meta_or_skipped(archive, tmp_path):
    assert call(archive, '--out-dir', tmp_path / 'out') == 0
    meta, skipped = records(tmp_path / 'out')
    named = sorted([item['source'] for item in meta] + list(skipped['file']))
    assert named == sorted(p.relative_to(archive).as_posix() for p in archive.rglob('*') if p.is_file())
    reasons = dict(zip(skipped['file'], skipped['reason'], strict=True))
    assert reasons == {'cut.dcm': 'TRUNCATED', 'notes.txt': 'NOT_DICOM', 'zz_again.dcm': 'DUPLICATE'}
    summary = json.loads((tmp_path / 'out/preprocess.json').read_text())
    assert summary['summary']['images'] == len(meta) == 8
    assert summary['counts']['laterality'] == {'L': 4, 'R': 4}
    page = (tmp_path / 'out/overview.html').read_text()
    assert page.count('<figure ') == 8
    assert all((tmp_path / 'out/thumbs' / Path(item['img_path']).name).is_file() for item in meta)


def test_the_first_duplicate_that_decodes_is_kept(tmp_path):
    (tmp_path / 'in').mkdir()
    ds = mammogram(SOPInstanceUID='1.2.3')
    save(ds, tmp_path / 'in/b.dcm')
    save(ds, tmp_path / 'in/c.dcm')
    ds.PixelData = b'12'
    save(ds, tmp_path / 'in/a.dcm')
    call(tmp_path / 'in', '--out-dir', tmp_path / 'out')
    meta, skipped = records(tmp_path / 'out')
    assert [item['source'] for item in meta] == ['b.dcm']
    assert list(skipped['reason']) == ['TRUNCATED', 'DUPLICATE']
    assert len(list((tmp_path / 'out/png').iterdir())) == 1


def test_exams_are_numbered_by_date_and_dates_are_not_written(archive, tmp_path):
    call(archive, '--out-dir', tmp_path / 'out')
    meta, _ = records(tmp_path / 'out')
    order = {(item['exam_id'], item['exam_order']) for item in meta}
    assert order == {(f'1.2.{p}.{d}', n) for p in '12' for d, n in (('20190102', 1), ('20200102', 2))}


def test_exit_codes(archive, tmp_path, capsys):
    assert call(archive, '--out-dir', tmp_path / 'a', '--strict') == 1
    assert call(archive / 'notes.txt', '--out-dir', tmp_path / 'b') == 1
    assert records(tmp_path / 'b')[0] == []
    assert call(archive / 'sub', '--out-dir', tmp_path / 'c', '--strict') == 0
    assert call(archive / 'absent', '--out-dir', tmp_path / 'd') == 2
    assert 'no such file' in capsys.readouterr().err
    assert call(archive) == 2
    assert call(archive, '--out-dir', tmp_path / 'd', '--spacing-mm', 0) == 2


def test_a_map_of_pseudonyms_needs_their_key(archive, tmp_path, capsys):
    assert call(archive, '--out-dir', tmp_path / 'out', '--key-map') == 2
    assert '--key-map leads back from the pseudonyms of --id-key; give both' in capsys.readouterr().err


def test_two_runs_and_any_number_of_workers_give_identical_bytes(archive, tmp_path):
    for name in ('a', 'b'):
        call(archive, '--out-dir', tmp_path / name)
    assert contents(tmp_path / 'a') == contents(tmp_path / 'b')


@pytest.mark.slow
def test_worker_processes_give_the_same_bytes_as_one_process(archive, tmp_path):
    call(archive, '--out-dir', tmp_path / 'a')
    tool = [
        sys.executable,
        ROOT / 'tools/preprocess.py',
        archive,
        '--out-dir',
        tmp_path / 'b',
        '--workers',
        '2',
    ]
    subprocess.run(list(map(str, tool)), check=True, env=os.environ | {'OMP_NUM_THREADS': '1'})
    assert contents(tmp_path / 'a') == contents(tmp_path / 'b')


@pytest.mark.slow
def test_an_external_scheduler_gives_the_same_bytes(archive, tmp_path):
    from dask.distributed import LocalCluster

    call(archive, '--out-dir', tmp_path / 'a')
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as workers:
        assert call(archive, '--out-dir', tmp_path / 'b', '--scheduler', workers.scheduler_address) == 0
    assert contents(tmp_path / 'a') == contents(tmp_path / 'b')


@pytest.mark.parametrize('stop_after', [0, 1, 5, 10])
def test_a_killed_run_resumes_to_the_same_bytes(archive, tmp_path, monkeypatch, capsys, stop_after):
    call(archive, '--out-dir', tmp_path / 'whole')
    calls = []

    def dying(job, settings):
        calls.append(job.source)
        if len(calls) > stop_after:
            raise KeyboardInterrupt
        return images.process(job, settings)

    monkeypatch.setattr(run, 'process', dying)
    assert call(archive, '--out-dir', tmp_path / 'out') == 130
    assert capsys.readouterr().err.endswith('stopped; --resume goes on from here\n')
    monkeypatch.undo()
    with (tmp_path / 'out/.journal.jsonl').open('a') as file:
        file.write('{"torn": ')
    redone = []
    monkeypatch.setattr(
        run, 'process', lambda job, settings: redone.append(job.source) or images.process(job, settings)
    )
    assert call(archive, '--out-dir', tmp_path / 'out', '--resume') == 0
    assert len(redone) == 11 - stop_after
    assert contents(tmp_path / 'whole') == contents(tmp_path / 'out')


def test_resuming_redoes_a_changed_input_and_refuses_other_settings(archive, tmp_path, capsys):
    call(archive, '--out-dir', tmp_path / 'out')
    save(mammogram(PatientID='P9'), archive / 'notes.txt')
    assert call(archive, '--out-dir', tmp_path / 'out', '--resume') == 0
    assert 'P9' in {item['patient_id'] for item in records(tmp_path / 'out')[0]}
    assert call(archive, '--out-dir', tmp_path / 'out', '--resume', '--spacing-mm', 0.2) == 2
    assert 'other settings: settings.spacing_mm 0.0941 -> 0.2' in capsys.readouterr().err


def test_nothing_identifying_leaves_the_header(archive, tmp_path, capfd):
    for side in ('bad', NAME.partition('^')[0]):
        save(mammogram(PatientID='P1', WindowCenter=1, WindowWidth=0), archive / f'{side}.dcm')
    (tmp_path / 'key').write_text(KEY)
    call(archive, '--out-dir', tmp_path / 'out', '--id-key', tmp_path / 'key')
    captured = capfd.readouterr()
    written = b''.join(contents(tmp_path / 'out').values()) + (captured.out + captured.err).encode()
    for secret in (
        *NAME.split('^'),
        BIRTH,
        ACCESSION,
        PLACE,
        'Ottilien',
        KEY,
        '20190102',
        '"P1"',
        '1.2.1.2020',
    ):
        assert secret.lower().encode() not in written.lower(), secret
    meta, _ = records(tmp_path / 'out')
    assert len({item['patient_id'] for item in meta}) == 2


def test_pseudonyms_join_with_labels_and_depend_on_the_key(archive, tmp_path, capsys):
    (tmp_path / 'labels.csv').write_text('patient_id,N\nP1,1\nP2,0\n')
    ids = []
    for key in (KEY, KEY[::-1]):
        (tmp_path / 'key').write_text(key)
        options = ['--id-key', tmp_path / 'key', '--labels', tmp_path / 'labels.csv']
        call(archive, '--out-dir', tmp_path / key, *options)
        meta, _ = records(tmp_path / key)
        assert sorted(item['gt_label']['N'] for item in meta) == [0] * 4 + [1] * 4
        ids.append({item['patient_id'] for item in meta})
    assert not ids[0] & ids[1]
    (tmp_path / 'key').write_text('short')
    assert call(archive, '--out-dir', tmp_path / 'x', '--id-key', tmp_path / 'key') == 2
    assert 'at least 16' in capsys.readouterr().err


def test_labels_join_by_patient_side_and_exam(archive, tmp_path):
    rows = 'patient_id;laterality;exam_id;N;size\nP1;L;1.2.1.20200102;1;0.5\nP2;;;0;NA\n'
    (tmp_path / 'labels.csv').write_text('\ufeff' + rows, encoding='utf-8')
    call(archive, '--out-dir', tmp_path / 'out', '--labels', tmp_path / 'labels.csv')
    meta, _ = records(tmp_path / 'out')
    found = {(i['patient_id'], i['laterality'], i['exam_order']): i for i in meta}
    assert found['P1', 'L', 2]['gt_label'] == {'N': 1, 'size': 0.5}
    assert found['P1', 'L', 1]['gt_label'] == found['P1', 'R', 2]['gt_label'] == {}
    assert {i.get('tumor_side') for key, i in found.items() if key[0] == 'P1'} == {'L'}
    assert found['P2', 'R', 1]['gt_label'] == {'N': 0}
    assert 'tumor_side' not in found['P2', 'R', 1]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('id,N\nP1,1\n', 'patient_id.* is missing'),
        ('patient_id\nP1\n', 'one more per task'),
        ('patient_id,N\nP1,yes\n', r"labels\.csv: column N: row 2 is 'yes'"),
        ('patient_id,N\nP1,1_0\n', "column N: row 2 is '1_0'"),
        ('patient_id,N\nP1,1,5\n', 'lines 2 .3. have not the 2 cells'),
        ('patient_id;N\nP1;1,5\nP2;1.5\n', "row 2 is '1,5'.*; write a decimal point"),
        ('patient_id,N,N\nP1,1,0\n', "column 'N' is there 2 times"),
        ('patient_id,N\n,1\n', 'row 2: patient_id is empty'),
        ('patient_id,N\nP1,"1\nP2,0\n', 'line 2: .*quote opens here'),
        ('patient_id,N\nP1,1\nP1,0\n', 'row 3: contradicts .* N is 0 and was 1; keep one row'),
        ('patient_id,N\nP1,1\nP1,\n', 'row 3: contradicts .* N is unknown and was 1; keep one row'),
        ('patient_id,N\n-,1\n', "row 2: patient_id is '-', which is nobody in particular; remove"),
        ('patient_id,N\nunknown,1\n', "row 2: patient_id is 'unknown', which is nobody"),
        ('patient_id,N\n1.2E+11,1\n', "patient_id is '1.2E.11', a long number rounded"),
        ('patient_id,laterality,N\nP1,X,1\n', "laterality is 'X'"),
        ('', 'no data'),
    ],
)
def test_bad_labels_are_refused(text, message, archive, tmp_path, capsys):
    (tmp_path / 'labels.csv').write_text(text)
    assert call(archive, '--out-dir', tmp_path / 'out', '--labels', tmp_path / 'labels.csv') == 2
    assert re.search(message, capsys.readouterr().err)


def test_what_the_labels_hold_is_said_beside_what_may_be_a_code(archive, tmp_path, caplog):
    (tmp_path / 'labels.csv').write_text('patient_id,N,size\nP1,9,12\nP2,1,20.5\n')
    with caplog.at_level('INFO'):
        assert call(archive, '--out-dir', tmp_path / 'out', '--labels', tmp_path / 'labels.csv') == 0
    assert 'labels.csv: N 1 (1), 9 (1); size 12 (1), 20.5 (1)' in caplog.text
    assert 'labels.csv: column N: 1 values are 9, the others 1 to 1' in caplog.text


def test_an_exam_that_is_not_known_is_all_exams(archive, tmp_path):
    (tmp_path / 'labels.csv').write_text('patient_id,exam_id,N\nP1,NA,1\nP2,,0\n')
    assert call(archive, '--out-dir', tmp_path / 'out', '--labels', tmp_path / 'labels.csv') == 0
    assert all(item['gt_label'] for item in records(tmp_path / 'out')[0])


@pytest.mark.parametrize('column', ['side', 'Breast', 'lat'])
def test_a_column_of_sides_is_no_task(archive, tmp_path, capsys, column):
    (tmp_path / 'labels.csv').write_text(f'patient_id,{column},N\nP1,1,1\nP1,2,0\nP2,1,0\n')
    assert call(archive, '--out-dir', tmp_path / 'out', '--labels', tmp_path / 'labels.csv') == 2
    error = capsys.readouterr().err
    assert f'column {column} would be a task' in error
    assert 'rename it to laterality' in error


def test_labels_that_may_tell_who_somebody_is_are_refused_with_a_key(archive, tmp_path, capsys):
    (tmp_path / 'labels.csv').write_text('patient_id,birth_date,N\nP1,19560102,1\n')
    (tmp_path / 'key').write_text(KEY)
    options = ('--labels', tmp_path / 'labels.csv', '--id-key', tmp_path / 'key')
    assert call(archive, '--out-dir', tmp_path / 'out', *options) == 2
    error = capsys.readouterr().err
    assert 'column birth_date may tell who somebody is; with --id-key, take it out' in error
    assert '1956' not in error


def test_csv_input_keeps_what_its_rows_say(archive, tmp_path):
    cv2.imwrite(str(archive / 'film.png'), breast_image())
    path = 'sub/P1_2019L.dcm'
    rows = [
        'dicom_path;png_path;patient_id;view;laterality;cohort;age;grade',
        f'{path};;A;cc;left;site1;51;high',
        ';film.png;B;CC;;site2;;',
        f'{path};;A;;;;;',
        ';;C;;;;;',
        ';film2.png;;;;;;',
        'sub/none.dcm;;D;XX;;;;',
        'sub/gone.dcm;;D;;;;;',
    ]
    (archive / 'in.csv').write_text('\ufeff' + '\n'.join(rows), encoding='utf-8')
    assert call(archive / 'in.csv', '--out-dir', tmp_path / 'out') == 0
    meta, skipped = records(tmp_path / 'out')
    assert len(meta) == 2, skipped.to_string()
    first, second = meta
    assert (first['patient_id'], first['view'], first['laterality'], first['cohort']) == (
        'A',
        'CC',
        'L',
        'site1',
    )
    assert first['clinic_vars'] == {'age': 51, 'grade': 'high'}
    assert (second['patient_id'], second['source']) == ('B', 'film.png')
    assert list(skipped['reason']) == ['DUPLICATE', 'BAD_ROW', 'BAD_ROW', 'BAD_ROW', 'UNREADABLE']


@pytest.mark.parametrize('text', ['dicom_path\na.dcm\n', 'patient_id,path\nA,a.dcm\n'])
def test_csv_without_its_columns_is_refused(text, tmp_path, capsys):
    (tmp_path / 'in.csv').write_text(text)
    assert call(tmp_path / 'in.csv', '--out-dir', tmp_path / 'out') == 2
    assert 'columns are' in (err := capsys.readouterr().err) or 'is missing' in err


@pytest.mark.parametrize('lesions', ['[[1, 2]]', '[[1, 2, -3]]', '[[1, 2, NaN]]', '{"x": 1}', '5', 'here'])
def test_csv_row_with_impossible_lesions_is_reported(lesions, archive, tmp_path):
    table = pd.DataFrame([dict(dicom_path='a.dcm', patient_id='A', lesions=lesions)])
    table.to_csv(archive / 'in.csv', index=False)
    assert call(archive / 'in.csv', '--out-dir', tmp_path / 'out') == 1
    skipped = records(tmp_path / 'out')[1]
    assert list(skipped['reason']) == ['BAD_ROW']
    assert 'row 2: lesions is' in skipped['message'][0]


def test_links_and_folders_that_cannot_be_read_are_reported(archive, tmp_path, monkeypatch):
    (archive / 'sub/loop').symlink_to(archive)
    (archive / 'self').symlink_to(archive / 'self')
    (archive / 'locked').mkdir()
    os.mkfifo(archive / 'pipe')
    scan = os.scandir

    def guarded(path):
        if Path(path).name == 'locked':
            raise PermissionError(13, 'Permission denied')
        return scan(path)

    monkeypatch.setattr(os, 'scandir', guarded)
    found = {job.source: str(job.error.reason) for job in find_jobs(archive, tmp_path / 'out') if job.error}
    assert found == {'sub/loop': 'SYMLINK_LOOP'} | dict.fromkeys(('self', 'locked', 'pipe'), 'UNREADABLE')


def test_output_inside_the_input_is_not_taken_for_input(archive):
    call(archive, '--out-dir', archive / 'out')
    call(archive, '--out-dir', archive / 'out', '--fresh')
    assert len(records(archive / 'out')[0]) == 8


def test_a_full_disk_ends_the_run_with_one_message_and_resumes(archive, tmp_path, monkeypatch, capsys):
    write, calls = images.write_png, []

    def filling(path, image):
        calls.append(path)
        if len(calls) > 5:
            raise OSError(28, 'No space left on device')
        write(path, image)

    monkeypatch.setattr(images, 'write_png', filling)
    assert call(archive, '--out-dir', tmp_path / 'out') == 1
    assert re.search('No space left.*--resume', capsys.readouterr().err)
    monkeypatch.undo()
    call(archive, '--out-dir', tmp_path / 'out', '--resume')
    call(archive, '--out-dir', tmp_path / 'whole')
    assert contents(tmp_path / 'out') == contents(tmp_path / 'whole')


def test_a_worker_that_dies_leaves_a_reason(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(run, 'each', lambda _, items, **__: ((i, WorkerDiedError('it died')) for i in items))
    monkeypatch.setattr(run, 'read_person', None)
    assert call(archive / 'sub', '--out-dir', tmp_path / 'out') == 1
    assert set(records(tmp_path / 'out')[1]['reason']) == {'WORKER_DIED'}


def test_damaged_identifying_tags_are_not_quoted_by_the_libraries(tmp_path):
    """pydicom warns of odd values by printing them; a birth date must not end in a log that way."""
    (tmp_path / 'in').mkdir()
    ds = mammogram(SpecificCharacterSet='ISO_IR 999')
    path = save(ds, tmp_path / 'in/a.dcm')
    data = path.read_bytes()
    path.write_bytes(data.replace(BIRTH.encode(), b'19xSECRE').replace(b'Zweifel^', b'SECRET\x1b$'))
    tool = [sys.executable, ROOT / 'tools/preprocess.py', tmp_path / 'in', '--out-dir', tmp_path / 'out']
    (tmp_path / 'key').write_text(KEY)
    done = subprocess.run(
        [*map(str, tool), '--id-key', str(tmp_path / 'key')], capture_output=True, check=False
    )
    written = b''.join(contents(tmp_path / 'out').values()) + done.stdout + done.stderr
    assert b'SECRE' in path.read_bytes()
    assert b'SECRE' not in written


def test_labels_and_images_that_match_nothing_are_named_and_refused(archive, tmp_path, capsys):
    (tmp_path / 'labels.csv').write_text('patient_id,N\nP1,1\nX1,0\n')
    args = archive, '--out-dir', tmp_path / 'out', '--labels', tmp_path / 'labels.csv'
    assert call(*args) == 2
    text = capsys.readouterr().err
    assert '1 of 2 rows of labels.csv match no image: X1 (row 3)' in text
    assert '4 of 8 images match no row of labels.csv: P2' in text
    assert '--allow-unmatched' in text
    assert not (tmp_path / 'out/meta.json').exists()


def test_unmatched_rows_may_be_allowed_and_are_counted_in_the_last_line(archive, tmp_path, capsys, caplog):
    (tmp_path / 'labels.csv').write_text('patient_id,N\nP1,1\nX1,0\n')
    args = archive, '--out-dir', tmp_path / 'out', '--labels', tmp_path / 'labels.csv'
    assert call(*args, '--allow-unmatched') == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert '8 images of 2 patients, 4 labelled, 1 rows of labels unmatched' in last
    assert '1 of 2 rows of labels.csv match no image: X1 (row 3)' in caplog.text


def test_labels_that_lost_their_leading_zeros_are_pointed_out(tmp_path, capsys, caplog):
    for name in ('a.png', 'b.png'):
        cv2.imwrite(str(tmp_path / name), breast_image())
    (tmp_path / 'in.csv').write_text('png_path,patient_id\na.png,007\nb.png,112\n')
    (tmp_path / 'labels.csv').write_text('patient_id,N\n7,1\n112,0\n')
    assert call(tmp_path / 'in.csv', '--labels', tmp_path / 'labels.csv', '--out-dir', tmp_path / 'out') == 2
    assert "leading zeros or punctuation, or look alike: '007' and '7'" in caplog.text
    assert '1 of 2 images match no row of labels.csv: 007' in capsys.readouterr().err


def test_ids_in_another_spelling_are_the_same_patients(tmp_path):
    for name in ('a.png', 'b.png'):
        cv2.imwrite(str(tmp_path / name), breast_image())
    (tmp_path / 'in.csv').write_text('png_path,patient_id\na.png,Mu\u0308ller\nb.png,7\n', encoding='utf-8')
    pd.DataFrame(dict(patient_id=['Müller\u200b', 7.0], N=[1, 0])).to_excel(tmp_path / 'l.xlsx', index=False)
    assert call(tmp_path / 'in.csv', '--labels', tmp_path / 'l.xlsx', '--out-dir', tmp_path / 'out') == 0
    meta, _ = records(tmp_path / 'out')
    assert {item['patient_id']: item['gt_label'] for item in meta} == {'Müller': {'N': 1}, '7': {'N': 0}}


def rows_of(folder, rows, *options):
    """Preprocess a table of rows about film.png -> meta items, skipped."""
    cv2.imwrite(str(folder / 'film.png'), breast_image())
    (folder / 'in.csv').write_text('png_path,patient_id,view,laterality\n' + '\n'.join(rows) + '\n')
    call(folder / 'in.csv', '--out-dir', folder / 'out', *options)
    return records(folder / 'out')


def test_a_second_row_takes_over_from_a_bad_one(tmp_path):
    meta, skipped = rows_of(tmp_path, ['film.png,A,XX,L', 'film.png,A,CC,L'])
    assert [item['view'] for item in meta] == ['CC']
    assert list(skipped['reason']) == ['BAD_ROW']


@pytest.mark.parametrize('path', ['./film.png', 'film.png', './/./film.png'])
def test_one_path_in_two_spellings_is_one_image(path, tmp_path):
    meta, skipped = rows_of(tmp_path, ['film.png,A,CC,L', f'{path},A,CC,L'])
    assert len(meta) == 1
    assert list(skipped['message']) == ['this path stands in an earlier row']


def test_rows_that_give_one_image_to_two_patients_are_refused(tmp_path):
    meta, skipped = rows_of(tmp_path, ['film.png,A,CC,L', 'film.png,B,CC,L'])
    assert meta == []
    assert set(skipped['reason']) == {'BAD_ROW'}
    assert 'differ in patient_id; keep the right one' in skipped['message'][0]


@pytest.mark.parametrize(
    ('path', 'message'),
    [('sub\\film.png', 'back-slashes, write / instead'), ('../film.png', 'without "..'), ('', 'one of them')],
)
def test_paths_that_cannot_be_are_refused_with_the_remedy(path, message, tmp_path):
    meta, skipped = rows_of(tmp_path, [f'{path},A,CC,L'])
    assert meta == []
    assert message in skipped['message'][0]


def test_a_path_with_an_accent_is_found_in_either_spelling(tmp_path):
    cv2.imwrite(str(tmp_path / 'u\u0308.png'), breast_image())
    (tmp_path / 'in.csv').write_text('png_path,patient_id\n\xfc.png,A\n', encoding='utf-8')
    assert call(tmp_path / 'in.csv', '--out-dir', tmp_path / 'out') == 0


def test_codes_in_further_columns_stay_text(tmp_path):
    for name in ('a.png', 'b.png'):
        cv2.imwrite(str(tmp_path / name), breast_image())
    (tmp_path / 'in.csv').write_text(
        'png_path,patient_id,site,batch,code,age\na.png,A,042,1E5,1_5,54\nb.png,B,112,7,8,\n'
    )
    assert call(tmp_path / 'in.csv', '--out-dir', tmp_path / 'out') == 0
    meta, _ = records(tmp_path / 'out')
    assert [item['clinic_vars'] for item in meta] == [
        dict(site='042', batch='1E5', code='1_5', age=54), dict(site='112', batch='7', code='8', age=None)
    ]  # fmt: skip


def test_resuming_redoes_a_row_that_says_something_else(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), breast_image().astype(np.uint8))
    for patient in ('P1', 'P2'):
        (tmp_path / 'images.csv').write_text(f'png_path,patient_id,laterality\na.png,{patient},L\n')
        call(tmp_path / 'images.csv', '--out-dir', tmp_path / 'out', '--resume')
        meta, _ = records(tmp_path / 'out')
        assert [item['patient_id'] for item in meta] == [patient]


ORDERED = 'png_path,patient_id,laterality,exam_id,exam_order,tumor_side\n'


def two_exams(tmp_path, text):
    for name in 'ab':
        cv2.imwrite(str(tmp_path / f'{name}.png'), breast_image().astype(np.uint8))
    (tmp_path / 'images.csv').write_text(text)
    (tmp_path / 'labels.csv').write_text('patient_id,tumor_side,N\nP,R,1\n')
    return tmp_path / 'images.csv', '--out-dir', tmp_path / 'out'


def test_a_table_of_images_tells_the_order_of_exams_and_the_side_of_the_tumor(tmp_path):
    call(*two_exams(tmp_path, f'{ORDERED}a.png,P,L,x,2021,R\nb.png,P,R,y,2019,R\n'))
    meta, _ = records(tmp_path / 'out')
    assert [(item['exam_order'], item['tumor_side']) for item in meta] == [(2, 'R'), (1, 'R')]
    assert 'clinic_vars' not in meta[0]


def test_tables_that_contradict_about_the_side_of_the_tumor_are_refused(tmp_path, capsys):
    command = two_exams(tmp_path, f'{ORDERED}a.png,P,L,x,,L\nb.png,P,R,x,,L\n')
    assert call(*command, '--labels', tmp_path / 'labels.csv') == 2
    assert 'the tumor side of P is R, and L in the table of images' in capsys.readouterr().err


@pytest.mark.parametrize(('exam', 'is_warned'), [('y', True), ('x', False)])
def test_several_exams_without_an_order_are_named(exam, is_warned, tmp_path, caplog):
    call(*two_exams(tmp_path, f'{ORDERED}a.png,P,L,x,,\nb.png,P,R,{exam},,\n'))
    assert ('2 of 2 images: of several exams without an order' in caplog.text) == is_warned


def test_rows_without_image_are_told_beside_the_reasons_of_skipped_inputs(tmp_path, capsys):
    command = two_exams(tmp_path, 'png_path,patient_id\nnone.png,P\n')
    assert call(*command, '--labels', tmp_path / 'labels.csv') == 2
    assert 'match no image' in (message := capsys.readouterr().err)
    assert '1 inputs were skipped: UNREADABLE 1' in message


def test_labels_that_may_be_codes_are_named(tmp_path, caplog):
    command = two_exams(tmp_path, 'png_path,patient_id\na.png,P\nb.png,Q\n')
    (tmp_path / 'labels.csv').write_text('patient_id,N\nP,1\nQ,9\n')
    call(*command, '--labels', tmp_path / 'labels.csv')
    assert 'labels.csv: column N: 1 values are 9, the others 1 to 1; if 9 means unknown' in caplog.text
