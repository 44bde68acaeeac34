"""Candidates of many patients -> one donor a patient, with the reasons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from matching.allocate import (
    UNALLOCATED,
    AllocationProblem,
    AllocationSolution,
    allocate,
    backups,
    explanations,
    utility,
)
from matching.errors import InputFileError
from matching.immunogenetics import TceCategory

NEEDED = ("patient", "donor", "p10", "p9", "mismatches_best", "age_years", "dpb1_tce")
RISK = "risk_agvhd_3_4"
N_BACKUPS = 3


@dataclass(frozen=True)
class Allocation:
    """`table`: one row a patient (docs/allocation.md); `solution`: as `matching.allocate`."""

    table: pd.DataFrame
    solution: AllocationSolution


def allocate_candidates(candidates: pd.DataFrame, patients: list[str]) -> Allocation:
    """Allocate donors to all `patients`, those without a candidate included.

    `candidates` has the columns `NEEDED`, and `RISK` where risks were predicted.
    Raises `InputFileError` for a missing column or category, and `AllocationError`.
    """
    missing = [column for column in NEEDED if column not in candidates]
    if missing:
        raise InputFileError(
            f"candidates lack the columns {', '.join(missing)}; give the file that match or batch "
            "wrote"
        )
    unknown = set(candidates["dpb1_tce"]) - {category.value for category in TceCategory}
    if unknown:
        raise InputFileError(f"dpb1_tce {min(map(str, unknown))!r} is no category of DPB1")
    donors = sorted(set(candidates["donor"]))
    patient_at = {name: i for i, name in enumerate(patients)}
    donor_at = {name: i for i, name in enumerate(donors)}
    problem = AllocationProblem(
        tuple(patients),
        tuple(donors),
        np.array([patient_at[name] for name in candidates["patient"]], dtype=np.int64),
        np.array([donor_at[name] for name in candidates["donor"]], dtype=np.int64),
        edge_utility(candidates),
    )
    solution = allocate(problem)
    worth = {
        (int(p), int(d)): int(u)
        for p, d, u in zip(problem.patient, problem.donor, problem.utility, strict=True)
    }

    def donor(position: int) -> str:
        return "" if position == UNALLOCATED else donors[position]

    rows = []
    reasons = {e.patient: e for e in explanations(problem, solution)}
    more = backups(problem, solution, N_BACKUPS)
    for position, name in enumerate(patients):
        given, why = int(solution.donor_of[position]), reasons.get(position)
        rows.append(
            {
                "patient": name,
                "allocated": donor(given),
                "utility": worth.get((position, given), 0),
                "best": donor(given if why is None else why.best),
                "reason": "" if why is None else why.reason.value,
                "best_given_to": ""
                if why is None or why.recipient == UNALLOCATED
                else patients[why.recipient],
                "swap_cost": 0 if why is None else why.swap_cost,
                "backups": [donor(int(d)) for d in more[position] if d != UNALLOCATED],
            }
        )
    columns = ["patient", "allocated", "utility", "best", "reason", "best_given_to", "swap_cost"]
    return Allocation(pd.DataFrame(rows, columns=[*columns, "backups"]), solution)


def with_allocation(candidates: pd.DataFrame, allocation: Allocation) -> pd.DataFrame:
    """The candidates with `allocated_to`, the patient whom each row's donor goes to, or ""."""
    given = allocation.table[allocation.table["allocated"] != ""]
    recipient = dict(zip(given["allocated"], given["patient"], strict=True))
    return candidates.assign(allocated_to=[recipient.get(d, "") for d in candidates["donor"]])


def edge_utility(candidates: pd.DataFrame) -> npt.NDArray[np.int64]:
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
        np.array([preference[value] for value in candidates["dpb1_tce"]], dtype=np.int64),
    )
