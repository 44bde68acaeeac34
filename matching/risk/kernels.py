"""The hot loop over pairs of a donor choice; nothing else."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from matching.array_types import F64, F64_2D, I8_2D, I64, OUT_F64_2D, OUT_I64, U8
from matching.kernels import kernel

MISSING = -1
# Columns of the output of `compare_pairs`.
N_COMPARED = 6
PROBABILITY, LOW, HIGH, DIFFERENCE, DIFFERENCE_LOW, DIFFERENCE_HIGH = range(6)

# Node factors are kept for this many combinations of unknown factors of a patient's pairs.
_KEPT = 256


@kernel(numba.boolean(I8_2D, F64_2D, numba.int64, numba.int64))
def _lower(codes: Any, numbers: Any, i: int, j: int) -> bool:
    """True if pair i stands before pair j in the order of codes, then of numbers."""
    for f in range(len(codes)):
        if codes[f, i] != codes[f, j]:
            return bool(codes[f, i] < codes[f, j])
    for k in range(len(numbers)):
        if numbers[k, i] != numbers[k, j]:
            return bool(numbers[k, i] < numbers[k, j])
    return False


@kernel(
    numba.void(
        I64, I8_2D, F64_2D, U8, I64, I64, I64, F64, F64_2D, F64, numba.float64, F64,
        F64, numba.float64, numba.boolean, OUT_I64, OUT_F64_2D,
    )
)  # fmt: skip
def compare_pairs(
    starts: Any,
    codes: Any,
    numbers: Any,
    fits: Any,
    rows: Any,
    sizes: Any,
    number_of: Any,
    scores: Any,
    gram: Any,
    unknown: Any,
    never_known: float,
    nodes: Any,
    shares: Any,
    z: float,
    wanted: bool,
    best: Any,
    out: Any,
) -> None:
    """Risk of every pair and its difference to the best pair of the same patient.

    Patient m has the pairs starts[m] to starts[m + 1] - 1 (starts int64 (m + 1,)). Pair i has of
    factor f the level codes[f, i] (int8: 0 the reference, `MISSING` not known) or, where
    number_of[f] >= 0, the number numbers[number_of[f], i], centred (0 and `MISSING` where it is
    not known, else code 0). fits (n,) uint8: 0 where the outcome is not applicable; NaN is put out.

    The model as a `LevelTable`: rows and sizes (f,) of these factors, scores and unknown (r,) and
    gram (r, r) of all; never_known: the variance of the factors that are not among these. nodes and
    shares of the normal distribution; z the quantile of the interval; wanted: the highest is best.
    best (m,) int64 gets the best pair, of equals the lowest by codes and numbers, -1 if there is
    none; out (n, `N_COMPARED`).

    The row x of a pair is that of the best pair plus d. With a = p (1 - p) the gradient of
    p - p_best is a d + (a - a_best) x_best. d is a sum over the factors that differ, so its
    quadratic form is a sum of entries of a table that is made once a patient.
    """
    n_factors, n_rows, n_nodes = len(codes), len(scores), len(nodes)
    at_best = np.empty(1 + n_factors, dtype=np.int64)
    times_best = np.empty(1 + n_factors)
    present = np.zeros(n_rows, dtype=np.bool_)
    listed = np.empty(n_rows, dtype=np.int64)
    base = np.empty(n_rows, dtype=np.int64)
    cross_of = np.empty(n_rows)
    square_of = np.empty((n_rows, n_rows))
    varying = np.empty(n_factors, dtype=np.int64)
    # Unsigned, so that no index has to be tested for being negative.
    at = np.empty(n_factors, dtype=np.uint32)
    d = np.empty(n_factors)
    kept_variance = np.empty(_KEPT)
    kept = np.empty((_KEPT, n_nodes))
    for m in range(len(starts) - 1):
        chosen = -1
        kept_variance[:] = -1.0
        for i in range(starts[m], starts[m + 1]):
            if fits[i] == 0:
                for k in range(N_COMPARED):
                    out[i, k] = np.nan
                continue
            score, variance, slot = scores[0], never_known, 0
            for f in range(n_factors):
                r = rows[f] + codes[f, i]
                if number_of[f] >= 0:
                    score += numbers[number_of[f], i] * scores[r]
                else:
                    score += scores[r]
                variance += unknown[r]
                slot = 2 * slot + (codes[f, i] < 0)
            odds = np.exp(-score)
            if variance > 0:
                slot %= _KEPT
                if kept_variance[slot] != variance:
                    kept_variance[slot] = variance
                    for k in range(n_nodes):
                        kept[slot, k] = np.exp(-np.sqrt(variance) * nodes[k])
                risk = 0.0
                for k in range(n_nodes):
                    risk += shares[k] / (1 + odds * kept[slot, k])
            else:
                risk = 1 / (1 + odds)
            out[i, PROBABILITY] = risk
            if chosen < 0:
                chosen = i
            elif risk == out[chosen, PROBABILITY]:
                if _lower(codes, numbers, i, chosen):
                    chosen = i
            elif (risk > out[chosen, PROBABILITY]) == wanted:
                chosen = i
        best[m] = chosen
        if chosen < 0:
            continue
        # x_best as a sum of rows of the table.
        at_best[0], times_best[0], n_best = 0, 1.0, 1
        n_varying, n_listed = 0, 0
        for f in range(n_factors):
            code, number = codes[f, chosen], number_of[f]
            if code >= 0:
                at_best[n_best] = rows[f] + code
                times_best[n_best] = 1.0 if number < 0 else numbers[number, chosen]
                n_best += 1
            differs = False
            for i in range(starts[m], starts[m + 1]):
                if number >= 0:
                    differs |= numbers[number, i] != numbers[number, chosen]
                else:
                    differs |= codes[f, i] != code
            if not differs:
                continue
            varying[n_varying] = f
            n_varying += 1
            if number >= 0:
                listed[n_listed], base[rows[f]] = rows[f], -1
                n_listed += 1
                continue
            for i in range(starts[m], starts[m + 1]):
                present[rows[f] + codes[f, i]] = True
            for r in range(rows[f] + MISSING, rows[f] + sizes[f]):
                if present[r]:
                    listed[n_listed], base[r] = r, rows[f] + code
                    n_listed += 1
                present[r] = False
        within = 0.0
        for j in range(n_best):
            for k in range(n_best):
                within += times_best[j] * times_best[k] * gram[at_best[j], at_best[k]]
        for j in range(n_listed):
            r = listed[j]
            total = 0.0
            for k in range(n_best):
                moved = gram[r, at_best[k]]
                if base[r] >= 0:
                    moved -= gram[base[r], at_best[k]]
                total += times_best[k] * moved
            cross_of[r] = total
            for k in range(j + 1):
                c = listed[k]
                moved = 0.0
                if r != base[r] and c != base[c]:
                    moved = gram[r, c]
                    if base[r] >= 0:
                        moved -= gram[base[r], c]
                    if base[c] >= 0:
                        moved -= gram[r, base[c]]
                        if base[r] >= 0:
                            moved += gram[base[r], base[c]]
                square_of[r, c] = square_of[c, r] = moved
        risk_best = out[chosen, PROBABILITY]
        slope_best = risk_best * (1 - risk_best)
        for i in range(starts[m], starts[m + 1]):
            if fits[i] == 0:
                continue
            square, cross = 0.0, 0.0
            for v in range(n_varying):
                f = varying[v]
                if number_of[f] >= 0:
                    at[v] = rows[f]
                    d[v] = numbers[number_of[f], i] - numbers[number_of[f], chosen]
                else:
                    at[v], d[v] = rows[f] + codes[f, i], 1.0
                total = 0.0
                for k in range(v):
                    total += d[k] * square_of[at[v], at[k]]
                square += d[v] * (2 * total + d[v] * square_of[at[v], at[v]])
                cross += d[v] * cross_of[at[v]]
            risk = out[i, PROBABILITY]
            slope = risk * (1 - risk)
            more = slope - slope_best
            variance = slope * slope * square + 2 * slope * more * cross + more * more * within
            error = z * np.sqrt(max(variance, 0.0))
            # Beyond e^700 there are no numbers, and no other probability than 0 and 1.
            own = np.exp(min(z * np.sqrt(max(within + 2 * cross + square, 0.0)), 700.0))
            out[i, LOW] = risk / (risk + (1 - risk) * own)
            out[i, HIGH] = risk * own / (risk * own + 1 - risk)
            difference = risk - risk_best
            out[i, DIFFERENCE] = difference
            out[i, DIFFERENCE_LOW] = max(difference - error, -1.0)
            out[i, DIFFERENCE_HIGH] = min(difference + error, 1.0)
