"""Hot loops of match prediction over arrays of integer codes; nothing else.

A genotype is two tokens; equal ones match. Token `NOTHING` matches nothing, `ABSENT` (a copy of
DRB3/4/5 that is not there) is nothing that the other person could lack.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from matching.array_types import (
    F64,
    I32,
    I32_2D,
    I32_3D,
    I64,
    I64_2D,
    OUT_F64,
    OUT_F64_2D,
    OUT_F64_3D,
    OUT_I32,
    OUT_I32_2D,
    OUT_I64,
    OUT_U16,
)
from matching.kernels import Int32s, Int64s, kernel

Floats = npt.NDArray[np.float64]
Int32Table = npt.NDArray[np.int32]

NOTHING = 0
ABSENT = 1

_I32_COLUMN = numba.types.Array(numba.int32, 1, "A", readonly=True)


@kernel(numba.int64(numba.int64, numba.int64))
def _hash(x: Any, y: Any) -> Any:
    mixed = (x * np.int64(-7046029254386353131) + y) * np.int64(-4417276706812531889)
    return mixed ^ (mixed >> 32)


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


@kernel(numba.void(I32_2D, I64, I32_2D, OUT_U16))
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


@kernel(numba.types.Tuple((OUT_I32_2D, OUT_I32_2D))(I32_2D, I64_2D, numba.int64))
def chains_by_pair(
    codes: Int32Table, blocks: npt.NDArray[np.int64], size: int
) -> tuple[Int32Table, Int32Table]:
    """Genotypes chained by the hash of their codes at two loci.

    codes: (n, n_loci); blocks: (n_blocks, 2) loci; size: a power of 2. Returns (n_blocks, size)
    the first genotype of each chain and (n_blocks, n) the next one, -1 for none. Genotypes that
    express nothing at one of both loci match nothing there and are in no chain.
    """
    first = np.full((len(blocks), size), -1, dtype=np.int32)
    following = np.full((len(blocks), len(codes)), -1, dtype=np.int32)
    for b in range(len(blocks)):
        for g in range(len(codes) - 1, -1, -1):
            x, y = np.int64(codes[g, blocks[b, 0]]), np.int64(codes[g, blocks[b, 1]])
            if x == NOTHING or y == NOTHING:
                continue
            slot = _hash(x, y) & (size - 1)
            following[b, g] = first[b, slot]
            first[b, slot] = g
    return first, following


@kernel(
    numba.types.Tuple((OUT_I64, OUT_I64, OUT_F64_2D))(
        I32_2D, F64, I64, numba.int64, I64_2D, I32_2D, I32_2D, I32_2D, F64, I64,
        numba.int64, numba.int64, I64, I32_2D, numba.float64,
    )
)  # fmt: skip
def near_pairs(
    patient_codes: Int32Table,
    patient_weights: Floats,
    patient_of: Int64s,
    n_patients: int,
    blocks: npt.NDArray[np.int64],
    first: Int32Table,
    following: Int32Table,
    codes: Int32Table,
    weights: Floats,
    offsets: Int64s,
    first_donor: int,
    end_donor: int,
    starts: Int64s,
    tokens: Int32Table,
    above: float,
) -> tuple[Int64s, Int64s, Floats]:
    """Pairs of a patient and a donor with P(at most two mismatches in all) > above.

    patient_codes, patient_weights: all genotypes of n_patients patients, of patient patient_of[g].
    codes, weights: of donors, donor d at offsets[d] : offsets[d + 1]; those from first_donor to
    before end_donor are looked at. blocks: pairs of loci, one of which is matched wholly wherever
    there are at most two mismatches; first, following: `chains_by_pair` of the patients' genotypes.
    tokens: (n, 2), code c of locus l at starts[l] + c. Returns patients, donors (ascending) and
    (n, 3), the probability of 0, 1 and 2 mismatches.
    """
    n_loci = codes.shape[1]
    size = first.shape[1]
    total = np.zeros((n_patients, 3))
    touched = np.empty(n_patients, dtype=np.int64)
    seen = np.zeros(n_patients, dtype=np.uint8)
    room = 1024
    patients = np.empty(room, dtype=np.int64)
    donors = np.empty(room, dtype=np.int64)
    found = np.empty((room, 3))
    n = 0
    for donor in range(first_donor, end_donor):
        n_touched = 0
        for row in range(offsets[donor], offsets[donor + 1]):
            for b in range(len(blocks)):
                left, right = blocks[b, 0], blocks[b, 1]
                x, y = np.int64(codes[row, left]), np.int64(codes[row, right])
                g = np.int64(first[b, _hash(x, y) & (size - 1)])
                while g >= 0:
                    if patient_codes[g, left] == x and patient_codes[g, right] == y:
                        met = False
                        for before in range(b):
                            i, j = blocks[before, 0], blocks[before, 1]
                            if (
                                codes[row, i] == patient_codes[g, i] != NOTHING
                                and codes[row, j] == patient_codes[g, j] != NOTHING
                            ):
                                met = True
                                break
                        count = 3 if met else 0
                        locus = 0
                        while count <= 2 and locus < n_loci:
                            p = starts[locus] + patient_codes[g, locus]
                            d = starts[locus] + codes[row, locus]
                            count += token_mismatches(
                                np.int64(tokens[p, 0]), np.int64(tokens[p, 1]),
                                np.int64(tokens[d, 0]), np.int64(tokens[d, 1]),
                            )  # fmt: skip
                            locus += 1
                        if count <= 2:
                            patient = patient_of[g]
                            if not seen[patient]:
                                seen[patient] = 1
                                touched[n_touched] = patient
                                n_touched += 1
                            total[patient, count] += patient_weights[g] * weights[row]
                    g = np.int64(following[b, g])
        for k in range(n_touched):
            patient = touched[k]
            seen[patient] = 0
            if total[patient, 0] + total[patient, 1] + total[patient, 2] > above:
                if n == room:
                    room *= 2
                    longer = np.empty(room, dtype=np.int64)
                    longer[:n] = patients
                    patients = longer
                    more = np.empty(room, dtype=np.int64)
                    more[:n] = donors
                    donors = more
                    wider = np.empty((room, 3))
                    wider[:n] = found
                    found = wider
                patients[n] = patient
                donors[n] = donor
                found[n] = total[patient]
                n += 1
            total[patient] = 0.0
    return patients[:n].copy(), donors[:n].copy(), found[:n].copy()


@kernel(numba.types.Tuple((OUT_I64, OUT_I32, OUT_F64))(_I32_COLUMN, F64, I64, OUT_I64))
def genotypes_of_locus(
    codes: npt.NDArray[np.int32], weights: Floats, offsets: Int64s, scratch: Int64s
) -> tuple[Int64s, Int32s, Floats]:
    """The genotypes of people at one locus and their sums: offsets, codes and weights.

    codes: (n_genotypes,); person p at offsets[p] : offsets[p + 1]; scratch: zeros, one for each
    possible code.
    """
    n_people = len(offsets) - 1
    found = np.empty(len(codes), dtype=np.int32)
    sums = np.empty(len(codes))
    bounds = np.zeros(n_people + 1, dtype=np.int64)
    n = 0
    for person in range(n_people):
        start = n
        for row in range(offsets[person], offsets[person + 1]):
            code = codes[row]
            if scratch[code] <= start:
                found[n] = code
                sums[n] = 0.0
                n += 1
                scratch[code] = n
            sums[scratch[code] - 1] += weights[row]
        bounds[person + 1] = n
    return bounds, found[:n].copy(), sums[:n].copy()


@kernel(
    numba.void(
        I64, I32, F64, I64, I32, F64, I64, I64, I32_2D, numba.int64, OUT_F64_3D,
    )
)  # fmt: skip
def add_locus_counts(
    patient_offsets: Int64s,
    patient_codes: Int32s,
    patient_weights: Floats,
    offsets: Int64s,
    codes: Int32s,
    weights: Floats,
    patients: Int64s,
    donors: Int64s,
    tokens: Int32Table,
    locus: int,
    out: Floats,
) -> None:
    """Add up the probability of each match count at one locus, of pairs of people.

    Both sides as `genotypes_of_locus` gives them; patients, donors: (n,) positions; tokens: those
    of each code. out: (n, n_loci, 3).
    """
    for pair in range(len(patients)):
        for g in range(patient_offsets[patients[pair]], patient_offsets[patients[pair] + 1]):
            a = np.int64(tokens[patient_codes[g], 0])
            b = np.int64(tokens[patient_codes[g], 1])
            for h in range(offsets[donors[pair]], offsets[donors[pair] + 1]):
                c, d = np.int64(tokens[codes[h], 0]), np.int64(tokens[codes[h], 1])
                count = 2 - token_mismatches(a, b, c, d)
                out[pair, locus, count] += patient_weights[g] * weights[h]


@kernel(
    numba.void(
        I32_3D, F64, I32_2D, F64, I64, I64, I64, I32_2D, OUT_F64_2D, OUT_F64_2D,
        OUT_F64_2D,
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
    gvh: Floats,
    hvg: Floats,
) -> None:
    """Add up what every genotype of the patient against every one of each donor gives.

    patient: (n, n_loci, 2) tokens. codes: of all donors, (n_genotypes, n_loci), as positions in
    `known` from starts of the locus on; donor d at offsets[d] : offsets[d + 1]; donors: (n,)
    positions. total, gvh, hvg: (n, 2 n_loci + 1), probability of each number of mismatches, of
    patient tokens that the donor lacks, of donor tokens that the patient lacks.
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
                    both += compared[starts[locus] + codes[row, locus]]
                total[i, both % 32] += weight
                gvh[i, both // 32 % 32] += weight
                hvg[i, both // 1024] += weight
