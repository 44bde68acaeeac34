"""Where nothing but donors and the number served is limited: minimum-cost flow, and its proof.

Maximum-weight bipartite matching in which a number of patients must be served. The linear program
of that problem has integer corners, so its dual proves optimality: with a price for every donor and
one for every patient served, no allocation is worth more than the prices plus what each patient's
best candidate is worth above its price (Kuhn 1955, Nav Res Logist Q 2:83). `docs/allocation.md`
tells it in words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array, csgraph

from matching.allocate.problem import UNALLOCATED, Int64s
from matching.errors import AllocationError

# Of costs times nodes and of sums of weights: the solver scales costs, and all sums stay int64.
COST_LIMIT = 2**62


@dataclass(frozen=True)
class Quota:
    """How many must be served: in all, and of each group.

    `group`: (n_patients,) int64 number of the group. `of_group`: (n_groups,) int64.
    """

    served: int
    group: Int64s | None = None
    of_group: Int64s | None = None


@dataclass(frozen=True)
class Proof:
    """Prices that prove an allocation, see `Network.prove`.

    `donor_of`: (n_patients,) int64. `price`: (n_donors,) int64, 0 or more. `recipient_price`: what
    serving one patient more is worth to reach the quota, 0 where the quota does not bind.
    """

    donor_of: Int64s
    price: Int64s
    recipient_price: int


@dataclass(frozen=True)
class Network:
    """Patients and donors numbered from 0; edges distinct, by patient, then donor.

    `patient`, `donor`, `weight`: (n_edges,) int64, weights 0 or more. `between`: as in `Effort`;
    a flow itself cannot be stopped.
    """

    n_patients: int
    n_donors: int
    patient: Int64s
    donor: Int64s
    weight: Int64s
    between: Callable[[], object] = lambda: None

    @property
    def fits(self) -> bool:
        """True if costs and sums stay within 64 bits."""
        nodes = self.n_patients + self.n_donors + 2
        return int(self.weight.max(initial=0)) * max(nodes, self.n_patients + 1) < COST_LIMIT

    def most_served(self) -> Int64s:
        """(n_patients,) donors that serve as many patients as possible (Hopcroft and Karp 1973)."""
        links = (np.ones(len(self.patient), dtype=np.int8), (self.patient, self.donor))
        graph = coo_array(links, shape=(self.n_patients, self.n_donors)).tocsr()
        return np.asarray(csgraph.maximum_bipartite_matching(graph, "column"), dtype=np.int64)

    def heaviest(self, quota: Quota) -> Int64s | None:
        """(n_patients,) donor of each patient or `UNALLOCATED`, of highest total weight.

        None where the quota cannot be met. A unit flows from every patient to the sink, through a
        donor (capacity 1), or through its group and a node of all who are not served, whose
        capacities are what the quota leaves. Raises `AllocationError` if the solver fails.
        """
        donors_at = self.n_patients
        groups_at = donors_at + self.n_donors
        group = np.zeros(self.n_patients, np.int64) if quota.group is None else quota.group
        size = np.bincount(group, minlength=1)
        of_group = np.zeros_like(size) if quota.of_group is None else quota.of_group
        unserved, sink = groups_at + len(size), groups_at + len(size) + 1
        patients, n_groups = np.arange(self.n_patients), len(size)
        room = np.append(size - of_group, self.n_patients - quota.served)
        if (room < 0).any():
            return None
        tails = np.concatenate(
            (
                self.patient,
                patients,
                np.arange(donors_at, groups_at),
                np.arange(groups_at, unserved + 1),
            )
        )
        heads = np.concatenate(
            (
                donors_at + self.donor,
                groups_at + group,
                np.full(self.n_donors, sink),
                np.full(n_groups, unserved),
                [sink],
            )
        )
        capacities = np.ones(len(tails), dtype=np.int64)
        capacities[len(tails) - n_groups - 1 :] = room
        costs = np.zeros(len(tails), dtype=np.int64)
        costs[: len(self.weight)] = -self.weight
        # Slow to import, and most work is without allocations.
        from ortools.graph.python import min_cost_flow

        flow = min_cost_flow.SimpleMinCostFlow()
        arcs = flow.add_arcs_with_capacity_and_unit_cost(
            tails.astype(np.int32), heads.astype(np.int32), capacities, costs
        )
        supplies = np.zeros(sink + 1, dtype=np.int64)
        supplies[: self.n_patients] = 1
        supplies[sink] = -self.n_patients
        flow.set_nodes_supplies(np.arange(sink + 1, dtype=np.int32), supplies)
        self.between()
        status = flow.solve()
        self.between()
        if status == flow.INFEASIBLE and (quota.served or quota.of_group is not None):
            return None
        if status != flow.OPTIMAL:
            raise AllocationError(
                f"the solver ended with {status.name} on {self.n_patients} patients, "
                f"{self.n_donors} donors and {len(self.weight)} edges"
            )
        used = np.asarray(flow.flows(arcs[: len(self.weight)])) == 1
        donor_of = np.full(self.n_patients, UNALLOCATED, dtype=np.int64)
        donor_of[self.patient[used]] = self.donor[used]
        return donor_of

    def prove(self, donor_of: Int64s, served: int) -> Proof:
        """The smallest prices that prove an allocation the heaviest that serves `served` patients.

        Where too few would be served, every patient served counts a recipient price besides. With
        it, no allocation is worth more than what `bound` says; raises `AllocationError` where
        that is more than this one is worth, so that it is not proved.
        """
        worth = _worth(self, donor_of)
        only_served = donor_of != UNALLOCATED
        lowest = self._prices(worth, donor_of, only_served)[1][only_served].min(initial=0)
        recipient_price = max(0, -int(lowest))
        paid = replace(self, weight=self.weight + recipient_price)
        everyone = np.ones(self.n_patients, dtype=bool)
        price = paid._prices(_worth(paid, donor_of), donor_of, everyone)[0]
        proof = Proof(donor_of, price, recipient_price)
        if (value := int(worth.sum())) != (bound := self.bound(proof, served)):
            raise AllocationError(f"the solver's {value} is not proved optimal: bound {bound}")
        return proof

    def bound(self, proof: Proof, served: int) -> int:
        """No allocation that serves at least `served` weighs more, whatever the prices from 0."""
        surplus = np.zeros(self.n_patients, dtype=np.int64)
        above = self.weight + proof.recipient_price - proof.price[self.donor]
        np.maximum.at(surplus, self.patient, above)
        return int(surplus.sum()) + int(proof.price.sum()) - proof.recipient_price * served

    def _prices(self, worth: Int64s, donor_of: Int64s, bidding: Int64s) -> tuple[Int64s, Int64s]:
        """Smallest prices (n_donors,) at which no patient bids more, and profits (n_patients,).

        From 0, each patient bids for every donor what it is worth more than what the patient has,
        and loses what the price of its own donor rises by (Bellman-Ford in the residual network).
        Without an improving cycle this ends within n_patients rounds.
        """
        price = np.zeros(self.n_donors, dtype=np.int64)
        profit = worth
        changed = bidding
        for _ in range(self.n_patients + 1):
            self.between()
            bids = np.flatnonzero(changed[self.patient])
            np.maximum.at(price, self.donor[bids], self.weight[bids] - profit[self.patient[bids]])
            lowered = _profit(worth, donor_of, price)
            changed = (lowered < profit) & bidding
            profit = lowered
            if not changed.any():
                break
        return price, profit

    def first_of(self, proof: Proof, served: int) -> Proof:
        """The first of all heaviest allocations in the order of `_earliest`, where that serves
        enough; else the same again."""
        paid = replace(self, weight=self.weight + proof.recipient_price)
        found = paid._earliest(proof.donor_of, proof.price)
        n = int((found != UNALLOCATED).sum())
        if n < served or (proof.recipient_price and n != served):
            return proof
        return replace(proof, donor_of=found)

    def _earliest(self, donor_of: Int64s, price: Int64s) -> Int64s:
        """The first of all optimal allocations, by the donor of the first patient, the second, ...

        Optimal allocations differ by cycles of edges without slack under the prices. Donors
        without a patient, and being unallocated (the donor number n_donors), are held by the
        node `pool`; a patient whose donor has no price may hand it back there.
        """
        pool, nothing = self.n_patients, self.n_donors
        profit = _profit(_worth(self, donor_of), donor_of, price)
        tight = profit[self.patient] + price[self.donor] == self.weight
        current = np.where(donor_of == UNALLOCATED, nothing, donor_of)
        holder = np.full(self.n_donors + 1, pool)
        holder[current] = np.arange(self.n_patients)
        holder[nothing] = pool
        leaves = np.flatnonzero(profit == 0)
        tails = np.concatenate((self.patient[tight], leaves))
        takes = np.concatenate((self.donor[tight], np.full(len(leaves), nothing)))
        prices = np.append(price, 0)
        gives = np.flatnonzero(prices[current] == 0)
        links = (
            np.concatenate((tails, np.full(len(gives), pool))),
            np.concatenate((holder[takes], gives)),
        )
        cycles = csgraph.connected_components(
            coo_array((np.ones(len(links[0]), dtype=np.int8), links), shape=(pool + 1, pool + 1)),
            connection="strong",
        )[1]
        # Only edges inside a strong component are on a cycle, whichever optimum one starts from.
        usable = (cycles[tails] == cycles[holder[takes]]) | (takes == current[tails])
        tails, takes = tails[usable], takes[usable]
        if not (takes < current[tails]).any():
            return donor_of
        order = np.lexsort((takes, tails))
        bounds = np.searchsorted(tails[order], np.arange(1, self.n_patients))
        choices = [part.tolist() for part in np.split(takes[order], bounds)]
        lists = choices, current.tolist(), holder.tolist(), prices.tolist()
        return _rotate(*lists, self.between)


def _worth(edges: Network, donor_of: Int64s) -> Int64s:
    """(n_patients,) weight of the donor that each patient is allocated, 0 without one."""
    worth = np.zeros(len(donor_of), dtype=np.int64)
    chosen = donor_of[edges.patient] == edges.donor
    worth[edges.patient[chosen]] = edges.weight[chosen]
    return worth


def _profit(worth: Int64s, donor_of: Int64s, price: Int64s) -> Int64s:
    """(n_patients,) what each patient's allocation is worth above its price."""
    return np.where(donor_of == UNALLOCATED, worth, worth - np.append(price, 0)[donor_of])


