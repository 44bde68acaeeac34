"""Antigen recognition domains read from precursor proteins, and the residues at which two differ.

The domain is what P groups are defined on (Marsh 2010, Tissue Antigens 75:291): exons 2 and 3 of
class I, exon 2 of class II. It holds the residues whose codon lies wholly inside these exons.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from operator import eq
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matching.memory import Memory
from matching.nomenclature import NO_P_GROUP, Nomenclature
from matching.sequence_kernels import LONGEST_GAP, best_placement, count_differences

_Codes = npt.NDArray[np.uint16]


class Frame(NamedTuple):
    """Where the domain of a gene lies: `signal` residues precede residue 1 of the mature protein.

    `first` and `last` are mature residues, both inclusive; `absent` is one that many alleles lack.
    """

    signal: int
    first: int
    last: int
    absent: int | None = None

    @property
    def length(self) -> int:
        """Residues of the domain."""
        return self.last - self.first + 1


# Numbered as in the protein alignments of IPD-IMGT/HLA (Robinson 2020, Nucleic Acids Res 48:D948).
_CLASS_I, _DRB = Frame(24, 2, 182), Frame(29, 6, 94)
FRAMES: Mapping[str, Frame] = {
    "A": _CLASS_I,
    "B": _CLASS_I,
    "C": _CLASS_I,
    "DRB1": _DRB,
    "DRB3": _DRB,
    "DRB4": _DRB,
    "DRB5": _DRB,
    "DQA1": Frame(23, 6, 87, absent=56),
    "DQB1": Frame(32, 6, 94),
    "DPA1": Frame(31, 4, 84),
    "DPB1": Frame(29, 6, 92),
}

UNKNOWN, DELETED = "", "-"
# A placement is plausible if the residues that are covered agree with the reference this often in
# every stretch: at least 5 of 20 among expressed alleles of 3.58.0, about 1 by chance.
_STRETCH, _LEAST_AGREEING = 20, 5
_MOST_PAIRS = 100_000
# P groups of one position times those of the other that are compared between two looks.
_PAIRS_AT_ONCE = 20_000
# P groups of ambiguous positions whose domains are kept together.
_MOST_ROWS = 50_000


def place(reference: str, sequence: str, absent: int | None = None) -> tuple[str, ...]:
    """The residues of `sequence` that correspond to each residue of the domain `reference`.

    The best placement with at most one insertion or deletion of up to 9 residues; `absent` is the
    index of a residue that is commonly deleted. A residue is `UNKNOWN` where the sequence does not
    reach, `DELETED` where it has none, and is followed by the residues that are inserted after it.
    All are `UNKNOWN` where no placement is plausible.

    >>> place("GSHSMRYFYTSVSRPGRGEPRFISV", "SHSMKYFYTSVSRPGRGEPRFI")[:6]
    ('', 'S', 'H', 'S', 'M', 'K')
    """
    letters = np.frombuffer(sequence.removesuffix("X").encode(), dtype=np.uint8)
    expected = np.frombuffer(reference.encode(), dtype=np.uint8)
    padded = np.pad(letters, len(reference) + LONGEST_GAP)
    shift, cut, gap = best_placement(padded, expected, -1 if absent is None else absent)
    missing = max(-gap, 0)
    codes = np.zeros(len(reference), dtype=np.uint8)
    codes[:cut] = padded[shift : shift + cut]
    codes[cut + missing :] = padded[shift + gap + cut + missing : shift + gap + len(reference)]
    covered = np.flatnonzero(codes)
    agreeing = np.concatenate([[0], np.cumsum(codes[covered] == expected[covered])])
    stretches = agreeing[_STRETCH:] - agreeing[:-_STRETCH]
    if not len(stretches) or stretches.min() < _LEAST_AGREEING:
        return (UNKNOWN,) * len(reference)
    residues = [chr(code) if code else UNKNOWN for code in codes.tolist()]
    residues[cut : cut + missing] = [DELETED] * missing
    if gap > 0:
        start = shift + cut
        residues[cut - 1] += padded[start : start + gap].tobytes().decode()
    return tuple(residues)


class Difference(NamedTuple):
    """A residue of the mature protein, and what the first and the second side have there.

    A side holds several residues where it is ambiguous; a residue is `DELETED`, or is followed by
    those that are inserted after it.
    """

    position: int
    first: tuple[str, ...]
    second: tuple[str, ...]

    @property
    def text(self) -> str:
        """Such as `156 L/D`; alternatives of one side are joined by `|`."""
        return f"{self.position} {'|'.join(self.first)}/{'|'.join(self.second)}"


# There are few, and pairs that are remembered hold many of them.
@lru_cache(maxsize=50_000)
def _difference(position: int, first: str, second: str) -> Difference:
    return Difference(position, (first,), (second,))


@dataclass(frozen=True, slots=True)
class ArdMismatches:
    """Residues of the antigen recognition domain at which two alleles or two positions differ.

    `best` and `worst`: fewest and most over the possibilities; what is not sequenced agrees at
    best and differs at worst. Equal numbers are certain.
    `unknown`: residues that are not sequenced in some possibility.
    `differences`: those that differ in every possibility.
    """

    best: int
    worst: int
    unknown: int
    differences: tuple[Difference, ...]


class _Side(NamedTuple):
    """Domains of the P groups (n,) of a position as codes (n, length) of residues, 0 unknown; where
    some is unknown, and where all are one residue, both (length,)."""

    groups: npt.NDArray[np.int32]
    codes: _Codes
    unknown: npt.NDArray[np.bool_]
    plain: npt.NDArray[np.bool_]


@dataclass
class Domains:
    """The antigen recognition domains of a release, each placed when it is first asked for.

    `proteins`: precursor sequences by allele name. Sequences are placed on the first allele of
    their gene that has a whole domain, which is the one that IPD-IMGT/HLA numbers the gene by.
    Alleles of a P group share the domain (R1), so what one of them lacks another gives.
    `between`: called between steps of a comparison, of which ambiguous positions have hundreds, on
    any thread; what it raises ends the comparison.
    """

    nomenclature: Nomenclature
    proteins: Mapping[str, str]
    between: Callable[[], object] = field(default=lambda: None, repr=False)
    _residue_codes: dict[str, int] = field(default_factory=lambda: {UNKNOWN: 0}, repr=False)
    _encoded: dict[int, _Codes] = field(default_factory=dict, repr=False)
    _encoding: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _sides: Memory[tuple[int, ...], _Side] = field(
        default_factory=lambda: Memory(_MOST_ROWS, lambda side: len(side.codes)), repr=False
    )
    _compared: Memory[tuple[tuple[int, ...], tuple[int, ...]], ArdMismatches | None] = field(
        default_factory=lambda: Memory(_MOST_PAIRS), repr=False
    )

    def mismatches(self, first: str, second: str) -> ArdMismatches | None:
        """Differences of two names, as `compare`. Raises `TypingError` for an unknown name."""
        return self.compare(self._groups(first), self._groups(second))

    def compare(self, first: tuple[int, ...], second: tuple[int, ...]) -> ArdMismatches | None:
        """Differences of two positions, given as P group codes as in a `LocusGenotype`.

        None where they cannot be compared: a position without a P group (it expresses nothing, or
        holds a new allele or none), two genes, or a gene that is not in `FRAMES`.
        """
        return self._compared.of((first, second), lambda: self._compared_anew(first, second))

    def _compared_anew(
        self, first: tuple[int, ...], second: tuple[int, ...]
    ) -> ArdMismatches | None:
        genes = {self._gene(group) for group in (*first, *second)}
        gene = genes.pop() if len(genes) == 1 and first and second else None
        return None if gene is None else self._compare(gene, first, second)

    def residues(self, group: int) -> tuple[str, ...]:
        """The domain of a P group code: one entry for each residue, none for other genes.

        The entries run over `FRAMES` of the gene and read as those of `place`.
        """
        gene = self._gene(group)
        if gene is None:
            return ()
        frame = FRAMES[gene]
        found = [UNKNOWN] * frame.length
        absent = None if frame.absent is None else frame.absent - frame.first
        if gene in self._references:
            for name in self._members[group]:
                placed = place(self._references[gene], self.proteins.get(name, ""), absent)
                found = [have or new for have, new in zip(found, placed, strict=True)]
                if all(found):
                    break
        return tuple(found)

    def window(self, group: int, first: int, last: int) -> tuple[str, ...]:
        """The mature residues `first` to `last` of a P group code, as those of `residues`.

        Much faster where some allele needs no placement, as it agrees with the reference on either
        side of the window at most residues.
        """
        gene = self._gene(group)
        if gene is None:
            return ()
        frame = FRAMES[gene]
        for name in self._members[group] if gene in self._references else ():
            sequence = self.proteins.get(name, "")
            # A precursor begins with the signal, a part that was sequenced with the domain.
            start = frame.signal + frame.first - 1 if sequence.startswith("M") else 0
            domain = sequence[start : start + frame.length]
            if len(domain) == frame.length:
                agrees = list(map(eq, domain, self._references[gene]))
                before, after = agrees[: first - frame.first], agrees[last + 1 - frame.first :]
                if 2 * sum(before) > len(before) and 2 * sum(after) > len(after):
                    return tuple(domain[first - frame.first : last + 1 - frame.first])
        return self.residues(group)[first - frame.first : last + 1 - frame.first]

    def _groups(self, name: str) -> tuple[int, ...]:
        alleles = self.nomenclature.expressing(self.nomenclature.read(name).alleles)
        codes = set(self.nomenclature.p_group_codes[list(alleles)].tolist()) - {NO_P_GROUP}
        return tuple(sorted(codes))

    def _gene(self, group: int) -> str | None:
        """Gene of a P group, None where its domain is not defined or the code is no group's."""
        names = self.nomenclature.p_group_names
        gene = names[group].partition("*")[0] if group >= 0 else ""
        return gene if gene in FRAMES else None

    @cached_property
    def _references(self) -> Mapping[str, str]:
        references: dict[str, str] = {}
        for allele in self.nomenclature.alleles:
            gene = allele.name.partition("*")[0]
            if gene in FRAMES and gene not in references and allele.p_group is not None:
                frame = FRAMES[gene]
                sequence = self.proteins.get(allele.name, "")
                end = frame.signal + frame.last
                if sequence.startswith("M") and len(sequence) > end:
                    references[gene] = sequence[end - frame.length : end]
        return references

    @cached_property
    def _members(self) -> Mapping[int, tuple[str, ...]]:
        members: defaultdict[int, list[str]] = defaultdict(list)
        codes = self.nomenclature.p_group_codes.tolist()
        for allele, code in zip(self.nomenclature.alleles, codes, strict=True):
            members[code].append(allele.name)
        return {code: tuple(names) for code, names in members.items()}

    def _side(self, groups: tuple[int, ...]) -> _Side:
        return self._sides.of(groups, lambda: self._side_anew(groups))

    def _side_anew(self, groups: tuple[int, ...]) -> _Side:
        for group in groups:
            if group not in self._encoded:
                self.between()
                residues = self.residues(group)
                # Two threads must not give one code to two residues.
                with self._encoding:
                    known = self._residue_codes
                    codes = [known.setdefault(r, len(known)) for r in residues]
                self._encoded[group] = np.array(codes, dtype=np.uint16)
        rows = np.stack([self._encoded[group] for group in groups])
        return _Side(
            np.array(groups, dtype=np.int32),
            rows,
            (rows == 0).any(axis=0),
            (rows == rows[0]).all(axis=0),
        )

    def _compare(self, gene: str, first: tuple[int, ...], second: tuple[int, ...]) -> ArdMismatches:
        left, right = self._side(first), self._side(second)
        best, worst = left.codes.shape[1], 0
        at_once = max(1, _PAIRS_AT_ONCE // len(second))
        for i in range(0, len(first), at_once):
            self.between()
            part = slice(i, i + at_once)
            fewest, most = count_differences(
                left.codes[part], right.codes, left.groups[part], right.groups
            )
            best, worst = min(best, fewest), max(worst, most)
        same = first == second and len(first) == 1
        unknown = left.unknown | right.unknown
        letters = list(self._residue_codes)
        differences = []
        columns = np.flatnonzero(~unknown & (left.codes[0] != right.codes[0]))
        # Most columns are one residue on each side.
        plain = left.plain[columns] & right.plain[columns]
        starts = left.codes[0, columns].tolist(), right.codes[0, columns].tolist()
        for column, is_plain, a, b in zip(columns.tolist(), plain.tolist(), *starts, strict=True):
            at = FRAMES[gene].first + column
            if is_plain:
                differences.append(_difference(at, letters[a], letters[b]))
                continue
            ours, theirs = set(left.codes[:, column].tolist()), set(right.codes[:, column].tolist())
            if ours.isdisjoint(theirs):
                sides = (tuple(sorted(letters[c] for c in side)) for side in (ours, theirs))
                differences.append(Difference(at, *sides))
        return ArdMismatches(best, worst, 0 if same else int(unknown.sum()), tuple(differences))
