"""What the kernels of imputation take, and the classes of haplotypes that fit a typing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from matching import imputation_kernels as kernels
from matching.haplotypes.admitted import Table
from matching.haplotypes.values import Codes, Floats, Ints

# More haplotype pairs than these are cut, the lightest first, and the dropped mass is reported.
MAX_PAIRS = 20_000_000
# The genotypes of people with more of them need not be listed: `matching.probability.by_class`.
MOST_LISTED = 20_000
# With a precision asked for, people with fewer pairs are imputed in full all the same.
PAIRS_BEFORE_CUT = 100_000


@dataclass(frozen=True)
class Haplotypes:
    """Haplotypes of a set as the kernels take them: rows, and rows by name of each locus."""

    rows: Codes
    frequencies: Floats
    by_name: Codes
    name_offsets: Ints
    name_starts: Ints

    @classmethod
    def of(cls, rows: Codes, frequencies: Floats, n_names: Sequence[int]) -> Haplotypes:
        """`rows`: (n, n_loci) names, of which locus l has n_names[l]."""
        # Numbers of 8 or 16 bits are sorted in a tenth of the time.
        narrow = [c.astype(np.min_scalar_type(n)) for c, n in zip(rows.T, n_names, strict=True)]
        by_name = [np.argsort(column, kind="stable").astype(np.int32) for column in narrow]
        counts = [np.bincount(c, minlength=n) for c, n in zip(rows.T, n_names, strict=True)]
        offsets = [np.concatenate([[0], np.cumsum(count)]) for count in counts]
        starts = np.zeros(len(n_names) + 1, dtype=np.int64)
        np.cumsum([n + 1 for n in n_names], out=starts[1:])
        return cls(
            np.ascontiguousarray(rows),
            np.ascontiguousarray(frequencies),
            np.stack(by_name),
            np.concatenate(offsets).astype(np.int64),
            starts,
        )

    def weighted(self, frequencies: Floats) -> Haplotypes:
        """The same haplotypes with other frequencies."""
        return Haplotypes(
            self.rows,
            np.ascontiguousarray(frequencies),
            self.by_name,
            self.name_offsets,
            self.name_starts,
        )


@dataclass(frozen=True)
class PackedTables:
    """Tables one after another, as the kernels take them."""

    tables: npt.NDArray[np.int64]
    patterns: npt.NDArray[np.uint16]
    compatible: npt.NDArray[np.int16]
    columns: Ints
    nulls: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, tables: Sequence[Table]) -> PackedTables:
        rows = np.zeros((len(tables), 7), dtype=np.int64)
        at = np.zeros(4, dtype=np.int64)
        for row, table in zip(rows, tables, strict=True):
            n, n_columns = len(table.compatible), len(table.columns)
            row[:] = (
                table.columns[0] if n_columns == 1 else -1,
                n,
                at[0],
                at[1],
                at[2],
                at[2] + n_columns,
                at[3],
            )
            at += (len(table.patterns), n * n, n_columns, table.nulls.size)
        return cls(
            rows,
            np.concatenate([np.empty(0, np.uint16), *(t.patterns for t in tables)]),
            np.concatenate([np.empty(0, np.int16), *(t.compatible.ravel() for t in tables)]),
            np.array([c for t in tables for c in t.columns], dtype=np.int64),
            np.concatenate([np.empty(0, np.uint8), *(t.nulls.ravel() for t in tables)]),
        )


@dataclass(frozen=True)
class ExplainingClasses:
    """The classes of haplotypes that fit a typing, and which of them explain it in pairs.

    `rows`: of `haplotypes`, those of class c at `bounds[c]:bounds[c + 1]`. `held`: (n_classes,
    n_chosen) the pattern of each at the tables `chosen` of `packed`. `pairs`: (n, 2) classes c <= d
    that explain the typing together. `mass`: the weight of all their haplotype pairs, of which
    there are `n_pairs`.
    """

    haplotypes: Haplotypes
    packed: PackedTables
    chosen: Ints
    rows: Ints
    bounds: Ints
    held: npt.NDArray[np.int64]
    pairs: npt.NDArray[np.int64]
    mass: float
    n_pairs: int

    @property
    def null_sides(self) -> npt.NDArray[np.uint8]:
        """Where a typed null stands in each of `pairs`, (n, n_loci): 0 nowhere, 1 in the haplotype
        of the first class, 2 of the second, 3 of both."""
        found = np.zeros((len(self.pairs), self.haplotypes.rows.shape[1]), dtype=np.uint8)
        one, other = self.pairs.T
        for k, table in enumerate(self.chosen.tolist()):
            _, n_patterns, _, square, low, high, nulls = self.packed.tables[table].tolist()
            at = square + self.held[one, k] * n_patterns + self.held[other, k]
            entry, is_crossed = np.divmod(self.packed.compatible[at], 2)
            for m in range(low, high):
                side = self.packed.nulls[nulls + entry * (high - low) + m - low]
                turned = (is_crossed == 1) & (side % 3 > 0)
                found[:, self.packed.columns[m]] = np.where(turned, 3 - side, side)
        return found

    def sorted_by(self, columns: Sequence[int]) -> ExplainingClasses:
        """The same with the rows of each class sorted by their names at some loci."""
        classes = np.repeat(np.arange(len(self.held)), np.diff(self.bounds))
        names = self.haplotypes.rows[self.rows].T
        order = np.lexsort([*(names[column] for column in reversed(columns)), classes])
        return replace(self, rows=self.rows[order])

    def parts(self, most: int, least: float = 0.0) -> Iterator[ExplainingClasses]:
        """The haplotype pairs with f1 f2 >= least in parts of about `most`, each in one part.

        Where least is not 0 the rows of each class are by falling frequency.
        """
        sizes = np.diff(self.bounds)
        one, other = self.pairs.T
        within = sizes[one] * (sizes[one] + 1) // 2
        counts = np.where(one == other, within, sizes[one] * sizes[other])
        few = np.flatnonzero(counts <= most)
        group = np.cumsum(counts[few]) // max(most, 1)
        for number in np.unique(group).tolist():
            yield replace(self, pairs=self.pairs[few[group == number]])
        frequencies = self.haplotypes.frequencies
        for c, d in self.pairs[counts > most].tolist():
            rows, others = (self.rows[slice(*self.bounds[k : k + 2])] for k in (c, d))
            first = 0
            while first < (len(others) if c == d else len(rows)) and len(others):
                step = max(1, most // len(others))
                some = rows[first : first + step]
                if c != d:
                    yield self._pairs_of((c, some), (d, others), [[0, 1]])
                else:
                    # Pairs within these rows, and of these with all after them.
                    after = others[first + step :]
                    both = [[0, 0], [0, 1]] if len(after) else [[0, 0]]
                    yield self._pairs_of((c, some), (d, after), both)
                first += step
                if least > 0 and first < len(rows):
                    # With lighter rows fewer of the others are heavy enough.
                    heavy = frequencies[others] * frequencies[rows[first]] >= least
                    others = others[: np.count_nonzero(heavy)]

    def _pairs_of(
        self, one: tuple[int, Ints], other: tuple[int, Ints], pairs: list[list[int]]
    ) -> ExplainingClasses:
        """Pairs of some rows of two classes, which are then classes 0 and 1."""
        rows = np.concatenate([one[1], other[1]])
        bounds = np.array([0, len(one[1]), len(rows)], dtype=np.int64)
        held = self.held[[one[0], other[0]]]
        return replace(self, rows=rows, bounds=bounds, held=held, pairs=np.array(pairs))


def most_pairs(precision: float) -> int:
    """As many pairs of haplotypes are listed in full."""
    return MAX_PAIRS if precision == 0 else min(MAX_PAIRS, PAIRS_BEFORE_CUT)


def cut_pairs(
    found: ExplainingClasses, precision: float, most: int | None = None
) -> tuple[ExplainingClasses, float, int, float]:
    """Least weight f1 f2 of the pairs to keep, how many these are and the dropped share.

    0, all and 0.0 unless there are too many, more than `most` or a precision is asked for.
    """
    kept_pairs = MAX_PAIRS if most is None else min(most, MAX_PAIRS)
    if found.n_pairs <= min(kept_pairs, most_pairs(precision)):
        return found, 0.0, found.n_pairs, 0.0
    frequencies = found.haplotypes.frequencies
    classes = np.repeat(np.arange(len(found.held)), np.diff(found.bounds))
    order = np.lexsort((found.rows, -frequencies[found.rows], classes))
    ordered = replace(found, rows=found.rows[order])

    def above(exponent: float) -> tuple[int, float]:
        kept: tuple[int, float] = kernels.pairs_above(
            ordered.rows, ordered.bounds, ordered.pairs, frequencies, float(np.exp(exponent))
        )
        return kept

    tiny = np.log(float(frequencies[found.rows].min())) * 2 - 1
    largest = np.log(float(frequencies[found.rows].max())) * 2 + 1
    wanted = (1 - precision) * found.mass
    # The lightest pairs go first: as few as the limit needs, as many as the precision allows.
    least = _boundary(tiny, largest, lambda t: above(t)[0] <= kept_pairs)[1]
    if precision > 0:
        least = max(least, _boundary(tiny, largest, lambda t: above(t)[1] < wanted)[0])
    count, mass = above(least)
    return ordered, float(np.exp(least)), count, max(0.0, 1.0 - mass / found.mass)


def _boundary(low: float, high: float, holds: Callable[[float], bool]) -> tuple[float, float]:
    """Where a condition begins to hold: the last point below it, the first above it."""
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return low, high
