"""The ordered objectives against enumeration, networkx and scipy; side constraints; reasons."""

from __future__ import annotations

import threading
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.allocate import (
    UNALLOCATED,
    AllocationProblem,
    AllocationSolution,
    Effort,
    Limit,
    Objective,
    Objectives,
    Reason,
    Status,
    allocate,
    constrained,
    explanations,
    one_more_like,
    space,
    weekly_limits,
)
from matching.allocate.problem import least
from matching.errors import AllocationError
from tests.matching.test_allocate import edges_of, instances, problem_of, random_problem
from tests.oracles import assignment as oracle
from tests.oracles.assignment import Candidate, Cap

STRICT = Objectives(recipients=0, utility=0)
SHARES = (0.0, 0.01, 0.2, 0.5, 1.0)


@st.composite
def full_problems(draw: st.DrawFn) -> AllocationProblem:
    """Everything at once: urgency, yesterday, groups, deadlines, status, double units, limits."""
    n_patients, n_donors = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    donor = st.integers(0, n_donors - 1)
    edge = st.tuples(st.integers(0, n_patients - 1), donor, st.just(UNALLOCATED) | donor)
    top = draw(st.sampled_from((2, 100)))
    edges = draw(
        st.dictionaries(edge.filter(lambda e: e[1] > e[2]), st.integers(1, top), max_size=14)
    )
    rows = np.array(list(edges), dtype=np.int64).reshape(-1, 3)

    def each(values: st.SearchStrategy[int], n: int) -> np.ndarray:
        return np.array(draw(st.lists(values, min_size=n, max_size=n)), dtype=np.int64)

    members = st.sets(st.integers(0, n_patients - 1)), st.sets(donor)
    limits = draw(st.lists(st.tuples(st.integers(0, 3), *members), max_size=3))
    return AllocationProblem(
        patients=tuple(f"P{i}" for i in range(n_patients)),
        donors=tuple(f"D{i}" for i in range(n_donors)),
        patient=rows[:, 0],
        donor=rows[:, 1],
        second=rows[:, 2],
        utility=np.array(list(edges.values()), dtype=np.int64),
        urgency=each(st.integers(1, 3), n_patients),
        previous=each(st.just(UNALLOCATED) | donor, n_patients),
        previous_second=each(st.just(UNALLOCATED) | donor, n_patients),
        ancestry=each(st.integers(0, n_patients - 1), n_patients) // 2,
        deadline_week=each(st.integers(0, 5), n_patients),
        available=each(st.integers(0, 4), n_donors) > 0,
        limits=tuple(Limit(f"L{i}", n, tuple(p), tuple(d)) for i, (n, p, d) in enumerate(limits)),
    )


def candidates_of(problem: AllocationProblem) -> list[Candidate]:
    found = []
    for patient, donor, second, utility in zip(
        problem.patient.tolist(),
        problem.donor.tolist(),
        problem.second.tolist(),
        problem.utility.tolist(),
        strict=True,
    ):
        units = (donor,) if second == UNALLOCATED else (donor, second)
        if problem.deadline_week[patient] >= 1 and all(problem.available[u] for u in units):
            weight = utility * int(problem.urgency[patient])
            yesterday = problem.previous[patient], problem.previous_second[patient]
            kept = sorted(map(int, yesterday)) == sorted((donor, second))
            found.append(Candidate(patient, units, weight, kept))
    return found


def oracle_levels(
    problem: AllocationProblem, objectives: Objectives
) -> tuple[list[int], list[oracle.Plan]]:
    candidates = candidates_of(problem)
    caps = [Cap(x.most, frozenset(x.patients), frozenset(x.donors)) for x in problem.limits]
    groups = {c.patient: int(problem.ancestry[c.patient]) for c in candidates}
    levels = [
        (len, objectives.recipients),
        (lambda plan: sum(c.weight for c in plan), objectives.utility),
    ]
    if objectives.fairness is not None:
        fair = (lambda plan: oracle.served_per_million(groups, plan)), objectives.fairness
        levels.insert(1, fair)
    if any(c.kept for c in candidates):
        levels.append(((lambda plan: sum(c.kept for c in plan)), 0))
        # Of plans equal in the last level the one of most utility is taken.
        levels.append((levels[-2][0], 0))
    return oracle.ordered(
        oracle.plans(candidates, caps), [(value, Fraction(str(share))) for value, share in levels]
    )


