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

    def matching(self, groups: Iterable[int]) -> list[int]:
        """Every group of a donor that matches one of a patient's, sorted."""
        found = set(groups)
        antigens = {antigen for group in found for antigen in self._antigens.get(group, ())}
        for antigen in antigens:
            for reached in self._serology.matching(antigen):
                found |= self._carriers.get(reached, set())
        return sorted(found)

    def classes(
        self, groups: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Groups with the same antigens match the same: the class of each, (n,), and whether the
        class of a row, of a patient, matches that of a column, (n_classes, n_classes). A group
        without antigens is a class of its own."""
        of_key: dict[frozenset[str] | int, int] = {}
        number = np.array(
            [
                of_key.setdefault(frozenset(self._antigens.get(group, ())) or group, len(of_key))
                for group in groups.tolist()
            ],
            dtype=np.int64,
        )
        with_antigen: defaultdict[str, list[int]] = defaultdict(list)
        antigens_of = [key if isinstance(key, frozenset) else frozenset[str]() for key in of_key]
        for i, antigens in enumerate(antigens_of):
            for antigen in antigens:
                with_antigen[antigen].append(i)
        matches = np.eye(len(of_key), dtype=bool)
        for i, antigens in enumerate(antigens_of):
            for reached in {other for a in antigens for other in self._serology.matching(a)}:
                matches[i, with_antigen.get(reached, [])] = True
        return number, matches
