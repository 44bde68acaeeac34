"""Allocation from a Parquet file of candidates, beside scipy and networkx in the same run.

python -m benchmarks.allocation [--recipients N] [--candidates N] [--small N]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from benchmarks.machine import machine, peak_memory_mib
from matching.allocate import (
    AllocationProblem,
    AllocationSolution,
    Effort,
    Limit,
    Objectives,
    allocate,
    explanations,
)
from service.allocation import allocation_problem, read_candidates


def write_candidates(path: Path, n_recipients: int, n_candidates: int, seed: int) -> None:
    """A Parquet file as `batch` writes it, as many donors as recipients, seeded."""
    rng = np.random.default_rng(seed)
    n = n_recipients * n_candidates
    names = np.array([f"D{i:06d}" for i in range(n_recipients)])
    donor = np.concatenate(
        [rng.choice(n_recipients, n_candidates, replace=False) for _ in range(n_recipients)]
    )
    p10 = rng.beta(0.5, 1, n)
    pd.DataFrame(
        {
            "patient": np.repeat([f"P{i:06d}" for i in range(n_recipients)], n_candidates),
            "donor": names[donor],
            "p10": p10,
            "p9": (1 - p10) * rng.random(n),
            "mismatches_best": rng.integers(0, 2, n),
            "age_years": rng.uniform(18, 60, n),
            "dpb1_tce": rng.choice(["match", "permissive", "non-permissive GvH", "unknown"], n),
        }
    ).to_parquet(path)


def side_constraints(problem: AllocationProblem, seed: int) -> tuple[Limit, ...]:
    """Centres, laboratories and donor centres, drawn across each other, that all bind."""
    rng = np.random.default_rng(seed)
    limits = []
    for kind, n_people, n_places, share in (
        ("centre", len(problem.patients), 40, 0.8),
        ("laboratory", len(problem.patients), 10, 0.8),
        ("donor centre", len(problem.donors), 30, 0.75),
    ):
        place = rng.integers(0, n_places, n_people)
        for number in range(n_places):
            members = tuple(np.flatnonzero(place == number).tolist())
            most = int(share * len(members))
            sides = ((), members) if kind == "donor centre" else (members, ())
            limits.append(Limit(f"{kind} {number}", most, *sides))
    return tuple(limits)


def by_scipy(problem: AllocationProblem) -> int:
    """Most weight, by a full matching with a dummy donor for every patient."""
    n, m, weight = len(problem.patients), len(problem.donors), problem.weight
    top = int(weight.max()) + 1
    costs = np.concatenate((top - weight, np.full(n, top))).astype(np.float64)
    rows = np.concatenate((problem.patient, np.arange(n)))
    columns = np.concatenate((problem.donor, m + np.arange(n)))
    matrix = csr_array((costs, (rows, columns)), shape=(n, n + m))
    return n * top - int(matrix[min_weight_full_bipartite_matching(matrix)].sum())


def by_networkx(problem: AllocationProblem) -> int:
    """Most weight, by blossoms."""
    graph = nx.Graph()
    heads = (len(problem.patients) + problem.donor).tolist()
    graph.add_weighted_edges_from(
        zip(problem.patient.tolist(), heads, problem.weight.tolist(), strict=True)
    )
    return sum(graph[one][other]["weight"] for one, other in nx.max_weight_matching(graph))


def timed(action: Any, *arguments: Any, **named: Any) -> tuple[float, Any]:
    start = time.perf_counter()
    result = action(*arguments, **named)
    return round(time.perf_counter() - start, 2), result


def levels(solution: AllocationSolution) -> dict[str, dict[str, float]]:
    return {
        level.objective.value: {
            "best": level.best,
            "bound": level.bound,
            "reached": level.reached,
            "gap_percent": round(100 * level.gap, 4),
        }
        for level in solution.levels
    }


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipients", type=int, default=10_000)
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--constrained", type=int, default=2_000)
    parser.add_argument("--small", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    result: dict[str, Any] = {**machine()}
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "candidates.parquet"

        def problem_of(n: int, n_candidates: int) -> tuple[float, AllocationProblem]:
            write_candidates(path, n, n_candidates, arguments.seed)
            return timed(lambda: allocation_problem(read_candidates(path)))

        problem_of(100, 10)  # imports and caches
        seconds, problem = problem_of(arguments.recipients, arguments.candidates)
        solve_seconds, solution = timed(allocate, problem)
        explain_seconds, rows = timed(explanations, problem, solution)
        scipy_seconds, weight = timed(by_scipy, problem)
        free = allocate(problem, Objectives(recipients=1))
        if free.objective != weight:
            raise SystemExit("the allocation and scipy disagree")
        result["flow"] = {
            "recipients": arguments.recipients,
            "candidates": arguments.candidates,
            "read_seconds": seconds,
            "solve_seconds": solve_seconds,
            "total_seconds": round(seconds + solve_seconds, 2),
            "explain_seconds": explain_seconds,
            "explained": len(rows),
            "scipy_seconds": scipy_seconds,
            "levels": levels(solution),
        }
        _, problem = problem_of(arguments.constrained, 50)
        problem = replace(problem, limits=side_constraints(problem, arguments.seed))
        seconds, solution = timed(allocate, problem, effort=Effort(threads=2))
        result["side_constraints"] = {
            "recipients": arguments.constrained,
            "candidates": 50,
            "limits": len(problem.limits),
            "solve_seconds": seconds,
            "levels": levels(solution),
        }
        _, problem = problem_of(arguments.small, 20)
        small = {}
        for label, action in (
            ("graftmatch", lambda p: allocate(p, Objectives(recipients=1)).objective),
            ("scipy", by_scipy),
            ("networkx", by_networkx),
        ):
            small[f"{label}_seconds"], small[label] = timed(action, problem)
        if len({small["graftmatch"], small["scipy"], small["networkx"]}) > 1:
            raise SystemExit(f"the answers differ: {small}")
        result["small"] = {"recipients": arguments.small, "candidates": 20, **small}
    result["rss_mib"] = peak_memory_mib()
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
