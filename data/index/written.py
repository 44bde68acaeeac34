"""What donors have written at a locus, each distinct typing once: an entry of the index stands for
what is matched, and several typings may present the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data.index.columns import WrittenLocus
from matching.donor_index import Large, by_frequency
from matching.immunogenetics import WrittenPairs
from matching.numbering import numbered


@dataclass(frozen=True)
class WrittenColumn:
    """Row i has written typing n, which is `codes[i, 0]`, or in `large` if that is `LARGE`.

    Typing n is a list of the genotypes `pairs[starts[n]:starts[n + 1]]`, none for typing 0, which
    is untyped; of each the numbers of two `positions`. The others are numbered by falling number
    of rows, so that few are large. `codes` (n_rows, 1) uint16, `starts` (n_typings + 1,) and
    `pairs` (n_pairs, 2) uint32.
    """

    positions: pa.StringArray
    starts: npt.NDArray[np.uint32]
    pairs: npt.NDArray[np.uint32]
    codes: npt.NDArray[np.uint16]
    large: Large

    def __len__(self) -> int:
        return len(self.starts) - 1

    @classmethod
    def of(cls, written: WrittenLocus) -> WrittenColumn:
        """Typings that nobody has are left out. Every text can be read."""
        order = by_frequency(written.numbers, len(written.texts))
        used = np.bincount(written.numbers, minlength=len(written.texts)) > 0
        used[0] = True
        order = order[used[order]]
        renumbered = np.zeros(len(written.texts), dtype=np.uint32)
        renumbered[order] = np.arange(len(order), dtype=np.uint32)
        codes, large = Large.split([renumbered[written.numbers]])
        positions: dict[str, int] = {}
        pairs: list[tuple[int, ...]] = []
        starts = [0, 0]
        for number in order[1:].tolist():
            for genotype in written.texts[number].split("|"):
                both = (position.strip() for position in genotype.split("+"))
                pairs.append(tuple(positions.setdefault(text, len(positions)) for text in both))
            starts.append(len(pairs))
        return cls(
            pa.array(list(positions), pa.string()),
            np.array(starts, dtype=np.uint32),
            np.array(pairs, dtype=np.uint32).reshape(-1, 2),
            codes,
            large,
        )

    def typings(self, rows: npt.NDArray[np.int64]) -> tuple[WrittenPairs, npt.NDArray[np.int64]]:
        """The distinct typings of some rows, and which of them each has, (n,)."""
        numbers = self.large.entries(self.codes, rows, 0)
        found, number = numbered(numbers, len(self))
        first, end = self.starts[found].astype(np.int64), self.starts[found + 1].astype(np.int64)
        starts = np.concatenate([[0], np.cumsum(end - first)])
        at = np.repeat(first - starts[:-1], end - first) + np.arange(starts[-1])
        places, pairs = np.unique(self.pairs[at], return_inverse=True)
        positions = self.positions.take(pa.array(places)).to_pylist()
        return WrittenPairs(positions, starts, pairs.reshape(-1, 2)), number


def joined(parts: Iterable[WrittenPairs]) -> WrittenPairs:
    """Typings one after another."""
    positions: list[str] = []
    starts = [np.zeros(1, dtype=np.int64)]
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for part in parts:
        starts.append(part.starts[1:] + starts[-1][-1])
        pairs.append(part.pairs + len(positions))
        positions += part.positions
    return WrittenPairs(positions, np.concatenate(starts), np.concatenate(pairs))
