"""Candidates of many patients -> one plan for all, with the reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

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
AVAILABLE = "available"
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
        """The solution with a second donor like this one. Raises `InputFileError` if unknown."""
        if donor not in self.problem.donors:
            raise InputFileError(
                f"donor {donor!r} is no candidate of any patient; name one that is"
            )
        return one_more_like(
            self.problem,
            self.problem.donors.index(donor),
            self.settings.objectives,
            self.settings.effort,
        )


def allocate_candidates(
    candidates: pd.DataFrame,
    patients: Sequence[str],
    recipients: Recipients | None = None,
    settings: AllocationSettings = DEFAULT_SETTINGS,
) -> Allocation:
    """Allocate donors to all `patients`, those without a candidate included.

    `candidates` has the columns `NEEDED`, `RISK` where risks were predicted, `status` and
    `registry` of donors where known, and `second` for units that go together; `recipients` says
    what is known of the patients. Raises `InputFileError` for a missing column or category, and
    `AllocationError`.
    """
    problem = _problem(candidates, list(patients), recipients, settings)
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


def _problem(
    candidates: pd.DataFrame,
    patients: list[str],
    recipients: Recipients | None,
    settings: AllocationSettings,
) -> AllocationProblem:
    missing = [column for column in NEEDED if column not in candidates]
    if missing:
        raise InputFileError(
            f"candidates lack the columns {', '.join(missing)}; give the file that match or batch "
            "wrote"
        )
    unknown = set(candidates["dpb1_tce"]) - {category.value for category in TceCategory}
    if unknown:
        raise InputFileError(f"dpb1_tce {min(map(str, unknown))!r} is no category of DPB1")
    known = recipients or Recipients.of(patients)
    second = pd.Index([""] * len(candidates), dtype=object)
    if "second" in candidates:
        second = pd.Index(candidates["second"].fillna(""))
    donors = pd.Index(sorted({*candidates["donor"], *second} - {""}))
    donor_at = donors.get_indexer(pd.Index(candidates["donor"]))
    return AllocationProblem(
        patients=tuple(patients),
        donors=tuple(donors),
        patient=pd.Index(patients).get_indexer(pd.Index(candidates["patient"])).astype(np.int64),
        donor=donor_at.astype(np.int64),
        utility=edge_utility(candidates, settings.points),
        second=donors.get_indexer(second).astype(np.int64),
        urgency=known.urgency,
        previous=donors.get_indexer(pd.Index(known.previous)).astype(np.int64),
        ancestry=known.groups,
        deadline_week=known.deadline_week,
        available=_of_donors(candidates, donor_at, len(donors), "status", AVAILABLE) == AVAILABLE,
        limits=_limits(
            known,
            settings,
            _of_donors(candidates, donor_at, len(donors), "registry", ""),
        ),
    )


def _of_donors(
    candidates: pd.DataFrame, donor_at: npt.NDArray[np.int64], n: int, column: str, default: str
) -> npt.NDArray[np.object_]:
    """(n,) a text of each donor, `default` where unknown."""
    values = np.full(n, default, dtype=object)
    if column in candidates:
        values[donor_at] = candidates[column].fillna(default)
    return values


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
        lowest = candidates.groupby("patient")[RISK].transform("min")
        difference = (candidates[RISK] - lowest).fillna(0).to_numpy(dtype=np.float64)
    preference = {category.value: category.preference for category in TceCategory}
    p10 = candidates["p10"].to_numpy(dtype=np.float64)
    # Sums of many products may pass 1 by a rounding error.
    p9 = np.minimum(candidates["p9"].to_numpy(dtype=np.float64), 1 - np.clip(p10, 0, 1))
    return utility(
        np.clip(p10, 0, 1),
        np.clip(p9, 0, 1),
        np.asarray(candidates["mismatches_best"], dtype=np.int64),
        difference,
        candidates["age_years"].to_numpy(dtype=np.float64),
        np.asarray(candidates["dpb1_tce"].map(preference), dtype=np.int64),
        points,
    )
