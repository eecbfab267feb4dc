"""mini-MIAS (Suckling et al. 1994): what Info.txt says of each film, and a split by woman.

text of Info.txt -> films -> meta items; films -> {split: {patient_id, ...}}
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from sklearn.model_selection import train_test_split

from mammo.errors import UserError

SPACING_MM = 0.2
TASKS = ['malignant', 'abnormal', 'n_lesions', 'radius_mm']

# mdb001 G CIRC B 535 425 197; normal films end after NORM, mdb059 after B, three films in *NOTE 3*
_ROW = re.compile(
    r'(?P<name>mdb(?P<number>\d{3})) +(?P<tissue>[FGD]) +(?:NORM|[A-Z]{4} +(?P<severity>[BM])'
    r'(?: +(?P<x>\d+) +(?P<y>\d+) +(?P<radius>\d+)| +\*NOTE 3\*)?)'
)


@dataclass(frozen=True)
class Film:
    """One image; films are numbered in pairs of one woman."""

    name: str
    patient_id: str
    tissue: str
    severities: tuple[str, ...] = ()  # B or M, one per finding
    circles: tuple[tuple[int, int, int], ...] = ()  # x, y from the bottom, radius in pixels; only where given

    @property
    def class_index(self) -> int:
        """0 normal, 1 benign, 2 malignant: the worst finding (mdb144 has both kinds, so 2)."""
        return max((1 + (severity == 'M') for severity in self.severities), default=0)


def parse_info(text: str) -> list[Film]:
    """Read Info.txt; several rows of one film are its findings. A broken row is a UserError."""
    films: dict[str, Film] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not re.match(r'mdb\d', line):
            continue
        row = _ROW.fullmatch(line.rstrip())
        if row is None:
            raise UserError(
                f'Info.txt: line {number} is {line!r}, expected e.g. "mdb001 G CIRC B 535 425 197"'
            )
        film = films.get(row['name']) or Film(
            row['name'], f'P{(int(row["number"]) + 1) // 2:03d}', row['tissue']
        )
        if row['severity']:
            film = replace(film, severities=(*film.severities, row['severity']))
        if row['x']:
            circle = (int(row['x']), int(row['y']), int(row['radius']))
            film = replace(film, circles=(*film.circles, circle))
        films[film.name] = film
    if not films:
        raise UserError('Info.txt: no line starts with mdb and a number; take the file as it is distributed')
    return list(films.values())


def meta_item(film: Film, image_height_px: int, box: tuple[int, int, int, int]) -> dict[str, Any]:
    """Meta entry of the crop ``box`` (y0, x0, y1, x1); ``lesions`` are [x, y, radius] in its pixels.

    Laterality is left out: Info.txt and the labels on the films contradict each other.
    """
    y0, x0, _, _ = box
    worst, radii_px = film.class_index, [radius for _, _, radius in film.circles]
    labels = dict(malignant=int(worst == 2), abnormal=int(worst > 0), n_lesions=len(film.severities))
    return dict(
        img_path=f'png/{film.name}.png',
        gt_label=labels | (dict(radius_mm=round(max(radii_px) * SPACING_MM, 1)) if radii_px else {}),
        patient_id=film.patient_id,
        exam_id='1',
        view='MLO',
        spacing_mm=SPACING_MM,
        tissue=film.tissue,
        lesions=[[x - x0, image_height_px - y - y0, radius] for x, y, radius in film.circles],
    )


def split_women(films: Iterable[Film], seed: int) -> dict[str, set[str]]:
    """60 / 20 / 20 of the women, stratified by each woman's worst film."""
    worst: dict[str, int] = {}
    for film in films:
        worst[film.patient_id] = max(film.class_index, worst.get(film.patient_id, 0))
    women = sorted(worst)
    train, rest = train_test_split(
        women, test_size=0.4, random_state=seed, stratify=[worst[w] for w in women]
    )
    val, test = train_test_split(rest, test_size=0.5, random_state=seed, stratify=[worst[w] for w in rest])
    return dict(train=set(train), val=set(val), test=set(test))
