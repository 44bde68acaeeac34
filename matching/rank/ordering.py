"""From keys to an order, and what decided it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matching.parts import in_parts, joined, taken
from matching.rank.kernels import merge_orders
from matching.rank.rule import BY_IDENTIFIER, REASONS

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]


class RankKey(NamedTuple):
    """One key. `values(members, ties)` gives what it orders by: a new array, (m,) float64, lower is
    better.

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
    n = n if end > 0 else 0
    order = np.empty(n, dtype=np.int64)
    decided_by = np.empty(n, dtype=np.int64)
    for part in in_parts(n, between):
        order[part] = np.arange(part.start, part.stop)
        decided_by[part] = len(keys)
    decided_by[:1] = -1
    ties = np.zeros(n, dtype=np.int64)
    columns: list[Floats] = []
    for i, key in enumerate(keys):
        between()
        found = np.asarray(key.values(order, ties), dtype=np.float64)
        if found.shape != order.shape or any(
            np.isnan(found[part]).any() for part in in_parts(len(found), between)
        ):
            raise ValueError(f"key {key.name} has no value for some candidate")
        if end < len(order):
            # Of the last tie alone some are left out, and its members have equal values so far.
            first = slice(_among_first(found, order, ties, end, between))
            order, found = order[first], found[first]
        active = len(order)
        ties, decided_by = ties[:active], decided_by[:active]
        # Stable, so that candidates that stay equal keep their order.
        moved = _sorted(ties, found, between)
        order, found = taken(order, moved, between), taken(found, moved, between)
        columns = [column[:active] for column in columns]
        ties = _parted(ties, found, decided_by, i, between)
        columns.append(found)
    if identifiers is not None:
        shared = shared_ties(ties, between)
        for begin, stop in _whole_ties(taken(ties, shared, between)):
            between()
            at = shared[begin:stop]
            names = np.array(identifiers(order[at]), dtype=object)
            moved = np.lexsort((np.unique(names, return_inverse=True)[1], ties[at]))
            # Within a tie all keys are equal, so only the order changes.
            order[at] = order[at][moved]
    values = np.array([column[:end] for column in columns]).reshape(len(keys), len(order[:end])).T
    return Ranking(order[:end], tuple(key.name for key in keys), values, decided_by[:end])


# Candidates whose identifiers are sorted before `between` is called again.
_NAMED = 10_000


def _sorted(ties: Int64s, found: Floats, between: Callable[[], object]) -> Int64s:
    """The stable order by `ties`, which ascend, then by `found`."""
    runs = [
        part.start + np.lexsort((found[part], ties[part])) for part in in_parts(len(ties), between)
    ]
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
    of_one = 0
    for part in in_parts(len(out), between):
        of_one = merge_orders(ties, found, one, other, of_one, part.start - of_one, out[part])
    return out


def _parted(
    ties: Int64s, found: Floats, decided_by: Int64s, key: int, between: Callable[[], object]
) -> Int64s:
    """Ties whose members are equal in `found`, too; in `decided_by` those get `key` that it sets
    apart from the one before."""
    parted = np.zeros(len(ties), dtype=np.int64)
    number = 0
    for part in in_parts(len(ties) - 1, between):
        after = slice(part.start + 1, part.stop + 1)
        begins = ties[after] != ties[part]
        differs = ~begins & (found[after] != found[part])
        decided_by[after][differs] = key
        parted[after] = number + np.cumsum(begins | differs)
        number = int(parted[part.stop])
    return parted


def shared_ties(ties: Int64s, between: Callable[[], object]) -> Int64s:
    """Positions of those who are in a tie with another, ascending."""
    found = [np.empty(0, dtype=np.int64)]
    for part in in_parts(len(ties), between):
        # With who comes before and after.
        before, after = max(part.start - 1, 0), part.stop + 1
        same = np.diff(ties[before:after]) == 0
        shared = np.zeros(len(same) + 1, dtype=bool)
        shared[1:] = same
        shared[:-1] |= same
        at = before + np.flatnonzero(shared)
        found.append(at[(at >= part.start) & (at < part.stop)])
    return joined(found, between)


def _whole_ties(ties: Int64s) -> Iterator[tuple[int, int]]:
    """Where parts of about `_NAMED` candidates begin and end, no tie being divided."""
    begin = 0
    while begin < len(ties):
        end = min(begin + _NAMED, len(ties))
        end = int(np.searchsorted(ties, ties[end - 1], side="right"))
        yield begin, end
        begin = end


def _among_first(
    found: Floats, order: Int64s, ties: Int64s, end: int, between: Callable[[], object]
) -> int:
    """How many candidates can be among the first `end` when each tie is ordered by `found`: of the
    last tie, which holds the last of these, those that are not worse than that one. They are moved
    to the front of `found` and `order`."""
    start = int(np.searchsorted(ties, ties[end - 1]))
    last = found[start:]
    worst = _at_place(last, end - 1 - start, between)
    count = start
    for part in in_parts(len(last), between):
        kept = start + part.start + np.flatnonzero(last[part] <= worst)
        to = slice(count, count + len(kept))
        found[to], order[to] = found[kept], order[kept]
        count = to.stop
    return count


def _at_place(values: Floats, place: int, between: Callable[[], object]) -> float:
    """What stands at a place, from 0, when values are sorted."""
    parts = [np.unique(values[part], return_counts=True) for part in in_parts(len(values), between)]
    distinct = np.concatenate([part for part, _ in parts])
    order = np.argsort(distinct)
    before = np.cumsum(np.concatenate([counts for _, counts in parts])[order])
    return float(distinct[order][np.searchsorted(before, place, side="right")])
