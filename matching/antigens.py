"""Which P groups match at the level of antigens (rules R8 and R9)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from matching.nomenclature import NO_P_GROUP, Nomenclature
from matching.serology import PREFIX_OF_GENE, reported_antigens


class AntigenRelation:
    """The antigens of P groups: those that are reported of any of their alleles.

    A patient's group matches a donor's if they are the same, or if an antigen of the patient's, or
    one that matches it directly or indirectly, is an antigen of the donor's.
    """

    def __init__(self, nomenclature: Nomenclature) -> None:
        self._serology = nomenclature.serology
        self._antigens: defaultdict[int, set[str]] = defaultdict(set)
        self._carriers: defaultdict[str, set[int]] = defaultdict(set)
        codes = nomenclature.p_group_codes.tolist()
        for allele, group in zip(nomenclature.alleles, codes, strict=True):
            prefix = PREFIX_OF_GENE.get(allele.name.partition("*")[0])
            if prefix is not None and group != NO_P_GROUP:
                for number in reported_antigens(allele.serology):
                    self._antigens[group].add(prefix + number)
                    self._carriers[prefix + number].add(group)

        self._reached: dict[frozenset[str], frozenset[int]] = {}

    def matching(self, groups: Iterable[int]) -> list[int]:
        """Every group of a donor that matches one of a patient's, sorted."""
        found = set(groups)
        return sorted(found.union(*(self._of_antigens(group) for group in found)))

    def relation(self, groups: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """(n, n) whether the group of a row, a patient's, matches that of a column, for ascending
        groups."""
        of_antigens: dict[frozenset[int], npt.NDArray[np.bool_]] = {}
        found = np.eye(len(groups), dtype=bool)
        for i, group in enumerate(groups.tolist()):
            reached = self._of_antigens(group)
            if reached not in of_antigens:
                of_antigens[reached] = np.isin(groups, np.array(sorted(reached), dtype=np.int32))
            found[i] |= of_antigens[reached]
        return found

    def _of_antigens(self, group: int) -> frozenset[int]:
        """The groups that a group reaches by its antigens."""
        antigens = frozenset(self._antigens.get(group, ()))
        known = self._reached.get(antigens)
        if known is None:
            antigens_reached = {other for a in antigens for other in self._serology.matching(a)}
            carriers = (self._carriers.get(other, set()) for other in antigens_reached)
            known = self._reached[antigens] = frozenset[int]().union(*carriers)
        return known
