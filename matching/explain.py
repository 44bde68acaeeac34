"""What a written typing stands for under a release, and how that was derived."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from typing import NamedTuple

import numpy as np

from matching.errors import TypingError
from matching.linkage import drb345_disagreement
from matching.loci import Locus
from matching.nomenclature import Allele, Nomenclature, tce_group
from matching.reduction import MAX_NAMES, Level, check_size, reduce_position
from matching.serology import PREFIX_OF_CARRIER, reported_antigens
from matching.typings import (
    Form,
    LocusTyping,
    Position,
    Typing,
    is_lone_position,
    parse_lone_position,
    parse_typing,
    split_release,
)

# Columns of rel_dna_ser after the allele.
_SOURCES = ("unambiguous", "possible", "assumed", "expert")


class ResolutionCategory(Enum):
    """How exactly a position is typed (Nunes 2011, Blood 118:e180)."""

    ALLELIC = "allelic"  # one allele
    HIGH = "high"  # one protein of the antigen recognition domain
    INTERMEDIATE = "intermediate"
    LOW = "low"  # a whole first field
    SEROLOGICAL = "serological"
    NOTHING = "nothing known"  # new, absent or untyped


@dataclass(frozen=True)
class ExplainedAntigen:
    """An antigen of a position and where it comes from, such as "unambiguous of 12 alleles"."""

    name: str
    source: str


@dataclass(frozen=True)
class ExplainedPosition:
    """One written position.

    `alleles`: all that the text stands for, nulls included, sorted as in the release; `n_nulls` of
    them express nothing and are dropped unless all do. `tce`: TCE groups (DPB1). `reduced`: the
    names at the level that was asked for, else empty.
    """

    text: str
    form: Form
    resolution: ResolutionCategory
    alleles: tuple[str, ...]
    n_nulls: int
    p_groups: tuple[str, ...]
    g_groups: tuple[str, ...]
    antigens: tuple[ExplainedAntigen, ...]
    tce: tuple[int, ...]
    notes: tuple[str, ...]
    reduced: tuple[str, ...]


@dataclass(frozen=True)
class ExplainedLocus:
    """One locus or gene: its genotypes, one for most, each of one or two positions.

    `n_genotypes`: how many pairs of P groups the typing admits.
    """

    name: str
    genotypes: tuple[tuple[ExplainedPosition, ...], ...]
    n_genotypes: int


@dataclass(frozen=True)
class Explanation:
    """A typing under `release`. `canonical`: the text in its one form. `warnings`: of the whole."""

    release: str
    canonical: str
    loci: tuple[ExplainedLocus, ...]
    warnings: tuple[str, ...]


def explain(text: str, nomenclature: Nomenclature, level: Level | None = None) -> Explanation:
    """A whole GL string, one locus of it, or a single position, with every warning.

    Raises `TypingError`, and `TooAmbiguousError` where it would list more than
    `reduction.MAX_NAMES` alleles.
    """
    release, written = split_release(text)
    explained = _Positions(nomenclature, level)
    if is_lone_position(written):
        position = parse_lone_position(written)
        only = explained.of(position)
        gene = position.names[0].partition("*")[0]
        locus = ExplainedLocus(gene, ((only,),), len(only.p_groups))
        warnings = _other_release(release, nomenclature)
        return Explanation(nomenclature.release, position.text, (locus,), warnings)
    typing = parse_typing(text)
    loci = tuple(
        _locus(locus, typed, explained) for locus, typed in typing.loci.items() if typed is not None
    )
    return Explanation(nomenclature.release, typing.text, loci, _warnings(typing, nomenclature))


class _Positions:
    """Explained positions of one text, each distinct one worked out once."""

    def __init__(self, nomenclature: Nomenclature, level: Level | None) -> None:
        self._nomenclature, self._level = nomenclature, level
        self._known: dict[Position, ExplainedPosition] = {}
        self._n_listed = 0

    def of(self, position: Position) -> ExplainedPosition:
        found = self._known.get(position)
        if found is None:
            found = _position(position, self._nomenclature, self._level)
            self._known[position] = found
        self._n_listed += max(len(found.alleles), len(found.reduced))
        check_size(self._n_listed, f"stands for more than {MAX_NAMES:,} alleles in all")
        return found


class ReleaseDifference(NamedTuple):
    """What changed for a written position: `what` is alleles, P groups, ... or readable."""

    position: str
    what: str
    before: str
    after: str


def release_differences(
    text: str, before: Nomenclature, after: Nomenclature
) -> tuple[ReleaseDifference, ...]:
    """What two releases read differently in a typing, by written position.

    Raises `TypingSyntaxError` and `HalfTypedError`; a name that one release cannot read is a
    difference.
    """
    written = split_release(text)[1]
    if is_lone_position(written):
        positions = {parse_lone_position(written): None}
    else:
        typing = parse_typing(written)
        pairs = (pair for typed in typing.loci if typed for pair in typed.alternatives)
        positions = dict.fromkeys(chain.from_iterable(pairs))
    found = []
    for position in positions:
        old, new = _facts(position, before), _facts(position, after)
        found += [
            ReleaseDifference(position.text, what, old.get(what, ""), new.get(what, ""))
            for what in dict.fromkeys((*old, *new))
            if old.get(what, "") != new.get(what, "")
        ]
    return tuple(found)


def _facts(position: Position, nomenclature: Nomenclature) -> dict[str, str]:
    """What a release says of a position, as text by kind."""
    try:
        read = _position(position, nomenclature, None)
    except TypingError as error:
        return {"readable": error.reason}
    return {
        "alleles": _listed(read.alleles),
        "null alleles": str(read.n_nulls),
        "P groups": _listed(read.p_groups),
        "G groups": _listed(read.g_groups),
        "serology": _listed(sorted(antigen.name for antigen in read.antigens)),
        "TCE groups": _listed(map(str, read.tce)),
        "followed": "; ".join(read.notes),
    }


def _listed(names: Iterable[str]) -> str:
    return "/".join(names)


def _locus(locus: Locus, typed: LocusTyping, explained: _Positions) -> ExplainedLocus:
    genotypes = tuple(
        (explained.of(first), explained.of(second)) for first, second in typed.alternatives
    )
    return ExplainedLocus(locus.value, genotypes, _n_pairs(genotypes))


def _n_pairs(genotypes: Iterable[tuple[ExplainedPosition, ExplainedPosition]]) -> int:
    """Pairs of P groups in no order, each counted once; a null has its partner's group (R3)."""
    sides = {(first.p_groups, second.p_groups) for first, second in genotypes}
    place = {name: i for i, name in enumerate(dict.fromkeys(chain(*chain(*sides))))}
    paired = np.zeros((len(place), len(place)), dtype=bool)
    for groups in sides:
        first, second = ([place[name] for name in names] for names in groups)
        if first and second:
            paired[np.ix_(first, second)] = True
        else:
            paired[first or second, first or second] = True
    return int(np.triu(paired | paired.T).sum())


