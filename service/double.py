"""Grafts of two cord blood units for one patient, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.donor_files import Person
from matching.antibodies import DonorAnswers
from matching.cord import DoubleRule, DoubleUnits, Units, double_units, nima_text
from matching.cord.double import CD34_STEP, TNC_STEP
from matching.errors import InputFileError
from matching.pipeline import Matches, match
from matching.rank import BY_IDENTIFIER, antibody_values
from matching.search import MismatchCounts
from matching.typings import typing_of
from service.antibodies import Crossmatched
from service.antibody_columns import crossmatched_rows, donor_columns
from service.calls import checkpoint
from service.cord import doses_per_kg
from service.search import AntibodyUse, DonorSearch, SearchSettings, wanted_of

# Reasons to stand below another pair, the weightiest first; see `matching.cord.double`. Where there
# is a report of antibodies, a unit is less favourable for these first.
_OF_UNITS = ("more mismatches in the unit that has more", "more mismatches in the other unit")
_OF_UNITS_WITH_REPORT = (
    "less favourable virtual crossmatch of the less favourable unit",
    "more mismatches in that unit",
    "less favourable virtual crossmatch of the other unit",
    "more mismatches in the other unit",
)
_OF_BOTH = (
    "fewer nucleated cells together",
    "fewer CD34+ cells together, or unknown",
    "more mismatches between the units",
)
# A grade of a unit is its antibodies, 0 to 2, times this, and its mismatches.
_GRADE = 100
NO_RISK = (
    "no risk is told of two units: the model has no factor for a second one; the list of single "
    "units (--strata cord, or --cord-rule) tells that of each"
)


@dataclass(frozen=True)
class DoubleResults:
    """Pairs of one patient from a rank on.

    `table`: one row a pair; columns in docs/cord.md. `more`: further pairs come after these.
    `n_units`: units that match the patient; `without_count`: of these, how many were left out since
    a count is unknown that is asked for. `excluded`: units that were left out for antibodies;
    `crossmatches`: of the units of the table, by identifier, none without a report.
    `reasons`: to stand below another pair, the weightiest first.
    """

    patient: str
    table: pd.DataFrame
    more: bool
    n_units: int
    without_count: int
    notes: tuple[str, ...]
    excluded: tuple[str, ...]
    crossmatches: Mapping[str, Crossmatched]
    reasons: tuple[str, ...]


def find_pairs(
    person: Person,
    search: DonorSearch,
    settings: SearchSettings,
    rule: DoubleRule,
    start: int,
    size: int,
    antibodies: AntibodyUse | None = None,
) -> DoubleResults:
    """The pairs of units from rank `start`, from 0, on; with `antibodies` judged by these first.

    Raises `TypingError`, `StoreError`, and `InputFileError` where the weight of the patient is
    unknown.
    """
    weight = person.facts["weight_kg"]
    if weight is None:
        raise InputFileError(
            f"patient {person.id}: the dose of two units is asked a kg, and the weight of the "
            "patient is unknown; give weight_kg, or --patient-facts weight_kg=70"
        )
    wanted = wanted_of(person, settings)
    index, criteria = search.index, settings.criteria
    kept = None if wanted is None else partial(index.kept, wanted, settings.as_of)
    found = match(
        typing_of(person.written), search.nomenclature, index.donors, criteria, kept, checkpoint
    )
    if len(index.segments) > 1:
        # Rows of one segment are in the order of their identifiers.
        ids = np.array(index.ids(found.candidates.rows), dtype=object)
        found = found.take(np.argsort(ids, kind="stable"))
    checkpoint()
    excluded: tuple[str, ...] = ()
    if antibodies is not None and antibodies.exclude:
        left, excluded = search.without_positive(found, antibodies)
        found = found.take(left)
    rows = found.candidates.rows
    doses = doses_per_kg(index, rows, float(weight))
    counted = MismatchCounts(index.donors, found.candidates.patient, criteria, checkpoint).of(rows)
    grades = counted
    if antibodies is not None:
        answers = DonorAnswers(index.donors, antibodies.profile, checkpoint).of(rows)
        grades = counted + _GRADE * antibody_values(answers.low, answers.high).astype(np.int64)
    units = Units(rows, grades, doses["tnc"], doses["cd34"])
    pairs = double_units(index.donors, units, criteria, rule, start + size)
    checkpoint()
    crossmatches: dict[str, Crossmatched] = {}
    if antibodies is not None:
        shown = rows[np.unique(np.concatenate([pairs.first[start:], pairs.second[start:]]))]
        called = crossmatched_rows(search, shown, antibodies.profile)
        crossmatches = {one.id: one for one in called}
    of_units = _OF_UNITS if antibodies is None else _OF_UNITS_WITH_REPORT
    reasons = (*of_units, *_OF_BOTH)
    table = _table(person.id, search, settings, found, units, pairs, start, reasons)
    if antibodies is not None:
        table = _with_antibodies(table, crossmatches, antibodies)
    unknown = np.isnan(units.tnc)
    if rule.min_cd34 is not None or rule.min_unit_cd34 is not None:
        unknown |= np.isnan(units.cd34)
    return DoubleResults(
        person.id,
        table,
        not pairs.are_all,
        len(rows),
        int(unknown.sum()),
        found.notes,
        excluded,
        crossmatches,
        reasons,
    )


def _table(
    patient: str,
    search: DonorSearch,
    settings: SearchSettings,
    found: Matches,
    units: Units,
    pairs: DoubleUnits,
    start: int,
    reasons: tuple[str, ...],
) -> pd.DataFrame:
    # The pair before the first of a page says why that one stands below it.
    below = _below_for(units, pairs, reasons)[start:]
    between = pairs.between[start:]
    sides = (pairs.first[start:], pairs.second[start:])
    columns: dict[str, Any] = {
        "patient": np.full(len(between), patient, dtype=object),
        "rank": np.arange(start + 1, start + 1 + len(between)),
    }
    for number, side in enumerate(sides, 1):
        rows = units.rows[side]
        nima = search.mothers.matches(
            search.index, found.candidates.patient, rows, settings.criteria
        )
        columns[f"unit_{number}"] = search.index.ids(rows)
        columns[f"mismatches_{number}"] = units.mismatches[side] % _GRADE
        columns[f"tnc_1e7_per_kg_{number}"] = units.tnc[side]
        columns[f"cd34_1e6_per_kg_{number}"] = units.cd34[side]
        columns[f"nima_{number}"] = [nima_text(one) for one in nima]
    columns["mismatches_between"] = between
    columns["tnc_1e7_per_kg"] = units.tnc[sides[0]] + units.tnc[sides[1]]
    columns["cd34_1e6_per_kg"] = units.cd34[sides[0]] + units.cd34[sides[1]]
    columns["ranked_below_previous_for"] = below
    return pd.DataFrame(columns)


def _with_antibodies(
    table: pd.DataFrame, crossmatches: Mapping[str, Crossmatched], antibodies: AntibodyUse
) -> pd.DataFrame:
    """The virtual crossmatch of each unit, and of both: the worse one."""
    called = [[crossmatches[name] for name in table[f"unit_{n}"]] for n in (1, 2)]
    columns: dict[str, Any] = {
        "antibody_answer": [max(a.answer, b.answer).text for a, b in zip(*called, strict=True)]
    }
    for n, side in enumerate(called, 1):
        rows = [donor_columns(one, antibodies) for one in side]
        for name in ("answer", "worst", "p_positive", "p_positive_worst", "evidence", "override"):
            columns[f"antibody_{name}_{n}"] = [row[name] for row in rows]
    return table.assign(**columns)


def _below_for(units: Units, pairs: DoubleUnits, reasons: tuple[str, ...]) -> list[str]:
    """Why each pair stands below the one before it, "" for the first."""
    grades = np.stack([units.mismatches[pairs.first], units.mismatches[pairs.second]])
    worse, better = grades.max(axis=0), grades.min(axis=0)
    of_units = [worse, better]
    if len(reasons) > len(_OF_UNITS) + len(_OF_BOTH):
        of_units = [worse // _GRADE, worse % _GRADE, better // _GRADE, better % _GRADE]
    cd34 = _steps(units.cd34[pairs.first] + units.cd34[pairs.second], CD34_STEP)
    keys = np.stack(
        [
            *of_units,
            -_steps(units.tnc[pairs.first] + units.tnc[pairs.second], TNC_STEP),
            np.where(np.isnan(cd34), np.inf, -cd34),
            pairs.between,
        ]
    )
    differs = keys[:, 1:] != keys[:, :-1]
    texts = (*reasons, BY_IDENTIFIER)
    first = np.where(differs.any(axis=0), differs.argmax(axis=0), len(reasons))
    return ["", *(texts[i] for i in first)][: len(pairs.first)]


def _steps(dose: npt.NDArray[np.float64], step: float) -> npt.NDArray[np.float64]:
    return np.floor(dose / step + 1e-6)


def double_document(
    results: DoubleResults,
    rule: DoubleRule,
    provenance: dict[str, Any],
    stated: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The pairs as values of JSON. `stated`: of antibodies."""
    pairs = results.table.drop(columns="patient").astype(object)
    return {
        **provenance,
        "double": asdict(rule),
        "ordered_by": list(results.reasons),
        "risk": None,
        "risk_not_told": NO_RISK,
        **({"antibodies": dict(stated)} if stated else {}),
        "patient": results.patient,
        "notes": list(results.notes),
        "units": results.n_units,
        "units_without_count": results.without_count,
        "pairs": pairs.where(pairs.notna(), None).to_dict(orient="records"),
    }