def _rotate(
    choices: list[list[int]],
    current: list[int],
    holder: list[int],
    prices: list[int],
    between: Callable[[], object],
) -> Int64s:
    """Patient after patient, the earliest choice from which a cycle leads back to the patient.

    `choices`: of each patient, ascending. `current`: choice of each patient. `holder`: patient of
    each choice, or the pool, n_patients. The last choice is to be unallocated.
    """
    pool, nothing = len(current), len(holder) - 1
    for patient in range(len(current)):
        between()
        before: dict[int, tuple[int, int]] = {}  # node -> node before it, choice that one takes
        for first in choices[patient]:
            if first >= current[patient]:
                break
            start = holder[first]
            if start < patient or start in before:
                continue  # settled, or known to lead nowhere
            before[start] = (patient, first)
            queue = [start]
            for node in queue:
                if node != pool:
                    steps = [(holder[c], c) for c in choices[node] if c != current[node]]
                elif prices[current[patient]] == 0:
                    steps = [(patient, nothing)]
                else:
                    steps = [
                        (q, nothing) for q in range(patient + 1, pool) if not prices[current[q]]
                    ]
                for head, choice in steps:
                    if head >= patient and head not in before:
                        before[head] = (node, choice)
                        queue.append(head)
                if patient in before:
                    break
            if patient in before:
                taken = {}
                node = patient
                while patient not in taken:
                    node, choice = before[node]
                    taken[node] = choice
                taken.pop(pool, None)
                for q in taken:
                    holder[current[q]] = pool
                for q, choice in taken.items():
                    current[q] = choice
                    holder[choice] = q
                holder[nothing] = pool
                break
    found = np.array(current, dtype=np.int64)
    return np.where(found == nothing, UNALLOCATED, found)
