"""What decides how an image looks.

options of tools/preprocess.py -> Settings; written to preprocess.json except for the key and the folder
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mammo.preprocess.errors import KEEPABLE, PreprocessError, Reason
from mammo.preprocess.picture.breast import Side
from mammo.preprocess.privacy import digest


@dataclass(frozen=True)
class Settings:
    """Options of one run."""

    out_dir: Path
    spacing_mm: float = 0.0941  # of the PNG
    voi: str | None = None  # VOI view by index or explanation
    for_processing: Literal['refuse', 'tone'] = 'refuse'
    flip_to: Side | None = None  # side of the chest wall in every PNG; None leaves it
    keep: tuple[str, ...] = ()  # reasons of errors.KEEPABLE that do not refuse an image
    invert: Literal['refuse', 'auto'] = 'refuse'  # images with a bright background
    key: bytes | None = None

    def __post_init__(self) -> None:
        unknown = sorted(set(self.keep) - set(KEEPABLE))
        if not 0.03 <= self.spacing_mm <= 1:
            raise PreprocessError(Reason.BAD_ROW, f'spacing_mm is {self.spacing_mm}, expected 0.03 to 1 mm')
        if unknown:
            text = f'keep is {unknown}, expected some of {", ".join(KEEPABLE)}'
            raise PreprocessError(Reason.BAD_ROW, text)

    def described(self) -> dict[str, Any]:
        """As they may be written: of the key only whether there was one, and its fingerprint."""
        options = {name: value for name, value in vars(self).items() if name not in ('out_dir', 'key')}
        fingerprint = digest('fingerprint', '', self.key) if self.key else None
        return options | dict(keep=list(self.keep), key=fingerprint)