def check_plan(problem: AllocationProblem, solution: AllocationSolution) -> None:
    """What is allocated is an edge of an available donor, in time, within limits, once."""
    chosen = np.flatnonzero(solution.edge_of != UNALLOCATED)
    edges = solution.edge_of[chosen]
    assert (problem.patient[edges] == chosen).all() and problem.usable[edges].all()
    assert (problem.donor[edges] == solution.donor_of[chosen]).all()
    assert (problem.second[edges] == solution.second_of[chosen]).all()
    units = np.concatenate((solution.donor_of, solution.second_of))
    units = units[units != UNALLOCATED]
    assert len(np.unique(units)) == len(units)
    for limit in problem.limits:
        used = np.isin(chosen, limit.patients).sum() + np.isin(units, limit.donors).sum()
        assert used <= limit.most
    for level in solution.levels:
        assert level.least <= level.reached and level.best <= level.bound
    assert solution.levels[0].reached == len(chosen)


@settings(deadline=None)
@given(
    full_problems(),
    st.sampled_from(SHARES),
    st.sampled_from(SHARES),
    st.none() | st.sampled_from(SHARES),
)
def test_every_level_is_that_of_enumeration(
    problem: AllocationProblem, recipients: float, utility: float, fairness: float | None
) -> None:
    objectives = Objectives(recipients, utility, fairness)
    solution = allocate(problem, objectives)
    check_plan(problem, solution)
    bests, plans = oracle_levels(problem, objectives)
    assert [level.best for level in solution.levels] == bests[: len(solution.levels)]
    assert solution.status is Status.OPTIMAL
    if len(bests) > len(solution.levels):
        assert solution.objective == bests[-1]
    chosen = {(p, d) for p, d in enumerate(solution.donor_of.tolist()) if d != UNALLOCATED}
    firsts = [{(c.patient, c.units[0]) for c in plan} for plan in plans]
    assert chosen in firsts


@settings(deadline=None, max_examples=50)
@given(full_problems(), st.sampled_from(SHARES), st.sampled_from(SHARES))
def test_relaxation_and_core_find_the_same(
    problem: AllocationProblem, recipients: float, utility: float
) -> None:
    """Small problems by the way of large ones: linear program, prices, few edges searched."""
    objectives = Objectives(recipients, utility, 0.0)
    expected = allocate(problem, objectives)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constrained, "LEAST_RELAXED_EDGES", 0)
        relaxed = allocate(problem, objectives)
        patch.setattr(constrained, "CORE_EDGES", 3)
        few = allocate(problem, objectives)
        patch.setattr(constrained, "MOST_RELAXED_EDGES", 0)
        blind = allocate(problem, objectives)
    for solution in (relaxed, few, blind):
        check_plan(problem, solution)
    assert [level.best for level in relaxed.levels] == [level.best for level in expected.levels]
    for solution in (few, blind):  # a level above may have been missed, so only the first compares
        assert solution.levels[0].best <= expected.levels[0].best <= solution.levels[0].bound


@settings(deadline=None)
@given(instances(most=9, least_edges=1), st.booleans())
def test_networkx_finds_the_same(problem: AllocationProblem, most_first: bool) -> None:
    objectives = STRICT if most_first else Objectives(recipients=1)
    solution = allocate(problem, objectives)
    found = oracle.blossom(edges_of(problem), most_first)
    assert solution.objective == found[1]
    if most_first:
        assert solution.levels[0].best == solution.levels[0].reached == found[0]


@settings(deadline=None)
@given(full_problems(), st.data())
def test_one_more_donor_never_harms(problem: AllocationProblem, data: st.DataObject) -> None:
    nothing = np.full(len(problem.patients), UNALLOCATED)
    problem = replace(problem, previous=nothing, previous_second=nothing)
    before = allocate(problem, STRICT)
    donor = data.draw(st.integers(0, len(problem.donors) - 1))
    after = one_more_like(problem, donor, STRICT)
    vectors = [[level.best for level in s.levels] for s in (before, after)]
    assert vectors[0] <= vectors[1]
    loose = [allocate(problem), one_more_like(problem, donor)]
    assert loose[0].levels[0].best <= loose[1].levels[0].best


@settings(deadline=None, max_examples=40)
@given(instances())
def test_one_more_donor_is_worth_its_price(problem: AllocationProblem) -> None:
    """The smallest price of a donor is what a second one like it adds."""
    utility = Objectives(recipients=1)
    solution = allocate(problem, utility)
    assert solution.proof is not None
    for donor, price in enumerate(solution.proof.price.tolist()):
        assert one_more_like(problem, donor, utility).objective - solution.objective == price


