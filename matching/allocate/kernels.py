"""The hot loop of swap costs; nothing else."""

from __future__ import annotations

import heapq
from typing import Any

import numba
import numpy as np

from matching.array_types import I64, OUT_I64
from matching.kernels import kernel


@kernel(numba.void(I64, I64, I64, I64, I64, I64, I64, I64, I64, OUT_I64))
def shortest_detours(
    starts: Any,
    heads: Any,
    lengths: Any,
    starts_back: Any,
    tails: Any,
    lengths_back: Any,
    way_out: Any,
    sources: Any,
    targets: Any,
    out: Any,
) -> None:
    """Shortest path from each source to its target, or the length of its way out if that is less.

    Arcs of node v: `starts[v]:starts[v + 1]` of `heads` and `lengths` (0 or more), the shortest
    first; those that end in v likewise in `tails` and `lengths_back`. `way_out`: (n_nodes,);
    `sources`, `targets`, `out`: (n,).

    Dijkstra from both ends, always on the side where fewer nodes wait (Pohl 1971, Machine
    Intelligence 6:127): neither goes on where a path that is left could no more be shorter than
    the best one found.
    """
    n = len(way_out)
    far = np.iinfo(np.int64).max // 4
    ahead = np.full(n, far)
    behind = np.full(n, far)
    touched = np.empty(2 * n, dtype=np.int64)
    for query in range(len(sources)):
        source, target = sources[query], targets[query]
        best = way_out[source]
        if source == target:
            best = 0
        forward = [(np.int64(0), source)]
        backward = [(np.int64(0), target)]
        ahead[source] = 0
        behind[target] = 0
        touched[0], touched[1] = source, target
        n_touched = 2
        while len(forward) and len(backward):
            front, rear = forward[0][0], backward[0][0]
            if front + rear >= best:
                break
            if len(forward) <= len(backward):
                length, node = heapq.heappop(forward)
                if length > ahead[node]:
                    continue
                for arc in range(starts[node], starts[node + 1]):
                    further = length + lengths[arc]
                    if further >= best:
                        break
                    head = heads[arc]
                    if behind[head] < far:
                        best = min(best, further + behind[head])
                    # Nodes nearer to the target than `rear` are settled from the other end.
                    if further + rear < best and further < ahead[head]:
                        if ahead[head] == far and behind[head] == far:
                            touched[n_touched] = head
                            n_touched += 1
                        ahead[head] = further
                        heapq.heappush(forward, (further, head))
            else:
                length, node = heapq.heappop(backward)
                if length > behind[node]:
                    continue
                for arc in range(starts_back[node], starts_back[node + 1]):
                    further = length + lengths_back[arc]
                    if further >= best:
                        break
                    tail = tails[arc]
                    if ahead[tail] < far:
                        best = min(best, further + ahead[tail])
                    if further + front < best and further < behind[tail]:
                        if ahead[tail] == far and behind[tail] == far:
                            touched[n_touched] = tail
                            n_touched += 1
                        behind[tail] = further
                        heapq.heappush(backward, (further, tail))
        out[query] = best
        for i in range(n_touched):
            ahead[touched[i]] = far
            behind[touched[i]] = far
