"""From keys to an order, and what decided it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matching.rank.kernels import merge_orders
from matching.rank.rule import BY_IDENTIFIER, REASONS

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]


class RankKey(NamedTuple):
    """One key. `values(members, ties)` gives what it orders by: (m,) float64, lower is better.

    `members`: (m,) int64 candidates; `ties`: (m,) int64, equal where the keys before left two of
    them equal. Members of one tie stand together.
    """

    name: str
    values: Callable[[Int64s, Int64s], Floats]


def by_values(name: str, values: npt.ArrayLike) -> RankKey:
    """A key whose value is known of every candidate."""
    known = np.asarray(values, dtype=np.float64)
    return RankKey(name, lambda members, _: known[members])


@dataclass(frozen=True)
class Ranking:
    """The first m of n candidates, best first.

    `order`: (m,) int64 positions of candidates. `keys`: names in their order. `values`:
    (m, n_keys) float64. `decided_by`: (m,) int64, position in `keys` of the first key in which a
    donor is worse than the one ranked before it, `len(keys)` where the identifier decided, -1 for
    the first donor.
    """

    order: Int64s
    keys: tuple[str, ...]
    values: Floats
    decided_by: Int64s

    def __len__(self) -> int:
        return len(self.order)

    def part(self, start: int, end: int) -> Ranking:
        """Ranks `start` to `end`, from 0."""
        cut = slice(start, end)
        return Ranking(self.order[cut], self.keys, self.values[cut], self.decided_by[cut])

    @property
    def reasons(self) -> list[str]:
        """Why each donor stands below the one before it, "" for the first."""
        texts = [*(REASONS[key] for key in self.keys), BY_IDENTIFIER, ""]
        return [texts[i] for i in self.decided_by]


def rank(
    n: int,
    keys: Sequence[RankKey],
    end: int,
    identifiers: Callable[[Int64s], Sequence[str]] | None = None,
    between: Callable[[], object] = lambda: None,
) -> Ranking:
    """The first `end` of n candidates.

    `identifiers`: of some candidates, which end the ties that are left; without it candidates are
    in the order of their identifiers. `between`: called between parts of the work; what it raises
    ends it.

    A key is asked of the candidates alone that the keys before it leave among the first `end`, or
    equal to the last of them.
    """
    order = np.arange(n if end > 0 else 0, dtype=np.int64)
    ties = np.zeros(len(order), dtype=np.int64)
    decided_by = np.full(len(order), len(keys), dtype=np.int64)
    decided_by[:1] = -1
    columns: list[Floats] = []
    for i, key in enumerate(keys):
        between()
        found = np.asarray(key.values(order, ties), dtype=np.float64)
        if found.shape != order.shape or np.isnan(found).any():
            raise ValueError(f"key {key.name} has no value for some candidate")
        between()
        kept = _among_first(found, ties, end, between)
        order, found = order[kept], found[kept]
        between()
        # Of the last tie alone some are left out, and its members have equal values so far.
        active = len(order)
        ties, decided_by = ties[:active], decided_by[:active]
        # Stable, so that candidates that stay equal keep their order.
        moved = _sorted(ties, found, between)
        between()
        order, found = order[moved], found[moved]
        between()
        columns = [column[:active] for column in columns]
        begins = np.diff(ties) != 0
        differs = ~begins & (found[1:] != found[:-1])
        decided_by[1:][differs] = i
        ties[1:] = np.cumsum(begins | differs)
        columns.append(found)
    if identifiers is not None:
        shared = np.flatnonzero(is_shared(ties))
        for begin, stop in _whole_ties(ties[shared]):
            between()
            at = shared[begin:stop]
            names = np.array(identifiers(order[at]), dtype=object)
            moved = np.lexsort((np.unique(names, return_inverse=True)[1], ties[at]))
            # Within a tie all keys are equal, so only the order changes.
            order[at] = order[at][moved]
    values = np.array([column[:end] for column in columns]).reshape(len(keys), len(order[:end])).T
    return Ranking(order[:end], tuple(key.name for key in keys), values, decided_by[:end])


# Candidates that are sorted before `between` is called again, and whose identifiers are.
_RUN, _NAMED = 100_000, 10_000


def _sorted(ties: Int64s, found: Floats, between: Callable[[], object]) -> Int64s:
    """The stable order by `ties`, which ascend, then by `found`."""
    runs = []
    for begin in range(0, len(ties), _RUN):
        between()
        part = slice(begin, begin + _RUN)
        runs.append(begin + np.lexsort((found[part], ties[part])))
    while len(runs) > 1:
        pairs = zip(runs[::2], runs[1::2], strict=False)
        merged = [_merged(ties, found, *pair, between) for pair in pairs]
        runs = merged + runs[2 * len(merged) :]
    return runs[0] if runs else np.empty(0, dtype=np.int64)


def _merged(
    ties: Int64s, found: Floats, one: Int64s, other: Int64s, between: Callable[[], object]
) -> Int64s:
    """Two orders of candidates as one; of equals those of the first come first."""
    out = np.empty(len(one) + len(other), dtype=np.int64)
    taken = 0
    for begin in range(0, len(out), _RUN):
        between()
        part = out[begin : begin + _RUN]
        taken = merge_orders(ties, found, one, other, taken, begin - taken, part)
    return out


def is_shared(ties: Int64s) -> npt.NDArray[np.bool_]:
    """Who is in a tie with another."""
    shared = np.zeros(len(ties), dtype=bool)
    same = ties[1:] == ties[:-1]
    shared[1:] = same
    shared[:-1] |= same
    return shared


def _whole_ties(ties: Int64s) -> Iterator[tuple[int, int]]:
    """Where parts of about `_NAMED` candidates begin and end, no tie being divided."""
    begin = 0
    while begin < len(ties):
        end = min(begin + _NAMED, len(ties))
        end = int(np.searchsorted(ties, ties[end - 1], side="right"))
        yield begin, end
        begin = end


def _among_first(
    found: Floats, ties: Int64s, end: int, between: Callable[[], object]
) -> npt.NDArray[np.bool_] | slice:
    """Which candidates can be among the first `end` when each tie is ordered by `found`: of the
    last tie, which holds the last of these, those that are not worse than that one."""
    if end >= len(found):
        return slice(None)
    start = int(np.searchsorted(ties, ties[end - 1]))
    kept = np.ones(len(found), dtype=bool)
    last = found[start:]
    kept[start:] = last <= _at_place(last, end - 1 - start, between)
    return kept


def _at_place(values: Floats, place: int, between: Callable[[], object]) -> float:
    """What stands at a place, from 0, when values are sorted."""
    parts = []
    for begin in range(0, len(values), _RUN):
        between()
        parts.append(np.unique(values[begin : begin + _RUN], return_counts=True))
    distinct = np.concatenate([part for part, _ in parts])
    order = np.argsort(distinct)
    before = np.cumsum(np.concatenate([counts for _, counts in parts])[order])
    return float(distinct[order][np.searchsorted(before, place, side="right")])
