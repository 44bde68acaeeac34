"""What a report says of imputed genotypes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from matching.antibodies.crossmatch import (
    CrossmatchResult,
    Option,
    answer_range,
    either_copy,
    molecules,
)
from matching.antibodies.groups import GroupOptions
from matching.antibodies.names import System
from matching.antibodies.profile import Profile
from matching.haplotypes import Imputer
from matching.typings import Typing

Answers = npt.NDArray[np.uint8]


class ImputedAnswers:
    """Answers of the genotypes of an imputer for one report.

    Its tokens are P groups, which have a range of answers where the report tells their alleles
    apart. Of a pair the set gives the beta chain, and the alpha chain is that of the typing.
    """

    def __init__(self, imputer: Imputer, profile: Profile) -> None:
        self._profile = profile
        self._column = {locus: i for i, locus in enumerate(imputer.frequencies.loci)}
        options = GroupOptions(profile)
        self._options: list[list[tuple[Option, ...]]] = [
            [options.of_token(locus, token) for token in imputer.token_names(column)]
            for locus, column in self._column.items()
        ]
        self._genotypes = [imputer.genotypes(column) for column in self._column.values()]
        self._known: dict[tuple[System, str, int], tuple[int, int]] = {}

    def systems(self, result: CrossmatchResult) -> tuple[System, ...]:
        """The systems of a result that genotypes of the set narrow."""
        return tuple(
            one.system
            for one in result.systems
            if one.low is not one.high and one.system.loci[-1] in self._column
        )

    def ranges(
        self, typing: Typing, result: CrossmatchResult, codes: npt.NDArray[np.int32]
    ) -> tuple[Answers, Answers]:
        """Lowest and highest answer of each genotype of a person, (n,) uint8 each.

        `codes`: (n, n_loci), as in `ImputedGenotypes`; `result`: that of the person's `typing`,
        which holds at every system that the set does not narrow.
        """
        narrowed = self.systems(result)
        low = np.zeros(len(codes), dtype=np.uint8)
        high = np.zeros(len(codes), dtype=np.uint8)
        for one in result.systems:
            lows: Answers = np.array([one.low], dtype=np.uint8)
            highs: Answers = np.array([one.high], dtype=np.uint8)
            if one.system in narrowed:
                column = codes[:, self._column[one.system.loci[-1]]]
                distinct, number = np.unique(column, return_inverse=True)
                found = [self._range(one.system, typing, code) for code in distinct.tolist()]
                table = np.array(found, dtype=np.uint8)[number]
                # The typing may say more than a P group.
                lows, highs = np.maximum(table[:, 0], lows), np.minimum(table[:, 1], highs)
            np.maximum(low, lows, out=low)
            np.maximum(high, highs, out=high)
        return low, high

    def _range(self, system: System, typing: Typing, code: int) -> tuple[int, int]:
        """Range of one genotype of the last locus of a system."""
        alpha = typing.loci[system.loci[0]] if system.is_pair else None
        key = system, "" if alpha is None else alpha.text, code
        if key not in self._known:
            column = self._column[system.loci[-1]]
            copies = [tuple(self._options[column][t] for t in self._genotypes[column][code])]
            if system.is_pair:
                copies.insert(0, either_copy(system.loci[0], alpha, self._profile))
            is_open = system.is_pair and alpha is None
            self._known[key] = answer_range(molecules(system, copies, is_open, self._profile))
        return self._known[key]
