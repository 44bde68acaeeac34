"""Whole haplotypes that a patient and donors have in common, under the sets of searches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from matching.errors import TooAmbiguousError
from matching.haplotypes import Imputer
from matching.probability import CarriedHaplotypes
from matching.typings import Typing
from service.ancestry import Prior
from service.calls import watched
from service.frequency_sets import SearchSets


def shared_haplotypes(
    sets: SearchSets, patient: tuple[Typing, Prior], donors: Sequence[tuple[Typing | None, Prior]]
) -> npt.NDArray[np.float64]:
    """P(0, 1, 2 haplotypes in common) with donors, (n, 3), each under the sets of their own.

    NaN where a typing is unrepresented, not known any more or its genotype lists are beyond
    measure.
    """
    out = np.full((len(donors), 3), np.nan)
    imputer = sets.imputer()
    mine = _carried(sets, imputer, *patient)
    if mine is None:
        return out
    for row, (typing, prior) in zip(out, watched(donors), strict=True):
        theirs = None if typing is None else _carried(sets, imputer, typing, prior)
        if theirs is not None:
            mine.shared_with(theirs, row)
    return out


def _carried(
    sets: SearchSets, imputer: Imputer, typing: Typing, prior: Prior
) -> CarriedHaplotypes | None:
    try:
        found = imputer.explain(typing, sets.under.populations.mixture(dict(prior)))
    except TooAmbiguousError:
        return None
    return CarriedHaplotypes.of(sets.distinct_haplotypes, found) if found.mass else None
