"""A patient and a relative, once it is said which founder haplotypes they carry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product
from math import prod

from matching.errors import TooAmbiguousError
from matching.family.alleles import FamilyLocus
from matching.family.segregation import Chromosomes
from matching.family.values import RelativeClass
from matching.family.weights import MAX_WORLDS, UNKNOWN, World

# A founder haplotype, or any number of one's own, and the class that it carries or `UNKNOWN`.
Side = tuple[int, int]


def match_count(locus: FamilyLocus, ours: Sequence[Side], theirs: Sequence[Side]) -> int:
    """Matches of two people (R2); a null has its partner's place (R3)."""

    def expressed(pair: Sequence[Side]) -> tuple[Side, Side]:
        first, second = pair
        silent = [number != UNKNOWN and locus.is_silent(number) for _, number in pair]
        return (second if silent[0] else first), (first if silent[1] else second)

    def same(one: Side, other: Side) -> bool:
        known = one[1] == other[1] != UNKNOWN and locus.is_single(one[1])
        return one[0] == other[0] or known

    (p, q), (r, s) = expressed(ours), expressed(theirs)
    if (same(p, r) and same(q, s)) or (same(p, s) and same(q, r)):
        return 2
    return int(any(same(x, y) for x, y in product((p, q), (r, s))))


def most_mismatches(locus: FamilyLocus, patient: str, relative: str) -> int:
    """Mismatches by the typings alone where every ambiguity turns out badly."""
    pairs = (locus.admitted.get(patient, ()), locus.admitted.get(relative, ()))
    counts = [
        match_count(locus, [(0, p), (1, q)], [(2, r), (3, s)]) for (p, q), (r, s) in product(*pairs)
    ]
    return 2 - min(counts, default=0)


def class_of(shared: Sequence[int], mismatches: int) -> RelativeClass:
    if mismatches == 0:
        by_descent = min(shared) == 2
        return RelativeClass.IDENTICAL if by_descent else RelativeClass.IDENTICAL_BY_TYPE
    if mismatches == 1:
        return RelativeClass.ONE_MISMATCH
    return RelativeClass.HAPLOIDENTICAL if min(shared) else RelativeClass.OTHER


def n_shared(ours: Chromosomes, theirs: Chromosomes, i: int) -> int:
    """How many haplotypes two people share by descent at a locus, 0 to 2."""
    one, other = Counter(chromosome[i] for chromosome in ours), Counter(c[i] for c in theirs)
    return (one & other).total()


def independent(
    columns: Sequence[int], parts: Sequence[Sequence[World]]
) -> Iterator[tuple[list[int], list[World]]]:
    """Columns with all that is known of them, as sets of worlds that are independent."""
    # Slow to import, and most work is without families.
    import networkx as nx

    graph = nx.Graph()
    graph.add_nodes_from(columns)
    for number, part in enumerate(parts):
        held = sorted({i for carried, _ in part for i, _ in carried} & set(columns))
        graph.add_edges_from((i, ("part", number)) for i in held)
    for nodes in nx.connected_components(graph):
        own = [parts[node[1]] for node in sorted(n for n in nodes if isinstance(n, tuple))]
        if prod(map(len, own)) > MAX_WORLDS:
            raise TooAmbiguousError(
                f"a pair of the family has more than {MAX_WORLDS:,} sets of alleles; type it more "
                "exactly"
            )
        worlds: list[World] = [
            (
                {key: number for carried, _ in together for key, number in carried.items()},
                float(prod(weight for _, weight in together)),
            )
            for together in product(*own)
        ]
        yield sorted(n for n in nodes if not isinstance(n, tuple)), worlds
