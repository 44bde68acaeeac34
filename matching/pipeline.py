"""The story: a patient's typing -> donors of an index, compared; `matching.rank` orders them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from matching.donor_index import DonorIndex
from matching.genotypes import LocusGenotype, encode
from matching.immunogenetics import TceCategory, dpb1_tce
from matching.kernels import COUNT_BEST, COUNT_WORST
from matching.loci import LOCI, Locus
from matching.nomenclature import Nomenclature
from matching.search import Candidates, Criteria, find_donors
from matching.typings import Typing


@dataclass(frozen=True)
class Matches:
    """Donors of one patient, in the order of the index unless they were taken in another one.

    `notes`: how names of the patient's typing were followed through renamed or deleted ones.
    """

    candidates: Candidates
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.candidates)

    @cached_property
    def tce(self) -> tuple[TceCategory, ...]:
        """The DPB1 category of each."""
        categories, number = tce_categories(self.candidates)
        return tuple(categories[i] for i in number.tolist())

    def take(self, order: npt.NDArray[np.int64]) -> Matches:
        """The donors at the given positions, in that order."""
        return Matches(self.candidates.take(order), self.notes)

    def best(self, limit: int) -> Matches:
        """The first `limit` donors."""
        return self.take(np.arange(min(limit, len(self))))


def match(
    typing: Typing,
    nomenclature: Nomenclature,
    index: DonorIndex,
    criteria: Criteria,
    kept: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.bool_]] | None = None,
) -> Matches:
    """All donors that meet the criteria.

    `kept`: which of some rows of the index are wanted besides, all by default.
    Raises `TypingError`.
    """
    patient = encode(typing, nomenclature)
    found = find_donors(index, patient, criteria)
    if kept is not None:
        found = found.take(np.flatnonzero(kept(found.rows)))
    return Matches(found, patient.notes)


def match_typed(
    patient: Typing, donors: Sequence[Typing], nomenclature: Nomenclature, loci: Sequence[Locus]
) -> Matches:
    """One patient against every one of some donors, in their order, as `match` would show them.

    Raises `TypingError`.
    """
    index = DonorIndex.of(donors, nomenclature)
    found = match(patient, nomenclature, index, Criteria(loci, 2 * len(LOCI)))
    return found.take(np.argsort(found.candidates.rows))


def tce_categories(found: Candidates) -> tuple[list[TceCategory], npt.NDArray[np.int64]]:
    """DPB1 categories of the distinct genotypes of candidates, and which each has, (n,) int64."""
    patient = found.patient.loci[Locus.DPB1]
    if patient is None:
        return [TceCategory.UNTYPED], np.zeros(len(found), dtype=np.int64)
    at = found.at(Locus.DPB1)
    categories = []
    for donor, compared in zip(at.genotypes, at.compared, strict=True):
        if donor is None:
            categories.append(TceCategory.UNTYPED)
        elif compared[COUNT_BEST] == 2:
            certain = compared[COUNT_WORST] == 2
            categories.append(TceCategory.MATCH if certain else TceCategory.POTENTIAL_MATCH)
        else:
            categories.append(_tce_of_lists(patient, donor))
    return categories, at.number


def _tce_of_lists(patient: LocusGenotype, donor: LocusGenotype) -> TceCategory:
    """The category that all genotypes of both lists agree on, else unknown."""
    found = {dpb1_tce(p, d) for p in patient.alternatives for d in donor.alternatives}
    return found.pop() if len(found) == 1 else TceCategory.UNKNOWN
