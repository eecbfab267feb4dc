"""How good the fusion is when part of its input is unknown: held-out patients scored again without values.

per outer fold, models and test patients whom they did not see -> rows: patient, side, known values, prob
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from mammo.fusion.masking import Unknowns
from mammo.fusion.model import predict
from mammo.records.fusion_set import TUMOR_SIDE, FusionError, Split

KNOWN, UNKNOWN = 'known', 'unknown'  # side of the tumor
N_SUBSETS = 12  # of the variables that are tried for each number of known ones


class Member(NamedTuple):
    """A fitted model, and patients whom it did not see."""

    fitted: dict[str, Any]
    split: Split
    unknowns: Unknowns

    @classmethod
    def of(cls, fitted: dict[str, Any], split: Split) -> 'Member':
        """
        Raises:
            FusionError: the model does not tell what an unknown input looks like.
        """
        unknowns = Unknowns.of(split.inputs)
        if unknowns is None:
            raise FusionError('the fusion set has no schema.json: build it with tools/build_fusion.py')
        return cls(fitted, split, unknowns)


def rescored(
    groups: Sequence[Sequence[Member]], *, n_subsets: int = N_SUBSETS, seed: int = 0
) -> pd.DataFrame:
    """Score patients with every number of known variables, side known and unknown.

    Args:
        groups: members of each outer fold; those of one group have the same patients in the same order.

    Returns:
        rows of ``without``, and side, subset (number).
    """
    n_variables = groups[0][0].unknowns.n_variables
    subsets = variable_subsets(n_variables, n_subsets, np.random.default_rng(seed))
    return pd.concat([_of_group(group, subsets) for group in groups], ignore_index=True)


def variable_subsets(n_variables: int, n_subsets: int, rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """Masks (n_variables,) of hidden variables: for each number of them all subsets, or some at random."""
    masks = []
    for n_hidden in range(n_variables + 1):
        if math.comb(n_variables, n_hidden) <= n_subsets:
            chosen = [np.array(c, int) for c in itertools.combinations(range(n_variables), n_hidden)]
        else:
            chosen = [rng.permutation(n_variables)[:n_hidden] for _ in range(n_subsets)]
        for places in chosen:
            mask = np.zeros(n_variables, bool)
            mask[places] = True
            masks.append(mask)
    return masks


def _of_group(members: Sequence[Member], subsets: list[NDArray[np.bool_]]) -> pd.DataFrame:
    frames = []
    for side in (KNOWN, UNKNOWN):
        for number, mask in enumerate(subsets):
            frame = without(members, mask, side=side)
            if frame is not None:
                frames.append(frame.assign(side=side, subset=number))
    return pd.concat(frames, ignore_index=True)


def without(members: Sequence[Member], mask: NDArray[np.bool_], *, side: str) -> pd.DataFrame | None:
    """Patients (and how many variables are left) scored without the masked ones; None if that is unknown.

    With the side known, only patients of whom it is; the images are there.

    Returns:
        rows of patient_id, label, n_known (variables), pattern (its bit i: variable i is known), prob (mean
        over the members).
    """
    first = members[0]
    tables = [_hidden(member, mask, side) for member in members]
    x = tables[0]
    if x is None:
        return None
    probs = []
    for member, table in zip(members, tables, strict=True):
        if member.split.ids != first.split.ids or table is None:
            raise FusionError('members of one outer fold have other patients; build the sets again')
        probs.append(expit(predict(member.fitted, table)))
    n_variables, flags = first.unknowns.n_variables, first.unknowns.flags
    is_known = x[:, flags[:n_variables]] == 0
    frame = pd.DataFrame(dict(
        patient_id=first.split.ids, label=first.split.y, n_known=is_known.sum(axis=1),
        pattern=is_known @ (1 << np.arange(n_variables)), prob=np.mean(probs, axis=0),
    ))  # fmt: skip
    needed = flags[n_variables:] if side == KNOWN else flags[n_variables : n_variables + 1]
    return frame[(first.split.x[:, needed] == 0).all(axis=1) & ~np.isnan(first.split.y)]


def _hidden(member: Member, mask: NDArray[np.bool_], side: str) -> NDArray[np.float32] | None:
    split, unknowns = member.split, member.unknowns
    hidden = np.zeros((len(split.ids), len(unknowns.names)), bool)
    hidden[:, : unknowns.n_variables] = mask
    if side == UNKNOWN:
        if split.x_unsided is None:
            return None
        hidden[:, unknowns.names.index(TUMOR_SIDE)] = True
    return unknowns.hide(split.x, hidden, split.x_unsided)
