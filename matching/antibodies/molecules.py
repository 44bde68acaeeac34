"""What positions may present, and the molecules that genotypes make of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, product

from matching.antibodies.names import Protein, System
from matching.antibodies.profile import Profile
from matching.antibodies.values import Answer, Basis, Bead, Call
from matching.loci import Locus
from matching.typings import Form, LocusTyping, Pair, Position

# What a position may be: a protein, or the call of what is no protein.
Option = Protein | Call
ABSENT = Call(Answer.NEGATIVE, Answer.NEGATIVE, Basis.NULL)
ALTERED = Call(Answer.NOT_ASSESSABLE, Answer.NOT_ASSESSABLE, Basis.EXPRESSION)
NEW = Call(Answer.NOT_ASSESSABLE, Answer.NOT_ASSESSABLE, Basis.NEW)


@dataclass(frozen=True, slots=True)
class Total:
    """The MFI of the beads that decide, each once, over what the typing leaves open."""

    low: float = 0.0
    high: float = 0.0

    def __add__(self, other: Total) -> Total:
        return Total(self.low + other.low, self.high + other.high)


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


_UNKNOWN = Position(Form.UNTYPED, ("UUUU",))


def pairs_of(typed: LocusTyping | None) -> Sequence[Pair]:
    return ((_UNKNOWN, _UNKNOWN),) if typed is None else typed.alternatives


def either_copy(
    locus: Locus, typed: LocusTyping | None, profile: Profile
) -> tuple[Sequence[Option], Sequence[Option]]:
    """What both copies of a locus may present, whichever genotype of a list is the true one."""
    first, second = zip(*pairs_of(typed), strict=True)
    return _any_of(locus, first, profile), _any_of(locus, second, profile)


def _any_of(locus: Locus, positions: Iterable[Position], profile: Profile) -> Sequence[Option]:
    found = (options(locus, position, profile).ways for position in positions)
    return tuple(dict.fromkeys(chain.from_iterable(found)))


@dataclass(frozen=True, slots=True)
class Way:
    """What one molecule may be: a call, and the chains that it is of."""

    call: Call
    chains: tuple[Option, ...]

    def names(self, copies: Sequence[Options]) -> Iterable[str]:
        """The proteins that it may be, or why there is none; of a pair the first of each chain.

        `copies`: what presents each of the chains.
        """
        others = [one for one in self.chains if isinstance(one, Call)]
        if others or not self.chains:
            return (others[0].basis.value if others else "chains that do not join",)
        if len(self.chains) == 1:
            return copies[0].names[self.chains[0]]
        chains = zip(copies, self.chains, strict=True)
        return ("/".join(copy.names[one][0] for copy, one in chains),)


@dataclass(frozen=True, eq=False)
class Molecule:
    """The ways in which one molecule may be: every choice of its chains."""

    ways: tuple[Way, ...]

    @cached_property
    def low(self) -> Answer:
        """The best answer."""
        return min(way.call.low for way in self.ways)

    @cached_property
    def high(self) -> Answer:
        """The worst answer."""
        return max(way.call.high for way in self.ways)

    @cached_property
    def by_call(self) -> Mapping[Call, tuple[Way, ...]]:
        """The ways of each call."""
        found: dict[Call, list[Way]] = {}
        for way in self.ways:
            found.setdefault(way.call, []).append(way)
        return {call: tuple(ways) for call, ways in found.items()}

    def names(self, copies: Sequence[Options]) -> Mapping[Call, Mapping[str, None]]:
        """What it may be for each call, in order; `copies`: as `Way.names` takes them."""
        return {
            call: dict.fromkeys(chain.from_iterable(way.names(copies) for way in ways))
            for call, ways in self.by_call.items()
        }

    @cached_property
    def mfi(self) -> Total:
        """MFI of the bead that decides, over the ways."""
        totals = [_mfi(call) for call in self.by_call]
        return Total(min(t.low for t in totals), max(t.high for t in totals))

    @property
    def bead(self) -> Bead | None:
        """The bead that decides in the first way."""
        return self.ways[0].call.strongest


NO_PAIR = Molecule((Way(Call(Answer.NOT_ASSESSABLE, Answer.NOT_ASSESSABLE, Basis.UNTESTED), ()),))


def every_molecule(
    system: System,
    copies: Sequence[Sequence[Sequence[Option]]],
    is_open: bool,
    profile: Profile,
) -> list[Molecule | None]:
    """The molecules of a genotype: of a pair, every alpha with every beta chain, None where they do
    not join.

    `copies`: of each locus what both copies may present. `is_open`: one of the loci is untyped, so
    that its chains are any that join.
    """
    if not system.is_pair:
        return [_of_one(tuple(copy), profile) for copy in copies[0]]
    return [_joined(system, tuple(a), tuple(b), is_open, profile) for a, b in product(*copies)]


def molecules(
    system: System,
    copies: Sequence[Sequence[Sequence[Option]]],
    is_open: bool,
    profile: Profile,
) -> list[Molecule]:
    """`every_molecule` that is there."""
    every = every_molecule(system, copies, is_open, profile)
    return [molecule for molecule in every if molecule is not None]


def _of_one(options: tuple[Option, ...], profile: Profile) -> Molecule:
    """A molecule of which one chain varies."""
    known: Molecule | None = profile.remembered.get(options)
    if known is None:
        calls = ((one if isinstance(one, Call) else profile.call(one), one) for one in options)
        known = Molecule(tuple(Way(call, (one,)) for call, one in calls))
        profile.remembered[options] = known
    return known


def _joined(
    system: System,
    alphas: tuple[Option, ...],
    betas: tuple[Option, ...],
    is_open: bool,
    profile: Profile,
) -> Molecule | None:
    """What an alpha and a beta chain may be together, None where they never join."""
    key = system, alphas, betas, is_open
    if key not in profile.remembered:
        every = [_pair(a, b, system, profile) for a, b in product(alphas, betas)]
        ways = [way for way in every if way is not None]
        if ways and len(ways) < len(every) and not is_open:
            ways.append(Way(ABSENT, ()))
        profile.remembered[key] = Molecule(tuple(ways)) if ways else None
    known: Molecule | None = profile.remembered[key]
    return known


def answer_range(found: Sequence[Molecule]) -> tuple[Answer, Answer]:
    """Best and worst answer of a genotype, every molecule judged by itself."""
    found = found or [NO_PAIR]
    return max(molecule.low for molecule in found), max(molecule.high for molecule in found)


def _pair(alpha: Option, beta: Option, system: System, profile: Profile) -> Way | None:
    """None where there is no such pair."""
    chains = (alpha, beta)
    if isinstance(alpha, Protein) and isinstance(beta, Protein):
        call = profile.pair_call(system, alpha, beta)
        return None if call is None else Way(call, chains)
    if ABSENT in chains:
        return Way(ABSENT, (ABSENT,))
    return next(Way(chain, chains) for chain in chains if isinstance(chain, Call))


def deciding_beads(found: Sequence[Molecule]) -> frozenset[Bead] | None:
    """The beads that decide on a genotype where its MFI is certain, None otherwise."""
    if any(molecule.mfi.low != molecule.mfi.high for molecule in found):
        return None
    return frozenset(bead for molecule in found if (bead := molecule.bead) is not None)


def total_of(found: Sequence[Molecule]) -> Total:
    """MFI of the beads that decide on a genotype: each once where it is certain, bounds
    otherwise."""
    beads = deciding_beads(found)
    if beads is not None:
        exact = sum(sorted(bead.mfi or 0.0 for bead in beads))
        return Total(exact, exact)
    return Total(max(one.mfi.low for one in found), sum(one.mfi.high for one in found))


def _mfi(call: Call) -> Total:
    bead = call.strongest
    high = 0.0 if bead is None or bead.mfi is None else bead.mfi
    return Total(high if call.low is call.high else 0.0, high)
