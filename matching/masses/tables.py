"""A frequency set made ready for search: total masses of typings, and probabilities of matches.

A donor's typing admits haplotype pairs of the set; `total` is the sum of their weights (f1 f2,
doubled where the two differ). The probability of a patient's genotype against the donor is the
mass of the admitted pairs with that many mismatches over the total, so that no donor is imputed
when a search runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from matching.haplotypes import FrequencySet, Imputer, NullImputation
from matching.loci import Locus
from matching.masses.arrays import (
    Bytes,
    Floats,
    Int32s,
    Int64s,
    MarginalArrays,
    NameArrays,
    RowArrays,
)
from matching.masses.entries import Entries, LocusEntries
from matching.masses.genotype_kernels import ABSENT_NAME
from matching.masses.phase_kernels import fill_slots, order_by_names
from matching.masses.search_kernels import DONE, TOO_MANY, search
from matching.masses.total_kernels import total_masses
from matching.typings import ABSENT_GENE

T = TypeVar("T")

# Typings or donors that one thread takes at a time.
CHUNK = 16_384
# Between two looks whether a search is to stop. Genotypes times donors that take no longer, where
# each genotype costs as much as so many donors besides.
LOOK_SECONDS = 0.02
_QUICK, _OF_GENOTYPE = 5_000, 200
# That make tables ready.
_THREADS = 2


@dataclass(frozen=True)
class PatientGenotypes:
    """A patient as weighted genotypes, in the tokens of the tables of one set.

    `tokens`: (n_genotypes, n_loci, 2) int32, 0 where nothing of the set can match. `weights`:
    (n_genotypes,) float64, summing to 1.
    """

    tokens: Int32s
    weights: Floats

    def ordered(self, precision: float) -> OrderedGenotypes:
        """The heaviest genotypes, without those that weigh at most `precision` together."""
        found = self._ordered.get(precision)
        if found is None:
            chosen, dropped = _heaviest(self.weights, precision)
            chosen, order, changed = _by_prefix(self.tokens, chosen)
            found = self._ordered[precision] = OrderedGenotypes(
                np.ascontiguousarray(self.tokens[chosen]),
                np.ascontiguousarray(self.weights[chosen]),
                order,
                changed,
                dropped,
            )
        return found

    @cached_property
    def _ordered(self) -> dict[float, OrderedGenotypes]:
        return {}


class OrderedGenotypes(NamedTuple):
    """Genotypes of a patient as the search kernel takes them, and the weight of those left out."""

    tokens: Int32s
    weights: Floats
    order: Int64s
    changed: Int64s
    dropped: float


@dataclass(frozen=True)
class Probabilities:
    """Of many typings against one patient.

    `p`: (n, up_to + 1) float64, the probability of 0, 1 (and 2) mismatches over all loci of the
    set; NaN where the set does not represent the donor or `exact` says to predict it in pairs.
    `dropped`: the weight of the patient's genotypes left out, by which each may be too low.
    """

    p: Floats
    exact: npt.NDArray[np.bool_]
    dropped: float


@dataclass(frozen=True, eq=False)
class MassTables:
    """One frequency set, under the imputer that defines what a typing admits.

    `frequencies`: (n_haplotypes,) float64 in place of those of the imputer's set: the tables of
    several populations over the same haplotypes (`Populations`) share an imputer, and with it the
    codes and entries of typings. Nothing changes but what is made when it is first needed, so one
    object serves any number of searches and threads. Raises `ValueError` where the names of all
    loci are too many to be numbered together.
    """

    imputer: Imputer
    frequencies: Floats | None = None

    def __post_init__(self) -> None:
        source = self.imputer.frequencies
        if math.prod(map(len, source.names)) >= 2**62:
            raise ValueError(
                f"the set of {source.population} has too many loci and names for search"
            )

    @property
    def loci(self) -> tuple[Locus, ...]:
        """The loci of the set: the columns of all codes."""
        return self.imputer.frequencies.loci

    @cached_property
    def names(self) -> NameArrays:
        """The names of the set."""
        return _name_arrays(self.imputer)

    @cached_property
    def marginals(self) -> MarginalArrays:
        """The haplotypes by their names at all loci but some."""
        return _marginal_arrays(self.imputer.frequencies, self.used_frequencies)

    @cached_property
    def _rows(self) -> RowArrays:
        return _row_arrays(self.imputer.frequencies, self.used_frequencies)

    @property
    def used_frequencies(self) -> Floats:
        """Of every haplotype of the set, (n_haplotypes,)."""
        own = self.imputer.frequencies.frequencies
        return own if self.frequencies is None else self.frequencies

    @cached_property
    def _tokens(self) -> tuple[dict[str, int], ...]:
        """The token of every name or group, of each locus."""
        return tuple(
            {name: i for i, name in enumerate(self.imputer.token_names(column))}
            for column in range(len(self.loci))
        )

    def prepare(self) -> None:
        """Make everything that a search needs now and not at the first one."""
        _ = self.names, self.marginals, self._tokens

    def locus_entries(self) -> tuple[LocusEntries, ...]:
        """Where the typings of each locus get their codes; new ones, that hold nothing yet."""
        return tuple(LocusEntries(self.imputer, column) for column in range(len(self.loci)))

    def total_masses(
        self, entries: Entries, codes: Int32s, threads: int = 1
    ) -> npt.NDArray[np.float64]:
        """Total mass of every typing, (n,) in [0, 1]; 0 is "unrepresented".

        `codes`: (n, n_loci) int32 of `entries`. NaN where the mass must come from
        `Imputer.impute_one` (`Entries.unsummed`). Sort the codes, best by their first columns:
        typings with common entries are faster together.
        """
        out = np.empty(len(codes))
        rows = self._rows
        padded = np.ascontiguousarray(codes, dtype=np.int32)
        if (padding := 3 - codes.shape[1]) > 0:
            padded = np.pad(padded, ((0, 0), (0, padding)))
        in_chunks(len(codes), threads, lambda part: total_masses(
            padded[part], entries.arrays, rows, out[part]
        ))  # fmt: skip
        out[entries.any_of(codes, entries.unsummed)] = np.nan
        return out

    def patient(
        self, imputer: Imputer, codes: npt.NDArray[np.int32], weights: Floats
    ) -> PatientGenotypes:
        """The genotypes of `Imputer.impute_one`, maybe of another set over the same loci, here."""
        tokens = np.empty((*codes.shape, 2), dtype=np.int32)
        for column in range(len(self.loci)):
            if imputer.frequencies is self.imputer.frequencies:
                # Those of all fresh imputers of a set are the same, and made once here.
                tokens[:, column] = self.imputer.genotypes(column)[codes[:, column]]
            else:
                tokens[:, column] = imputer.genotypes(column)[codes[:, column]]
                theirs = imputer.token_names(column)
                # A token of theirs that is none here matches nothing, as 0 does.
                here = np.zeros(len(theirs), dtype=np.int32)
                for token in set(tokens[:, column].ravel().tolist()):
                    here[token] = self._tokens[column].get(theirs[token], 0)
                tokens[:, column] = here[tokens[:, column]]
        return PatientGenotypes(tokens, weights)

    def search(
        self,
        patient: PatientGenotypes,
        entries: Entries,
        codes: Int32s,
        total: Floats,
        up_to: int = 1,
        precision: float = 0.0,
        threads: int = 1,
        between: Callable[[], object] | None = None,
    ) -> Probabilities:
        """Probabilities of 0 to `up_to` (1 or 2) mismatches of typings with their total masses.

        The patient's genotypes are taken by falling weight, until what is left weighs at most
        `precision`. Equal to pairwise prediction with donors imputed under this set. `between` is
        called every `LOOK_SECONDS` where that takes long; what it raises ends the search.
        """
        if not len(patient.weights):
            unknown = np.full((len(codes), up_to + 1), np.nan)
            return Probabilities(unknown, np.zeros(len(codes), dtype=bool), 0.0)
        ours = patient.ordered(precision)
        exact = entries.any_of(codes, entries.exact)
        usable = np.where(exact | np.isnan(total), 0.0, total)
        out = np.zeros((len(codes), 3))
        names, marginals = self.names, self.marginals
        codes = np.ascontiguousarray(codes, dtype=np.int32)
        stop = np.zeros(1, dtype=np.uint8)

        def work(part: slice) -> int:
            if stop[0]:
                return DONE
            arrays, numbers = entries.held_by(codes[part])
            return search(
                ours.tokens, ours.changed, ours.weights, ours.order, numbers, usable[part], arrays,
                names, marginals, up_to, stop, out[part],
            )  # fmt: skip

        def searched() -> list[int]:
            return in_chunks(len(codes), threads, work)

        if between is None or len(ours.weights) * (len(codes) + _OF_GENOTYPE) < _QUICK:
            ended = searched()
        else:
            ended = _looked_after(searched, between, stop)
        if TOO_MANY in ended:
            exact = np.ones(len(codes), dtype=bool)
        out[exact | (usable == 0)] = np.nan
        return Probabilities(out[:, : up_to + 1], exact, ours.dropped)


def in_chunks(count: int, threads: int, work: Callable[[slice], T]) -> list[T]:
    """Call `work` with slices of at most `CHUNK`, on threads; raises what it raises."""
    parts = [slice(start, start + CHUNK) for start in range(0, count, CHUNK)]
    if threads == 1 or len(parts) <= 1:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, parts))


def _looked_after(work: Callable[[], T], between: Callable[[], object], stop: Bytes) -> T:
    """What `work` returns; `stop` is set when `between` raises, and waited for."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(work)
        is_done = False
        while not is_done:
            try:
                between()
            except BaseException:
                stop[0] = 1
                raise
            is_done = bool(wait([running], LOOK_SECONDS).done)
        return running.result()


