"""Candidates of many patients -> one plan for all, with the reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from matching.allocate import (
    DEFAULT_EFFORT,
    DEFAULT_OBJECTIVES,
    DEFAULT_POINTS,
    UNALLOCATED,
    AllocationProblem,
    AllocationSolution,
    Effort,
    Limit,
    Objectives,
    Points,
    allocate,
    backups,
    explanations,
    one_more_like,
    utility,
    weekly_limits,
)
from matching.errors import InputFileError
from matching.immunogenetics import TceCategory
from service.recipients import NO_CAPACITIES, Capacities, Recipients

NEEDED = ("patient", "donor", "p10", "p9", "mismatches_best", "age_years", "dpb1_tce")
RISK = "risk_agvhd_3_4"
OPTIONAL = (RISK, "status", "registry", "second")
AVAILABLE = "available"
TEXTS = ["patient", "donor", "dpb1_tce", "status", "registry", "second"]
N_BACKUPS = 3


@dataclass(frozen=True)
class AllocationSettings:
    """What counts, and what limits the plan. `weeks`: length of the plan, for weekly capacities."""

    objectives: Objectives = DEFAULT_OBJECTIVES
    points: Points = DEFAULT_POINTS
    effort: Effort = DEFAULT_EFFORT
    capacities: Capacities = NO_CAPACITIES
    weeks: int = 4


DEFAULT_SETTINGS = AllocationSettings()


@dataclass(frozen=True)
class Allocation:
    """`table`: one row a patient (docs/allocation.md); `problem`, `solution`: as matching.allocate.

    `settings`: those that it was made with.
    """

    table: pd.DataFrame
    problem: AllocationProblem
    solution: AllocationSolution
    settings: AllocationSettings

    def one_more_like(self, donor: str) -> AllocationSolution:
        """The solution with a second donor like this one, a candidate of some patient."""
        return one_more_like(
            self.problem,
            self.problem.donors.index(donor),
            self.settings.objectives,
            self.settings.effort,
        )


def allocate_candidates(
    candidates: pd.DataFrame,
    patients: Sequence[str] | None = None,
    recipients: Recipients | None = None,
    settings: AllocationSettings = DEFAULT_SETTINGS,
) -> Allocation:
    """Allocate donors to all `patients`, by default those with a candidate.

    `candidates` has the columns `NEEDED`, `RISK` where risks were predicted, `status` and
    `registry` of donors where known, and `second` for units that go together; `recipients` says
    what is known of the patients. Raises `InputFileError` for a missing column or category, and
    `AllocationError`.
    """
    problem = allocation_problem(candidates, patients, recipients, settings)
    solution = allocate(problem, settings.objectives, settings.effort)

    def donor(position: int) -> str:
        return "" if position == UNALLOCATED else problem.donors[position]

    rows = []
    reasons = {e.patient: e for e in explanations(problem, solution, settings.effort)}
    more = backups(problem, solution, N_BACKUPS)
    for position, name in enumerate(problem.patients):
        why, edge = reasons.get(position), int(solution.edge_of[position])
        given = donor(int(solution.donor_of[position]))
        rows.append(
            {
                "patient": name,
                "allocated": given,
                "second": donor(int(solution.second_of[position])),
                "utility": 0 if edge == UNALLOCATED else int(problem.utility[edge]),
                "best": given if why is None else donor(why.best),
                "reason": "" if why is None else why.reason.value,
                "best_given_to": ""
                if why is None or why.recipient == UNALLOCATED
                else problem.patients[why.recipient],
                "limit": "" if why is None else why.limit,
                "swap_cost": 0 if why is None else why.swap_cost,
                "backups": [donor(int(d)) for d in more[position] if d != UNALLOCATED],
            }
        )
    columns = ["patient", "allocated", "second", "utility", "best", "reason", "best_given_to"]
    table = pd.DataFrame(rows, columns=[*columns, "limit", "swap_cost", "backups"])
    return Allocation(
        table.astype({"swap_cost": "Int64", "utility": "int64"}), problem, solution, settings
    )


def read_candidates(path: Path) -> pd.DataFrame:
    """The columns of a file of match or batch that an allocation uses. Raises `InputFileError`.

    Identifiers and categories are read as categories: a donor of many patients is one text.
    """
    try:
        present = set(pq.read_schema(path).names)
        if "patient" not in present:
            raise InputFileError(f"{path} has no column 'patient'; give a file of match or batch")
        used = [name for name in (*NEEDED, *OPTIONAL) if name in present]
        texts = [name for name in TEXTS if name in present]
        table: pd.DataFrame = pq.read_table(path, columns=used, read_dictionary=texts).to_pandas()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputFileError(f"cannot read candidates from {path}: {error}") from error
    return table


def allocation_problem(
    candidates: pd.DataFrame,
    patients: Sequence[str] | None = None,
    recipients: Recipients | None = None,
    settings: AllocationSettings = DEFAULT_SETTINGS,
) -> AllocationProblem:
    """The problem of `allocate_candidates`; by default of the patients with a candidate.

    Raises `InputFileError` and `AllocationError`.
    """
    missing = [column for column in NEEDED if column not in candidates]
    if missing:
        raise InputFileError(
            f"candidates lack the columns {', '.join(missing)}; give the file that match or batch "
            "wrote"
        )
    categories = candidates["dpb1_tce"].astype("category").cat.categories
    unknown = set(categories) - {category.value for category in TceCategory}
    if unknown:
        raise InputFileError(f"dpb1_tce {min(map(str, unknown))!r} is no category of DPB1")
    donor, second = candidates["donor"].astype("category"), texts_of(candidates, "second", "")
    donors = pd.Index(sorted({*donor.cat.categories, *second[second != ""]}))
    donor_at = donors.get_indexer(donor.cat.categories)[donor.cat.codes].astype(np.int64)
    patient = candidates["patient"].astype("category")
    if patients is None:
        patients = list(patient.unique())
    known = recipients or Recipients.of(patients)
    patient_at = pd.Index(patients).get_indexer(patient.cat.categories)[patient.cat.codes]

    def of_donors(column: str, default: str) -> npt.NDArray[np.object_]:
        values = np.full(len(donors), default, dtype=object)
        values[donor_at] = texts_of(candidates, column, default)
        return values

    return AllocationProblem(
        patients=tuple(patients),
        donors=tuple(donors),
        patient=patient_at.astype(np.int64),
        donor=donor_at,
        utility=edge_utility(candidates, settings.points),
        second=donors.get_indexer(pd.Index(second)).astype(np.int64),
        urgency=known.urgency,
        previous=donors.get_indexer(pd.Index(known.previous)).astype(np.int64),
        ancestry=known.groups,
        deadline_week=known.deadline_week,
        available=of_donors("status", AVAILABLE) == AVAILABLE,
        limits=_limits(known, settings, of_donors("registry", "")),
    )


def texts_of(candidates: pd.DataFrame, column: str, default: str) -> npt.NDArray[np.object_]:
    """(n_rows,) texts of a column that may be absent, `default` where there is none."""
    if column not in candidates:
        return np.full(len(candidates), default, dtype=object)
    values = candidates[column].astype("category")
    return np.append(np.asarray(values.cat.categories, dtype=object), default)[values.cat.codes]


def _limits(
    recipients: Recipients, settings: AllocationSettings, registry: npt.NDArray[np.object_]
) -> tuple[Limit, ...]:
    found: list[Limit] = []
    for kind, place, per_week in (
        ("centre", recipients.centre, settings.capacities.centre),
        ("laboratory", recipients.laboratory, settings.capacities.laboratory),
    ):
        named = [f"{kind} {name}" if name else "" for name in place]
        capacity = {f"{kind} {name}": most for name, most in per_week.items()}
        found += weekly_limits(named, recipients.deadline_week, capacity, settings.weeks)
    for name, most in sorted(settings.capacities.registry.items()):
        members = tuple(np.flatnonzero(registry == name).tolist())
        found.append(Limit(f"registry {name}", most, donors=members))
    return tuple(found)


def with_allocation(candidates: pd.DataFrame, allocation: Allocation) -> pd.DataFrame:
    """The candidates with `allocated_to`, the patient whom each row's donor goes to, or ""."""
    table = allocation.table
    recipient = dict(zip(table["allocated"], table["patient"], strict=True))
    recipient |= dict(zip(table["second"], table["patient"], strict=True))
    recipient.pop("", None)
    return candidates.assign(allocated_to=[recipient.get(d, "") for d in candidates["donor"]])


def edge_utility(
    candidates: pd.DataFrame, points: Points = DEFAULT_POINTS
) -> npt.NDArray[np.int64]:
    """The documented integer utility of each candidate row."""
    difference = np.zeros(len(candidates))
    if RISK in candidates:
        lowest = candidates.groupby("patient", observed=True)[RISK].transform("min")
        difference = (candidates[RISK] - lowest).fillna(0).to_numpy(dtype=np.float64)
    preference = {category.value: category.preference for category in TceCategory}
    tce = candidates["dpb1_tce"].astype("category")
    p10 = candidates["p10"].to_numpy(dtype=np.float64)
    # Sums of many products may pass 1 by a rounding error.
    p9 = np.minimum(candidates["p9"].to_numpy(dtype=np.float64), 1 - np.clip(p10, 0, 1))
    return utility(
        np.clip(p10, 0, 1),
        np.clip(p9, 0, 1),
        np.asarray(candidates["mismatches_best"], dtype=np.int64),
        difference,
        candidates["age_years"].to_numpy(dtype=np.float64),
        np.array([preference.get(c, 0) for c in tce.cat.categories], np.int64)[tce.cat.codes],
        points,
    )