@settings(deadline=None)
@given(full_problems(), st.sampled_from(SHARES))
def test_reasons_and_swaps(problem: AllocationProblem, share: float) -> None:
    objectives = Objectives(share, share)
    solution = allocate(problem, objectives)
    rows = {row.patient: row for row in explanations(problem, solution)}
    candidates = candidates_of(problem)
    caps = [Cap(x.most, frozenset(x.patients), frozenset(x.donors)) for x in problem.limits]
    least_served = solution.levels[0].least
    every = [p for p in oracle.plans(candidates, caps) if len(p) >= least_served]
    for patient in range(len(problem.patients)):
        edges = np.flatnonzero(problem.patient == patient)
        got = solution.edge_of[patient]
        worth = 0 if got == UNALLOCATED else problem.utility[got]
        if len(edges) == 0:
            assert rows[patient].reason is Reason.NO_CANDIDATE
            continue
        if worth == problem.utility[edges].max():
            assert patient not in rows
            continue
        row = rows[patient]
        best = edges[
            np.lexsort((problem.second[edges], problem.donor[edges], -problem.utility[edges]))[0]
        ]
        units = [int(u) for u in (problem.donor[best], problem.second[best]) if u != UNALLOCATED]
        assert (row.best, row.allocated) == (units[0], solution.donor_of[patient])
        holders = {
            p
            for p in range(len(problem.patients))
            if p != patient and {int(solution.donor_of[p]), int(solution.second_of[p])} & set(units)
        }
        if problem.deadline_week[patient] < 1:
            assert row.reason is Reason.DEADLINE_PASSED and row.swap_cost is None
        elif not all(problem.available[u] for u in units):
            assert row.reason is Reason.NOT_AVAILABLE and row.swap_cost is None
        else:
            assert (row.reason is Reason.GIVEN_TO_ANOTHER) == bool(holders)
            assert not holders or row.recipient in holders
            with_it = [
                sum(c.weight for c in plan)
                for plan in every
                if any(c.patient == patient and list(c.units) == units for c in plan)
            ]
            top = solution.level(Objective.UTILITY).best
            if solution.proof is None:
                assert row.swap_cost == (top - max(with_it) if with_it else None)
            else:
                assert row.swap_cost is not None
                exact = top - max(with_it, default=-(10**9))
                assert 0 <= row.swap_cost <= exact
                served = (solution.proof.donor_of != UNALLOCATED).sum()
                assert row.swap_cost == exact or served == least_served


@settings(deadline=None, max_examples=60)
@given(full_problems(), st.permutations(range(14)), st.integers(2, 4))
def test_neither_threads_nor_the_order_of_edges_matter(
    problem: AllocationProblem, order: list[int], threads: int
) -> None:
    keep = np.array([i for i in order if i < len(problem.patient)], dtype=np.int64)
    shuffled = replace(
        problem,
        **{
            name: getattr(problem, name)[keep] for name in ("patient", "donor", "second", "utility")
        },
    )
    one, other = allocate(problem), allocate(shuffled, effort=Effort(threads=threads))
    assert one.edge_of.tolist() == other.edge_of.tolist()
    assert one.levels == other.levels


def test_a_level_gives_up_its_share_over_the_whole_and_not_in_each_component() -> None:
    """Two components of two patients: one patient of four may be given up, and only one is."""
    edges = {(0, 0): 100, (0, 1): 1, (1, 0): 30, (2, 2): 100, (2, 3): 1, (3, 2): 25}
    problem = problem_of(edges, 4, 4)
    assert allocate(problem, STRICT).objective == 1 + 30 + 1 + 25
    quarter = allocate(problem, Objectives(0.25, 0))
    assert quarter.levels[0].least == 3
    assert quarter.donor_of.tolist() == [1, 0, 2, UNALLOCATED]
    assert quarter.objective == quarter.bound == 1 + 30 + 100
    assert quarter.proof is not None and quarter.proof.recipient_price == 100 - (1 + 30)
    assert allocate(problem, Objectives(0.5, 0)).objective == 200


def test_fairness_is_an_option_and_has_its_cost() -> None:
    """Two patients of one group and one of another want two donors."""
    problem = replace(
        problem_of({(0, 0): 90, (1, 1): 80, (2, 0): 10, (2, 1): 10}, 3, 2),
        ancestry=np.array([0, 0, 1]),
    )
    plain = allocate(problem, STRICT)
    assert plain.donor_of.tolist() == [0, 1, UNALLOCATED]
    fair = allocate(problem, replace(STRICT, fairness=0))
    assert fair.donor_of.tolist() == [0, UNALLOCATED, 1]
    assert fair.level(Objective.FAIRNESS).best == 500_000
    assert (plain.objective, fair.objective) == (170, 100)


