"""Names and GL strings reduced to groups, fewer fields or antigens (rules R5 to R8).

A reduction renames and loses nothing: nulls stay, unlike in matching (rule R4). Within one name of
two fields a named group stands for its alleles outside of any, as registries write it: B*07:02
reduces to B*07:02:01G/B*07:02:75G, without the many single alleles of B*07:02. Where no allele is
in a named group, the two fields stand for them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from enum import Enum
from itertools import chain, repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from matching.errors import TooAmbiguousError, UnknownNameError
from matching.names import sort_key
from matching.nomenclature import NO_P_GROUP, Allele, Nomenclature, split_name, two_fields
from matching.serology import PREFIX_OF_CARRIER, assigned_antigens, split_antigen
from matching.typings import (
    Form,
    Position,
    Typing,
    is_lone_position,
    parse_lone_position,
    split_gl,
    split_release,
    typing_of,
)

NOTHING = "X"
_SUFFIXED = re.compile(r".*[0-9][NLSQCA]")
# Most names that one text is answered with: 15 MB of them.
MAX_NAMES = 1_000_000


class Level(Enum):
    """What names are reduced to."""

    G = "G"  # G groups; an allele outside of any keeps its name
    P = "P"  # P groups; an allele outside of any, or one that expresses nothing, keeps its name
    LGX = "lgx"  # two-field names of the antigen recognition domain
    U2 = "U2"  # two fields, or lgx where these and the suffix would leave the allele open
    EXON = "exon"  # three fields and the suffix
    W = "W"  # full names of the release
    S = "S"  # antigens with the broad antigens of splits


def reduce_name(name: str, level: Level, nomenclature: Nomenclature) -> tuple[str, ...]:
    """What one written name reduces to, sorted; nothing where there is none (a null at S, Dw8).

    Names of genes without groups (MICA, HFE) stay as they are at every level but W and S.
    Raises `UnknownNameError` and `IncompleteReferenceError`.
    """
    if level in _OF_ONE_ALLELE and (exact := nomenclature.by_name.get(name)) is not None:
        return (_reduced(exact, nomenclature.alleles[exact], level, nomenclature),)
    if name in nomenclature.serology:
        if level is Level.S:
            return _with_broads([name], nomenclature)
        if split_antigen(name) is None:
            return ()
    reading = nomenclature.read(name)
    alleles = [nomenclature.alleles[i] for i in reading.alleles]
    if level is Level.S:
        return _antigens(name, reading.alleles, nomenclature)
    if level is Level.W:
        return _sorted(allele.name for allele in alleles)
    if not any(map(_has_groups, alleles)) and not reading.note and not name.endswith("XX"):
        return (name,)
    reduced = [
        _reduced(i, allele, level, nomenclature)
        for i, allele in zip(reading.alleles, alleles, strict=True)
    ]
    if _SUFFIXED.fullmatch(name) or level not in _STANDS:
        return _sorted(reduced)
    by_protein: defaultdict[str, dict[str, Allele]] = defaultdict(dict)
    for allele, short in zip(alleles, reduced, strict=True):
        by_protein[two_fields(allele.name)][short] = allele
    return _sorted(
        short
        for protein, found in by_protein.items()
        for short in _standing(protein, found, _STANDS[level])
    )


def _standing(
    protein: str, found: dict[str, Allele], stands: Callable[[Allele], bool]
) -> Iterable[str]:
    standing = [short for short, allele in found.items() if stands(allele)]
    null = all(short.endswith("N") for short in found)
    return standing or (found if null or len(found) == 1 else [protein])


def _has_groups(allele: Allele) -> bool:
    return allele.g_group is not None or allele.p_group is not None


# Alleles that stand for the others of their two fields.
_STANDS: dict[Level, Callable[[Allele], bool]] = {
    Level.G: lambda allele: allele.g_group not in (None, allele.name),
    Level.P: lambda allele: allele.p_group is not None,
    Level.U2: lambda allele: not split_name(allele.name)[2],
}


# Levels at which an allele by its full name has one reduction.
_OF_ONE_ALLELE = frozenset(Level) - {Level.S, Level.W}


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names), key=sort_key))


def _reduced(i: int, allele: Allele, level: Level, nomenclature: Nomenclature) -> str:
    if not _has_groups(allele):
        return allele.name
    if level is Level.G:
        return allele.g_group or allele.name
    if level is Level.P:
        return allele.p_group or allele.name
    if level is Level.LGX:
        return nomenclature.lgx_names[i]
    gene, fields, suffix = split_name(allele.name)
    if level is Level.EXON:
        return f"{gene}*{':'.join(fields[:3])}{suffix}"
    stem = two_fields(allele.name)
    if len(fields) == 2 or not suffix:
        return stem + suffix
    # A*24:02L is left open where A*24:02 has other suffixes too.
    siblings = nomenclature.read(stem).alleles
    suffixes = {split_name(nomenclature.alleles[j].name)[2] for j in siblings}
    return stem + suffix if suffixes <= {"", suffix} else nomenclature.lgx_names[i]


def _antigens(name: str, read: tuple[int, ...], nomenclature: Nomenclature) -> tuple[str, ...]:
    """Antigens of what was read, without the exceptions of experts (rel_dna_ser, rule R8).

    A name of two fields says no more than its P group, so it has the antigens of that; a name of
    three or four fields has its own. Nulls have none.
    """
    expressing = [i for i in read if not nomenclature.alleles[i].name.endswith("N")]
    if name.count(":") < 2:
        of_lgx = dict.fromkeys(nomenclature.lgx_names[i] for i in expressing)
        expressing = [i for lgx in of_lgx for i in nomenclature.by_lgx_name[lgx]]
    found = set()
    for i in expressing:
        allele = nomenclature.alleles[i]
        prefix = PREFIX_OF_CARRIER.get(split_name(allele.name)[0])
        if prefix is not None:
            found |= {prefix + number for number in assigned_antigens(allele.serology)}
    return _with_broads(found, nomenclature)


def _with_broads(antigens: Iterable[str], nomenclature: Nomenclature) -> tuple[str, ...]:
    own = list(antigens)
    broads = (nomenclature.serology.broad(antigen) for antigen in own)
    return _sorted([*own, *(broad for broad in broads if broad is not None)])


def reduce_gl(text: str, level: Level, nomenclature: Nomenclature) -> str:
    """A GL string (Milius 2013, Tissue Antigens 82:106) or a single position, reduced.

    It is read as a typing is, so the DRB3/4/5 of several parts stand in one, and a locus that is
    said to be untyped (`UUUU+UUUU`) is left out. Everything is sorted, names in phase (`~`) too,
    and a genotype of a list stands once. `X` stands where nothing is left of a position; UUUU, NNNN
    and NEW stay, and so does an `HLA-` in front, then of every name.
    Raises `TypingSyntaxError`, `HalfTypedError`, `UnknownNameError`, `IncompleteReferenceError`,
    and `TooAmbiguousError` where it would hold more than `MAX_NAMES` names.
    """
    bare = split_release(text)[1]
    reduction = _Reduction(level, nomenclature, "HLA-" if bare.startswith("HLA-") else "")
    if is_lone_position(bare):
        return reduction.text(parse_lone_position(bare))
    written = split_gl(bare)
    parts = [_genotypes_of_carried(part) for part in written.carried]
    if written.loci:
        parts += _genotypes(typing_of(written))
    return reduction.joined(parts)


# The genotypes of one part of a GL string: copies, of names in phase.
_Copy = tuple[Position, ...]
_Genotypes = list[tuple[_Copy, ...]]
# Ranks of texts in place of positions.
_Ranks = tuple[int, ...]


def _genotypes(typing: Typing) -> list[_Genotypes]:
    """Every locus of a typing, those in phase as one part."""
    in_phase = set(chain.from_iterable(typing.phase))
    alone = ((locus,) for locus, typed in typing.loci.items() if typed and locus not in in_phase)
    parts = []
    for block in (*alone, *typing.phase):
        by_name = sorted(block, key=lambda locus: locus.value)
        typed = [found for locus in by_name if (found := typing.loci[locus]) is not None]
        entries = zip(*(one.alternatives for one in typed), strict=True)
        parts.append([tuple(zip(*pairs, strict=True)) for pairs in entries])
    return parts


def _genotypes_of_carried(text: str) -> _Genotypes:
    return [
        tuple((parse_lone_position(copy),) for copy in genotype.split("+"))
        for genotype in text.split("|")
    ]


class _Reduction:
    """Positions of one text at one level, each distinct one reduced once."""

    def __init__(self, level: Level, nomenclature: Nomenclature, prefix: str) -> None:
        self._level, self._nomenclature, self._prefix = level, nomenclature, prefix
        self._names: dict[Position, tuple[str, ...]] = {}

    def text(self, position: Position) -> str:
        return "/".join(self._prefix + name for name in self._reduced(position)) or NOTHING

    def _reduced(self, position: Position) -> tuple[str, ...]:
        names = self._names.get(position)
        if names is None:
            names = reduce_position(position, self._level, self._nomenclature)
            self._names[position] = names
        return names

    def joined(self, parts: list[_Genotypes]) -> str:
        """Parts as a GL string in order of names; what is written alike stands once in a list."""
        positions = {p for part in parts for genotype in part for copy in genotype for p in copy}
        self._check_size(positions)
        keys = {
            self.text(position): list(map(sort_key, self._reduced(position) or (NOTHING,)))
            for position in positions
        }
        texts = sorted(keys, key=keys.__getitem__)
        place = {text: i for i, text in enumerate(texts)}
        rank = {position: place[self.text(position)] for position in positions}
        ranked = sorted(
            sorted(
                {
                    tuple(sorted(tuple(rank[position] for position in copy) for copy in genotype))
                    for genotype in genotypes
                }
            )
            for genotypes in parts
        )
        written = chain.from_iterable(chain.from_iterable(chain.from_iterable(ranked)))
        of_rank = {i: position for position, i in rank.items()}
        self._check_size(of_rank[i] for i in written)
        return "^".join(
            "|".join(
                "+".join("~".join(texts[i] for i in copy) for copy in genotype)
                for genotype in genotypes
            )
            for genotypes in ranked
        )

    def _check_size(self, positions: Iterable[Position]) -> None:
        n_names = 0
        for position in positions:
            n_names += max(len(self._reduced(position)), 1)
            check_size(n_names, f"reduces to more than {MAX_NAMES:,} names at {self._level.value}")


def reduce_position(
    position: Position, level: Level, nomenclature: Nomenclature
) -> tuple[str, ...]:
    """What the names of a position reduce to, sorted; a new, absent or untyped one stays.

    Raises `UnknownNameError` and `IncompleteReferenceError`.
    """
    if position.form in (Form.NEW, Form.ABSENT, Form.UNTYPED):
        return position.names
    reduced = (reduce_name(name, level, nomenclature) for name in position.names)
    return _sorted(chain.from_iterable(reduced))


def check_size(n_names: int, what: str) -> None:
    """Raises `TooAmbiguousError` where a typing would be answered with too many names."""
    if n_names > MAX_NAMES:
        raise TooAmbiguousError(f"the typing {what}; type more exactly, or give it in parts")


def xx_of_antigen(name: str, nomenclature: Nomenclature) -> str:
    """The `XX` name that an antigen is searched as: DQ7 as DQB1*03:XX, A9 as A*09:XX.

    The first field of its own number, else of its broad antigen's, else the commonest among its
    alleles; an associated antigen goes as its parent (rules R6 and R8). Raises `UnknownNameError`.
    """
    antigen = name
    while (parent := nomenclature.serology.parent(antigen)) is not None:
        antigen = parent
    alleles = [nomenclature.alleles[i].name for i in nomenclature.read(antigen).alleles]
    families = Counter(allele.partition(":")[0] for allele in alleles)
    commonest = max(families, key=lambda family: families[family])
    gene = commonest.partition("*")[0]
    for candidate in (antigen, nomenclature.serology.broad(antigen)):
        parts = split_antigen(candidate) if candidate else None
        if parts is not None and nomenclature.holds(family := f"{gene}*{parts[1]:0>2}:XX"):
            return family
    return f"{commonest}:XX"


def p_group_codes_of(names: Any, nomenclature: Nomenclature) -> npt.NDArray[np.int32]:
    """P group code of every name of an Arrow string array (chunked or not), `NO_P_GROUP` for nulls.

    Every distinct name is read once, so that the cost of a large array is that of encoding it.
    Raises `UnknownNameError`, also for a name that stands for several P groups, and `ValueError`
    for a missing value.
    """
    if names.null_count:
        raise ValueError(f"{names.null_count} of {len(names)} names are missing")
    encoded = names.dictionary_encode()
    codes = [np.empty(0, dtype=np.int32)]
    for chunk in getattr(encoded, "chunks", [encoded]):
        distinct = _p_group_codes(chunk.dictionary.to_numpy(zero_copy_only=False), nomenclature)
        codes.append(distinct[np.asarray(chunk.indices)])
    return np.concatenate(codes)


def _p_group_codes(
    names: npt.NDArray[np.object_], nomenclature: Nomenclature
) -> npt.NDArray[np.int32]:
    """Codes of names: alleles by their full name in one go, any other by reading it."""
    found = map(nomenclature.by_name.get, names, repeat(-1))
    alleles = np.fromiter(found, np.int64, len(names))
    codes = nomenclature.p_group_codes[alleles]
    for i in np.flatnonzero(alleles < 0).tolist():
        codes[i] = _p_group_code(names[i], nomenclature)
    return codes


def _p_group_code(name: str, nomenclature: Nomenclature) -> int:
    codes = set(nomenclature.p_group_codes[list(nomenclature.read(name).alleles)].tolist())
    codes.discard(NO_P_GROUP)
    if len(codes) > 1:
        raise UnknownNameError(
            name.partition("*")[0], name, f"stands for {len(codes)} P groups, not for one"
        )
    return int(codes.pop()) if codes else NO_P_GROUP
