"""The story: a patient's typing -> ranked donors of an index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matching.donor_index import DonorIndex
from matching.genotypes import LocusGenotype, encode
from matching.immunogenetics import TceCategory, dpb1_tce
from matching.kernels import COUNT_BEST, COUNT_WORST
from matching.loci import LOCI, Locus
from matching.nomenclature import Nomenclature
from matching.rank import rank
from matching.search import Candidates, Criteria, find_donors
from matching.typings import Typing


@dataclass(frozen=True)
class Matches:
    """The donors of one patient, best first.

    `tce`: the DPB1 category of each; `decided_by`: (n,) int8, why each stands below the one
    before it (see `matching.rank.Ranking`). `notes`: how names of the patient's typing were
    followed through renamed or deleted ones.
    """

    candidates: Candidates
    tce: tuple[TceCategory, ...]
    decided_by: npt.NDArray[np.int8]
    notes: tuple[str, ...]

    def best(self, limit: int) -> Matches:
        """The first `limit` donors."""
        return Matches(
            self.candidates.take(np.arange(min(limit, len(self.candidates)))),
            self.tce[:limit],
            self.decided_by[:limit],
            self.notes,
        )


def match(
    typing: Typing,
    nomenclature: Nomenclature,
    index: DonorIndex,
    ages: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float64]],
    loci: Sequence[Locus],
    max_mismatches: int,
) -> Matches:
    """All donors within the limit, compared, flagged and ranked.

    `ages`: age in years of rows of the index, NaN where unknown.
    Raises `TypingError` and the `ValueError` of `Criteria`.
    """
    patient = encode(typing, nomenclature)
    found = find_donors(index, patient, Criteria(loci, max_mismatches))
    tce = _tce_categories(patient.loci[Locus.DPB1], found)
    ranking = rank(
        found.mismatches_best,
        found.mismatches_worst,
        np.array([category.preference for category in tce], dtype=np.int64),
        ages(found.rows),
    )
    return Matches(
        found.take(ranking.order),
        tuple(tce[i] for i in ranking.order),
        ranking.decided_by,
        patient.notes,
    )


def match_one(
    patient: Typing, donor: Typing, nomenclature: Nomenclature, loci: Sequence[Locus]
) -> Matches:
    """One patient against one donor, as `match` would show it. Raises `TypingError`."""
    index = DonorIndex.of([donor], nomenclature)
    return match(patient, nomenclature, index, _unknown_ages, loci, 2 * len(LOCI))


def _unknown_ages(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.full(len(rows), np.nan)


def _tce_categories(patient: LocusGenotype | None, found: Candidates) -> list[TceCategory]:
    """DPB1 category of every candidate: each distinct donor genotype is judged once."""
    at = found.at(Locus.DPB1)
    categories = []
    for donor, compared in zip(at.genotypes, at.compared, strict=True):
        if patient is None or donor is None:
            categories.append(TceCategory.UNTYPED)
        elif compared[COUNT_BEST] == 2:
            certain = compared[COUNT_WORST] == 2
            categories.append(TceCategory.MATCH if certain else TceCategory.POTENTIAL_MATCH)
        else:
            categories.append(_tce_of_lists(patient, donor))
    return [categories[number] for number in at.number.tolist()]


def _tce_of_lists(patient: LocusGenotype, donor: LocusGenotype) -> TceCategory:
    """The category that all genotypes of both lists agree on, else unknown."""
    found = {dpb1_tce(p, d) for p in patient.alternatives for d in donor.alternatives}
    return found.pop() if len(found) == 1 else TceCategory.UNKNOWN
