"""Match counts of genotypes with a person whose haplotypes are summed by class; nothing else.

Against one genotype a, b of a locus a haplotype has a *letter*: whether its token is neither, a or
b (0, 1, 2), plus 3 for a null that takes its partner's token, plus 6 for an absent gene. Haplotypes
of one class with the same letters so far and the same tokens at the loci to come are summed, so
that no pair of haplotypes is looked at; what is left of each class are few words of letters, and
compatible classes are paired word by word.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from matching.array_types import (
    F64,
    I32_2D,
    I32_3D,
    I64,
    I64_2D,
    OUT_F64_2D,
    OUT_I64,
    U8_2D,
)
from matching.kernels import kernel
from matching.prediction_kernels import ABSENT, NOTHING

Floats = npt.NDArray[np.float64]
Int32Table = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

# Kinds of haplotype at a locus, and the letters that each kind may have.
EXPRESSED, NULL, NO_GENE = 0, 1, 2
_OWN = 3
_LETTERS = 9
# Kinds of genotype: two tokens, one, and one that the other person cannot lack.
_HETEROZYGOUS, _HOMOZYGOUS, _UNCOUNTED = 0, 1, 2
# How nulls of a typing stand in a pair: left, right or on both sides.
_LEFT, _RIGHT, _BOTH = 1, 2, 3


@kernel(numba.int64(numba.int64, numba.int64, numba.int64, numba.int64))
def _compared(null_side: Any, genotype: Any, u: Any, v: Any) -> Any:
    """Mismatches + 32 tokens of the genotype that letters u, v lack (rules R2 and R20)."""
    x, y = u % _OWN, v % _OWN
    left, right = u // _OWN, v // _OWN
    if null_side == _BOTH:
        x = y = 0
    elif null_side == _LEFT:
        x = y
    elif null_side == _RIGHT:
        y = x
    else:
        if left == NULL and right != NULL:
            x, left = y, right
        elif right == NULL and left != NULL:
            y, right = x, left
        if left == NO_GENE:
            x = y
        elif right == NO_GENE:
            y = x
    has_first, has_second = x == 1 or y == 1, x == 2 or y == 2
    if genotype == _HETEROZYGOUS:
        count = int(has_first) + int(has_second)
        return (2 - count) * 33
    lacking = 0 if genotype == _UNCOUNTED or has_first else 1
    return 2 - int(x == 1) - int(y == 1) + 32 * lacking


@kernel(
    numba.void(
        I32_3D, I64, I32_2D, I32_2D, U8_2D, F64, I64_2D, U8_2D, OUT_F64_2D, OUT_F64_2D, OUT_I64,
    )
)  # fmt: skip
def match_by_class(
    genotypes: npt.NDArray[np.int32],
    changed: Int64s,
    following: Int32Table,
    tokens: Int32Table,
    kinds: Bytes,
    weights: Floats,
    pairs: npt.NDArray[np.int64],
    null_sides: Bytes,
    total: Floats,
    lacking: Floats,
    work: Int64s,
) -> None:
    """Probability of each number of mismatches of genotypes with a person, and of tokens lacked.

    genotypes: (n, n_loci, 2) tokens; changed: (n,) the first locus at which each differs from the
    one before. The person's haplotypes are a tree: node k of depth l stands for those of one class
    with the same tokens from locus l on; tokens[l, k] and kinds[l, k] are what they have there,
    following[l, k] is their node at the next depth, ascending in k, and at the last depth their
    class. weights: of the nodes of depth 0. pairs: (n_pairs, 2) compatible classes; null_sides:
    (n_pairs, n_loci). total, lacking: (n, 2 n_loci + 1), summing to the weight of all ordered
    pairs. work: (1,), to which the steps that were taken are added.
    """
    n_loci = genotypes.shape[1]
    n_roots = len(weights)
    compared = np.empty(4 * 3 * _LETTERS * _LETTERS, dtype=np.int64)
    at = 0
    for side in range(4):
        for kind in range(3):
            for u in range(_LETTERS):
                for v in range(_LETTERS):
                    compared[at] = _compared(side, kind, u, v)
                    at += 1
    # States of each depth: a node, the number of a word of letters, and their weight.
    nodes = np.empty((n_loci + 1, n_roots), dtype=np.int32)
    words = np.zeros((n_loci + 1, n_roots), dtype=np.int32)
    sums = np.empty((n_loci + 1, n_roots))
    n_states = np.zeros(n_loci + 1, dtype=np.int64)
    n_words = np.ones(n_loci + 1, dtype=np.int64)
    # The word that each word was before its last letter, and this letter.
    before = np.zeros((n_loci + 1, n_roots), dtype=np.int32)
    letter_of = np.zeros((n_loci + 1, n_roots), dtype=np.int32)
    child = np.empty(n_roots * _LETTERS, dtype=np.int32)
    summed = np.zeros(n_roots)
    touched = np.empty(n_roots, dtype=np.int32)
    kind_of = np.zeros(n_loci, dtype=np.int64)
    base = np.empty(n_loci, dtype=np.int64)
    for k in range(n_roots):
        nodes[0, k] = k
    sums[0] = weights
    n_states[0] = n_roots
    letters = np.empty((n_roots, n_loci), dtype=np.int32)
    n_classes = np.int64(0)
    for p in range(len(pairs)):
        n_classes = max(n_classes, pairs[p, 0] + 1, pairs[p, 1] + 1)
    first_of = np.zeros(n_classes + 1, dtype=np.int64)
    steps = np.int64(0)
    for g in range(len(genotypes)):
        for locus in range(changed[g], n_loci):
            a, b = genotypes[g, locus, 0], genotypes[g, locus, 1]
            if a != b:
                kind_of[locus] = _HETEROZYGOUS
            else:
                kind_of[locus] = _HOMOZYGOUS if a > ABSENT else _UNCOUNTED
            for k in range(n_words[locus] * _LETTERS):
                child[k] = -1
            n, found, i = np.int64(0), np.int64(0), np.int64(0)
            end = n_states[locus]
            steps += end
            while i < end:
                node = following[locus, nodes[locus, i]]
                n_touched = 0
                while i < end and following[locus, nodes[locus, i]] == node:
                    here = nodes[locus, i]
                    token = tokens[locus, here]
                    letter = _OWN * np.int64(kinds[locus, here])
                    if token != NOTHING:
                        if token == a:
                            letter += 1
                        elif token == b:
                            letter += 2
                    slot = words[locus, i] * _LETTERS + letter
                    word = np.int64(child[slot])
                    if word < 0:
                        word = n
                        child[slot] = n
                        before[locus + 1, n] = words[locus, i]
                        letter_of[locus + 1, n] = letter
                        n += 1
                    if summed[word] == 0.0:
                        touched[n_touched] = word
                        n_touched += 1
                    summed[word] += sums[locus, i]
                    i += 1
                for k in range(n_touched):
                    word = np.int64(touched[k])
                    nodes[locus + 1, found] = node
                    words[locus + 1, found] = word
                    sums[locus + 1, found] = summed[word]
                    summed[word] = 0.0
                    found += 1
            n_states[locus + 1] = found
            n_words[locus + 1] = n
        for k in range(n_words[n_loci]):
            word = np.int64(k)
            for locus in range(n_loci, 0, -1):
                letters[k, locus - 1] = letter_of[locus, word]
                word = np.int64(before[locus, word])
        position = np.int64(0)
        for c in range(n_classes):
            first_of[c] = position
            while position < n_states[n_loci] and nodes[n_loci, position] == c:
                position += 1
        first_of[n_classes] = position
        for p in range(len(pairs)):
            c, d = pairs[p, 0], pairs[p, 1]
            factor = 1.0 if c == d else 2.0
            for i in range(first_of[c], first_of[c + 1]):
                u = words[n_loci, i]
                weight = factor * sums[n_loci, i]
                for locus in range(n_loci):
                    base[locus] = _LETTERS * (
                        _LETTERS * (3 * null_sides[p, locus] + kind_of[locus]) + letters[u, locus]
                    )
                for j in range(first_of[d], first_of[d + 1]):
                    v = words[n_loci, j]
                    both = np.int64(0)
                    for locus in range(n_loci):
                        both += compared[base[locus] + letters[v, locus]]
                    total[g, both % 32] += weight * sums[n_loci, j]
                    lacking[g, both // 32] += weight * sums[n_loci, j]
            steps += (first_of[c + 1] - first_of[c]) * (first_of[d + 1] - first_of[d])
    work[0] += steps
