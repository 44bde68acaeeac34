"""Allocations: requests -> problems, and solutions -> responses."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from matching.allocate import (
    MOST_URGENT,
    UNALLOCATED,
    UTILITY_LIMIT,
    AllocationProblem,
    AllocationSolution,
    Explanation,
    Objectives,
)
from matching.errors import AllocationError
from service.convert.requests import LIMITS, checking
from service.pb.graftmatch.v1 import common_pb2, graftmatch_pb2
from service.status import RequestError, Violation


def allocation_problem(request: graftmatch_pb2.AllocateDonorsRequest) -> AllocationProblem:
    """Raises `RequestError`; of edges, the first wrong one of each kind is named."""
    edges = request.edges
    with checking() as found:
        for name, given, most in (
            ("patients", request.patients, LIMITS.patients),
            ("donors", request.donors, LIMITS.donors),
            ("edges", edges, LIMITS.edges),
        ):
            if len(given) > most:
                found.append(Violation(name, f"more than {most:,}"))
    with checking() as found:
        _check_identifiers("patients", request.patients, found)
        _check_identifiers("donors", request.donors, found)
        patient = np.fromiter((edge.patient for edge in edges), np.int64, len(edges))
        donor = np.fromiter((edge.donor for edge in edges), np.int64, len(edges))
        utility = np.fromiter((edge.utility for edge in edges), np.int64, len(edges))
        for name, values, low, high in (
            ("patient", patient, 0, len(request.patients) - 1),
            ("donor", donor, 0, len(request.donors) - 1),
            ("utility", utility, 1, UTILITY_LIMIT - 1),
        ):
            wrong = (values < low) | (values > high)
            if wrong.any():
                at = int(wrong.argmax())
                reason = f"{values[at]} is not in {low} to {high}"
                found.append(Violation(f"edges[{at}].{name}", reason))
        urgency = np.array(request.urgency or [1] * len(request.patients), dtype=np.int64)
        given = list(request.previous) or [""] * len(request.patients)
        for name, n in (("urgency", len(urgency)), ("previous", len(given))):
            if n != len(request.patients):
                reason = f"{n} values for {len(request.patients)} patients"
                found.append(Violation(name, reason))
        for i in np.flatnonzero((urgency < 1) | (urgency > MOST_URGENT))[:1].tolist():
            found.append(Violation(f"urgency[{i}]", f"{urgency[i]} is not in 1 to {MOST_URGENT}"))
    position = {name: i for i, name in enumerate(request.donors)}
    # A donor of yesterday who is no longer among the donors cannot be kept.
    previous = np.array([position.get(name, UNALLOCATED) for name in given], dtype=np.int64)
    try:
        return AllocationProblem(
            patients=tuple(request.patients),
            donors=tuple(request.donors),
            patient=patient,
            donor=donor,
            utility=utility,
            urgency=urgency,
            previous=previous,
        )
    except AllocationError as error:
        raise RequestError([Violation("edges", str(error))]) from error


def allocation_objectives(request: graftmatch_pb2.AllocateDonorsRequest) -> Objectives:
    """Raises `RequestError`."""
    shares = {}
    with checking() as found:
        for name in ("recipients", "utility"):
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
    provenance: common_pb2.Provenance,
) -> graftmatch_pb2.AllocateDonorsResponse:
    """An allocation by identifiers."""
    given = solution.edge_of != UNALLOCATED
    utility = np.where(given, np.append(problem.utility, 0)[solution.edge_of], 0)

    def name(names: tuple[str, ...], position: int) -> str | None:
        return None if position == UNALLOCATED else names[position]

    rows = zip(problem.patients, solution.donor_of.tolist(), utility.tolist(), strict=True)
    return graftmatch_pb2.AllocateDonorsResponse(
        provenance=provenance,
        assignments=[
            graftmatch_pb2.Assignment(
                patient=patient, donor=name(problem.donors, donor), utility=worth
            )
            for patient, donor, worth in rows
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
                reason=graftmatch_pb2.AllocationReason.Value(
                    f"ALLOCATION_REASON_{row.reason.name}"
                ),
                allocated=name(problem.donors, row.allocated),
                best=name(problem.donors, row.best),
                recipient=name(problem.patients, row.recipient),
                swap_cost=row.swap_cost,
            )
            for row in reasons
        ],
    )