def test_yesterdays_plan_is_kept_within_the_share() -> None:
    edges = {(0, 0): 100, (0, 1): 99, (1, 0): 99, (1, 1): 100, (2, 2): 50, (2, 3): 90}
    problem = replace(problem_of(edges, 3, 4), previous=np.array([1, 0, 2]))
    kept = allocate(problem, Objectives(0, 0.01))
    assert kept.donor_of.tolist() == [1, 0, 3]
    assert kept.level(Objective.UTILITY).best == 290 and kept.objective == 288
    assert kept.level(Objective.STABILITY).reached == 2
    reasons = {row.patient: row.reason for row in explanations(problem, kept)}
    assert reasons[0] is Reason.GIVEN_TO_ANOTHER
    assert allocate(problem, STRICT).donor_of.tolist() == [0, 1, 3]
    moved = replace(problem_of({(0, 0): 100, (0, 1): 99}, 1, 2), previous=np.array([1]))
    (row,) = explanations(moved, allocate(moved))
    assert (row.reason, row.swap_cost) == (Reason.KEPT_YESTERDAY, 0)


@settings(deadline=None)
@given(full_problems(), st.sampled_from(SHARES), st.sampled_from(SHARES))
def test_trading_utility_for_stability_is_within_its_bound(
    problem: AllocationProblem, recipients: float, utility: float
) -> None:
    """As in large problems, where a plan near the bound ends the search."""
    objectives = Objectives(recipients, utility)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(space, "CORE_EDGES", -1)
        patch.setattr(space, "CLOSE", 1.0)
        solution = allocate(problem, objectives)
    check_plan(problem, solution)
    bests, _ = oracle_levels(problem, objectives)
    if len(solution.levels) == 3:
        level = solution.levels[2]
        assert level.reached == level.best <= bests[2] <= level.bound


def test_yesterdays_plan_in_a_larger_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = random_problem(1, 400, 400, 30, 3000)
    rng = np.random.default_rng(2)
    moved = np.maximum(1, problem.utility + rng.integers(-400, 400, len(problem.utility)))
    previous = allocate(replace(problem, utility=moved)).donor_of
    monkeypatch.setattr(space, "CORE_EDGES", 1000)
    solution = allocate(replace(problem, previous=previous))
    check_plan(problem, solution)
    best, kept = solution.levels[1:]
    assert best.least <= best.reached < best.best == best.bound
    before = allocate(problem).donor_of
    assert kept.best > (before == previous).sum() and kept.gap <= space.CLOSE


def test_weeks_and_deadlines() -> None:
    """A centre of one transplant a week: of three patients due in week 1 only one is in time."""
    due = np.array([1, 1, 1, 9, 9])
    limits = weekly_limits(["X", "X", "X", "X", ""], due, {"X": 1, "unused": 3}, 2)
    assert [(x.name, x.most, x.patients) for x in limits] == [
        ("X, by week 1", 1, (0, 1, 2)),
        ("X, by week 2", 2, (0, 1, 2, 3)),
    ]
    edges = {(p, p): 10 + p for p in range(5)}
    problem = replace(problem_of(edges, 5, 5), deadline_week=due, limits=limits)
    solution = allocate(problem)
    assert solution.donor_of.tolist() == [UNALLOCATED, UNALLOCATED, 2, 3, 4]
    rows = explanations(problem, solution)
    assert [(r.reason, r.limit, r.swap_cost) for r in rows] == [
        (Reason.LIMIT_REACHED, "X, by week 1", 2),
        (Reason.LIMIT_REACHED, "X, by week 1", 1),
    ]


def test_a_double_cord_takes_both_units_or_none() -> None:
    problem = replace(
        problem_of({(0, 0): 10, (1, 1): 4, (2, 0): 4}, 3, 2),
        second=np.array([1, UNALLOCATED, UNALLOCATED]),
    )
    assert allocate(problem, STRICT).donor_of.tolist() == [UNALLOCATED, 1, 0]
    one = allocate(problem, Objectives(recipients=1))
    assert (one.donor_of.tolist(), one.second_of.tolist()) == ([0, -1, -1], [1, -1, -1])


