"""Allocations of requests, with their reasons, here or in another process."""

from __future__ import annotations

from collections.abc import Callable

from matching.allocate import Effort, allocate, explanations, obstacles
from service import convert
from service.pb.graftmatch.v1 import common_pb2, graftmatch_pb2


def allocation_answer(
    request: graftmatch_pb2.AllocateDonorsRequest,
    told: common_pb2.Provenance,
    between: Callable[[], object] = lambda: None,
) -> graftmatch_pb2.AllocateDonorsResponse:
    """The allocation that is asked for, with `told`, what it depends on. `between`: as in `Effort`.

    Raises `RequestError` and `AllocationError`.
    """
    problem = convert.allocation_problem(request)
    firsts = convert.first_edges(request, problem)
    objectives, effort = convert.allocation_objectives(request), Effort(between=between)
    solution = allocate(problem, objectives, effort)
    firsts = firsts[solution.donor_of[problem.patient[firsts]] != problem.donor[firsts]]
    patients = problem.patient[firsts].tolist()
    not_first = dict(zip(patients, obstacles(problem, solution, firsts), strict=True))
    reasons = explanations(problem, solution, effort)
    return convert.allocation_response(problem, solution, reasons, not_first, told)


def allocated(request: bytes, told: bytes) -> bytes:
    """`allocation_answer` of messages as they are sent, for `service.apart`."""
    answer = allocation_answer(
        graftmatch_pb2.AllocateDonorsRequest.FromString(request),
        common_pb2.Provenance.FromString(told),
    )
    return bytes(answer.SerializeToString())
