"""A typing against a report: the virtual crossmatch of one person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from matching.antibodies.names import SYSTEMS, Protein, System
from matching.antibodies.profile import Profile
from matching.antibodies.values import Answer, Basis, Bead, Call
from matching.loci import Locus
from matching.typings import Form, LocusTyping, Pair, Position, Typing

# What a position may be: a protein, or the call of what is no protein.
Option = Protein | Call
ABSENT = Call(Answer.NEGATIVE, Answer.NEGATIVE, Basis.NULL)
ALTERED = Call(Answer.NOT_ASSESSABLE, Answer.NOT_ASSESSABLE, Basis.EXPRESSION)
NEW = Call(Answer.NOT_ASSESSABLE, Answer.NOT_ASSESSABLE, Basis.NEW)
_UNJOINED = Call(Answer.NOT_ASSESSABLE, Answer.NOT_ASSESSABLE, Basis.UNTESTED)


@dataclass(frozen=True, slots=True)
class Finding:
    """A call and the molecules that it is of, by their two-field names.

    `is_certain`: the person carries one of them for certain.
    """

    call: Call
    molecules: tuple[str, ...]
    is_certain: bool


@dataclass(frozen=True, slots=True)
class Total:
    """The MFI of the beads that decide, each once, over what the typing leaves open."""

    low: float = 0.0
    high: float = 0.0

    def __add__(self, other: Total) -> Total:
        return Total(self.low + other.low, self.high + other.high)


@dataclass(frozen=True, slots=True)
class SystemResult:
    """What the report says of a person at one system.

    `low` and `high`: the best and the worst answer that the typing leaves possible, every molecule
    judged by itself. `is_typed`: False where the locus, or both of a pair, are untyped.
    """

    system: System
    is_typed: bool
    low: Answer
    high: Answer
    mfi: Total
    findings: tuple[Finding, ...] = ()

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
    systems = tuple(_system_result(typing, system, profile) for system in profile.systems)
    return combined(systems, profile)


def combined(systems: Sequence[SystemResult], profile: Profile) -> CrossmatchResult:
    """The result over systems, with the rule of the cumulative MFI."""
    untested = tuple(system for system in SYSTEMS if system not in profile.systems)
    low = max((one.low for one in systems), default=Answer.NOT_ASSESSABLE)
    high = max((one.high for one in systems), default=Answer.NOT_ASSESSABLE)
    mfi = sum((one.mfi for one in systems), Total())
    cumulative = profile.cut_offs.cumulative
    if cumulative is not None and mfi.low >= cumulative:
        low = high = Answer.POSITIVE
    elif cumulative is not None and mfi.high >= cumulative:
        high = Answer.POSITIVE
    return CrossmatchResult(tuple(systems), untested, low, high, mfi)


def options(locus: Locus, position: Position, profile: Profile) -> tuple[Option, ...]:
    """What a position may present.

    Within a string, group or shorter name, alleles with an expression letter are left out as nulls
    are (R4); where no other is left, N is not expressed and the others cannot be assessed.
    Raises `TypingError`.
    """
    if position.form is Form.NEW:
        return (NEW,)
    if position.form is Form.ABSENT:
        return (ABSENT,)
    if position.form is Form.UNTYPED:
        absent = (ABSENT,) if locus is Locus.DRB345 else ()
        return (*absent, *(p for gene in locus.genes for p in profile.any_chain(gene)))
    nomenclature = profile.names.nomenclature
    alleles = tuple(i for name in position.names for i in nomenclature.read(name).alleles)
    proteins = profile.names.expressed(alleles)
    if proteins:
        return proteins
    return (ABSENT,) if profile.names.letters(alleles) == {"N"} else (ALTERED,)


def untyped_result(system: System, profile: Profile) -> SystemResult:
    """A system of which nothing is typed: everything is possible."""
    beads = [b for b in profile.beads if system in b.target.systems]
    any_positive = any(b.result is Answer.POSITIVE for b in beads)
    strongest = sorted((b.bead.mfi or 0.0 for b in beads), reverse=True)
    most = sum(strongest[: 4 if system.is_pair else 2])
    high = Answer.POSITIVE if any_positive else Answer.NOT_ASSESSABLE
    return SystemResult(system, False, Answer.NEGATIVE, high, Total(0.0, most))


def _system_result(typing: Typing, system: System, profile: Profile) -> SystemResult:
    typed = [typing.loci[locus] for locus in system.loci]
    if all(one is None for one in typed):
        return untyped_result(system, profile)
    copies: list[list[tuple[Sequence[Option], ...]]] = []
    for locus, one in zip(system.loci, typed, strict=True):
        copies.append([_pair_options(locus, pair, profile) for pair in _alternatives(one, locus)])
    genotypes = [
        _Genotype.of(system, [*_slots(chosen, system, typed, profile)])
        for chosen in product(*copies)
    ]
    low = min(genotype.low for genotype in genotypes)
    high = max(genotype.high for genotype in genotypes)
    mfi = Total(min(g.mfi.low for g in genotypes), max(g.mfi.high for g in genotypes))
    certain = len(genotypes) == 1
    found: dict[tuple[Call, bool], dict[str, None]] = {}
    for genotype in genotypes:
        for slot in genotype.slots:
            calls = {call for call, _ in slot}
            for call, name in slot:
                key = call, certain and len(calls) == 1
                found.setdefault(key, {})[name] = None
    findings = [Finding(call, tuple(names), sure) for (call, sure), names in found.items()]
    findings.sort(key=lambda f: (-f.call.high, -f.call.low, not f.is_certain, f.molecules))
    return SystemResult(system, True, low, high, mfi, tuple(findings))


_UNKNOWN = Position(Form.UNTYPED, ("UUUU",))


def _alternatives(typed: LocusTyping | None, locus: Locus) -> Iterable[Pair]:
    return ((_UNKNOWN, _UNKNOWN),) if typed is None else typed.alternatives


def _pair_options(locus: Locus, pair: Pair, profile: Profile) -> tuple[Sequence[Option], ...]:
    return tuple(options(locus, position, profile) for position in pair)


# What one molecule may be: calls with the name of the molecule.
_Slot = list[tuple[Call, str]]


def _slots(
    chosen: tuple[tuple[Sequence[Option], ...], ...],
    system: System,
    typed: Sequence[LocusTyping | None],
    profile: Profile,
) -> Iterator[_Slot]:
    if not system.is_pair:
        for copy in chosen[0]:
            yield [_single(option, profile) for option in copy]
        return
    # A chain of which nothing is typed is one that joins.
    is_open = any(one is None for one in typed)
    for alphas, betas in product(*chosen):
        slot = []
        n_apart = 0
        for alpha, beta in product(alphas, betas):
            found = _pair(alpha, beta, system, profile)
            if found is None:
                n_apart += 1
            else:
                slot.append(found)
        if slot and n_apart and not is_open:
            slot.append((ABSENT, "chains that do not join"))
        if slot:
            yield slot


def _single(option: Option, profile: Profile) -> tuple[Call, str]:
    if isinstance(option, Call):
        return option, option.basis.value
    return profile.call(option), option.name


def _pair(alpha: Option, beta: Option, system: System, profile: Profile) -> tuple[Call, str] | None:
    """None where there is no such pair."""
    if isinstance(alpha, Protein) and isinstance(beta, Protein):
        call = profile.pair_call(system, alpha, beta)
        return None if call is None else (call, f"{alpha.name}/{beta.name}")
    others = [option for option in (alpha, beta) if isinstance(option, Call)]
    if ABSENT in others:
        return ABSENT, ABSENT.basis.value
    return others[0], others[0].basis.value


@dataclass(frozen=True)
class _Genotype:
    """The molecules of one genotype."""

    slots: tuple[_Slot, ...]
    low: Answer
    high: Answer
    mfi: Total

    @classmethod
    def of(cls, system: System, slots: Sequence[_Slot]) -> _Genotype:
        kept = tuple(slots) or ([(_UNJOINED, "chains that do not join")],)
        low = max(min(call.low for call, _ in slot) for slot in kept)
        high = max(max(call.high for call, _ in slot) for slot in kept)
        return cls(kept, low, high, _total(kept))


def _total(slots: Sequence[_Slot]) -> Total:
    """Exact where every molecule has one call, bounds otherwise."""
    ranges = [[_mfi(call) for call, _ in slot] for slot in slots]
    if all(len(set(one)) == 1 and one[0].low == one[0].high for one in ranges):
        beads: set[Bead] = {b for slot in slots if (b := slot[0][0].strongest) is not None}
        exact = sum(bead.mfi or 0.0 for bead in beads)
        return Total(exact, exact)
    return Total(
        max(min(t.low for t in one) for one in ranges),
        sum(max(t.high for t in one) for one in ranges),
    )


def _mfi(call: Call) -> Total:
    bead = call.strongest
    high = 0.0 if bead is None or bead.mfi is None else bead.mfi
    return Total(high if call.low is call.high else 0.0, high)
