"""What was worked out, kept for the next time within a bound."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memory(Generic[K, V]):
    """Values by key that weigh at most `limit` together; those that came first are forgotten first.

    One object serves any number of threads: two that miss the same value both make it, and one of
    the two is kept. So values must depend on nothing but their key. One that is heavier than
    `largest`, by default the limit, is made and not kept.

    >>> squares = Memory[int, int](2)
    >>> [squares.of(n, lambda n=n: n * n) for n in (1, 2, 3)], len(squares)
    ([1, 4, 9], 2)
    """

    def __init__(
        self,
        limit: float,
        weight: Callable[[V], float] = lambda _: 1.0,
        largest: float | None = None,
    ) -> None:
        self._limit, self._weight = limit, weight
        self._largest = limit if largest is None else min(largest, limit)
        # The first of a plain dict is behind all places of those that were taken out before.
        self._values: OrderedDict[K, V] = OrderedDict()
        self._sum = 0.0
        self._changing = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """The value of a key, None where it is not known."""
        return self._values.get(key)

    def of(self, key: K, make: Callable[[], V]) -> V:
        """The value of a key, made where it is not known. Raises what `make` raises."""
        try:
            return self._values[key]
        except KeyError:
            made = make()
        weight = self._weight(made)
        with self._changing:
            if key not in self._values and weight <= self._largest:
                self._values[key] = made
                self._sum += weight
                while self._sum > self._limit:
                    self._sum -= self._weight(self._values.popitem(last=False)[1])
        return made
