"""The exposed part of an image, and how dark it is where nothing was in the way of the beam.

(H, W) image -> exposed pixels; pixels -> grey value of unexposed film or air
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

FILM_BASE_FRAC = 0.1  # unexposed film is at most this bright, as a share of the bright tissue
FLAT_FRAC = 0.2  # of the dark pixels in one bin of 26: air is flat, skin rises from the edge
MIN_FILM_FRAC = 0.05  # of the exposed image; air takes more


def exposed_film(image: NDArray[Any], padding: NDArray[np.bool_] | None) -> NDArray[Any]:
    """What was exposed: without declared padding, else without its looks. -> (h, w) or (n, 1)"""
    if padding is None or not padding.any():
        return _without_padding(image)
    share = cv2.resize(padding.astype(np.float32), image.shape[::-1], interpolation=cv2.INTER_AREA)
    exposed = image[share == 0]
    return exposed[:, None] if exposed.size else image


def _without_padding(image: NDArray[Any]) -> NDArray[Any]:
    """The part inside the outer rows and columns in which 99 % of the pixels have the lowest value."""
    exposed = image > image.min()
    rows, cols = (np.flatnonzero(exposed.mean(axis) > 0.01) for axis in (1, 0))
    if not rows.size or not cols.size:
        return image
    return np.ascontiguousarray(image[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1])


def film_base(film: NDArray[Any], low: float, bright: float) -> float:
    """Grey value of unexposed film: the commonest of the dark values; 0 in most digital images."""
    if not low < bright:
        return low
    shares, edges = _dark_shares(film, low, bright, FILM_BASE_FRAC)
    if film.shape[1] == 1 and shares.max() < FLAT_FRAC * shares.sum():  # skin; all air is padding
        return low - FILM_BASE_FRAC * (bright - low)
    if shares.sum() >= MIN_FILM_FRAC:
        return float(edges[int(shares.argmax())])
    # The darkest is no film: a black plate under a label, or skin where all air is padding or cut away.
    wider, wider_edges = _dark_shares(film, low, bright, 3 * FILM_BASE_FRAC)
    if wider.max() >= MIN_FILM_FRAC:
        return float(wider_edges[int(wider.argmax())])
    return low if film.shape[1] == 1 else float(edges[int(shares.argmax())])


def _dark_shares(
    film: NDArray[Any], low: float, bright: float, frac: float
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Shares of the film in narrow bins above ``low``, and their edges."""
    n_bins = round(260 * frac)
    edges = np.linspace(low, low + frac * (bright - low), n_bins + 1)
    counts = cv2.calcHist([film], [0], None, [n_bins], [edges[0], edges[-1]])
    return counts.ravel() / film.size, edges
