"""Typings of patients and donors -> factors of a risk model, by the code that serves searches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from matching.immunogenetics import ExpressionOutcome, LeaderMatch, TceCategory
from matching.kernels import COUNT_BEST, COUNT_WORST
from matching.loci import LOCI, parse_loci
from matching.nomenclature import Nomenclature
from matching.pair import PairDetail, PairDetails
from matching.pipeline import PairCounts, match_typed
from matching.risk import Coded
from matching.search import Candidates
from matching.typings import Typing

FIVE = parse_loci("A,B,C,DRB1,DQB1")
_CLASS_I, _CLASS_II = parse_loci("A,B,C"), parse_loci("DRB1,DQB1")
_COUNTED = parse_loci("A,B,C,DRB1,DQB1,DPB1")
_RESIDUES = parse_loci("A,B,C,DRB1")
_HLA_MATCH = ("10/10", "9/10 class I")
_UNTOLD = (TceCategory.UNKNOWN, TceCategory.UNTYPED)


def known_tce(category: TceCategory) -> str:
    """The level of `dpb1_tce`, "" where the category is unknown."""
    return "" if category in _UNTOLD else category.value


def hla_match(found: Candidates) -> Coded:
    """10/10 or 9/10 class I where the typings leave no doubt over the five loci, else unknown."""
    codes = np.empty(len(found), dtype=np.int8)
    most, most_class_i = 2 * len(FIVE), 2 * len(_CLASS_I)
    for part, some in found.parts():
        class_i = some.totals(_CLASS_I)
        five = class_i + some.totals(_CLASS_II)
        codes[part] = _hla_match(
            most - five[:, COUNT_WORST],
            most - five[:, COUNT_BEST],
            most_class_i - class_i[:, COUNT_BEST],
        )
    return Coded(codes, _HLA_MATCH)


def hla_match_of_pair(counts: PairCounts) -> str:
    """The level of one pair, "" where unknown."""
    five, class_i = counts.totals(FIVE), counts.totals(_CLASS_I)
    return _hla_match_of_one(five[COUNT_WORST], five[COUNT_BEST], class_i[COUNT_BEST])


@lru_cache
def _hla_match_of_one(worst: int, best: int, best_class_i: int) -> str:
    """By matches."""
    most, most_class_i = 2 * len(FIVE), 2 * len(_CLASS_I)
    counts = np.array([[most - worst], [most - best], [most_class_i - best_class_i]])
    return Coded(_hla_match(*counts), _HLA_MATCH).texts[0]


def _hla_match(
    worst: npt.NDArray[Any], best: npt.NDArray[Any], best_class_i: npt.NDArray[Any]
) -> npt.NDArray[np.int8]:
    """Positions in `_HLA_MATCH`, -1 where unknown, by mismatches."""
    one_class_i = (worst == 1) & (best == 1) & (best_class_i == 1)
    return np.where(worst == 0, 0, np.where(one_class_i, 1, -1)).astype(np.int8)


def typed_factors(
    pairs: Iterable[tuple[Typing, Typing] | None],
    nomenclature: Nomenclature,
    proteins: Mapping[str, str],
) -> dict[str, npt.NDArray[Any]]:
    """Columns of the factors that two typings tell, one row a pair (patient, donor).

    None is a pair without both typings: all its factors are unknown. Raises `TypingError`.
    """
    details = PairDetails(nomenclature, proteins)
    rows = [None if pair is None else _row(*pair, nomenclature, details) for pair in pairs]
    names = ("hla_match", "dpb1_tce", "b_leader", "dpb1_expression")
    found: dict[str, npt.NDArray[Any]] = {
        name: np.array(["" if row is None else row[name] for row in rows], dtype=np.str_)
        for name in names
    }
    for name in (
        *(f"mismatches_{locus.name.lower()}" for locus in _COUNTED),
        "residues_mismatched",
    ):
        found[name] = np.array([np.nan if row is None else row[name] for row in rows], dtype=float)
    return found


def _row(
    patient: Typing, donor: Typing, nomenclature: Nomenclature, details: PairDetails
) -> dict[str, Any]:
    matches = match_typed(patient, [donor], nomenclature, LOCI)
    compared = matches.candidates.compared[0]
    detail = details.of(patient, donor, matches.tce[0], FIVE)
    row: dict[str, Any] = {
        "hla_match": hla_match(matches.candidates).texts[0],
        "dpb1_tce": known_tce(matches.tce[0]),
        "residues_mismatched": _residues(detail),
    }
    for locus in _COUNTED:
        best, worst = (int(compared[locus.position, k]) for k in (COUNT_BEST, COUNT_WORST))
        typed = patient.loci[locus] is not None and donor.loci[locus] is not None
        row[f"mismatches_{locus.name.lower()}"] = 2 - best if typed and best == worst else np.nan
    row["b_leader"] = "match" if row["mismatches_b"] == 0 else _leader(detail.leaders)
    expression = detail.expression
    row["dpb1_expression"] = "match" if row["mismatches_dpb1"] == 0 else ""
    if expression is not None and expression.outcome is not ExpressionOutcome.UNKNOWN:
        row["dpb1_expression"] = expression.outcome.value
    return row


def _leader(leaders: LeaderMatch | None) -> str:
    if leaders is None or leaders.leader_matched is None or leaders.shared is None:
        return ""
    return f"{'matched' if leaders.leader_matched else 'mismatched'} {leaders.shared}"


def _residues(detail: PairDetail) -> float:
    """Residues that differ at A, B, C and DRB1 together, NaN where one cannot be told."""
    total = 0
    for locus in _RESIDUES:
        for one in detail.loci[locus].domains:
            if one is None or one.best != one.worst:
                return float("nan")
            total += one.best
    return float(total)
