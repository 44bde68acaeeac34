"""Probabilities of the candidates of a search, by the masses of the index where these are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.index import IndexMasses
from matching.haplotypes import Imputer
from matching.probability import predict
from matching.typings import Typing
from service.imputation import impute_people

THREADS = 2


@dataclass(frozen=True)
class CandidateProbabilities:
    """P of 0, 1 (and 2) mismatches of each candidate, (n, 2 or 3); NaN where unknown.

    `dropped`: by how much each may be too low. `missing`: (n,) bool, candidates whose masses were
    not computed yet; those were predicted in pairs.
    """

    p: npt.NDArray[np.float64]
    dropped: float
    missing: npt.NDArray[np.bool_]


def candidate_probabilities(
    imputer: Imputer,
    masses: IndexMasses | None,
    patient: Typing,
    rows: npt.NDArray[np.int64],
    typings_of: Callable[[npt.NDArray[np.int64]], Sequence[Typing | None]],
    up_to: int = 1,
    precision: float = 0.0,
) -> CandidateProbabilities:
    """Probabilities of the donors in some rows of an index.

    `masses`: of the imputer's set, None where there are none. `typings_of`: typings of rows, None
    where not known any more; asked for those that masses cannot tell of: typed nulls, loci in
    phase, masses not computed yet.
    `precision`: share of an ambiguous patient's genotypes that may be left out.
    """
    p = np.full((len(rows), up_to + 1), np.nan)
    missing = np.ones(len(rows), dtype=bool)
    known, imputed, _ = impute_people(imputer, {"": patient})
    if not known:
        return CandidateProbabilities(p, 0.0, np.zeros(len(rows), dtype=bool))
    in_pairs, dropped = missing, float(imputed.dropped[0])
    if masses is not None:
        of_rows = masses.of(rows)
        genotypes = masses.tables.patient(imputer, imputed.codes, imputed.weights)
        found = masses.tables.search(
            genotypes, of_rows.codes, of_rows.total, up_to, precision, THREADS
        )
        p, dropped, missing = found.p, dropped + found.dropped, of_rows.missing
        in_pairs = missing | found.exact | np.isnan(of_rows.total)
    at = np.flatnonzero(in_pairs)
    if len(at):
        typings = {
            str(i): typing for i, typing in enumerate(typings_of(rows[at])) if typing is not None
        }
        represented, donors, _ = impute_people(imputer, typings)
        p[at] = np.nan
        predicted = predict(imputer, (imputed.codes, imputed.weights), donors)
        p[at[np.array(represented, dtype=np.int64)]] = predicted.p_mismatches[:, : up_to + 1]
    return CandidateProbabilities(p, dropped, missing)
