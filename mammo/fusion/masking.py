"""Inputs of the fusion as they come in use: any of the variables, the side or the images may be unknown.

columns of a fusion set -> what each input looks like where it is unknown; x (n, d), hidden (n, v) -> x (n, d)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mammo.fusion.clinical import ClinicalEncoder
from mammo.fusion.schema import Variable
from mammo.records.fusion_set import MAMMOGRAMS, TUMOR_SIDE

SHARE = 0.5  # of the patients of an epoch who lose inputs
NO_IMAGES, NO_SIDE = 0.1, 0.5  # shares of these who lose the images, the side
FLAG = ' missing'  # ends the name of the 0/1 column of an input


@dataclass(frozen=True, eq=False)
class Unknowns:
    """What each input that can be unknown looks like then."""

    names: list[str]  # of the inputs, in the order of their flags: variables, images, side
    columns: NDArray[np.bool_]  # (inputs, d): columns that take their fill value
    flags: NDArray[np.int_]  # (inputs,): the 0/1 column of each
    fill: NDArray[np.float32]  # (d,)

    @classmethod
    def of(cls, inputs: dict[str, Any]) -> Self | None:
        """From ``Split.inputs``; None for the bare published files, which do not tell what unknown is."""
        names = [column.removesuffix(FLAG) for column in inputs['columns'] if column.endswith(FLAG)]
        whole = all(e and ('encoder' in e or 'fill' in e) for e in inputs['encoding'].values())
        if not names or not whole:
            return None
        d, position = len(inputs['columns']), 0
        fill, columns = np.zeros(d, np.float32), np.zeros((len(names), d), bool)
        for encoding in inputs['encoding'].values():
            values, widths = _of_block(encoding)
            fill[position : position + len(values)] = values
            for name, width in widths:
                columns[names.index(name), position : position + width] = True
                position += width
        return cls(names, columns, np.arange(d - len(names), d), fill)

    @property
    def n_variables(self) -> int:
        """Clinical variables, which come first."""
        return sum(name not in (MAMMOGRAMS, TUMOR_SIDE) for name in self.names)

    def hide(self, x: NDArray, hidden: NDArray[np.bool_], unsided: NDArray | None = None) -> NDArray:
        """x (n, d), hidden (n, inputs), x with the side unknown (n, d) -> x (n, d) without what is hidden."""
        out = np.array(x)
        for i, name in reversed(list(enumerate(self.names))):  # the side before the images
            rows = hidden[:, i]
            if name == TUMOR_SIDE:
                assert unsided is not None or not rows.any()
                features = self.columns[self.names.index(MAMMOGRAMS)]
                if unsided is not None:
                    out[np.ix_(rows, features)] = unsided[np.ix_(rows, features)]
            out[np.ix_(rows, self.columns[i])] = self.fill[self.columns[i]]
            out[rows, self.flags[i]] = 1
        return out

    def draw(self, rng: np.random.Generator, n: int, share: float = SHARE) -> NDArray[np.bool_]:
        """Which inputs (n, inputs) are hidden at random: any number of the variables is equally frequent."""
        v = self.n_variables
        order = rng.random((n, v)).argsort(axis=1)
        hidden = np.zeros((n, len(self.names)), bool)
        hidden[:, :v] = order < rng.integers(0, v + 1, n)[:, None]
        for name, rate in ((MAMMOGRAMS, NO_IMAGES), (TUMOR_SIDE, NO_SIDE)):
            if name in self.names and v:  # nothing would be left without any
                hidden[:, self.names.index(name)] = rng.random(n) < rate
        return hidden & (rng.random(n) < share)[:, None]

    def redraw(
        self, x: NDArray, unsided: NDArray | None, share: float
    ) -> Callable[[np.random.Generator], NDArray]:
        """Function rng -> x (n, d) as one epoch sees it."""

        def drawn(rng: np.random.Generator) -> NDArray:
            hidden = self.draw(rng, len(x), share)
            if unsided is None and TUMOR_SIDE in self.names:
                hidden[:, self.names.index(TUMOR_SIDE)] = False
            return self.hide(x, hidden, unsided)

        return drawn


def _of_block(encoding: dict[str, Any]) -> tuple[NDArray, list[tuple[str, int]]]:
    """Fill values of a block's columns, and the inputs that they belong to with their widths."""
    if 'encoder' not in encoding:
        return np.asarray(encoding['fill'], np.float32), [(MAMMOGRAMS, len(encoding['columns']))]
    encoder = ClinicalEncoder.from_dict(encoding['encoder'])
    variables = encoder.schema.variables
    empty = pd.DataFrame([[np.nan] * len(variables)], columns=[v.name for v in variables], dtype=float)
    return encoder.transform(empty)[0], [(v.name, width_of(v)) for v in variables]


def width_of(variable: Variable) -> int:
    """Encoded columns of a variable."""
    return len(variable.levels) if variable.kind == 'nominal' else 1
