"""How well the breast mask fits: phantoms with known masks under disturbances, and lesions of real films.

phantoms, optionally mini-MIAS -> table of Dice and boundary error, pictures of the worst phantoms
Run: python benchmarks/studies/breast_mask.py --out-dir docs/pictures [--mini-mias FOLDER]
"""

import argparse
import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt

from mammo.phantoms.drawing import FIELD_HEIGHT_MM, render_view
from mammo.preprocess.picture.breast import NoBreastError, breast_mask

SHAPE = (600, 400)
SPACING_MM = FIELD_HEIGHT_MM / SHAPE[0]
Film = NDArray[np.float32]
Disturbed = tuple[Film, NDArray[np.bool_] | None]  # image, declared padding


def padding(film: Film) -> Disturbed:
    """A frame of padding, brighter than the breast, as MONOCHROME1 files have it after inversion."""
    declared = np.ones(film.shape, bool)
    declared[25:-25, :-30] = False
    return np.where(declared, 2.0, film + 0.1).astype(np.float32), declared


def collimator(film: Film) -> Disturbed:
    """A bright rectangle of the collimator round the field, not declared."""
    image = film.copy()
    image[:12] = image[-12:] = image[:, -15:] = 0.9
    return image, None


def label(film: Film) -> Disturbed:
    """Letters of full brightness on a black plate, in air that is not black."""
    image = film + 0.1
    x, y = film.shape[1] - 130, 60
    image[y - 35 : y + 15, x - 10 : x + 120] = 0
    letters = np.zeros(film.shape, np.uint8)
    cv2.putText(letters, 'L MLO', (x, y), cv2.FONT_HERSHEY_SIMPLEX, 1, 1, 3)
    return np.where(letters > 0, 1.3, image).astype(np.float32), None


def tape(film: Film) -> Disturbed:
    """A strip of tape across the corner of the film, brighter than fat."""
    image = film.copy()
    cv2.line(
        image, (film.shape[1] - 200, film.shape[0] - 5), (film.shape[1] - 5, film.shape[0] - 120), 0.3, 22
    )
    return image, None


def skin_fold(film: Film) -> Disturbed:
    """A bright line near the skin, from the fold below the breast."""
    image = film.copy()
    y = int(0.7 * film.shape[0])
    cv2.ellipse(image, (0, y), (int(0.35 * film.shape[1]), 60), 0, -80, 20, 0.7, 4)
    return np.where(film > 0, image, film).astype(np.float32), None


def pectoral(film: Film) -> Disturbed:
    """A muscle as bright as the densest tissue, from the corner to half of the height."""
    y, x = np.indices(film.shape)
    muscle = (x / (0.4 * film.shape[1]) + y / (0.5 * film.shape[0])) < 1
    return np.where(muscle & (film > 0), np.maximum(film, 0.8), film).astype(np.float32), None


def noise(film: Film) -> Disturbed:
    """Noise of a low dose, in the air too."""
    rng = np.random.default_rng(int(film.sum()))
    return (film + 0.1 + rng.normal(0, 0.03, film.shape)).clip(0).astype(np.float32), None


def inverted(film: Film) -> Disturbed:
    """A negative turned back by its brightest pixel: air lies above 0."""
    return (1.2 - (1.0 - film)).astype(np.float32), None


