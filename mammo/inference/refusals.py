"""Why an exam or a request gets no answer: one table for page, API, batch and docs/records.md.

code -> what it means, what to do, status of HTTP
"""

from enum import StrEnum
from typing import Self

from mammo.errors import UserError

KIND = 'Give the mammograms as DICOM files of type For Presentation, or as PNG or JPEG images.'
AGAIN = 'Export the image again, then give it once more.'
OTHER = 'Take this file out, and give the others again.'
ROUTINE = f'Give the routine views of each breast, CC and MLO. {OTHER}'
SLOT = 'Choose the file under "Files that do not say side and view", in the place of its side and view.'
ONE_PATIENT = 'Give files of one patient only.'
FORM = 'Use the form of the start page.'
ROW = 'Correct the row of the table.'
REPORT = 'This may be an error of the program. Please report it to who runs this calculator.'


class Refusal(StrEnum):
    """Code, meaning, remedy; with codes of the preprocessing (mammo.preprocess.errors.Reason) among them."""

    meaning: str
    remedy: str
    status: int  # of HTTP

    def __new__(cls, code: str, meaning: str, remedy: str, status: int = 422) -> Self:
        """Make a member, whose value is its code."""
        made = str.__new__(cls, code)
        made._value_ = code
        made.meaning, made.remedy, made.status = meaning, remedy, status
        return made

    NUMBER_OF_IMAGES = 'NUMBER_OF_IMAGES', 'no image, or too many', 'Choose the images of one exam; usually these are four: CC and MLO of both breasts.'  # fmt: skip  # noqa: E501
    MISSING_VIEW = 'MISSING_VIEW', 'nothing tells which side and view an image shows', SLOT
    BAD_VIEW = 'BAD_VIEW', 'side and view that were given are none', SLOT
    CONTRADICTION = 'CONTRADICTION', 'two sources of side, view or value contradict each other', 'Choose the file in the place that its header names, or under "Image files"; give one value.'  # fmt: skip  # noqa: E501
    DUPLICATE = 'DUPLICATE', 'an image is given twice', 'Choose each file once.'
    MIXED_PATIENTS = 'MIXED_PATIENTS', 'images of several people', ONE_PATIENT
    STUDY_OF_TWO_PATIENTS = 'STUDY_OF_TWO_PATIENTS', 'one study under several patient ids', ONE_PATIENT
    MIXED_EXAMS = 'MIXED_EXAMS', 'images of several studies or dates', 'Choose files of one exam only.'
    NO_TUMOR_SIDE = 'NO_TUMOR_SIDE', 'no image shows the breast with the tumor', 'Add images of that breast, or set the side of the tumor to unknown.'  # fmt: skip  # noqa: E501
    BAD_SIDE = 'BAD_SIDE', 'the side of the tumor is none', 'Choose unknown, left or right.'
    CLINICAL_NAME = 'CLINICAL_NAME', 'no such clinical variable, or one given twice', 'Use the form of the start page; it has all variables of this bundle.'  # fmt: skip  # noqa: E501
    CLINICAL_VALUE = 'CLINICAL_VALUE', 'a clinical value that cannot be', 'Correct the fields that are named, or leave them unknown.'  # fmt: skip  # noqa: E501
    FIELD = 'FIELD', 'a field that the form does not have, or that comes twice', FORM
    USAGE = 'USAGE', 'an option of the command line is not NAME=VALUE', 'See predict.py --help.'
    NOT_DICOM = 'NOT_DICOM', 'neither a DICOM file nor an image', KIND
    NOT_MAMMOGRAM = 'NOT_MAMMOGRAM', 'another modality or part of the body', KIND
    NO_PIXELS = 'NO_PIXELS', 'a header without image', KIND
    COLOUR = 'COLOUR', 'an image in color', KIND
    QUALITY_IMAGE = 'QUALITY_IMAGE', 'a flat field or phantom', KIND
    BIT_DEPTH = 'BIT_DEPTH', 'not 8 or 16 bits allocated', KIND
    MULTI_FRAME = 'MULTI_FRAME', 'several frames', 'Give the two-dimensional images; tomosynthesis is not supported.'  # fmt: skip  # noqa: E501
    FOR_PROCESSING = 'FOR_PROCESSING', 'raw detector values', 'Ask for the For Presentation version of the image; the workstation shows it.'  # fmt: skip  # noqa: E501
    NO_BREAST = 'NO_BREAST', 'nothing in the image looks like a breast', f'Look at the image: it seems to be empty, or to show something else. {OTHER}'  # fmt: skip  # noqa: E501
    TOO_LARGE = 'TOO_LARGE', 'more pixels or bytes than any mammogram has', OTHER
    EMPTY_FILE = 'EMPTY_FILE', 'a file of zero bytes', AGAIN
    UNREADABLE = 'UNREADABLE', 'no such file, or it cannot be read', AGAIN
    TRUNCATED = 'TRUNCATED', 'the file ends early', AGAIN
    BAD_HEADER = 'BAD_HEADER', 'a tag that is needed is missing, unreadable or impossible', AGAIN
    DECODE_FAILED = 'DECODE_FAILED', 'no decoder can read the pixels', 'Export the image again without compression, then give it once more.'  # fmt: skip  # noqa: E501
    INVERTED = 'INVERTED', 'an image with a bright background', 'Invert the image, so that dense tissue is bright, then give it once more.'  # fmt: skip  # noqa: E501
    SPECIMEN = 'SPECIMEN', 'tissue outside the body', ROUTINE
    MAGNIFICATION = 'MAGNIFICATION', 'a magnified part of a breast', ROUTINE
    SPOT_COMPRESSION = 'SPOT_COMPRESSION', 'a part of a breast under a small paddle', ROUTINE
    STEREO = 'STEREO', 'a stereotactic pair or its scout', ROUTINE
    BIOPSY = 'BIOPSY', 'an image of a biopsy', ROUTINE
    TOMO_PROJECTION = 'TOMO_PROJECTION', 'one projection of a tomosynthesis', ROUTINE
    CONTRAST = 'CONTRAST', 'an image of contrast-enhanced mammography', ROUTINE
    CLEAVAGE = 'CLEAVAGE', 'the inner parts of both breasts', ROUTINE
    OTHER_VIEW = 'OTHER_VIEW', 'a view that a network of several views does not take', ROUTINE
    TWO_BREASTS = 'TWO_BREASTS', 'both breasts in one image', ROUTINE
    BAD_ROW = 'BAD_ROW', 'a row of a table without path', ROW
    NO_PATIENT_ID = 'NO_PATIENT_ID', 'a row of a table without patient', ROW
    SYMLINK_LOOP = 'SYMLINK_LOOP', 'a link that leads to itself', 'Give the file itself.'
    WORKER_DIED = 'WORKER_DIED', 'the process that had this image was killed', REPORT
    INTERNAL = 'INTERNAL', 'an error of the program', REPORT
    DISK_FULL = 'DISK_FULL', 'the disk of the computer is full', 'Free some space there, then send the exam again.', 507  # fmt: skip  # noqa: E501
    HTTP_400 = 'HTTP_400', 'The request cannot be read', FORM, 400
    HTTP_403 = 'HTTP_403', 'This request came from another page', FORM, 403
    HTTP_404 = 'HTTP_404', 'There is no such page', 'Start at the form.', 404
    HTTP_405 = 'HTTP_405', 'This page takes no such request', 'Programs post to /api/predict.', 405
    HTTP_408 = 'HTTP_408', 'The upload took too long', 'Try again; the page says how fast an upload must be.', 408  # fmt: skip  # noqa: E501
    HTTP_413 = 'HTTP_413', 'The upload is too large', 'Choose the images of one exam only.', 413
    HTTP_421 = 'HTTP_421', 'Unknown host name', 'Use the address that was printed at the start.', 421
    HTTP_429 = 'HTTP_429', 'Too many exams from your computer', 'Wait for the answer of one of them.', 429
    HTTP_500 = 'HTTP_500', 'Something went wrong', 'Tell the number of the incident to who runs this calculator.', 500  # fmt: skip  # noqa: E501
    HTTP_503 = 'HTTP_503', 'The queue is full', 'Try again in some minutes.', 503

    @classmethod
    def of_status(cls, status: int) -> 'Refusal':
        """What a refused request is called.

        Example:
            >>> Refusal.of_status(413).value, Refusal.of_status(416).value
            ('HTTP_413', 'HTTP_400')
        """
        return cls.__members__.get(f'HTTP_{status}', cls.HTTP_400)


class ExamError(UserError):
    """An exam that cannot be scored: ``reason`` is a code, the message is written for the user."""

    def __init__(self, reason: Refusal, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
