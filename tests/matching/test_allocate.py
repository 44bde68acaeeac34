"""The allocation against brute force and scipy's matchings, its proof, order and explanations."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ortools.graph.python import min_cost_flow

from matching.allocate import (
    UNALLOCATED,
    UTILITY_LIMIT,
    AllocationProblem,
    AllocationSolution,
    Effort,
    Explanation,
    Objective,
    Objectives,
    Reason,
    Status,
    allocate,
    backups,
    explain,
    explanations,
    space,
    utility,
)
from matching.errors import AllocationError
from tests.oracles import assignment as oracle
from tests.oracles.assignment import Edges

# Nothing but the sum of the utilities counts.
UTILITY = Objectives(recipients=1)


def prices(solution: AllocationSolution) -> list[int]:
    assert solution.proof is not None
    return [int(price) for price in solution.proof.price]


def problem_of(edges: Edges, n_patients: int, n_donors: int) -> AllocationProblem:
    pairs = np.array(list(edges), dtype=np.int64).reshape(-1, 2)
    return AllocationProblem(
        patients=tuple(f"P{i}" for i in range(n_patients)),
        donors=tuple(f"D{i}" for i in range(n_donors)),
        patient=pairs[:, 0],
        donor=pairs[:, 1],
        utility=np.array(list(edges.values()), dtype=np.int64),
    )


def edges_of(problem: AllocationProblem) -> Edges:
    pairs = zip(problem.patient.tolist(), problem.donor.tolist(), strict=True)
    return dict(zip(pairs, problem.utility.tolist(), strict=True))


@st.composite
def instances(draw: st.DrawFn, most: int = 5, least_edges: int = 0) -> AllocationProblem:
    """Few distinct utilities give many optima, many give few; edges in any order."""
    n_patients, n_donors = draw(st.integers(1, most)), draw(st.integers(1, most))
    pair = st.tuples(st.integers(0, n_patients - 1), st.integers(0, n_donors - 1))
    top = draw(st.sampled_from((1, 3, 100, UTILITY_LIMIT - 1)))
    edges = draw(st.dictionaries(pair, st.integers(1, top), min_size=least_edges))
    return problem_of(edges, n_patients, n_donors)


def random_problem(
    seed: int, n_patients: int, n_donors: int, n_candidates: int, top: int
) -> AllocationProblem:
    rng = np.random.default_rng(seed)
    donor = [rng.choice(n_donors, n_candidates, replace=False) for _ in range(n_patients)]
    return AllocationProblem(
        patients=tuple(f"P{i}" for i in range(n_patients)),
        donors=tuple(f"D{i}" for i in range(n_donors)),
        patient=np.repeat(np.arange(n_patients), n_candidates),
        donor=np.concatenate(donor),
        utility=rng.integers(1, top, n_patients * n_candidates, endpoint=True),
    )


def check_proof(problem: AllocationProblem, solution: AllocationSolution) -> None:
    """What a reader can verify without the solver."""
    edges = edges_of(problem)
    given = solution.donor_of[solution.donor_of != UNALLOCATED].tolist()
    assert len(set(given)) == len(given)
    chosen = [(p, d) for p, d in enumerate(solution.donor_of.tolist()) if d != UNALLOCATED]
    assert solution.objective == sum(edges[pair] for pair in chosen)  # KeyError: not an edge
    assert solution.status is Status.OPTIMAL
    proof = solution.proof
    assert proof is not None and (proof.price >= 0).all() and proof.recipient_price >= 0
    surplus = [0] * len(problem.patients)
    for (patient, donor), value in edges.items():
        above = value + proof.recipient_price - int(proof.price[donor])
        surplus[patient] = max(surplus[patient], above)
    served = solution.level(Objective.RECIPIENTS).least
    bound = sum(surplus) + int(proof.price.sum()) - proof.recipient_price * served
    assert solution.bound == bound == solution.objective


@given(instances())
def test_the_first_of_the_best_allocations(problem: AllocationProblem) -> None:
    solution = allocate(problem, UTILITY)
    check_proof(problem, solution)
    n_donors = len(problem.donors)
    objective, first = oracle.best(edges_of(problem), len(problem.patients), n_donors)
    assert solution.objective == objective
    assert tuple(np.where(solution.donor_of < 0, n_donors, solution.donor_of).tolist()) == first


@given(instances(most=12, least_edges=1))
def test_scipy_finds_the_same_objective(problem: AllocationProblem) -> None:
    solution = allocate(problem, UTILITY)
    check_proof(problem, solution)
    size = (len(problem.patients), len(problem.donors))
    assert solution.objective == oracle.dense(edges_of(problem), *size)
    if problem.utility.max() <= 100:  # its floats hold the larger sums only nearly
        assert solution.objective == oracle.sparse(edges_of(problem), *size)


@pytest.mark.parametrize(("n_donors", "top"), [(40, 1000), (150, 1000), (40, 2), (100, 3)])
def test_larger_instances_against_scipy(n_donors: int, top: int) -> None:
    for seed in range(5):
        problem = random_problem(seed, 100, n_donors, 6, top)
        solution = allocate(problem, UTILITY)
        check_proof(problem, solution)
        assert solution.objective == oracle.sparse(edges_of(problem), 100, n_donors)


@given(instances(), st.randoms(use_true_random=False))
def test_the_order_of_the_edges_is_irrelevant(
    problem: AllocationProblem, rng: random.Random
) -> None:
    order = np.array(rng.sample(range(len(problem.patient)), len(problem.patient)), dtype=np.int64)
    shuffled = replace(
        problem,
        patient=problem.patient[order],
        donor=problem.donor[order],
        utility=problem.utility[order],
    )
    one, other = allocate(problem, UTILITY), allocate(shuffled, UTILITY)
    assert one.donor_of.tolist() == other.donor_of.tolist()
    assert prices(one) == prices(other)
    assert explanations(problem, one) == explanations(shuffled, other)


@given(instances(most=6), st.lists(st.integers(0, 100), min_size=6, max_size=6))
def test_one_more_donor_never_lowers_the_objective(
    problem: AllocationProblem, wanted: list[int]
) -> None:
    n_patients, n_donors = len(problem.patients), len(problem.donors)
    edges = edges_of(problem)
    more = edges | {(p, n_donors): u for p, u in enumerate(wanted[:n_patients]) if u}
    larger = problem_of(more, n_patients, n_donors + 1)
    assert allocate(larger, UTILITY).objective >= allocate(problem, UTILITY).objective


@given(instances(most=12))
def test_scipy_finds_the_same_components(problem: AllocationProblem) -> None:
    by_networkx = allocate(problem, UTILITY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(space, "NETWORKX_MAX_EDGES", -1)
        by_scipy = allocate(problem, UTILITY)
    assert by_networkx.n_components == by_scipy.n_components
    assert by_networkx.donor_of.tolist() == by_scipy.donor_of.tolist()
    assert prices(by_networkx) == prices(by_scipy)


def test_components_are_counted() -> None:
    problem = problem_of({(0, 0): 5, (1, 0): 6, (3, 4): 7, (4, 3): 2, (4, 2): 2}, 6, 6)
    solution = allocate(problem, UTILITY)
    assert solution.n_components == 3
    assert solution.donor_of.tolist() == [-1, 0, -1, 4, 2, -1]
    assert (solution.objective, solution.bound) == (15, 15)


@given(instances())
def test_swap_costs_are_those_of_a_new_allocation(problem: AllocationProblem) -> None:
    solution = allocate(problem, UTILITY)
    edges, size = edges_of(problem), (len(problem.patients), len(problem.donors))
    rows = {row.patient: row for row in explanations(problem, solution)}
    assert list(rows) == sorted(rows)
    with pytest.MonkeyPatch.context() as patch:  # one at a time, on several threads
        patch.setattr(explain, "DETOURS_AT_ONCE", 1)
        assert explanations(problem, solution, Effort(threads=3)) == tuple(rows.values())
    for patient, got in enumerate(solution.donor_of.tolist()):
        candidates = {d: u for (p, d), u in edges.items() if p == patient}
        if not candidates:
            assert rows[patient] == Explanation(patient, Reason.NO_CANDIDATE, -1, -1, -1, None)
        elif candidates.get(got, 0) == max(candidates.values()):
            assert patient not in rows
        else:
            best = min(candidates, key=lambda d: (-candidates[d], d))
            recipient = solution.donor_of.tolist().index(best)
            cost = solution.objective - oracle.best_with(edges, *size, patient, best)
            assert rows[patient] == Explanation(
                patient, Reason.GIVEN_TO_ANOTHER, got, best, recipient, cost
            )


@given(instances(), st.integers(0, 4))
def test_backups_are_the_next_best(problem: AllocationProblem, n: int) -> None:
    solution = allocate(problem, UTILITY)
    table = backups(problem, solution, n)
    assert table.shape == (len(problem.patients), n)
    for patient, row in enumerate(table.tolist()):
        others = [
            (-u, d)
            for (p, d), u in edges_of(problem).items()
            if p == patient and d != solution.donor_of[patient]
        ]
        listed = [d for _, d in sorted(others)][:n]
        assert row == listed + [UNALLOCATED] * (n - len(listed))


def test_the_documented_example() -> None:
    """The example of docs/allocation.md."""
    problem = problem_of({(0, 0): 3141, (0, 1): 2900, (1, 0): 3000, (1, 2): 2000}, 3, 3)
    solution = allocate(problem, UTILITY)
    assert solution.donor_of.tolist() == [1, 0, UNALLOCATED]
    assert solution.objective == solution.bound == 5900
    assert prices(solution) == [241, 0, 0]
    assert explanations(problem, solution) == (
        Explanation(0, Reason.GIVEN_TO_ANOTHER, 1, 0, 1, 759),
        Explanation(2, Reason.NO_CANDIDATE, -1, -1, -1, None),
    )
    assert backups(problem, solution, 2).tolist() == [[0, -1], [2, -1], [-1, -1]]


def test_two_thousand_patients() -> None:
    problem = random_problem(1, 2000, 1500, 50, 3000)
    solution = allocate(problem, UTILITY)
    check_proof(problem, solution)
    rows = explanations(problem, solution)
    assert {row.patient for row in rows} >= set(np.flatnonzero(solution.donor_of < 0).tolist())
    assert all(row.swap_cost is None or row.swap_cost >= 0 for row in rows)


@pytest.mark.parametrize("n_patients", [0, 3])
def test_nothing_to_allocate_is_optimal(n_patients: int) -> None:
    problem = problem_of({}, n_patients, 2)
    solution = allocate(problem, UTILITY)
    assert solution.status is Status.OPTIMAL
    assert (solution.objective, solution.bound, solution.n_components) == (0, 0, 0)
    assert solution.donor_of.tolist() == [UNALLOCATED] * n_patients
    assert [row.reason.value for row in explanations(problem, solution)] == [
        "no candidate"
    ] * n_patients
    assert backups(problem, solution, 1).tolist() == [[UNALLOCATED]] * n_patients


class InfeasibleFlow(min_cost_flow.SimpleMinCostFlow):  # type: ignore[misc]
    def solve(self) -> object:
        return self.INFEASIBLE


class LazyFlow(min_cost_flow.SimpleMinCostFlow):  # type: ignore[misc]
    """Claims an optimum and allocates nobody."""

    def solve(self) -> object:
        return self.OPTIMAL

    def flows(self, arcs: np.ndarray[tuple[int], np.dtype[np.int32]]) -> list[int]:
        return [0] * len(arcs)


@pytest.mark.parametrize(
    ("solver", "objectives", "message"),
    [
        (InfeasibleFlow, UTILITY, "ended with INFEASIBLE on 2 patients, 1 donors and 2 edges"),
        (InfeasibleFlow, Objectives(), "finds nobody to serve 1 patients"),
        (LazyFlow, UTILITY, "0 is not proved optimal: bound"),
    ],
)
def test_a_solver_that_fails_is_an_error(
    monkeypatch: pytest.MonkeyPatch, solver: type, objectives: Objectives, message: str
) -> None:
    monkeypatch.setattr(min_cost_flow, "SimpleMinCostFlow", solver)
    with pytest.raises(AllocationError, match=message):
        allocate(problem_of({(0, 0): 5, (1, 0): 6}, 2, 1), objectives)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patients": ("P0", "P0")}, "patient 'P0' is listed more than once"),
        ({"donors": ("D0", "D1", "D1")}, "donor 'D1' is listed more than once"),
        ({"patient": [0, 2]}, "patient of edge 1: 2 is not in 0 to 1"),
        ({"donor": [-1, 0]}, "donor of edge 0: -1 is not in 0 to 2"),
        ({"utility": [1, 0]}, "utility of edge 1: 0 is not in 1 to 1099511627775"),
        ({"utility": [2**40, 1]}, "utility of edge 0: 1099511627776 is not in"),
        ({"utility": [1.5, 2.0]}, "utility of edge: integers are needed, not float64"),
        ({"utility": [1]}, r"one-dimensional arrays of a length: .*utility \(1,\)"),
        ({"patient": [1, 1], "donor": [2, 2]}, "patient 'P1' and donor 'D2' form more than one"),
    ],
)
def test_bad_problems(changes: dict[str, tuple[str, ...] | list[float]], message: str) -> None:
    fine: dict[str, tuple[str, ...] | list[float]] = {
        "patients": ("P0", "P1"),
        "donors": ("D0", "D1", "D2"),
        "patient": [0, 1],
        "donor": [0, 0],
        "utility": [1, 2],
    }
    values = {k: np.array(v) if isinstance(v, list) else v for k, v in (fine | changes).items()}
    with pytest.raises(AllocationError, match=message):
        AllocationProblem(**values)  # type: ignore[arg-type]


def test_a_negative_number_of_backups() -> None:
    problem = problem_of({(0, 0): 1}, 1, 1)
    with pytest.raises(AllocationError, match="must be 0 or more, not -1"):
        backups(problem, allocate(problem, UTILITY), -1)


Factors = tuple[float, float, int, float, float, int]
UNIT = st.floats(0, 1)
HALF = st.floats(0, 0.5) | st.just(np.nan)  # P(10/10) + P(9/10) is at most 1
FACTORS = (
    HALF,
    HALF,
    st.integers(0, 12),
    UNIT,
    st.floats(0, 120) | st.just(np.nan),
    st.integers(0, 4),
)
RISES = (True, True, False, False, False, False)


def utility_of(*factors: float) -> int:
    p10, p9, mismatches, risk, age, dpb1 = (np.array([factor]) for factor in factors)
    return int(utility(p10, p9, mismatches, risk, age, dpb1)[0])


@given(st.tuples(*FACTORS), st.integers(0, 5), st.data())
def test_a_better_factor_never_lowers_the_utility(
    factors: Factors, which: int, data: st.DataObject
) -> None:
    """An unknown value (NaN) is no better than any known one."""
    pair = (factors[which], data.draw(FACTORS[which]))
    known = sorted((v for v in pair if not np.isnan(v)), reverse=not RISES[which])
    ordered = [v for v in pair if np.isnan(v)] + known
    worse, better = (utility_of(*factors[:which], v, *factors[which + 1 :]) for v in ordered)
    assert 1 <= worse <= better < UTILITY_LIMIT


def test_the_range_of_utility() -> None:
    assert utility_of(1, 0, 0, 0, 18, 0) == 3411
    assert utility_of(np.nan, np.nan, 10, 1, np.nan, 4) == 1


@pytest.mark.parametrize(
    ("which", "value", "message"),
    [
        (0, 1.01, r"P\(10/10\) of edge 0: 1.01 is not in 0 to 1"),
        (1, -0.1, r"P\(9/10\) of edge 0"),
        (1, 0.6, r"P\(10/10\) \+ P\(9/10\) of edge 0: 1.1 is not in 0 to 1"),
        (2, -1, "mismatches of edge 0"),
        (3, np.nan, "risk difference of edge 0: nan"),
        (4, -1.0, "age in years of edge 0"),
        (5, 5, "DPB1 preference of edge 0: 5 is not in 0 to 4"),
    ],
)
def test_factors_out_of_range(which: int, value: float, message: str) -> None:
    factors: list[float] = [0.5, 0.5, 0, 0.0, 30.0, 0]
    factors[which] = value
    with pytest.raises(AllocationError, match=message):
        utility_of(*factors)


def test_factors_of_different_lengths() -> None:
    one, two = np.zeros(1), np.zeros(2)
    with pytest.raises(AllocationError, match="one-dimensional arrays of a length"):
        utility(one, two, one.astype(np.int64), one, one, one.astype(np.int64))
