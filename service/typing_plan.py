"""Candidates of patients -> the requests for confirmatory typing that are worth making."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from matching.errors import InputFileError
from matching.typing_plan import TypingPlan, TypingProblem, availability_prior, plan_typing
from service.allocation import AVAILABLE, texts_of
from service.recipients import read_table

NEEDED = ("patient", "donor", "p10", "p9", "age_years")
RATE_COLUMNS = ("registry", "sex", "age_from", "age_to", "availability")


@dataclass(frozen=True)
class Requests:
    """`table`: one row a request, in order; `n_unknown`: pairs left out, P(10/10) unknown.

    `n_patients`: patients with a pair that was not left out.
    """

    table: pd.DataFrame
    plan: TypingPlan
    n_patients: int
    n_unknown: int


def plan_requests(
    candidates: pd.DataFrame,
    budget: int,
    per_patient: int | None = None,
    nine: float = 0.0,
    urgency: dict[str, int] | None = None,
    rates: pd.DataFrame | None = None,
) -> Requests:
    """At most `budget` requests for the patients of a table of match or batch.

    Donors that are not available are left out. `urgency`: weights by patient, 1 by default.
    `rates`: availability as read by `read_rates`, where that says anything; else the prior.
    Raises `InputFileError` for a missing column, and `TypingPlanError`.
    """
    if missing := [column for column in NEEDED if column not in candidates]:
        raise InputFileError(
            f"candidates lack the columns {', '.join(missing)}; give the file that match or batch "
            "wrote"
        )
    here = texts_of(candidates, "status", AVAILABLE) == AVAILABLE
    known = candidates["p10"].notna().to_numpy() & candidates["p9"].notna().to_numpy()
    pairs = candidates[here & known].reset_index(drop=True)
    patient, patients = pd.factorize(pairs["patient"])
    donor, donors = pd.factorize(pairs["donor"])
    available = np.ones(len(donors))
    available[donor] = availability_of(pairs, rates)
    weights = [float((urgency or {}).get(str(name), 1)) for name in patients]
    p10 = np.clip(pairs["p10"].to_numpy(dtype=np.float64), 0, 1)
    problem = TypingProblem(
        patient.astype(np.int64),
        donor.astype(np.int64),
        p10,
        np.clip(pairs["p9"].to_numpy(dtype=np.float64), 0, 1 - p10),
        available,
        np.array(weights),
        nine,
    )
    plan = plan_typing(problem, budget, per_patient)
    rows = pairs.iloc[plan.pairs]
    table = pd.DataFrame(
        {
            "order": np.arange(1, len(rows) + 1),
            "patient": rows["patient"].astype(str).to_numpy(),
            "donor": rows["donor"].astype(str).to_numpy(),
            "p10": rows["p10"].to_numpy(),
            "p9": rows["p9"].to_numpy(),
            "availability": available[donor[plan.pairs]],
            "gain": plan.gain,
        }
    )
    return Requests(table, plan, len(patients), int((here & ~known).sum()))


def availability_of(pairs: pd.DataFrame, rates: pd.DataFrame | None) -> npt.NDArray[np.float64]:
    """(n_rows,) probability that the donor of a row is available when asked."""
    sex, kind = texts_of(pairs, "sex", ""), texts_of(pairs, "type", "adult")
    age = pairs["age_years"].to_numpy(dtype=np.float64)
    women = np.select([sex == "female", sex == "male"], [1.0, 0.0], np.nan)
    found = availability_prior(women, age, np.asarray(kind == "cord"))
    if rates is not None:
        registry = texts_of(pairs, "registry", "")
        rows: list[dict[Hashable, Any]] = rates[::-1].to_dict(orient="records")
        for rate in rows:
            fits = np.ones(len(pairs), dtype=bool)
            if rate["registry"]:
                fits &= registry == rate["registry"]
            if rate["sex"]:
                fits &= sex == rate["sex"]
            if rate["age_from"] > 0 or rate["age_to"] < np.inf:
                fits &= (age >= rate["age_from"]) & (age < rate["age_to"])
            found[fits] = rate["availability"]
    return found


def read_rates(path: Path) -> pd.DataFrame:
    """The availability that a registry states, a CSV file with the columns `RATE_COLUMNS`.

    Blank registry, sex or age means any; ages run from `age_from` to below `age_to`. Of
    several rows that fit a donor the first counts. Raises `InputFileError`.
    """
    table = read_table(path, "availability", RATE_COLUMNS[:-1])
    if strange := sorted(set(table["sex"]) - {"", "female", "male"}):
        raise InputFileError(f"{path}: sex {strange[0]!r} is neither female nor male nor blank")
    for column, blank, high in (
        ("age_from", "0", 120.0),
        ("age_to", "inf", np.inf),
        ("availability", "", 1.0),
    ):
        values = pd.to_numeric(table[column].replace("", blank), errors="coerce")
        wrong = ~values.between(0, high)
        if wrong.any():
            raise InputFileError(
                f"{path}: {column} {table.loc[wrong, column].iloc[0]!r} is not in 0 to {high:g}"
            )
        table[column] = values.astype(float)
    return table
