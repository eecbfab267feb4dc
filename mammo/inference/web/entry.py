"""What a browser sends, as what ``Predictor.predict`` takes.

form of text fields and uploaded files -> Entry, checked; its files in a folder, as Jobs
"""

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.datastructures import FormData, UploadFile

from mammo.inference.exam.reading import MAX_IMAGES
from mammo.inference.exam.views import job_of
from mammo.inference.predictor import Predictor
from mammo.inference.refusals import ExamError, Refusal
from mammo.inference.web.words import SLOTS
from mammo.preprocess.inputs.job import Job

CLINICAL = 'clinical.'  # starts the names of clinical fields; their rest is the name in the schema
IMAGES = 'images'  # files whose header or name tells side and view
MAX_NAME = 80  # characters of a file name that are shown
MAX_VALUE = 200  # characters of a text field that are shown again


class FieldsError(ExamError):
    """Clinical values that cannot be, with the reason of each by name of the variable."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__(Refusal.CLINICAL_VALUE, '; '.join(fields.values()))
        self.fields = fields


@dataclass
class Entry:
    """A filled form: texts as typed, so that it can be shown again, and the files."""

    clinical: dict[str, str] = field(default_factory=dict)
    tumor_side: str = ''
    cropped_png: bool = False
    uploads: list[tuple[str, UploadFile]] = field(default_factory=list)  # name of the field, file
    unknown: list[str] = field(default_factory=list)  # names of fields that no form has
    repeated: bool = False
    jobs: list[Job] = field(default_factory=list)  # the files, once they are saved

    @classmethod
    def of(cls, form: FormData) -> 'Entry':
        """Sort the fields of a form; an empty place for a file counts as none."""
        entry, seen = cls(), set()
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                entry.uploads += [(name, value)] if value.filename or value.size else []
                continue
            entry.repeated |= name in seen
            seen.add(name)
            if name.startswith(CLINICAL):
                entry.clinical[name.removeprefix(CLINICAL)] = value[:MAX_VALUE]
            elif name == 'tumor_side':
                entry.tumor_side = value[:MAX_VALUE]
            elif name == 'cropped_png':
                entry.cropped_png = value == 'yes'
            elif value:  # a file field of an empty form may come as empty text
                entry.unknown.append(name[:MAX_NAME])
        return entry

    def check(self, predictor: Predictor) -> None:
        """All that can be told without looking at the images.

        Raises:
            FieldsError: clinical values that cannot be.
            ExamError: NUMBER_OF_IMAGES, FIELD, CLINICAL_NAME.
        """
        if self.unknown or self.repeated:
            problem = (
                f'no field is called {", ".join(self.unknown)}' if self.unknown else 'a field comes twice'
            )
            raise ExamError(Refusal.FIELD, f'{problem}; there are {", ".join(fields(predictor))}')
        problems: dict[str, str] = {}
        for name, value in self.clinical.items() if predictor.fusion else ():
            try:
                predictor.fusion.check({name: value})  # type: ignore[union-attr]
            except ExamError as error:
                if error.reason == Refusal.CLINICAL_NAME:
                    raise
                problems[name] = error.message
        if problems:
            raise FieldsError(problems)
        if not 0 < len(self.uploads) <= MAX_IMAGES:
            number = str(len(self.uploads) or 'no')
            raise ExamError(
                Refusal.NUMBER_OF_IMAGES, f'{number} images; give 1 to {MAX_IMAGES} of one patient'
            )

    def options(self, predictor: Predictor) -> dict[str, Any]:
        """Arguments of ``Predictor.predict`` beside the images."""
        cropped = self.cropped_png if predictor.preprocessed else None
        return dict(clinical=self.clinical, tumor_side=self.tumor_side or None, cropped_png=cropped)

    def save(self, folder: Path) -> None:
        """Copy the uploads under numbers, never under names that came with them, and let go of them."""
        for i, (place, upload) in enumerate(self.uploads):
            path, name = folder / str(i), shown_name(upload.filename or '')
            slot = {} if place == IMAGES else job_of(path, place).fields
            with path.open('wb') as file:
                shutil.copyfileobj(upload.file, file, 2**20)
            upload.file.close()
            self.jobs.append(Job(name, path, slot))


def fields(predictor: Predictor) -> list[str]:
    """Names of all fields that a form may have."""
    return [IMAGES, *SLOTS, 'tumor_side', 'cropped_png', *(CLINICAL + v['name'] for v in predictor.schema)]


def shown_name(name: str) -> str:
    r"""Last part of a file name, printable and short; it is shown and read for side and view only.

    Example:
        >>> shown_name(r'C:\exam\..\L_CC.dcm'), shown_name('../../etc/passwd'), shown_name('..')
        ('L_CC.dcm', 'passwd', 'image')
    """
    last = re.split(r'[/\\]', name)[-1]
    text = ''.join(c for c in last if c.isprintable()).strip(' .')
    text = f'{text[: MAX_NAME - 20]}...{text[-17:]}' if len(text) > MAX_NAME else text
    return text or 'image'