def test_nobody_can_be_served_and_why() -> None:
    problem = replace(
        problem_of({(0, 0): 5, (1, 1): 6, (2, 2): 7}, 4, 3),
        deadline_week=np.array([0, 1, 1, 1]),
        available=np.array([True, False, True]),
        limits=(Limit("laboratory", 0, patients=(2,)),),
    )
    solution = allocate(problem)
    assert solution.status is Status.OPTIMAL and solution.donor_of.tolist() == [UNALLOCATED] * 4
    assert [level.best for level in solution.levels] == [0, 0]
    assert [row.reason for row in explanations(problem, solution)] == [
        Reason.DEADLINE_PASSED,
        Reason.NOT_AVAILABLE,
        Reason.LIMIT_REACHED,
        Reason.NO_CANDIDATE,
    ]


def crowded_problem() -> AllocationProblem:
    """One whose limits CP-SAT does not settle in any time that a test has."""
    problem, rng = random_problem(3, 100, 100, 20, 1000), np.random.default_rng(3)
    limits = [
        Limit(f"l{i}", 20, *(tuple(map(int, rng.choice(100, 50, replace=False))) for _ in "pd"))
        for i in range(30)
    ]
    return replace(problem, limits=tuple(limits))


def test_a_search_stops_in_the_middle_of_a_solver_run() -> None:
    class StoppedError(Exception):
        pass

    calls = 0

    def between() -> None:
        nonlocal calls
        calls += 1
        if calls > 30:
            raise StoppedError

    before = threading.active_count()
    with pytest.raises(StoppedError):
        allocate(crowded_problem(), effort=Effort(work=1e6, between=between))
    # Nothing goes on, and it was asked no more.
    assert threading.active_count() == before and calls == 31


def test_a_search_cut_short_says_how_far_it_is() -> None:
    problem = random_problem(3, 300, 200, 20, 1000)
    rng = np.random.default_rng(3)
    limits = [
        Limit(f"{kind} {i}", most, *((tuple(m),) if kind == "centre" else ((), tuple(m))))
        for kind, n, size, most in (("centre", 300, 12, 5), ("donors", 200, 10, 4))
        for i, m in enumerate(rng.permutation(n)[: n - n % size].reshape(-1, size).tolist())
    ]
    problem = replace(problem, limits=tuple(limits))
    long, short = allocate(problem), allocate(problem, effort=Effort(work=1e-9))
    for solution in (long, short):
        check_plan(problem, solution)
    assert long.levels[0].best == long.levels[0].bound == 80
    assert all(level.gap < 0.01 for level in long.levels)
    again = allocate(problem, effort=Effort(work=1e-9, threads=3))
    assert again.edge_of.tolist() == short.edge_of.tolist()
    utility = short.level(Objective.UTILITY)
    assert utility.best <= long.level(Objective.UTILITY).bound and 0 <= utility.gap < 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"urgency": np.array([1, 0])}, "urgency of patient 1: 0 is not in 1 to 1000"),
        ({"urgency": np.array([1])}, "urgency needs 2 values"),
        ({"previous": np.array([1, -1])}, "yesterday's donor of patient 0: 1 is not in -1 to 0"),
        ({"ancestry": np.array([0, -1])}, "ancestry of patient 1"),
        ({"second": np.array([0, -1])}, "second unit of an edge is its first"),
        ({"utility": np.array([2**35, 1]), "urgency": np.array([100, 1])}, "times urgency"),
        ({"limits": (Limit("x", -1),)}, "limit 'x': -1 is below 0"),
        ({"limits": (Limit("x", 1, (0, 0)),)}, "limit 'x' names a patient more than once"),
        ({"limits": (Limit("x", 1, (), (7,)),)}, "limit 'x': donor positions are 0 to 0"),
    ],
)
def test_bad_side_conditions(change: dict[str, object], message: str) -> None:
    with pytest.raises(AllocationError, match=message):
        replace(problem_of({(0, 0): 1, (1, 0): 2}, 2, 1), **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_bad_shares(share: float) -> None:
    for name in ("recipients", "utility", "fairness"):
        with pytest.raises(AllocationError, match=f"share of {name}"):
            Objectives(**{name: share})


@given(st.integers(0, 10**12), st.integers(0, 1000))
def test_floors_are_exact(best: int, thousandths: int) -> None:
    floor = least(best, thousandths / 1000)
    assert 1000 * floor >= (1000 - thousandths) * best > 1000 * (floor - 1)
