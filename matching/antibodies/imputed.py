"""What a report says of imputed genotypes, none of which is listed.

The answer of a genotype is the worst over its haplotypes, so the haplotypes of a class are summed
by their answers, and these sums are paired where the classes explain the typing together.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from matching.antibodies.bits import HIGH, JOINED, packed
from matching.antibodies.crossmatch import CrossmatchResult
from matching.antibodies.groups import GroupOptions
from matching.antibodies.molecules import Option, answer_range, either_copy, molecules
from matching.antibodies.names import System
from matching.antibodies.profile import Profile
from matching.antibodies.values import Answer
from matching.haplotypes import ExplainingClasses, Imputer, NullImputation
from matching.typings import Typing

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

# The bit of best cases that positive answers alone have.
_POSITIVE_LOW = 2
# A bit of each pair of chains says that they join.
_JOINED = {System.DQ: JOINED, System.DP: 2 * JOINED}


class ImputedAnswers:
    """Probabilities of the answers of people under an imputer for one report.

    Its tokens are P groups, which have a range of answers where the report tells their alleles
    apart. Of a pair the set gives the beta chain, and the alpha chain is that of the typing. Raises
    `ValueError` for an imputer where nulls of the set take their partner's allele.
    """

    def __init__(self, imputer: Imputer, profile: Profile) -> None:
        if imputer.nulls is not NullImputation.TYPED:
            raise ValueError("antibodies are judged where nulls stand as typed")
        self._profile = profile
        self._imputer = imputer
        self._column = {locus: i for i, locus in enumerate(imputer.frequencies.loci)}
        self._options = GroupOptions(profile)
        self._by_system: dict[tuple[System, str], Bytes] = {}
        self._known: dict[tuple[System, str, tuple[Option, ...]], int] = {}

    def systems(self, result: CrossmatchResult) -> tuple[System, ...]:
        """The systems of a result that haplotypes of the set narrow."""
        return tuple(
            one.system
            for one in result.systems
            if one.low is not one.high and one.system.loci[-1] in self._column
        )

    def probabilities(
        self, typing: Typing, result: CrossmatchResult, found: ExplainingClasses
    ) -> tuple[float, float]:
        """P(positive for certain) and P(negative for certain) of a person, exact.

        `found`: what explains the `typing`; `result`: its crossmatch, which holds at every system
        that the set does not narrow.
        """
        narrowed = self.systems(result)
        names = found.haplotypes.rows[found.rows]
        columns, of_rows, joined = [], [], []
        base = 0
        for one in result.systems:
            base |= packed(one.low, Answer.NEGATIVE if one.system in narrowed else one.high)
            if one.system in narrowed:
                column = self._column[one.system.loci[-1]]
                # The typing may say more than a P group.
                most = np.uint8(0xFF ^ HIGH | packed(Answer.NEGATIVE, one.high))
                columns.append(column)
                of_rows.append(self._of_names(one.system, typing)[names[:, column]] & most)
                joined.append(_JOINED.get(one.system, 0))
        if not narrowed:
            return float(base & _POSITIVE_LOW > 0), float(base & HIGH == 0)
        wanted = sum(joined)
        positive = negative = 0.0
        for bits, weight in _weights(found, columns, np.array(of_rows), joined):
            bits |= base
            positive += weight * (bits & _POSITIVE_LOW > 0)
            negative += weight * (bits & HIGH == 0 and bits & wanted == wanted)
        return min(positive / found.mass, 1.0), min(negative / found.mass, 1.0)

    def _of_names(self, system: System, typing: Typing) -> Bytes:
        """What each name of the last locus of a system adds to a genotype, (n_names,)."""
        alpha = typing.loci[system.loci[0]] if system.is_pair else None
        key = system, "" if alpha is None else alpha.text
        if key not in self._by_system:
            column = self._column[system.loci[-1]]
            others = [either_copy(system.loci[0], alpha, self._profile)] if system.is_pair else []
            is_open = system.is_pair and alpha is None
            by_token = np.zeros(len(self._imputer.token_names(column)), dtype=np.uint8)
            for token, name in enumerate(self._imputer.token_names(column)):
                options = self._options.of_token(system.loci[-1], name)
                known = (*key, options)
                if known not in self._known:
                    copies = [*others, (options,)]
                    ways = molecules(system, copies, is_open, self._profile)
                    self._known[known] = (
                        packed(*answer_range(ways)) | _JOINED.get(system, 0) if ways else 0
                    )
                by_token[token] = self._known[known]
            self._by_system[key] = by_token[self._imputer.name_tokens(column)]
        return self._by_system[key]


def _weights(
    found: ExplainingClasses, columns: list[int], of_rows: Bytes, joined: list[int]
) -> list[tuple[int, float]]:
    """Bits of genotypes and the weight of the haplotype pairs that have them.

    `of_rows`: (n_columns, n_rows) what each haplotype adds at `columns`; a typed null adds nothing,
    and a genotype of two nulls is negative, which `joined` says of a pair of chains.
    """
    classes = np.repeat(np.arange(len(found.held)), np.diff(found.bounds))
    frequencies = found.haplotypes.frequencies[found.rows]
    sums: dict[tuple[bool, ...], tuple[Bytes, Floats]] = {}

    def by_class(is_null: npt.NDArray[np.bool_]) -> tuple[Bytes, Floats]:
        """Distinct bits of haplotypes without what is null, (n,), and their weights by class."""
        key = tuple(is_null.tolist())
        if key not in sums:
            bits = np.bitwise_or.reduce(np.where(is_null[:, None], np.uint8(0), of_rows), axis=0)
            distinct, number = np.unique(bits, return_inverse=True)
            shape = len(found.held), len(distinct)
            at = classes * shape[1] + number
            totals = np.bincount(at, frequencies, shape[0] * shape[1]).reshape(shape)
            sums[key] = distinct, totals.astype(np.float64)
        return sums[key]

    weights: list[tuple[int, float]] = []
    sides, group = np.unique(found.null_sides[:, columns], axis=0, return_inverse=True)
    for number, side in enumerate(sides):
        one, other = found.pairs[group.ravel() == number].T
        (first, of_first), (second, of_second) = by_class(side & 1 > 0), by_class(side & 2 > 0)
        twice = np.where(one == other, 1.0, 2.0)[:, None]
        table = of_first[one].T @ (twice * of_second[other])
        both_null = sum(bit for bit, where in zip(joined, side.tolist(), strict=True) if where == 3)
        bits = first[:, None] | second[None, :] | both_null
        weights += zip(bits.ravel().tolist(), table.ravel().tolist(), strict=True)
    return weights
