"""A family as values: who descends from whom, and what each was typed as."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from matching.errors import FamilyError
from matching.typings import Typing

if TYPE_CHECKING:
    import networkx as nx

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a family.

    `father`, `mother`: identifiers, "" where unknown. `sex`: male, female or None. `birth_date`:
    YYYY-MM-DD or None. `typing`: None where nothing is typed.
    """

    id: str
    father: str = ""
    mother: str = ""
    sex: str | None = None
    birth_date: str | None = None
    typing: Typing | None = None

    @property
    def parents(self) -> tuple[str, str]:
        """Father and mother."""
        return self.father, self.mother


@dataclass(frozen=True)
class Pedigree:
    """Members by identifier, in the order in which they were given.

    A parent that is not named is one whom nobody else descends from as far as is known: two people
    without a named mother are not taken for children of the same woman.
    Raises `FamilyError` where the members cannot be one family.
    """

    members: Mapping[str, Member]

    @classmethod
    def of(cls, members: Iterable[Member]) -> Pedigree:
        """Raises `FamilyError`, also for an identifier that comes twice."""
        found: dict[str, Member] = {}
        for member in members:
            if member.id in found:
                raise FamilyError(f"id {member.id!r} comes twice; each member is listed once")
            found[member.id] = member
        return cls(found)

    def __post_init__(self) -> None:
        for member in self.members.values():
            self._check(member)
        # Slow to import, here and below, and most work is without families.
        import networkx as nx

        if cycles := next(nx.simple_cycles(self.graph), None):
            raise FamilyError(
                f"{' -> '.join([*cycles, cycles[0]])}: people descend from themselves; correct "
                "father or mother of one of them"
            )

    def _check(self, member: Member) -> None:
        for role, sex, parent in zip(
            ("father", "mother"), ("male", "female"), member.parents, strict=True
        ):
            if not parent:
                continue
            known = self.members.get(parent)
            if known is None:
                raise FamilyError(
                    f"{member.id}: {role} {parent!r} is not in the family; add a row for them "
                    "(the typing may be blank), or leave the parent blank"
                )
            if known.sex not in (None, sex):
                raise FamilyError(
                    f"{member.id}: {role} {parent!r} is {known.sex}; exchange father and mother, "
                    "or correct the sex"
                )
            if member.birth_date and known.birth_date and member.birth_date <= known.birth_date:
                raise FamilyError(
                    f"{member.id}: birth_date {member.birth_date} is not after that of {role} "
                    f"{parent!r}, {known.birth_date}; correct one of them"
                )
        if member.father and member.father == member.mother:
            raise FamilyError(f"{member.id}: {member.father!r} is named as father and as mother")

    @cached_property
    def graph(self) -> nx.DiGraph:
        """The members, with an edge from each parent to each child."""
        import networkx as nx

        graph = nx.DiGraph()
        graph.add_nodes_from(self.members)
        for member in self.members.values():
            graph.add_edges_from((parent, member.id) for parent in member.parents if parent)
        return graph

    def relatives(self, patient: str) -> Pedigree:
        """The members that descent or common descendants connect with `patient`, who are all that
        can tell anything of them. Raises `FamilyError` where the patient is not in the family."""
        import networkx as nx

        if patient not in self.members:
            known = ", ".join(list(self.members)[:20])
            raise FamilyError(f"patient {patient!r} is not in the family; its members: {known}")
        connected = nx.node_connected_component(self.graph.to_undirected(as_view=True), patient)
        return Pedigree({name: m for name, m in self.members.items() if name in connected})

    def order(self, first: str) -> tuple[str, ...]:
        """All members, parents before children, with `first` as early as that allows."""
        import networkx as nx

        early = nx.ancestors(self.graph, first) | {first}
        place = {name: (name not in early, i) for i, name in enumerate(self.members)}
        return tuple(nx.lexicographical_topological_sort(self.graph, key=place.__getitem__))

    def ancestors(self, name: str) -> frozenset[str]:
        """Everyone whom `name` descends from."""
        import networkx as nx

        return frozenset(nx.ancestors(self.graph, name))

    def relationship(self, patient: str, relative: str) -> str:
        """What `relative` is to `patient`, in a word.

        >>> family = Pedigree.of([Member("F"), Member("M"), Member("X", "F", "M"),
        ...     Member("Y", "F", "M"), Member("Z", "F")])
        >>> [family.relationship("X", other) for other in ("F", "Y", "Z")]
        ['father', 'sibling', 'half sibling']
        """
        ours, theirs = self.members[patient], self.members[relative]
        if relative in ours.parents:
            return "father" if relative == ours.father else "mother"
        if patient in theirs.parents:
            return "child"
        shared = {parent for parent in ours.parents if parent} & set(theirs.parents)
        if shared:
            return "sibling" if len(shared) == 2 else "half sibling"
        up, down = self.ancestors(patient), self.ancestors(relative)
        if relative in up:
            return "grandparent" if self._distance(relative, patient) == 2 else "ancestor"
        if patient in down:
            return "grandchild" if self._distance(patient, relative) == 2 else "descendant"
        common = up & down
        if not common:
            return "not a blood relative"
        near = min(self._distance(c, patient) for c in common)
        far = min(self._distance(c, relative) for c in common)
        names = {(2, 1): "uncle or aunt", (1, 2): "nephew or niece", (2, 2): "cousin"}
        return names.get((near, far), "relative")

    def _distance(self, ancestor: str, descendant: str) -> int:
        import networkx as nx

        return int(nx.shortest_path_length(self.graph, ancestor, descendant))
