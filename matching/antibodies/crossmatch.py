"""A typing against a report: the virtual crossmatch of one person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product

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
    mfi = sum((one.mfi for one in systems), Total())
    cumulative = profile.cut_offs.cumulative
    if cumulative is not None and mfi.low >= cumulative:
        low = high = Answer.POSITIVE
    elif cumulative is not None and mfi.high >= cumulative:
        high = Answer.POSITIVE
    return CrossmatchResult(tuple(systems), untested, low, high, mfi)


@dataclass(frozen=True, slots=True, eq=False)
class Options:
    """What a position may present: one option for each that the report tells apart.

    `names`: the proteins that each option stands for.
    """

    ways: tuple[Option, ...]
    names: Mapping[Option, tuple[str, ...]]

    @classmethod
    def of(cls, found: Iterable[Option], profile: Profile) -> Options:
        """Of proteins, and of calls for what is no protein."""
        names: dict[Option, dict[str, None]] = {}
        for option in found:
            if isinstance(option, Protein):
                names.setdefault(profile.alike(option), {})[option.name] = None
            else:
                names[option] = {option.basis.value: None}
        return cls(tuple(names), {option: tuple(of) for option, of in names.items()})


def options(locus: Locus, position: Position, profile: Profile) -> Options:
    """What a position may present; remembered in the profile.

    Within a string, group or shorter name, alleles with an expression letter are left out as nulls
    are (R4); where no other is left, N is not expressed and the others cannot be assessed.
    Raises `TypingError`.
    """
    key = locus, position
    known: Options | None = profile.remembered.get(key)
    if known is None:
        known = profile.remembered[key] = Options.of(_read(locus, position, profile), profile)
    return known


def _read(locus: Locus, position: Position, profile: Profile) -> Sequence[Option]:
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


def _system_result(
    typed: Sequence[LocusTyping | None], system: System, profile: Profile
) -> SystemResult:
    if all(one is None for one in typed):
        return untyped_result(system, profile)
    read = [
        [tuple(options(locus, position, profile) for position in pair) for pair in _pairs(one)]
        for locus, one in zip(system.loci, typed, strict=True)
    ]
    copies = [[tuple(copy.ways for copy in pair) for pair in pairs] for pairs in read]
    names: dict[Option, dict[str, None]] = {}
    for copy in (copy for pairs in read for pair in pairs for copy in pair):
        for option, of in copy.names.items():
            names.setdefault(option, {}).update(dict.fromkeys(of))
    is_open = any(one is None for one in typed)
    genotypes = [
        molecules(system, chosen, is_open, profile) or [_NO_PAIR] for chosen in product(*copies)
    ]
    ranges = [answer_range(genotype) for genotype in genotypes]
    totals = [_total(genotype) for genotype in genotypes]
    return SystemResult(
        system,
        True,
        min(low for low, _ in ranges),
        max(high for _, high in ranges),
        Total(min(t.low for t in totals), max(t.high for t in totals)),
        _findings(genotypes, names),
    )


_UNKNOWN = Position(Form.UNTYPED, ("UUUU",))


def _pairs(typed: LocusTyping | None) -> Sequence[Pair]:
    return ((_UNKNOWN, _UNKNOWN),) if typed is None else typed.alternatives


def either_copy(
    locus: Locus, typed: LocusTyping | None, profile: Profile
) -> tuple[Sequence[Option], Sequence[Option]]:
    """What both copies of a locus may present, whichever genotype of a list is the true one."""
    first, second = zip(*_pairs(typed), strict=True)
    return _any_of(locus, first, profile), _any_of(locus, second, profile)


def _any_of(locus: Locus, positions: Iterable[Position], profile: Profile) -> Sequence[Option]:
    found = (options(locus, position, profile).ways for position in positions)
    return tuple(dict.fromkeys(chain.from_iterable(found)))


@dataclass(frozen=True, slots=True)
class _May:
    """What one molecule may be: a call, and the chains that it is of."""

    call: Call
    chains: tuple[Option, ...]

    def names(self, of: Mapping[Option, Iterable[str]]) -> Iterable[str]:
        """The proteins that it may be, or why there is none; of a pair the first of each chain."""
        others = [one for one in self.chains if isinstance(one, Call)]
        if others or not self.chains:
            return (others[0].basis.value if others else "chains that do not join",)
        if len(self.chains) == 1:
            return of[self.chains[0]]
        return ("/".join(next(iter(of[one])) for one in self.chains),)


# The ways in which one molecule may be.
Molecule = list[_May]
_NO_PAIR = [_May(Call(Answer.NOT_ASSESSABLE, Answer.NOT_ASSESSABLE, Basis.UNTESTED), ())]


def molecules(
    system: System,
    copies: Sequence[Sequence[Sequence[Option]]],
    is_open: bool,
    profile: Profile,
) -> list[Molecule]:
    """The molecules of a genotype: of a pair, every alpha with every beta chain that it joins.

    `copies`: of each locus what both copies may present. `is_open`: one of the loci is untyped, so
    that its chains are any that join.
    """
    if not system.is_pair:
        return [[_single(option, profile) for option in copy] for copy in copies[0]]
    every = (_joined(system, *chains, is_open, profile) for chains in product(*copies))
    return [molecule for molecule in every if molecule]


def _joined(
    system: System,
    alphas: Sequence[Option],
    betas: Sequence[Option],
    is_open: bool,
    profile: Profile,
) -> Molecule:
    """What an alpha and a beta chain may be together, nothing where they never join."""
    key = system, tuple(alphas), tuple(betas), is_open
    known: Molecule | None = profile.remembered.get(key)
    if known is None:
        ways = [_pair(a, b, system, profile) for a, b in product(alphas, betas)]
        known = [way for way in ways if way is not None]
        if known and len(known) < len(ways) and not is_open:
            known.append(_May(ABSENT, ()))
        profile.remembered[key] = known
    return known


def answer_range(found: Sequence[Molecule]) -> tuple[Answer, Answer]:
    """Best and worst answer of a genotype, every molecule judged by itself."""
    found = found or [_NO_PAIR]
    return (
        max(min(way.call.low for way in molecule) for molecule in found),
        max(max(way.call.high for way in molecule) for molecule in found),
    )


def _single(option: Option, profile: Profile) -> _May:
    return _May(option if isinstance(option, Call) else profile.call(option), (option,))


def _pair(alpha: Option, beta: Option, system: System, profile: Profile) -> _May | None:
    """None where there is no such pair."""
    chains = (alpha, beta)
    if isinstance(alpha, Protein) and isinstance(beta, Protein):
        call = profile.pair_call(system, alpha, beta)
        return None if call is None else _May(call, chains)
    if ABSENT in chains:
        return _May(ABSENT, (ABSENT,))
    return next(_May(chain, chains) for chain in chains if isinstance(chain, Call))


def _findings(
    genotypes: Sequence[Sequence[Molecule]], names: Mapping[Option, Iterable[str]]
) -> tuple[Finding, ...]:
    found: dict[tuple[Call, bool], dict[str, None]] = {}
    for molecule in (molecule for genotype in genotypes for molecule in genotype):
        is_certain = len(genotypes) == 1 and len({way.call for way in molecule}) == 1
        for way in molecule:
            found.setdefault((way.call, is_certain), {}).update(dict.fromkeys(way.names(names)))
    findings = [Finding(call, tuple(of), sure) for (call, sure), of in found.items()]
    findings.sort(key=lambda f: (-f.call.high, -f.call.low, not f.is_certain, f.molecules))
    return tuple(findings)


def _total(found: Sequence[Molecule]) -> Total:
    """Exact where every molecule is one, bounds otherwise."""
    ranges = [[_mfi(way.call) for way in molecule] for molecule in found]
    if all(len(set(one)) == 1 and one[0].low == one[0].high for one in ranges):
        beads: set[Bead] = {b for ways in found if (b := ways[0].call.strongest) is not None}
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
