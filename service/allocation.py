"""Candidates of many patients -> one plan for all, with the reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data.files import replacing
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
    obstacles,
    one_more_like,
    utility,
    weekly_limits,
)
from matching.errors import InputFileError
from matching.immunogenetics import TceCategory
from service.recipients import NO_CAPACITIES, Capacities, Recipients, units_of_yesterday

NEEDED = ("patient", "donor", "p10", "p9", "mismatches_best", "age_years", "dpb1_tce")
RISK = "risk_agvhd_3_4"
# The order of a patient's candidates, over all strata where there are some.
PLACES = ("place", "rank")
OPTIONAL = (*PLACES, RISK, "status", "registry", "second")
AVAILABLE = "available"
TEXTS = ["patient", "donor", "dpb1_tce", "status", "registry", "second"]
N_BACKUPS = 3
COLUMNS = ["patient", "allocated", "second", "utility", "first", "not_first_for", "best", "reason"]
COLUMNS += ["best_given_to", "limit", "swap_cost", "backups"]


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

    `candidates` has the columns `NEEDED`, `rank` of ranked ones (`place` of those in strata),
    `RISK` where risks were predicted, `status` and `registry` of donors where known, and `second`
    for units that go together; `recipients` says what is known of the patients. Raises
    `InputFileError` for a missing column or category, and `AllocationError`.
    """
    problem = allocation_problem(candidates, patients, recipients, settings)
    solution = allocate(problem, settings.objectives, settings.effort)

    def donor(position: int) -> str:
        return "" if position == UNALLOCATED else problem.donors[position]

    firsts = _firsts(candidates, problem)
    beyond = dict(zip(firsts.tolist(), obstacles(problem, solution, firsts), strict=True))
    first_of = dict(zip(problem.patient[firsts].tolist(), firsts.tolist(), strict=True))
    rows = []
    reasons = {e.patient: e for e in explanations(problem, solution, settings.effort)}
    more = backups(problem, solution, N_BACKUPS)
    for position, name in enumerate(problem.patients):
        why, edge = reasons.get(position), int(solution.edge_of[position])
        given = donor(int(solution.donor_of[position]))
        first = first_of.get(position, UNALLOCATED)
        rows.append(
            {
                "patient": name,
                "allocated": given,
                "second": donor(int(solution.second_of[position])),
                "utility": 0 if edge == UNALLOCATED else int(problem.utility[edge]),
                "first": "" if first == UNALLOCATED else donor(int(problem.donor[first])),
                "not_first_for": ""
                if first == UNALLOCATED or solution.donor_of[position] == problem.donor[first]
                else beyond[first].reason.value,
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
    table = pd.DataFrame(rows, columns=COLUMNS)
    return Allocation(
        table.astype({"swap_cost": "Int64", "utility": "int64"}), problem, solution, settings
    )


def _firsts(candidates: pd.DataFrame, problem: AllocationProblem) -> npt.NDArray[np.int64]:
    """(n,) positions of the edges of the patients' first-ranked candidates."""
    place = next((name for name in PLACES if name in candidates), None)
    if place is None or not len(candidates):
        return np.empty(0, dtype=np.int64)
    top = np.flatnonzero(candidates[place] == 1)
    known = candidates.iloc[top]
    patients, donors = pd.Index(problem.patients), pd.Index(problem.donors)
    patient = patients.get_indexer(pd.Index(known["patient"].astype(object)))
    donor = donors.get_indexer(pd.Index(known["donor"].astype(object)))
    return problem.edges_of(patient.astype(np.int64), donor.astype(np.int64))


def read_candidates(*paths: Path) -> pd.DataFrame:
    """The columns of files of match or batch that an allocation uses. Raises `InputFileError`.

    Identifiers and categories are read as categories: a donor of many patients is one text.
    """
    path = paths[0]
    try:
        present = set(pq.read_schema(path).names)
        if "patient" not in present:
            raise InputFileError(f"{path} has no column 'patient'; give a file of match or batch")
        used = [name for name in (*NEEDED, *OPTIONAL) if name in present]
        texts = [name for name in TEXTS if name in present]
        parts = [pq.read_table(path, columns=used, read_dictionary=texts) for path in paths]
        table: pd.DataFrame = pa.concat_tables(parts).unify_dictionaries().to_pandas()
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

    position = {name: i for i, name in enumerate(donors)}
    yesterday = units_of_yesterday(position, known.previous, known.previous_second)
    return AllocationProblem(
        patients=tuple(patients),
        donors=tuple(donors),
        patient=patient_at.astype(np.int64),
        donor=donor_at,
        utility=edge_utility(candidates, settings.points),
        second=donors.get_indexer(pd.Index(second)).astype(np.int64),
        urgency=known.urgency,
        previous=yesterday[0],
        previous_second=yesterday[1],
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
    """The candidates with what the allocation says of each, as in `allocation_columns`."""
    columns = allocation_columns(allocation)
    return candidates.assign(**columns(candidates["patient"], candidates["donor"]))


def allocation_columns(
    allocation: Allocation,
) -> Callable[[Iterable[str], Iterable[str]], dict[str, list[str]]]:
    """A function of the patients and donors of some rows, which gives of each row `allocated_to`,
    the patient whom its donor goes to, and `allocated`, the donor that its patient gets, with
    `not_first_for`, why that is not the patient's first one; "" for none."""
    table = allocation.table
    recipient = dict(zip(table["allocated"], table["patient"], strict=True))
    recipient |= dict(zip(table["second"], table["patient"], strict=True))
    recipient.pop("", None)
    given = dict(zip(table["patient"], table["allocated"], strict=True))
    why = dict(zip(table["patient"], table["not_first_for"], strict=True))

    def columns(patients: Iterable[str], donors: Iterable[str]) -> dict[str, list[str]]:
        names = list(patients)
        return {
            "allocated_to": [recipient.get(donor, "") for donor in donors],
            "allocated": [given[name] for name in names],
            "not_first_for": [why[name] for name in names],
        }

    return columns


def allocation_line(allocation: Allocation) -> str:
    """What was reached, in one line."""
    told = figures(allocation)
    return (
        f"{len(allocation.table):,} patients, {told['allocated']:,} allocated: {told['status']}, "
        f"utility {told['objective']:,}, bound {told['bound']:,}, {told['components']:,} components"
    )


def write_allocation(allocation: Allocation, path: Path) -> None:
    """The table as a Parquet file. Raises `OutputError`."""
    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pandas(allocation.table, preserve_index=False), temporary)


def figures(allocation: Allocation) -> dict[str, Any]:
    """What a summary tells of an allocation."""
    solution = allocation.solution
    return {
        "allocated": int((allocation.table["allocated"] != "").sum()),
        "status": solution.status.value,
        "objective": solution.objective,
        "bound": solution.bound,
        "components": solution.n_components,
        "levels": [
            {
                "objective": level.objective.value,
                "best": level.best,
                "bound": level.bound,
                "least": level.least,
                "reached": level.reached,
            }
            for level in solution.levels
        ],
    }


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
