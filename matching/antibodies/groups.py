"""What P groups may present, told apart as far as a report tells their alleles apart."""

from __future__ import annotations

from matching.antibodies.molecules import ABSENT, ALTERED, NEW, Option, options
from matching.antibodies.profile import Profile
from matching.genotypes import NEW_ALLELE
from matching.kernels import ABSENT_GENE
from matching.loci import Locus
from matching.typings import ABSENT_GENE as ABSENT_NAME
from matching.typings import parse_position


class GroupOptions:
    """Options of P group codes as in a `LocusGenotype`, and of tokens of a frequency set."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        names = profile.names.nomenclature.p_group_names
        self._codes = {name: code for code, name in enumerate(names)}
        self._known: dict[int, tuple[Option, ...]] = {}

    def of_group(self, group: int) -> tuple[Option, ...]:
        """What a code may present, one option for each that the report tells apart."""
        if group == NEW_ALLELE:
            return (NEW,)
        if group == ABSENT_GENE:
            return (ABSENT,)
        known = self._known.get(group)
        if known is None:
            proteins = self._profile.names.of_group(group)
            told_apart = tuple(dict.fromkeys(map(self._profile.alike, proteins)))
            known = self._known[group] = told_apart or (ALTERED,)
        return known

    def of_token(self, locus: Locus, token: str) -> tuple[Option, ...]:
        """What a token of an imputer stands for: P groups, a name without one, or nothing."""
        if token in ("", ABSENT_NAME):
            return (ABSENT,)
        groups = [self._codes.get(part) for part in token.split("/")]
        if None in groups:
            return options(locus, parse_position(locus.value, token), self._profile).ways
        found = (o for group in groups if group is not None for o in self.of_group(group))
        return tuple(dict.fromkeys(found))
