"""The story: a patient's typing -> donors of an index, compared; `matching.rank` orders them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt

from matching.donor_index import DonorIndex
from matching.genotypes import UNTYPED, Book, Genotype, LocusGenotype, encode
from matching.immunogenetics import TceCategory, dpb1_tce
from matching.kernels import COUNT_BEST, COUNT_WORST
from matching.loci import LOCI, Locus, PerLocus
from matching.memory import Memory
from matching.nomenclature import Nomenclature
from matching.parts import joined
from matching.search import Candidates, Criteria, compare_locus, compare_pair, find_donors
from matching.typings import Typing

# Loci of pairs that are remembered.
_MOST_LOCI = 200_000
_CATEGORIES = tuple(TceCategory)
_COUNTS = [COUNT_BEST, COUNT_WORST]


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
    between: Callable[[], object] = lambda: None,
) -> Matches:
    """All donors that meet the criteria.

    `kept`: which of some rows of the index are wanted besides, all by default. `between`: called
    between parts of the work, also that of the candidates; what it raises ends it.
    Raises `TypingError`.
    """
    patient = encode(typing, nomenclature)
    found = find_donors(index, patient, criteria, between)
    if kept is not None:
        wanted = [found.rows[:0]]
        for _, some in found.parts():
            wanted.append(some.rows[kept(some.rows)])
        found = replace(found, rows=joined(wanted, between))
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


@dataclass(frozen=True, slots=True)
class PairCounts:
    """One patient and one donor, counted as `match_one` does.

    `compared`: the columns of `compare_locus` at every locus.
    """

    compared: PerLocus[tuple[int, ...]]
    tce: TceCategory

    def totals(self, loci: Iterable[Locus]) -> tuple[int, ...]:
        """Sums of the columns of `compared` over some loci."""
        rows = [self.compared.values[locus.position] for locus in loci]
        return tuple(map(sum, zip(*rows, strict=True)))


class PairCounter:
    """Counts pairs one by one; how two genotypes of a locus compare is worked out once.

    One object serves any number of threads.
    """

    def __init__(self) -> None:
        self._known = Memory[tuple[LocusGenotype | None, LocusGenotype | None], tuple[int, ...]](
            _MOST_LOCI
        )

    def of(self, patient: Genotype, donor: Genotype) -> PairCounts:
        """The counts of a pair that was read under one release."""
        compared = PerLocus(
            tuple(
                self._known.of((ours, theirs), partial(compare_pair, ours, theirs))
                for ours, theirs in zip(patient.loci, donor.loci, strict=True)
            )
        )
        at = Locus.DPB1
        counts = (compared[at][column] for column in _COUNTS)
        tce = _tce_category(patient.loci[at], donor.loci[at], counts)
        return PairCounts(compared, tce)


def tce_categories(
    found: Candidates,
) -> tuple[tuple[TceCategory, ...], npt.NDArray[np.int64]]:
    """Every DPB1 category, and which each candidate has, (n,) int64."""
    patient = found.patient.loci[Locus.DPB1]

    def work(book: Book, entries: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        compared = compare_locus(patient, book, entries, found.between)
        # Beside what was compared, a category depends on the groups of both alone.
        known: dict[bytes, TceCategory] = {}
        categories = []
        for entry, counts in zip(entries.tolist(), compared[:, _COUNTS], strict=True):
            groups = book.tce[book.starts[entry] : book.starts[entry + 1]]
            key = b"" if entry == UNTYPED else groups.tobytes() + counts.tobytes()
            if key not in known:
                donor = None if entry == UNTYPED else book.entry(entry)
                known[key] = _tce_category(patient, donor, counts)
            categories.append(_CATEGORIES.index(known[key]))
        return np.array(categories, dtype=np.uint64)

    return _CATEGORIES, found.of_genotypes("tce", Locus.DPB1, work).view(np.int64)


def _tce_category(
    patient: LocusGenotype | None, donor: LocusGenotype | None, counts: Iterable[int]
) -> TceCategory:
    """`counts`: matches at DPB1, at best and at worst."""
    if patient is None or donor is None:
        return TceCategory.UNTYPED
    best, worst = counts
    if best == 2:
        return TceCategory.MATCH if worst == 2 else TceCategory.POTENTIAL_MATCH
    return _tce_of_lists(patient, donor)


def _tce_of_lists(patient: LocusGenotype, donor: LocusGenotype) -> TceCategory:
    """The category that all genotypes of both lists agree on, else unknown."""
    # One of each pair of groups, by which a category is told.
    ours, theirs = ({one.tce: one for one in g.alternatives}.values() for g in (patient, donor))
    found = {dpb1_tce(p, d) for p in ours for d in theirs}
    return found.pop() if len(found) == 1 else TceCategory.UNKNOWN
