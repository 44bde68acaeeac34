"""Allocations: requests -> problems, and solutions -> responses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from matching.allocate import (
    MOST_URGENT,
    NO_DEADLINE,
    UNALLOCATED,
    UTILITY_LIMIT,
    AllocationProblem,
    AllocationSolution,
    Explanation,
    Limit,
    Objectives,
    Obstacle,
    Reason,
)
from matching.errors import AllocationError
from service.convert.requests import LIMITS, checking
from service.pb.graftmatch.v1 import common_pb2, graftmatch_pb2
from service.recipients import units_of_yesterday
from service.status import RequestError, Violation

# What a request says of each patient, and what an empty list means.
_OF_PATIENTS: dict[str, Any] = {
    "urgency": 1,
    "previous": "",
    "previous_second": "",
    "deadline_week": 0,
    "ancestry": "",
    "first": "",
}


def allocation_problem(request: graftmatch_pb2.AllocateDonorsRequest) -> AllocationProblem:
    """Raises `RequestError`; of edges, the first wrong one of each kind is named."""
    edges = request.edges
    with checking() as found:
        for name, given, most in (
            ("patients", request.patients, LIMITS.patients),
            ("donors", request.donors, LIMITS.donors),
            ("edges", edges, LIMITS.edges),
            ("limits", request.limits, LIMITS.allocation_limits),
        ):
            if len(given) > most:
                found.append(Violation(name, f"more than {most:,}"))
    with checking() as found:
        _check_identifiers("patients", request.patients, found)
        _check_identifiers("donors", request.donors, found)
        patient = np.fromiter((edge.patient for edge in edges), np.int64, len(edges))
        donor = np.fromiter((edge.donor for edge in edges), np.int64, len(edges))
        utility = np.fromiter((edge.utility for edge in edges), np.int64, len(edges))
        units = (edge.second if edge.HasField("second") else UNALLOCATED for edge in edges)
        second = np.fromiter(units, np.int64, len(edges))
        for name, values, low, high in (
            ("patient", patient, 0, len(request.patients) - 1),
            ("donor", donor, 0, len(request.donors) - 1),
            ("second", second, UNALLOCATED, len(request.donors) - 1),
            ("utility", utility, 1, UTILITY_LIMIT - 1),
        ):
            wrong = (values < low) | (values > high)
            if wrong.any():
                at = int(wrong.argmax())
                reason = f"{values[at]} is not in {low} to {high}"
                found.append(Violation(f"edges[{at}].{name}", reason))
        of_patients: dict[str, list[Any]] = {}
        for name, blank in _OF_PATIENTS.items():
            given = list(getattr(request, name)) or [blank] * len(request.patients)
            of_patients[name] = given
            if len(given) != len(request.patients):
                reason = f"{len(given)} values for {len(request.patients)} patients"
                found.append(Violation(name, reason))
        unavailable = np.array(request.unavailable, dtype=np.int64)
        for i in np.flatnonzero(unavailable >= len(request.donors))[:1].tolist():
            reason = f"{unavailable[i]} is no position in donors"
            found.append(Violation(f"unavailable[{i}]", reason))
        urgency = np.array(of_patients["urgency"], dtype=np.int64)
        for i in np.flatnonzero((urgency < 1) | (urgency > MOST_URGENT))[:1].tolist():
            found.append(Violation(f"urgency[{i}]", f"{urgency[i]} is not in 1 to {MOST_URGENT}"))
    position = {name: i for i, name in enumerate(request.donors)}
    yesterday = units_of_yesterday(
        position, of_patients["previous"], of_patients["previous_second"]
    )
    week = np.array(of_patients["deadline_week"], dtype=np.int64)
    available = np.ones(len(request.donors), dtype=bool)
    available[unavailable] = False
    groups = np.unique(np.array(of_patients["ancestry"], dtype=str), return_inverse=True)[1]
    try:
        limits = _limits(request)
        return AllocationProblem(
            patients=tuple(request.patients),
            donors=tuple(request.donors),
            patient=patient,
            donor=donor,
            utility=utility,
            second=second,
            urgency=urgency,
            previous=yesterday[0],
            previous_second=yesterday[1],
            ancestry=groups.astype(np.int64),
            deadline_week=np.where(week == 0, NO_DEADLINE, week),
            available=available,
            limits=limits,
        )
    except AllocationError as error:
        raise RequestError([Violation("edges", str(error))]) from error


def first_edges(
    request: graftmatch_pb2.AllocateDonorsRequest, problem: AllocationProblem
) -> npt.NDArray[np.int64]:
    """(n,) edges of the donors that a request names as ranked first. Raises `RequestError`."""
    position = {name: i for i, name in enumerate(problem.donors)}
    named = [(i, name) for i, name in enumerate(request.first) if name]
    patient = np.array([i for i, _ in named], dtype=np.int64)
    donor = np.array([position.get(name, UNALLOCATED) for _, name in named], dtype=np.int64)
    edges = np.where(donor < 0, UNALLOCATED, problem.edges_of(patient, donor))
    with checking() as found:
        for i in np.flatnonzero(edges == UNALLOCATED)[:1].tolist():
            reason = f"{named[i][1]!r} is no candidate of this patient"
            found.append(Violation(f"first[{named[i][0]}]", reason))
    return edges


def _limits(request: graftmatch_pb2.AllocateDonorsRequest) -> tuple[Limit, ...]:
    """Raises `RequestError`."""
    with checking() as found:
        _check_identifiers("limits", [limit.name for limit in request.limits], found)
        for i, limit in enumerate(request.limits):
            for name in ("patients", "donors"):
                members, n = getattr(limit, name), len(getattr(request, name))
                if len(set(members)) < len(members) or max(members, default=-1) >= n:
                    reason = f"positions are distinct and below {n}"
                    found.append(Violation(f"limits[{i}].{name}", reason))
    return tuple(
        Limit(limit.name, limit.most, tuple(limit.patients), tuple(limit.donors))
        for limit in request.limits
    )


def allocation_objectives(request: graftmatch_pb2.AllocateDonorsRequest) -> Objectives:
    """Raises `RequestError`."""
    shares = {}
    with checking() as found:
        for name in ("recipients", "utility", "fairness"):
            if request.HasField(f"{name}_share"):
                shares[name] = getattr(request, f"{name}_share")
                if not 0 <= shares[name] <= 1:
                    found.append(Violation(f"{name}_share", f"{shares[name]} is not in 0 to 1"))
    return Objectives(**shares)


def _check_identifiers(field: str, names: Iterable[str], found: list[Violation]) -> None:
    seen: set[str] = set()
    for i, name in enumerate(names):
        if not name or len(name) > LIMITS.identifier_characters:
            reason = f"must have 1 to {LIMITS.identifier_characters} characters"
        elif name in seen:
            reason = "the identifier is given twice"
        else:
            seen.add(name)
            continue
        found.append(Violation(f"{field}[{i}]", reason))
        return


def allocation_response(
    problem: AllocationProblem,
    solution: AllocationSolution,
    reasons: Iterable[Explanation],
    not_first: Mapping[int, Obstacle],
    provenance: common_pb2.Provenance,
) -> graftmatch_pb2.AllocateDonorsResponse:
    """An allocation by identifiers. `not_first`: by position, why not the first donor."""
    given = solution.edge_of != UNALLOCATED
    utility = np.where(given, np.append(problem.utility, 0)[solution.edge_of], 0)

    def name(names: tuple[str, ...], position: int) -> str | None:
        return None if position == UNALLOCATED else names[position]

    units = solution.donor_of.tolist(), solution.second_of.tolist()
    rows = enumerate(zip(problem.patients, *units, utility.tolist(), strict=True))
    return graftmatch_pb2.AllocateDonorsResponse(
        provenance=provenance,
        assignments=[
            graftmatch_pb2.Assignment(
                patient=patient,
                donor=name(problem.donors, donor),
                second=name(problem.donors, second),
                utility=worth,
                not_first_for=_reason(not_first[i].reason) if i in not_first else None,
            )
            for i, (patient, donor, second, worth) in rows
        ],
        status=graftmatch_pb2.AllocationStatus.Value(f"ALLOCATION_STATUS_{solution.status.name}"),
        objective=solution.objective,
        bound=solution.bound,
        levels=[
            graftmatch_pb2.AllocationLevel(
                objective=graftmatch_pb2.AllocationObjective.Value(
                    f"ALLOCATION_OBJECTIVE_{level.objective.name}"
                ),
                best=level.best,
                bound=level.bound,
                least=level.least,
                reached=level.reached,
            )
            for level in solution.levels
        ],
        explanations=[
            graftmatch_pb2.Explanation(
                patient=problem.patients[row.patient],
                reason=_reason(row.reason),
                allocated=name(problem.donors, row.allocated),
                best=name(problem.donors, row.best),
                recipient=name(problem.patients, row.recipient),
                swap_cost=row.swap_cost,
                limit=row.limit,
            )
            for row in reasons
        ],
    )


def _reason(reason: Reason) -> graftmatch_pb2.AllocationReason:
    name = f"ALLOCATION_REASON_{reason.name}"
    number: graftmatch_pb2.AllocationReason = graftmatch_pb2.AllocationReason.Value(name)
    return number