def _heaviest(weights: Floats, precision: float) -> tuple[npt.NDArray[np.int64], float]:
    """The fewest genotypes beside which the others weigh at most `precision`, and that weight."""
    order = np.argsort(-weights, kind="stable")
    # Of the rest after each, summed from the lightest, so that nothing is 0 exactly.
    left = np.concatenate([np.cumsum(weights[order[::-1]])[::-1], [0.0]])
    kept = int(np.argmax(left <= precision))
    return order[:kept], float(left[kept])


def _by_prefix(
    tokens: Int32s, chosen: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Genotypes in an order in which many share their first loci with the one before.

    Returns them, the order of the loci (those with the fewest distinct pairs of tokens first), and
    at which place of it each differs from the one before.
    """
    pairs = (tokens[chosen, :, 0].astype(np.int64) << 32) + tokens[chosen, :, 1]
    n_loci = pairs.shape[1]
    if len(chosen) < 2:
        return chosen, np.arange(n_loci), np.zeros(len(chosen), dtype=np.int64)
    order = np.argsort([len(np.unique(column)) for column in pairs.T], kind="stable")
    by_prefix = np.lexsort(pairs.T[order[::-1]])
    pairs = pairs[by_prefix][:, order]
    differs = (pairs[1:] != pairs[:-1]).argmax(axis=1)
    return chosen[by_prefix], order, np.concatenate([np.zeros(1, np.int64), differs])


def _name_arrays(imputer: Imputer) -> NameArrays:
    n_loci = len(imputer.frequencies.loci)
    partner = imputer.nulls is NullImputation.PARTNER
    tokens = [imputer.name_tokens(c) for c in range(n_loci)]
    nulls = [
        np.array(
            [
                ABSENT_NAME if name == ABSENT_GENE else int(partner and name.endswith("N"))
                for name in names
            ],
            dtype=np.uint8,
        )
        for names in imputer.frequencies.names
    ]
    sizes = [len(imputer.token_names(c)) for c in range(n_loci)]
    counts = [np.bincount(t, minlength=n) for t, n in zip(tokens, sizes, strict=True)]
    return NameArrays(
        np.cumsum([0, *map(len, tokens)], dtype=np.int64),
        np.concatenate(tokens),
        np.concatenate(nulls),
        np.cumsum([0, *sizes], dtype=np.int64)[:-1],
        np.cumsum(np.concatenate([[0], *counts]), dtype=np.int64),
        np.concatenate([np.argsort(t, kind="stable") for t in tokens]).astype(np.int32),
        np.cumsum([0, *((n > 0).sum() for n in nulls)], dtype=np.int64),
        np.concatenate([np.flatnonzero(n) for n in nulls]).astype(np.int32),
    )


def _marginal_arrays(source: FrequencySet, frequencies: Floats) -> MarginalArrays:
    n_names = np.array([len(names) for names in source.names], dtype=np.int64)
    n_loci = len(n_names)
    # What the names of each locus count in the number of a haplotype.
    strides = np.cumprod([1, *n_names[:-1]], dtype=np.int64)
    kept = frequencies > 0
    columns, frequencies = np.ascontiguousarray(source.haplotypes[kept].T), frequencies[kept]
    addends = columns * strides[:, np.newaxis]
    numbers = addends.sum(axis=0)
    free: list[tuple[int, ...]] = [(), *((locus,) for locus in range(n_loci))]
    for one, other in combinations(range(n_loci), 2):
        free.append((one, other) if n_names[one] >= n_names[other] else (other, one))

    n = len(frequencies)
    first, second = np.zeros((2, len(free) * n), dtype=np.int32)
    in_order = np.empty(len(free) * n)

    def sort(number: int) -> tuple[Int64s, Int64s]:
        """By the fixed loci, then by the free ones: where groups of the same fixed names begin, and
        the numbers of these names."""
        loci, part = free[number], slice(number * n, (number + 1) * n)
        fixed = [locus for locus in range(n_loci) if locus not in loci]
        order = np.empty(n, dtype=np.int32)
        order_by_names(columns, n_names, np.array([*loci[::-1], *fixed]), order)
        rows = order.astype(np.intp)
        for names, locus in zip((first, second), loci, strict=False):
            np.take(columns[locus], rows, out=names[part], mode="clip")
        np.take(frequencies, rows, out=in_order[part], mode="clip")
        of_fixed = np.take(numbers - addends[list(loci)].sum(axis=0), rows)
        at = np.flatnonzero(np.diff(of_fixed, prepend=-1))
        return at + part.start, of_fixed[at]

    with ThreadPoolExecutor(_THREADS) as pool:
        starts, keys = zip(*pool.map(sort, range(len(free))), strict=True)
        key_starts = np.cumsum([0, *map(len, keys)])
        slot_starts = np.cumsum([0, *(1 << (2 * len(k)).bit_length() for k in keys)])
        slots = np.full(slot_starts[-1], -1, dtype=np.int32)
        tables = np.split(slots, slot_starts[1:-1])
        list(pool.map(fill_slots, keys, key_starts.tolist(), tables))
    return MarginalArrays(
        np.array([(*loci, -1, -1)[:2] for loci in free], dtype=np.int64),
        strides,
        slot_starts,
        slots,
        np.concatenate(keys),
        np.concatenate([*starts, [len(free) * n]]),
        first,
        second,
        in_order,
    )


def _row_arrays(source: FrequencySet, frequencies: Floats) -> RowArrays:
    kept = frequencies > 0
    haplotypes, frequencies = source.haplotypes[kept], frequencies[kept]
    n_names = [len(names) for names in source.names]
    padding = max(0, 3 - len(n_names))
    haplotypes = np.pad(haplotypes, ((0, 0), (0, padding)))
    n_names += [1] * padding
    order = np.array(_order(haplotypes, n_names), dtype=np.int64)
    sizes = np.array(n_names, dtype=np.int64)[order]
    sorted_by = np.lexsort(haplotypes[:, order[::-1]].T)
    columns = haplotypes[sorted_by][:, order]
    cell = columns[:, 0].astype(np.int64) * sizes[1] + columns[:, 1]
    cells = np.searchsorted(cell, np.arange(sizes[0] * sizes[1] + 1))
    present = np.unique(cell)
    return RowArrays(
        order,
        sizes,
        cells.astype(np.int64),
        np.searchsorted(present, np.arange(sizes[0] + 1) * sizes[1]).astype(np.int64),
        (present % sizes[1]).astype(np.int32),
        np.ascontiguousarray(columns.T, dtype=np.uint16),
        np.ascontiguousarray(frequencies[sorted_by]),
    )


def _order(haplotypes: Int32s, n_names: Sequence[int]) -> list[int]:
    """Loci by the names that they hold, most first: the first two find the rows of a typing."""
    return sorted(range(len(n_names)), key=lambda locus: -n_names[locus])
