"""Hot loops of match prediction over arrays of integer codes; nothing else.

A genotype is two tokens; equal ones match. Token `NOTHING` matches nothing, `ABSENT` (a copy of
DRB3/4/5 that is not there) is nothing that the other person could lack.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from matching.kernels import _F64, _I32_2D, _I64, _OUTF64_2D, Int64s, kernel

Floats = npt.NDArray[np.float64]
Int32Table = npt.NDArray[np.int32]

NOTHING = 0
ABSENT = 1

_I32_COLUMN = numba.types.Array(numba.int32, 1, "A", readonly=True)
_I64_2D = numba.types.Array(numba.int64, 2, "C", readonly=True)
_I32_3D = numba.types.Array(numba.int32, 3, "C", readonly=True)
_OUT16 = numba.types.Array(numba.uint16, 1, "C")
_NEW64 = numba.types.Array(numba.int64, 1, "C")
_OUTF64_3D = numba.types.Array(numba.float64, 3, "C")


@kernel(numba.int64(numba.int64, numba.int64, numba.int64, numba.int64))
def token_mismatches(a: Any, b: Any, c: Any, d: Any) -> int:
    """2 minus the match count of rule R2 of the genotypes a, b and c, d."""
    ac, ad = a == c and a != NOTHING, a == d and a != NOTHING
    bc, bd = b == c and b != NOTHING, b == d and b != NOTHING
    if (ac and bd) or (ad and bc):
        return 0
    return 1 if ac or ad or bc or bd else 2


@kernel(numba.int64(numba.int64, numba.int64, numba.int64, numba.int64))
def lacking_tokens(a: Any, b: Any, c: Any, d: Any) -> int:
    """How many distinct tokens of a, b the genotype c, d lacks (rule R20)."""
    lacking = 1 if a != c and a != d and a > ABSENT else 0
    return lacking + (1 if b != a and b != c and b != d and b > ABSENT else 0)


@kernel(numba.types.Tuple((_NEW64, _NEW64))(_I32_COLUMN, numba.int64))
def rows_by_code(codes: npt.NDArray[np.int32], n_codes: int) -> tuple[Int64s, Int64s]:
    """Positions sorted by code, and where each code starts, (n_codes + 1,)."""
    offsets = np.zeros(n_codes + 1, dtype=np.int64)
    for code in codes:
        offsets[code + 1] += 1
    for code in range(n_codes):
        offsets[code + 1] += offsets[code]
    at = offsets.copy()
    rows = np.empty(len(codes), dtype=np.int64)
    for row in range(len(codes)):
        rows[at[codes[row]]] = row
        at[codes[row]] += 1
    return rows, offsets


@kernel(numba.void(_I32_2D, _I64, _I32_2D, _OUT16))
def compare_with_known(
    patient: Int32Table, starts: Int64s, known: Int32Table, out: npt.NDArray[np.uint16]
) -> None:
    """One genotype of the patient against every genotype that donors have at each locus.

    patient: (n_loci, 2) tokens; known: (n, 2) tokens, locus l at starts[l] : starts[l + 1]. out:
    (n,), mismatches + 32 GvH + 1024 HvG, so that sums over up to nine loci stay apart.
    """
    for locus in range(len(patient)):
        a, b = np.int64(patient[locus, 0]), np.int64(patient[locus, 1])
        for k in range(starts[locus], starts[locus + 1]):
            c, d = np.int64(known[k, 0]), np.int64(known[k, 1])
            out[k] = (
                token_mismatches(a, b, c, d)
                + 32 * lacking_tokens(a, b, c, d)
                + 1024 * lacking_tokens(c, d, a, b)
            )


@kernel(
    _NEW64(
        _I32_3D, _F64, _I64_2D, _I32_3D, _F64, _I64, numba.int64, _I64, _I64, _I64_2D, _I64, _I64,
        _I32_2D, numba.float64,
    )
)  # fmt: skip
def near_donors(
    patient: npt.NDArray[np.int32],
    patient_weights: Floats,
    patient_known: npt.NDArray[np.int64],
    codes: npt.NDArray[np.int32],
    weights: Floats,
    donor_of: Int64s,
    n_donors: int,
    indexed: Int64s,
    code_starts: Int64s,
    rows: npt.NDArray[np.int64],
    code_offsets: Int64s,
    starts: Int64s,
    known: Int32Table,
    above: float,
) -> Int64s:
    """Donors with P(at most two mismatches in all) > above, ascending.

    patient: (n, n_loci, 2) tokens; patient_known: (n, n_loci), which genotype of the donors that
    is, -1 for none. Two mismatches leave one of any three loci fully matched, so only genotypes
    that share the patient's at one of the loci `indexed`, three of them, are looked at: codes[k],
    (n_genotypes, n_loci), are all genotypes as positions in `known` from starts of the locus on,
    sorted by that of locus indexed[k], where code c begins at code_offsets[code_starts[k] + c], so
    that they are read in one go. rows[k]: which genotypes these are.
    """
    n_loci = codes.shape[2]
    total = np.zeros(n_donors)
    touched = np.empty(n_donors, dtype=np.int64)
    seen = np.zeros(n_donors, dtype=np.uint8)
    compared = np.empty(len(known), dtype=np.uint16)
    n_touched = 0
    for g in range(len(patient_weights)):
        compare_with_known(patient[g], starts, known, compared)
        for k in range(len(indexed)):
            own = patient_known[g, indexed[k]]
            if own < 0:
                continue
            at = code_starts[k] + own
            for m in range(code_offsets[at], code_offsets[at + 1]):
                both = np.int64(0)
                for locus in range(n_loci):
                    both += compared[starts[locus] + codes[k, m, locus]]
                if both % 32 > 2:
                    continue
                met = False
                for before in range(k):
                    if codes[k, m, indexed[before]] == patient_known[g, indexed[before]]:
                        met = True
                if met:
                    continue
                row = rows[k, m]
                donor = donor_of[row]
                if not seen[donor]:
                    seen[donor] = 1
                    touched[n_touched] = donor
                    n_touched += 1
                total[donor] += patient_weights[g] * weights[row]
    kept = touched[:n_touched][total[touched[:n_touched]] > above]
    kept.sort()
    return kept


@kernel(
    numba.void(
        _I32_3D, _F64, _I32_2D, _F64, _I64, _I64, _I64, _I32_2D, _OUTF64_2D, _OUTF64_3D,
        _OUTF64_2D, _OUTF64_2D,
    )
)  # fmt: skip
def add_distributions(
    patient: npt.NDArray[np.int32],
    patient_weights: Floats,
    codes: Int32Table,
    weights: Floats,
    offsets: Int64s,
    donors: Int64s,
    starts: Int64s,
    known: Int32Table,
    total: Floats,
    by_locus: Floats,
    gvh: Floats,
    hvg: Floats,
) -> None:
    """Add up what every genotype of the patient against every one of each donor gives.

    codes, weights: of all donors, donor d at offsets[d] : offsets[d + 1]; donors: (n,) positions;
    other arguments as in `near_donors`. total, gvh, hvg: (n, 2 n_loci + 1), probability of each
    number of mismatches, of patient tokens that the donor lacks, of donor tokens that the patient
    lacks. by_locus: (n, n_loci, 3), of each match count.
    """
    n_loci = codes.shape[1]
    compared = np.empty(len(known), dtype=np.uint16)
    for g in range(len(patient_weights)):
        compare_with_known(patient[g], starts, known, compared)
        for i in range(len(donors)):
            for row in range(offsets[donors[i]], offsets[donors[i] + 1]):
                weight = patient_weights[g] * weights[row]
                both = np.int64(0)
                for locus in range(n_loci):
                    here = np.int64(compared[starts[locus] + codes[row, locus]])
                    by_locus[i, locus, 2 - here % 32] += weight
                    both += here
                total[i, both % 32] += weight
                gvh[i, both // 32 % 32] += weight
                hvg[i, both // 1024] += weight


@kernel(numba.void(_I64_2D, _F64, _I64_2D, _F64, _I64, _I64, _OUTF64_2D))
def add_shared_haplotypes(
    patient_pairs: npt.NDArray[np.int64],
    patient_weights: Floats,
    pairs: npt.NDArray[np.int64],
    weights: Floats,
    offsets: Int64s,
    donors: Int64s,
    out: Floats,
) -> None:
    """Add up P(0, 1, 2 whole haplotypes in common) of some donors, out (n, 3).

    patient_pairs, pairs: (n, 2) haplotypes; a homozygous pair shares two only with its like. Other
    arguments as in `add_distributions`.
    """
    for i in range(len(donors)):
        donor = donors[i]
        for row in range(offsets[donor], offsets[donor + 1]):
            c, d = pairs[row, 0], pairs[row, 1]
            for g in range(len(patient_weights)):
                a, b = patient_pairs[g, 0], patient_pairs[g, 1]
                shared = 0
                if (a == c and b == d) or (a == d and b == c):
                    shared = 2
                elif a in (c, d) or b in (c, d):
                    shared = 1
                out[i, shared] += patient_weights[g] * weights[row]
