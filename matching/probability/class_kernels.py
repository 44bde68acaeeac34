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


@kernel(numba.void(numba.int64, I32_2D, I32_2D, OUT_I64))
def _spell(word: Any, before: Int32Table, letter_of: Int32Table, letters: Int64s) -> None:
    """The letters (n_loci,) of a word of the last depth."""
    for depth in range(len(letters), 0, -1):
        letters[depth - 1] = letter_of[depth, word]
        word = np.int64(before[depth, word])


@kernel(
    numba.void(
        I32_3D, I64, I32_2D, I32_2D, U8_2D, F64, I64_2D, U8_2D, numba.boolean, OUT_F64_2D,
        OUT_F64_2D, OUT_I64,
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
    with_lacking: bool,
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
    # States of each depth: a node and what it has there, the number of a word of letters, a weight.
    nodes = np.empty((n_loci + 1, n_roots), dtype=np.int32)
    next_nodes = np.empty((n_loci, n_roots), dtype=np.int32)
    held = np.empty((n_loci, n_roots), dtype=np.int32)
    held_kinds = np.empty((n_loci, n_roots), dtype=np.uint8)
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
    part = np.empty(_OWN)
    for k in range(n_roots):
        nodes[0, k] = k
        next_nodes[0, k] = following[0, k]
        held[0, k] = tokens[0, k]
        held_kinds[0, k] = kinds[0, k]
    sums[0] = weights
    n_states[0] = n_roots
    # Of each word: bits of its letters as first and as second haplotype of a pair and for tokens
    # lacked, and whether a null or an absent gene is in it.
    bits = np.zeros((n_loci + 1, n_roots, 3), dtype=np.int32)
    bits_of = np.empty((3, n_roots), dtype=np.int32)
    is_special = np.zeros((n_loci + 1, n_roots), dtype=np.uint8)
    counted = np.zeros(1 << (2 * n_loci), dtype=np.uint8)
    for k in range(1, len(counted)):
        counted[k] = counted[k >> 1] + (k & 1)
    has_nulls = np.zeros(len(pairs), dtype=np.uint8)
    for p in range(len(pairs)):
        for locus in range(n_loci):
            if null_sides[p, locus]:
                has_nulls[p] = 1
    letters = np.zeros((2, n_loci), dtype=np.int64)
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
            follows, token_of, kind_at = next_nodes[locus], held[locus], held_kinds[locus]
            word_of, sum_of = words[locus], sums[locus]
            while i < end:
                node = follows[i]
                n_touched = 0
                while i < end and follows[i] == node:
                    parent, kind = np.int64(word_of[i]), kind_at[i]
                    neither, first, second = 0.0, 0.0, 0.0
                    while (
                        i < end
                        and word_of[i] == parent
                        and kind_at[i] == kind
                        and follows[i] == node
                    ):
                        token = token_of[i]
                        if token == a:
                            first += sum_of[i]
                        elif token == b:
                            second += sum_of[i]
                        else:
                            neither += sum_of[i]
                        i += 1
                    part[0], part[1], part[2] = neither, first, second
                    if a == NOTHING:
                        part[0], part[1] = neither + first, 0.0
                    for which in range(_OWN):
                        if part[which] == 0.0:
                            continue
                        letter = which + _OWN * np.int64(kind)
                        slot = parent * _LETTERS + letter
                        word = np.int64(child[slot])
                        if word < 0:
                            word = n
                            child[slot] = n
                            before[locus + 1, n] = parent
                            letter_of[locus + 1, n] = letter
                            is_special[locus + 1, n] = is_special[locus, parent] | (kind > 0)
                            one = 1 << (2 * locus) if which == 1 else 0
                            other = 2 << (2 * locus) if which == 2 else 0
                            bits[locus + 1, n, 0] = bits[locus, parent, 0] | one | other
                            bits[locus + 1, n, 2] = bits[locus, parent, 2] | one | other
                            if kind_of[locus] != _HETEROZYGOUS:
                                # Both haplotypes count where they have the one token.
                                other, one = 2 * one, 0
                            bits[locus + 1, n, 1] = bits[locus, parent, 1] | one | other
                            n += 1
                        if summed[word] == 0.0:
                            touched[n_touched] = word
                            n_touched += 1
                        summed[word] += part[which]
                for k in range(n_touched):
                    word = np.int64(touched[k])
                    nodes[locus + 1, found] = node
                    words[locus + 1, found] = word
                    sums[locus + 1, found] = summed[word]
                    summed[word] = 0.0
                    found += 1
            if locus + 1 < n_loci:
                for k in range(found):
                    node = nodes[locus + 1, k]
                    next_nodes[locus + 1, k] = following[locus + 1, node]
                    held[locus + 1, k] = tokens[locus + 1, node]
                    held_kinds[locus + 1, k] = kinds[locus + 1, node]
            n_states[locus + 1] = found
            n_words[locus + 1] = n
        position = np.int64(0)
        for c in range(n_classes):
            first_of[c] = position
            while position < n_states[n_loci] and nodes[n_loci, position] == c:
                position += 1
        first_of[n_classes] = position
        any_special = np.uint8(0)
        for k in range(position):
            word = np.int64(words[n_loci, k])
            any_special |= is_special[n_loci, word]
            for turn in range(3):
                bits_of[turn, k] = bits[n_loci, word, turn]
        n_tokens = np.int64(0)
        for locus in range(n_loci):
            n_tokens += 2 - kind_of[locus]
        last = sums[n_loci]
        for p in range(len(pairs)):
            c, d = pairs[p, 0], pairs[p, 1]
            factor = 1.0 if c == d else 2.0
            steps += (first_of[c + 1] - first_of[c]) * (first_of[d + 1] - first_of[d])
            if any_special or has_nulls[p]:
                for k in range(first_of[c], first_of[c + 1]):
                    _spell(words[n_loci, k], before, letter_of, letters[0])
                    for j in range(first_of[d], first_of[d + 1]):
                        _spell(words[n_loci, j], before, letter_of, letters[1])
                        both = np.int64(0)
                        for locus in range(n_loci):
                            both += _compared(
                                np.int64(null_sides[p, locus]), kind_of[locus],
                                letters[0, locus], letters[1, locus],
                            )  # fmt: skip
                        total[g, both % 32] += factor * last[k] * last[j]
                        lacking[g, both // 32] += factor * last[k] * last[j]
                continue
            for k in range(first_of[c], first_of[c + 1]):
                weight, ours = factor * last[k], bits_of[0, k]
                for j in range(first_of[d], first_of[d + 1]):
                    total[g, 2 * n_loci - counted[ours | bits_of[1, j]]] += weight * last[j]
            if with_lacking:
                for k in range(first_of[c], first_of[c + 1]):
                    weight, ours = factor * last[k], bits_of[2, k]
                    for j in range(first_of[d], first_of[d + 1]):
                        lacking[g, n_tokens - counted[ours | bits_of[2, j]]] += weight * last[j]
    work[0] += steps