def _position(
    position: Position, nomenclature: Nomenclature, level: Level | None
) -> ExplainedPosition:
    if position.form in (Form.NEW, Form.ABSENT, Form.UNTYPED):
        names = () if level is None else position.names
        return ExplainedPosition(
            position.text,
            position.form,
            ResolutionCategory.NOTHING,
            (),
            0,
            (),
            (),
            (),
            (),
            (),
            names,
        )
    readings = [nomenclature.read(name) for name in position.names]
    indices = sorted({i for reading in readings for i in reading.alleles})
    expressing = set(nomenclature.expressing(indices))
    kept = [nomenclature.alleles[i] for i in indices if i in expressing]
    n_nulls = sum(nomenclature.alleles[i].name.endswith("N") for i in indices)
    notes = [reading.note for reading in readings if reading.note]
    if 0 < n_nulls < len(indices) and position.form is not Form.XX:
        notes.append(f"{n_nulls} of {len(indices)} alleles are null and left out")
    p_groups = _distinct(allele.p_group for allele in kept)
    return ExplainedPosition(
        position.text,
        position.form,
        _resolution(position, len(indices), p_groups),
        tuple(nomenclature.alleles[i].name for i in indices),
        n_nulls,
        p_groups,
        _distinct(allele.g_group for allele in kept),
        _antigens(position, kept, nomenclature),
        tuple(sorted({group for allele in kept if (group := tce_group(allele.tce_v2))})),
        tuple(dict.fromkeys(notes)),
        () if level is None else reduce_position(position, level, nomenclature),
    )


def _distinct(groups: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(group for group in groups if group is not None))


def _resolution(
    position: Position, n_alleles: int, p_groups: tuple[str, ...]
) -> ResolutionCategory:
    if position.form is Form.SEROLOGY:
        return ResolutionCategory.SEROLOGICAL
    if n_alleles == 1:
        return ResolutionCategory.ALLELIC
    if len(p_groups) <= 1:
        return ResolutionCategory.HIGH
    return ResolutionCategory.LOW if position.form is Form.XX else ResolutionCategory.INTERMEDIATE


def _antigens(
    position: Position, alleles: list[Allele], nomenclature: Nomenclature
) -> tuple[ExplainedAntigen, ...]:
    """What rel_dna_ser reports of the alleles; of a written antigen those that match it (R8)."""
    if position.form is Form.SEROLOGY:
        (name,) = position.names
        matching = nomenclature.serology.matching(name)
        return tuple(
            ExplainedAntigen(
                antigen, "reported" if antigen == name else f"{subtype.value}, matches {name}"
            )
            for antigen, subtype in matching.items()
        )
    counts: Counter[tuple[str, str]] = Counter()
    for allele in alleles:
        prefix = PREFIX_OF_CARRIER.get(allele.name.partition("*")[0])
        if prefix is None:
            continue
        columns = allele.serology.split(";")
        for source, column in zip(_SOURCES, columns, strict=False):
            for number in reported_antigens(column):
                counts[prefix + number, source] += 1
    sources: dict[str, list[str]] = {}
    for (name, source), count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        sources.setdefault(name, []).append(f"{source} of {count}")
    return tuple(
        ExplainedAntigen(name, f"{', '.join(found)} of {len(alleles)} alleles")
        for name, found in sources.items()
    )


def _warnings(typing: Typing, nomenclature: Nomenclature) -> tuple[str, ...]:
    warnings = [*_other_release(typing.release, nomenclature)]
    if disagreement := drb345_disagreement(typing, nomenclature):
        warnings.append(disagreement)
    if typing.carried:
        warnings.append(f"kept and not matched on: {', '.join(typing.carried)}")
    return tuple(warnings)


def _other_release(named: str, nomenclature: Nomenclature) -> tuple[str, ...]:
    if named in ("", nomenclature.release):
        return ()
    return (f"typed under {named}, read under {nomenclature.release}",)
