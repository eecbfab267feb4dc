"""The one exception of the preprocessing path, and its reason codes.

Reason, message -> PreprocessError, which becomes one row of skipped.csv
"""

from enum import StrEnum

from mammo.errors import UserError


class Reason(StrEnum):
    """Why an input gave no image; the value is the code in skipped.csv."""

    UNREADABLE = 'UNREADABLE'  # missing, no permission, input/output error, not a regular file
    SYMLINK_LOOP = 'SYMLINK_LOOP'  # a link to a folder that is searched already
    EMPTY_FILE = 'EMPTY_FILE'  # zero bytes
    NOT_DICOM = 'NOT_DICOM'  # some other kind of file, or damaged beyond recognition
    TRUNCATED = 'TRUNCATED'  # the file or its pixel data ends early
    BAD_HEADER = 'BAD_HEADER'  # a tag that is needed is missing, unreadable or impossible
    BAD_ROW = 'BAD_ROW'  # a row of the input CSV lacks a path or a patient
    NO_PIXELS = 'NO_PIXELS'  # a header without image
    NO_PATIENT_ID = 'NO_PATIENT_ID'  # folds must never share a patient, so an image needs one
    NOT_MAMMOGRAM = 'NOT_MAMMOGRAM'  # other modality or body part
    QUALITY_IMAGE = 'QUALITY_IMAGE'  # flat field, phantom or specimen, not a breast
    MULTI_FRAME = 'MULTI_FRAME'  # tomosynthesis or cine
    COLOUR = 'COLOUR'  # RGB, palette or YBR
    BIT_DEPTH = 'BIT_DEPTH'  # not 8 or 16 bits allocated
    TOO_LARGE = 'TOO_LARGE'  # the header declares more pixels than any mammogram has
    FOR_PROCESSING = 'FOR_PROCESSING'  # raw detector values; accepted only on request
    DECODE_FAILED = 'DECODE_FAILED'  # no decoder can read the pixel data
    NO_BREAST = 'NO_BREAST'  # constant or black image, or nothing in it that looks like a breast
    DUPLICATE = 'DUPLICATE'  # the same SOP Instance UID or CSV row as an input that was kept
    DISK_FULL = 'DISK_FULL'  # ends the run: nothing more can be written; run again with --resume
    INTERNAL = 'INTERNAL'  # a bug of this project, in the log with its place; please report it
    WORKER_DIED = 'WORKER_DIED'  # the process that had this input was killed, mostly out of memory


class PreprocessError(UserError):
    """An input that cannot be used: ``reason`` is the code, the message says what was found."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __reduce__(self) -> tuple[type, tuple[Reason, str]]:
        return type(self), (self.reason, self.message)  # so that it crosses process borders whole
