"""Whole haplotypes that two people share, from the classes of those that each may carry."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from matching.array_types import F64, I64, I64_2D, OUT_F64
from matching.kernels import Int64s, kernel

Floats = npt.NDArray[np.float64]


@kernel(numba.boolean(I64_2D, numba.int64, numba.int64))
def _is_pair(pairs: npt.NDArray[np.int64], c: Any, d: Any) -> bool:
    """Whether two classes are among ascending pairs (n, 2) of classes c <= d."""
    if c > d:
        c, d = d, c
    low, high = 0, len(pairs)
    while low < high:
        middle = (low + high) // 2
        if pairs[middle, 0] < c or (pairs[middle, 0] == c and pairs[middle, 1] < d):
            low = middle + 1
        else:
            high = middle
    return low < len(pairs) and pairs[low, 0] == c and pairs[low, 1] == d


@kernel(numba.void(I64, I64, F64, I64_2D, numba.int64, OUT_F64, OUT_F64))
def carried_haplotypes(
    haplotypes: Int64s,
    classes: Int64s,
    frequencies: Floats,
    pairs: npt.NDArray[np.int64],
    n_classes: int,
    carried: Floats,
    twice: Floats,
) -> None:
    """Probability that a person carries each haplotype, and carries it twice.

    haplotypes: (n,) ascending, classes and frequencies of each entry; a haplotype may be in several
    classes, and its results are then with its first entry. pairs: ascending, compatible classes
    c <= d; frequencies are such that the weights of all ordered pairs sum to 1.
    """
    sums = np.zeros(n_classes)
    for k in range(len(classes)):
        sums[classes[k]] += frequencies[k]
    beside = np.zeros(n_classes)
    for p in range(len(pairs)):
        c, d = pairs[p, 0], pairs[p, 1]
        beside[c] += sums[d]
        if c != d:
            beside[d] += sums[c]
    start = 0
    while start < len(haplotypes):
        end = start
        either, both = 0.0, 0.0
        while end < len(haplotypes) and haplotypes[end] == haplotypes[start]:
            either += 2 * frequencies[end] * beside[classes[end]]
            end += 1
        for i in range(start, end):
            for j in range(start, end):
                if _is_pair(pairs, classes[i], classes[j]):
                    both += frequencies[i] * frequencies[j]
        carried[start] = either - both
        twice[start] = both
        start = end


@kernel(
    numba.void(
        I64, F64, I64, F64, F64, I64_2D, numba.int64,
        I64, F64, I64, F64, F64, I64_2D, numba.int64, OUT_F64,
    )
)  # fmt: skip
def shared_haplotypes(
    haplotypes: Int64s,
    frequencies: Floats,
    classes: Int64s,
    carried: Floats,
    twice: Floats,
    pairs: npt.NDArray[np.int64],
    n_classes: int,
    other_haplotypes: Int64s,
    other_frequencies: Floats,
    other_classes: Int64s,
    other_carried: Floats,
    other_twice: Floats,
    other_pairs: npt.NDArray[np.int64],
    other_n_classes: int,
    out: Floats,
) -> None:
    """P(0, 1, 2 whole haplotypes in common) of two people, out (3,); no pair is listed.

    Both as in `carried_haplotypes`. With q the probability that both, in order, have the same two
    haplotypes, h that these two are also one, and e the expected number of distinct haplotypes that
    both carry: two in common have probability 2 q - h, and e = P(1) + 2 (2 q - 2 h) + h.
    """
    joint = np.zeros((n_classes, other_n_classes))
    expected, alike = 0.0, 0.0
    i, j = 0, 0
    is_any = False
    while i < len(haplotypes) and j < len(other_haplotypes):
        if haplotypes[i] < other_haplotypes[j]:
            i += 1
        elif haplotypes[i] > other_haplotypes[j]:
            j += 1
        else:
            is_any = True
            expected += carried[i] * other_carried[j]
            alike += twice[i] * other_twice[j]
            name, first = haplotypes[i], j
            while i < len(haplotypes) and haplotypes[i] == name:
                j = first
                while j < len(other_haplotypes) and other_haplotypes[j] == name:
                    joint[classes[i], other_classes[j]] += frequencies[i] * other_frequencies[j]
                    j += 1
                i += 1
    ordered = 0.0
    for p in range(len(pairs) if is_any else 0):
        c, d = pairs[p, 0], pairs[p, 1]
        for q in range(len(other_pairs)):
            e, f = other_pairs[q, 0], other_pairs[q, 1]
            mass = joint[c, e] * joint[d, f] + joint[c, f] * joint[d, e]
            # Each order of both pairs of classes once.
            ordered += mass * (1.0 if c == d else 2.0) * (0.5 if e == f else 1.0)
    two = min(1.0, max(0.0, 2 * ordered - alike))
    one = min(1.0 - two, max(0.0, expected - 4 * ordered + 3 * alike))
    out[0], out[1], out[2] = 1.0 - one - two, one, two
