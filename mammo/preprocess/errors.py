"""The one exception of the preprocessing path, and its reason codes.

Reason, message -> PreprocessError, which becomes one row of skipped.csv
"""

from enum import StrEnum

from mammo.errors import Exit, UserError


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
    QUALITY_IMAGE = 'QUALITY_IMAGE'  # flat field or phantom, not a breast
    SPECIMEN = 'SPECIMEN'  # tissue outside the body
    MAGNIFICATION = 'MAGNIFICATION'  # a magnified part of a breast
    SPOT_COMPRESSION = 'SPOT_COMPRESSION'  # a part of a breast under a small paddle
    STEREO = 'STEREO'  # a stereotactic pair or its scout
    BIOPSY = 'BIOPSY'  # before, during or after a biopsy
    TOMO_PROJECTION = 'TOMO_PROJECTION'  # one projection of a tomosynthesis
    CONTRAST = 'CONTRAST'  # high-energy or subtracted image of contrast-enhanced mammography
    CLEAVAGE = 'CLEAVAGE'  # the inner parts of both breasts
    TWO_BREASTS = 'TWO_BREASTS'  # both breasts side by side in one image
    INVERTED = 'INVERTED'  # a bright background, and no table says how it is meant
    MIXED_PATIENTS = 'MIXED_PATIENTS'  # one patient id that stands for several people
    STUDY_OF_TWO_PATIENTS = 'STUDY_OF_TWO_PATIENTS'  # one study under several patient ids
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


# images that --keep takes all the same, marked in meta.json
KEEPABLE = (
    Reason.SPECIMEN,
    Reason.MAGNIFICATION,
    Reason.SPOT_COMPRESSION,
    Reason.STEREO,
    Reason.BIOPSY,
    Reason.TOMO_PROJECTION,
    Reason.CONTRAST,
    Reason.CLEAVAGE,
    Reason.TWO_BREASTS,
)


class PreprocessError(UserError):
    """An input that cannot be used: ``reason`` is the code, the message says what was found."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.exit_code = Exit.NOTHING_MADE if reason == Reason.DISK_FULL else Exit.BAD_INPUT

    def __reduce__(self) -> tuple[type, tuple[Reason, str]]:
        return type(self), (self.reason, self.message)  # so that it crosses process borders whole
