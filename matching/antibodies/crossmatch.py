"""A typing against a report: the virtual crossmatch of one person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, product

from matching.antibodies.molecules import (
    NO_PAIR,
    Molecule,
    Options,
    Total,
    answer_range,
    deciding_beads,
    every_molecule,
    options,
    pairs_of,
    total_of,
)
from matching.antibodies.names import SYSTEMS, System
from matching.antibodies.profile import Profile
from matching.antibodies.values import Answer, Bead, Call
from matching.typings import LocusTyping, Typing


@dataclass(frozen=True, slots=True)
class Finding:
    """A call and the molecules that it is of, by their two-field names.

    `is_certain`: the person carries one of them for certain.
    """

    call: Call
    molecules: tuple[str, ...]
    is_certain: bool


@dataclass(frozen=True, slots=True)
class SystemResult:
    """What the report says of a person at one system.

    `low` and `high`: the best and the worst answer that the typing leaves possible, every molecule
    judged by itself. `is_typed`: False where the locus, or both of a pair, are untyped. `beads`:
    those that `mfi` adds up, None where that is open.
    """

    system: System
    is_typed: bool
    low: Answer
    high: Answer
    mfi: Total
    findings: tuple[Finding, ...] = ()
    beads: frozenset[Bead] | None = None

    @property
    def answer(self) -> Answer:
        """The one answer: not assessable where the typing leaves several possible."""
        return self.low if self.low is self.high else Answer.NOT_ASSESSABLE


@dataclass(frozen=True, slots=True)
class CrossmatchResult:
    """The systems of the report, in the order of `SYSTEMS`.

    `untested`: systems that no bead of the report is of; they do not count in `low` and `high`.
    """

    systems: tuple[SystemResult, ...]
    untested: tuple[System, ...]
    low: Answer
    high: Answer
    mfi: Total

    @property
    def answer(self) -> Answer:
        """The one answer, of the worst system; not assessable where several are possible."""
        return self.low if self.low is self.high else Answer.NOT_ASSESSABLE

    @property
    def findings(self) -> Iterator[tuple[System, Finding]]:
        """All findings with their systems."""
        return ((r.system, finding) for r in self.systems for finding in r.findings)


def crossmatch(typing: Typing, profile: Profile) -> CrossmatchResult:
    """The virtual crossmatch of a person. Raises `TypingError`."""
    systems = []
    for system in profile.systems:
        typed = tuple(typing.loci[locus] for locus in system.loci)
        key = (system, *(None if one is None else one.text for one in typed))
        if key not in profile.remembered:
            profile.remembered[key] = _system_result(typed, system, profile)
        systems.append(profile.remembered[key])
    return combined(systems, profile)


def combined(systems: Sequence[SystemResult], profile: Profile) -> CrossmatchResult:
    """The result over systems, with the rule of the cumulative MFI."""
    untested = tuple(system for system in SYSTEMS if system not in profile.systems)
    low = max((one.low for one in systems), default=Answer.NOT_ASSESSABLE)
    high = max((one.high for one in systems), default=Answer.NOT_ASSESSABLE)
    mfi = _sum_of(systems, profile)
    cumulative = profile.cut_offs.cumulative
    if cumulative is not None and mfi.low >= cumulative:
        low = high = Answer.POSITIVE
    elif cumulative is not None and mfi.high >= cumulative:
        high = Answer.POSITIVE
    return CrossmatchResult(tuple(systems), untested, low, high, mfi)


def _sum_of(systems: Sequence[SystemResult], profile: Profile) -> Total:
    """MFI over systems, a bead of Bw4 once where it decides at A and at B."""
    mfi = sum((one.mfi for one in systems), Total())
    both = [one for one in systems if one.system in (System.A, System.B)]
    if len(both) < 2 or not any(len(bead.target.systems) > 1 for bead in profile.beads):
        return mfi
    a, b = both
    if a.beads is None or b.beads is None:
        return Total(mfi.low - min(a.mfi.low, b.mfi.low), mfi.high)
    twice = sum(bead.mfi or 0.0 for bead in a.beads & b.beads)
    return Total(mfi.low - twice, mfi.high - twice)


def untyped_result(system: System, profile: Profile) -> SystemResult:
    """A system of which nothing is typed: everything is possible."""
    beads = [b for b in profile.beads if system in b.target.systems]
    any_positive = any(b.result is Answer.POSITIVE for b in beads)
    strongest = sorted((b.bead.mfi or 0.0 for b in beads), reverse=True)
    most = sum(strongest[: 4 if system.is_pair else 2])
    high = Answer.POSITIVE if any_positive else Answer.NOT_ASSESSABLE
    return SystemResult(system, False, Answer.NEGATIVE, high, Total(0.0, most))


def _system_result(
    typed: Sequence[LocusTyping | None], system: System, profile: Profile
) -> SystemResult:
    if all(one is None for one in typed):
        return untyped_result(system, profile)
    read = [
        [tuple(options(locus, position, profile) for position in pair) for pair in pairs_of(one)]
        for locus, one in zip(system.loci, typed, strict=True)
    ]
    is_open = any(one is None for one in typed)
    genotypes = []
    for chosen in product(*read):
        copies = [[copy.ways for copy in pair] for pair in chosen]
        every = zip(every_molecule(system, copies, is_open, profile), product(*chosen), strict=True)
        genotypes.append([(one, own) for one, own in every if one is not None] or [(NO_PAIR, ())])
    only = [[molecule for molecule, _ in genotype] for genotype in genotypes]
    ranges, totals = [answer_range(one) for one in only], [total_of(one) for one in only]
    return SystemResult(
        system,
        True,
        min(low for low, _ in ranges),
        max(high for _, high in ranges),
        Total(min(t.low for t in totals), max(t.high for t in totals)),
        _findings(genotypes, profile),
        deciding_beads(only[0]) if len(only) == 1 else None,
    )


def _findings(
    genotypes: Sequence[Sequence[tuple[Molecule, Sequence[Options]]]], profile: Profile
) -> tuple[Finding, ...]:
    """Of molecules with what the copies present that make them."""
    found: dict[tuple[Call, bool], dict[str, None]] = {}
    for molecule, copies in chain.from_iterable(genotypes):
        is_certain = len(genotypes) == 1 and len(molecule.by_call) == 1
        key = molecule, copies
        named = profile.remembered.get(key)
        if named is None:
            named = profile.remembered[key] = molecule.names(copies)
        for call, names in named.items():
            found.setdefault((call, is_certain), {}).update(names)
    findings = [Finding(call, tuple(of), sure) for (call, sure), of in found.items()]
    findings.sort(key=lambda f: (-f.call.high, -f.call.low, not f.is_certain, f.molecules))
    return tuple(findings)
