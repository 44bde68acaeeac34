"""The story: a patient's typing -> ranked donors of an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matching.genotypes import UNTYPED, DonorIndex, LocusGenotype, book_builders, encode
from matching.immunogenetics import TceCategory, dpb1_tce
from matching.kernels import COUNT_BEST, COUNT_WORST
from matching.loci import LOCI, Locus, PerLocus
from matching.nomenclature import Nomenclature
from matching.rank import rank
from matching.search import Candidates, find_donors
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
    age_years: npt.NDArray[np.float64],
    loci: Sequence[Locus],
    max_mismatches: int,
) -> Matches:
    """All donors within the limit, compared, flagged and ranked.

    `age_years`: (n_donors,) age of every donor of the index, NaN where unknown.
    Raises `TypingError` and the `ValueError` of `find_donors`.
    """
    patient = encode(typing, nomenclature)
    found = find_donors(index, patient, loci, max_mismatches)
    tce = _tce_categories(index, patient.loci[Locus.DPB1], found)
    ranking = rank(
        found.mismatches_best,
        found.mismatches_worst,
        np.array([category.preference for category in tce], dtype=np.int64),
        age_years[found.rows],
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
    builders = book_builders(nomenclature)
    codes = [
        UNTYPED if written is None else builders[locus].canonical(written.text)[1]
        for locus, written in donor.loci.items()
    ]
    books = PerLocus(tuple(builders[locus].book() for locus in LOCI))
    index = DonorIndex(np.array([codes], dtype=np.uint32), books)
    return match(patient, nomenclature, index, np.array([np.nan]), loci, 2 * len(LOCI))


def _tce_categories(
    index: DonorIndex, patient: LocusGenotype | None, found: Candidates
) -> list[TceCategory]:
    """DPB1 category of every candidate: each distinct donor genotype is judged once."""
    book = index.books[Locus.DPB1]
    column = Locus.DPB1.position
    known: dict[int, TceCategory] = {}
    categories = []
    for row, compared in zip(found.rows, found.compared[:, column], strict=True):
        code = int(index.codes[row, column])
        if code not in known:
            if patient is None or code == UNTYPED:
                known[code] = TceCategory.UNTYPED
            elif compared[COUNT_BEST] == 2:
                certain = compared[COUNT_WORST] == 2
                known[code] = TceCategory.MATCH if certain else TceCategory.POTENTIAL_MATCH
            else:
                known[code] = _tce_of_lists(patient, book.entry(code))
        categories.append(known[code])
    return categories


def _tce_of_lists(patient: LocusGenotype, donor: LocusGenotype) -> TceCategory:
    """The category that all genotypes of both lists agree on, else unknown."""
    found = {dpb1_tce(p, d) for p in patient.alternatives for d in donor.alternatives}
    return found.pop() if len(found) == 1 else TceCategory.UNKNOWN