def implant(film: Film) -> Disturbed:
    """A disc as bright as an implant in the middle of the breast."""
    image = film.copy()
    cv2.circle(image, (int(0.25 * film.shape[1]), film.shape[0] // 2), int(0.22 * film.shape[1]), 1.0, -1)
    return np.where(film > 0, image, film).astype(np.float32), None


def hologic_curve(film: Film) -> Disturbed:
    """A sigmoid that lifts dense tissue, air at 0."""
    return (film > 0) / (1 + np.exp(-12 * (film - 0.3))).astype(np.float32), None


def ge_curve(film: Film) -> Disturbed:
    """A root that equalises the skin with the middle, air at a tenth of the range."""
    return (0.1 + np.sqrt(film)).astype(np.float32), None


def nothing(film: Film) -> Disturbed:
    """The phantom as it is drawn."""
    return film, None


DISTURBANCES: tuple[Callable[[Film], Disturbed], ...] = (
    nothing, padding, collimator, label, tape, skin_fold, pectoral, noise, inverted, implant, hologic_curve,
    ge_curve,
)  # fmt: skip


def dice(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Twice the common area over the sum of the areas."""
    return float(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))


def boundary_mm(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """95th percentile of the distances from either outline to the other, in mm."""
    edges = [shape & ~binary_erosion(shape, border_value=1) for shape in (mask, truth)]
    if not all(edge.any() for edge in edges):
        return float('inf')
    away = [distance_transform_edt(~edge)[other] for edge, other in (edges, edges[::-1])]
    return float(np.percentile(np.concatenate(away), 95) * SPACING_MM)


def films(n: int) -> Iterator[tuple[Film, NDArray[np.bool_]]]:
    """Phantoms, half of them MLO, and where their breast is."""
    for i in range(n):
        rng = np.random.default_rng([7, i])
        film = render_view(rng, SHAPE, ('CC', 'MLO')[i % 2], rng.uniform(-1, 1), None)[0].astype(np.float32)
        yield film, film > 0


def measure(n: int) -> tuple[list[dict[str, Any]], list[NDArray[np.uint8]]]:
    """Rows of the table, and a picture of the worst case of each disturbance."""
    rows, pictures, phantoms = [], [], list(films(n))
    for disturb in DISTURBANCES:
        results = []
        for film, truth in phantoms:
            image, declared = disturb(film)
            known = truth if declared is None else truth & ~declared
            try:
                mask = breast_mask(image, padding=declared, spacing_mm=SPACING_MM)
            except NoBreastError:
                mask = np.zeros(SHAPE, bool)
            results.append((dice(mask, known), boundary_mm(mask, known), image, mask, known))
        worst = min(results, key=lambda result: result[0])
        pictures.append(_picture(disturb.__name__, *worst[2:]))
        rows.append(
            dict(
                disturbance=disturb.__name__.replace('_', ' '),
                dice=float(np.mean([r[0] for r in results])),
                worst_dice=worst[0],
                boundary_mm=float(np.median([r[1] for r in results])),
                worst_boundary_mm=max(r[1] for r in results),
            )
        )
    return rows, pictures


def lesions_inside(folder: Path) -> tuple[float, int, int]:
    """Mini-MIAS: mean share of a lesion's disc that the mask holds, lesions with less than 0.9, lesions."""
    with (folder / 'mini_mias_index.csv').open() as file:
        discs = [row for row in csv.DictReader(file) if row['x_topleft'] and row['radius_px']]
    shares = []
    for row in discs:
        image = cv2.imread(str(folder / f'images/{row["image"]}.png'), cv2.IMREAD_UNCHANGED)
        disc = np.zeros(image.shape, np.uint8)
        cv2.circle(disc, (int(row['x_topleft']), int(row['y_topleft'])), int(float(row['radius_px'])), 1, -1)
        shares.append(float(breast_mask(image, spacing_mm=0.2)[disc > 0].mean()))
    return float(np.mean(shares)), sum(share < 0.9 for share in shares), len(shares)


def _picture(name: str, image: Film, mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The image with the outline of the truth (green) and of the mask (orange)."""
    grey = (255 * (image / image.max()).clip(0, 1)).astype(np.uint8)
    picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    for shape, colour in ((truth, (80, 200, 80)), (mask, (0, 140, 255))):
        outlines, _ = cv2.findContours(shape.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, colour, 3)
    picture = cv2.resize(picture, (SHAPE[1] // 2, SHAPE[0] // 2), interpolation=cv2.INTER_AREA)
    return cv2.putText(
        picture, name, (6, SHAPE[0] // 2 - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1
    )


def main() -> None:
    """Measure, print the table in Markdown, write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out-dir', type=Path, required=True, help='folder of breast_masks.png')
    parser.add_argument('--phantoms', type=int, default=24)
    parser.add_argument('--mini-mias', type=Path, help='folder of the films')
    args = parser.parse_args()
    rows, pictures = measure(args.phantoms)
    print(
        '| disturbance | Dice, mean | Dice, worst | boundary in mm, median | worst |\n|---|---|---|---|---|'
    )
    for row in rows:
        print('| {disturbance} | {dice:.3f} | {worst_dice:.3f} | {boundary_mm:.1f} | '
              '{worst_boundary_mm:.1f} |'.format(**row))  # fmt: skip
    half = len(pictures) // 2
    grid = np.vstack([np.hstack(pictures[:half]), np.hstack(pictures[half : 2 * half])])
    args.out_dir.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(args.out_dir / 'breast_masks.png'), grid)
    if args.mini_mias:
        mean, n_cut, n_lesions = lesions_inside(args.mini_mias)
        print(f'\n{n_lesions} lesions of mini-MIAS: {mean:.1%} of a disc lies in the mask, '
              f'{n_cut} discs with less than 90 %')  # fmt: skip


if __name__ == '__main__':
    main()
