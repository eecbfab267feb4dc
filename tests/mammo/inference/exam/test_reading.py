"""One exam: which files make one, and the answer to those that do not."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mammo.inference.exam.images import Exam
from mammo.inference.exam.reading import read_exam
from mammo.inference.exam.views import job_of, jobs_of
from mammo.inference.refusals import ExamError
from mammo.preprocess.dicom.reader import read as read_header
from mammo.preprocess.images import render
from mammo.preprocess.inputs.job import Job
from mammo.preprocess.settings import Settings

SETTINGS = Settings(Path('.'), spacing_mm=0.5)
Films = Callable[..., Path]


def read(*files: str | Path | Job, cropped_png: bool = False) -> Exam:
    return read_exam(files, SETTINGS, cropped_png=cropped_png)


def refused(*files: str | Path | Job) -> tuple[str, str]:
    with pytest.raises(ExamError, match=r'.') as caught:
        read(*files)
    return caught.value.reason, caught.value.message


def test_views_are_those_of_the_headers_and_pixels_those_of_the_preprocessing(exam: list[Path]) -> None:
    found = read(*exam)
    assert [(i.laterality, i.view) for i in found.images] == [
        ('L', 'CC'), ('L', 'MLO'), ('R', 'CC'), ('R', 'MLO')
    ]  # fmt: skip
    assert {i.found_in for i in found.images} == {'header'}
    assert found.warnings == []
    expected = render(Job('x', exam[3]), read_header(exam[3], header_only=True), SETTINGS).image
    np.testing.assert_array_equal(found.images[3].pixels, expected)


def test_a_mapping_gives_side_and_view(films: Films) -> None:
    bare = films(ImageLaterality=None, ViewPosition=None, ViewCodeSequence=None, SeriesDescription=None)
    reason, message = refused(bare)
    assert reason == 'MISSING_VIEW'
    assert message.startswith(f'{bare.name}: nothing tells the ')
    image = read_exam({'R_MLO': bare}, SETTINGS).images[0]
    assert (image.laterality, image.view, image.found_in) == ('R', 'MLO', 'given')


def test_given_and_header_must_agree(films: Films) -> None:
    reason, message = refused(job_of(films(), 'R_CC'))
    assert reason == 'CONTRADICTION'
    assert 'the header says L, R was given' in message


@pytest.mark.parametrize('name', ['LCC', 'X_CC', 'L_XY', 'CC', ''])
def test_a_side_and_view_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ExamError, match=f'{name!r}: expected side and view such as L_CC'):
        job_of('a.dcm', name)


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('p1_L_CC.png', 'L CC'), ('0_R-MLO.png', 'R MLO'), ('RCC.png', 'R CC'), ('left mlo.png', 'L MLO'),
        ('cc_right.png', 'R CC'), ('a_L_CC_and_R_CC.png', ''), ('mdb001.png', ''), ('FULL_CCTV.png', ''),
        ('XL_CC.png', ''),
    ],
)  # fmt: skip
def test_file_names_tell_side_and_view_of_a_png_if_they_do_so_once(
    png: Path, tmp_path: Path, name: str, expected: str
) -> None:
    path = Path(shutil.copy(png, tmp_path / name))
    if not expected:
        assert refused(path)[0] == 'MISSING_VIEW'
        return
    found = read(path)
    assert f'{found.images[0].laterality} {found.images[0].view}' == expected
    assert f'side and view are from the file name: {name}' in found.warnings


def test_a_png_is_cropped_unless_it_was_before(png: Path) -> None:
    whole = cv2.imread(str(png), cv2.IMREAD_UNCHANGED)
    found = read(png)
    assert found.images[0].pixels.shape < whole.shape
    assert 'pixel size unknown, so not brought to the 0.5 mm' in found.warnings[-2]
    np.testing.assert_array_equal(read(png, cropped_png=True).images[0].pixels, whole)


def test_mixed_patients_and_dates_are_refused_without_their_ids(films: Films, exam: list[Path]) -> None:
    other = films(1, 'L', 'MLO')
    reason, message = refused(exam[0], other)
    assert reason == 'MIXED_PATIENTS'
    assert message == 'these are images of 2 patients; give those of one'
    reason, _ = refused(films(StudyDate='20200101'), films(view='MLO', StudyDate='20210101'))
    assert reason == 'MIXED_EXAMS'


def test_pictures_of_two_exams_of_a_table_need_an_order(tmp_path: Path) -> None:
    jobs = []
    for i, exam in enumerate('xy'):
        cv2.imwrite(str(tmp_path / f'{exam}.png'), np.full((60, 40), 50 + i, np.uint8))
        given = dict(patient_id='p', laterality='L', view='CC', exam_id=exam)
        jobs.append(Job(exam, tmp_path / f'{exam}.png', given, is_png=True))
    with pytest.raises(ExamError, match='images of several studies or dates'):
        read(*jobs, cropped_png=True)
    ordered = [replace(job, fields=job.fields | dict(exam_order=i)) for i, job in enumerate(jobs)]
    assert [image.exam_order for image in read(*ordered, cropped_png=True).images] == [0, 1]


def test_the_same_image_twice_is_refused_even_under_another_name(
    films: Films, png: Path, tmp_path: Path
) -> None:
    first, second = films(name='a.dcm'), films(name='b.dcm')
    assert refused(first, second) == ('DUPLICATE', 'b.dcm and a.dcm are the same image; give it once')
    copy = Path(shutil.copy(png, tmp_path / 'copy_L_CC.png'))
    assert refused(png, copy)[0] == 'DUPLICATE'


def test_two_left_cc_views_are_used_with_a_warning(films: Films) -> None:
    found = read(films(), films(SOPInstanceUID='1.2.3'))
    assert len(found.images) == 2
    assert '2 images show the left breast in CC; all are used' in found.warnings


def test_one_view_only_is_a_warning(films: Films) -> None:
    assert 'only one view of the left breast (CC)' in read(films()).warnings


def test_an_image_without_patient_is_welcome(films: Films) -> None:
    assert len(read(films(PatientID=''), films(view='MLO')).images) == 2


@pytest.mark.parametrize(
    ('tags', 'reason', 'message'),
    [
        (dict(Modality='CT', BodyPartExamined='HEAD'), 'NOT_MAMMOGRAM', "Modality is 'CT'"),
        (dict(PresentationIntentType='FOR PROCESSING'), 'FOR_PROCESSING', 'give the For Presentation image'),
        (dict(NumberOfFrames=40), 'MULTI_FRAME', '40 frames'),
        (dict(PixelData=None), 'NO_PIXELS', 'no PixelData'),
        (dict(PixelData=bytes(2 * 480 * 320)), 'NO_BREAST', ''),
        (dict(Rows=60000, Columns=60000), 'TOO_LARGE', '60000 x 60000'),
    ],
)
def test_what_is_no_mammogram_is_refused_by_name(films: Films, tags: dict, reason: str, message: str) -> None:
    path = films(**tags)
    found = refused(path)
    assert found[0] == reason
    assert found[1].startswith(f'{path.name}: ')
    assert message in found[1]


def test_files_that_are_no_images_are_refused(tmp_path: Path, films: Films, png: Path) -> None:
    (tmp_path / 'letter.pdf').write_bytes(b'%PDF-1.7 and so on')
    assert refused(tmp_path / 'letter.pdf') == (
        'NOT_DICOM', 'letter.pdf: neither a DICOM file nor a PNG or JPEG image'
    )  # fmt: skip
    (tmp_path / 'empty.dcm').touch()
    assert refused(tmp_path / 'empty.dcm')[0] == 'EMPTY_FILE'
    assert refused(tmp_path / 'none.dcm')[0] == 'UNREADABLE'
    assert refused(tmp_path)[0] == 'UNREADABLE'
    (tmp_path / 'L_CC.png').write_bytes(png.read_bytes()[:-200])
    assert refused(tmp_path / 'L_CC.png')[0] == 'UNREADABLE'
    (tmp_path / 'cut.dcm').write_bytes(films().read_bytes()[:-500])
    assert refused(tmp_path / 'cut.dcm')[0] == 'TRUNCATED'


def test_a_file_of_2_gb_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / 'huge.dcm').open('wb') as file:
        file.truncate(2**31)  # sparse
    reason, message = refused(tmp_path / 'huge.dcm')
    assert reason == 'TOO_LARGE'
    assert '2147483648 bytes' in message


def test_the_number_of_images_is_limited(films: Films) -> None:
    assert refused()[0] == 'NUMBER_OF_IMAGES'
    assert refused(*[films()] * 33)[0] == 'NUMBER_OF_IMAGES'


def test_as_many_images_as_an_exam_may_have_are_read(tmp_path: Path) -> None:
    for i in range(32):
        cv2.imwrite(str(tmp_path / f'L_CC_{i}.png'), np.full((60, 40), 50 + i, np.uint8))
    assert len(read(*sorted(tmp_path.glob('*.png')), cropped_png=True).images) == 32


def test_messages_do_not_name_the_patient(films: Films) -> None:
    path = films(PatientName='Doe^Jane', PresentationIntentType='FOR PROCESSING', name='film.dcm')
    assert 'Doe' not in refused(path)[1]


def test_a_path_alone_is_one_image() -> None:
    assert [job.source for job in jobs_of('a/b.dcm')] == ['b.dcm']


def test_a_file_name_that_contradicts_the_header_fills_no_gap(films: Films) -> None:
    path = films(0, 'L', 'CC', name='R_CC_x.dcm', ViewPosition=None, ViewCodeSequence=None)
    with pytest.raises(
        ExamError, match=r'R_CC_x\.dcm: the file name says R, not L; give side and view'
    ) as error:
        read_exam([path], SETTINGS)
    assert error.value.reason == 'CONTRADICTION'


def test_an_exam_of_too_many_pixels_is_refused(exam: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    one = read_exam(exam[:1], SETTINGS).images[0].pixels.size
    monkeypatch.setattr('mammo.inference.exam.reading.MAX_EXAM_PIXELS', 2 * one)
    with pytest.raises(ExamError, match='pixels in one exam; give fewer or smaller images') as error:
        read_exam(exam, SETTINGS)
    assert error.value.reason == 'TOO_LARGE'
