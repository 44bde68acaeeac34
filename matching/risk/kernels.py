"""The hot loop over pairs of a donor choice; nothing else."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from matching.kernels import kernel

MISSING = -1
# Columns of the output of `compare_pairs`.
N_COMPARED = 6
PROBABILITY, LOW, HIGH, DIFFERENCE, DIFFERENCE_LOW, DIFFERENCE_HIGH = range(6)

_I8 = numba.types.Array(numba.int8, 1, "C", readonly=True)
_I8_2D = numba.types.Array(numba.int8, 2, "C", readonly=True)
_U8 = numba.types.Array(numba.uint8, 1, "C", readonly=True)
_I64 = numba.types.Array(numba.int64, 1, "C", readonly=True)
_F64 = numba.types.Array(numba.float64, 1, "C", readonly=True)
_F64_2D = numba.types.Array(numba.float64, 2, "C", readonly=True)
_OUT64 = numba.types.Array(numba.int64, 1, "C")
_OUTF64_2D = numba.types.Array(numba.float64, 2, "C")


@kernel(
    numba.void(
        _I64, _I8_2D, _F64_2D, _U8, _I64, _I64, _F64, _F64, _F64_2D, _F64, _F64, _F64,
        numba.float64, numba.boolean, _OUT64, _OUTF64_2D,
    )
)  # fmt: skip
def compare_pairs(
    starts: Any,
    codes: Any,
    numbers: Any,
    fits: Any,
    ends: Any,
    number_of: Any,
    centre: Any,
    beta: Any,
    covariance: Any,
    unknown: Any,
    nodes: Any,
    shares: Any,
    z: float,
    wanted: bool,
    best: Any,
    out: Any,
) -> None:
    """Risk of every pair and its difference to the best pair of the same patient.

    Patient m has the pairs starts[m] to starts[m + 1] - 1 (starts int64 (m + 1,)). Pair i has of
    factor f the level codes[i, f] (int8: 0 the reference, `MISSING` not known) or, where
    number_of[f] >= 0, the number numbers[i, number_of[f]] in units (0 <= code). fits (n,) uint8: 0
    where the outcome is not applicable; NaN is put out. The model: ends (1 + f,), centre (p,),
    beta (1 + p,), covariance (1 + p, 1 + p), unknown (f,) as in `OutcomeModel`; nodes and shares
    of the normal distribution; z the quantile of the interval; wanted: the highest is best.
    best (m,) int64 gets the best pair, -1 if there is none; out (n, `N_COMPARED`).

    With a = p (1 - p) and the row x = x_best + d, the gradient of p - p_best is
    a d + (a - a_best) x_best: only the few entries of d need the covariance.
    """
    n_factors, p = len(number_of), len(centre)
    x_best = np.empty(1 + p)
    u = np.empty(1 + p)
    at = np.empty(p, dtype=np.int64)
    d = np.empty(p)
    for m in range(len(starts) - 1):
        chosen = -1
        for i in range(starts[m], starts[m + 1]):
            if fits[i] == 0:
                for k in range(N_COMPARED):
                    out[i, k] = np.nan
                continue
            score, variance = beta[0], 0.0
            for f in range(n_factors):
                code = codes[i, f]
                if code < 0:
                    variance += unknown[f]
                    continue
                first, last = ends[f], ends[f + 1]
                if number_of[f] >= 0:
                    score += beta[1 + first] * (numbers[i, number_of[f]] - centre[first])
                else:
                    for c in range(first, last):
                        score -= beta[1 + c] * centre[c]
                    if code > 0:
                        score += beta[first + code]
            if variance > 0:
                spread = np.sqrt(variance)
                risk = 0.0
                for k in range(len(nodes)):
                    risk += shares[k] / (1 + np.exp(-(score + spread * nodes[k])))
            else:
                risk = 1 / (1 + np.exp(-score))
            out[i, PROBABILITY] = risk
            if chosen < 0 or (
                risk > out[chosen, PROBABILITY] if wanted else risk < out[chosen, PROBABILITY]
            ):
                chosen = i
        best[m] = chosen
        if chosen < 0:
            continue
        x_best[:] = 0.0
        x_best[0] = 1.0
        for f in range(n_factors):
            code = codes[chosen, f]
            if code < 0:
                continue
            first, last = ends[f], ends[f + 1]
            if number_of[f] >= 0:
                x_best[1 + first] = numbers[chosen, number_of[f]] - centre[first]
            else:
                for c in range(first, last):
                    x_best[1 + c] = -centre[c]
                if code > 0:
                    x_best[first + code] += 1.0
        within = 0.0
        for r in range(1 + p):
            total = 0.0
            for c in range(1 + p):
                total += covariance[r, c] * x_best[c]
            u[r] = total
            within += x_best[r] * total
        risk_best = out[chosen, PROBABILITY]
        slope_best = risk_best * (1 - risk_best)
        for i in range(starts[m], starts[m + 1]):
            if fits[i] == 0:
                continue
            n_at = 0
            for f in range(n_factors):
                code, other = codes[i, f], codes[chosen, f]
                first, last = ends[f], ends[f + 1]
                if number_of[f] >= 0:
                    value = 0.0
                    if code >= 0:
                        value = numbers[i, number_of[f]] - centre[first]
                    if value != x_best[1 + first]:
                        at[n_at], d[n_at] = 1 + first, value - x_best[1 + first]
                        n_at += 1
                elif code != other:
                    for c in range(first, last):
                        value = 0.0
                        if code >= 0:
                            value = -centre[c]
                            if code == c - first + 1:
                                value += 1.0
                        if value != x_best[1 + c]:
                            at[n_at], d[n_at] = 1 + c, value - x_best[1 + c]
                            n_at += 1
            square, cross = 0.0, 0.0
            for r in range(n_at):
                cross += d[r] * u[at[r]]
                square += d[r] * d[r] * covariance[at[r], at[r]]
                for c in range(r):
                    square += 2 * d[r] * d[c] * covariance[at[r], at[c]]
            risk = out[i, PROBABILITY]
            slope = risk * (1 - risk)
            more = slope - slope_best
            variance = slope * slope * square + 2 * slope * more * cross + more * more * within
            error = z * np.sqrt(max(variance, 0.0))
            own = z * np.sqrt(max(within + 2 * cross + square, 0.0))
            odds = risk / (1 - risk)
            out[i, LOW] = 1 / (1 + np.exp(own) / odds)
            out[i, HIGH] = 1 / (1 + np.exp(-own) / odds)
            difference = risk - risk_best
            out[i, DIFFERENCE] = difference
            out[i, DIFFERENCE_LOW] = max(difference - error, -1.0)
            out[i, DIFFERENCE_HIGH] = min(difference + error, 1.0)
