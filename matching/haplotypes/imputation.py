"""Typings as weighted genotypes under haplotype frequencies (rule R16).

A person is every pair of haplotypes of the set that explains the typing, with weight f1 f2,
doubled where the two differ; pairs that look the same unphased are added up. Haplotypes that fit
the same positions are one class, and classes are paired first, so that the mass of a typing needs
no list of pairs however ambiguous it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, combinations

import numpy as np
import numpy.typing as npt

from matching import imputation_kernels as kernels
from matching.errors import TooAmbiguousError
from matching.explanation_kernels import compatible_classes, explaining_classes
from matching.haplotypes.admitted import Admission, Admitted, NullImputation, Resolution, Table
from matching.haplotypes.classes import (
    ExplainingClasses,
    Haplotypes,
    PackedTables,
    cut_pairs,
    most_pairs,
)
from matching.haplotypes.frequencies import FrequencySet, distinct_rows, merge_haplotypes
from matching.haplotypes.values import Codes, Floats, HaplotypePairs, ImputedGenotypes, Ints
from matching.loci import Locus
from matching.nomenclature import Nomenclature
from matching.typings import LocusTyping, Position, Typing, Written, typing_of

MAX_RECOMBINED = 1_000_000
_MAX_KEY = 1 << 62
_CHUNK = 500


@dataclass
class Imputer:
    """Imputes under one set, release and choice of options; remembers what it has read.

    `unmapped`: names of the set that the release cannot read; their haplotypes explain nothing.
    """

    frequencies: FrequencySet
    nomenclature: Nomenclature
    nulls: NullImputation
    resolution: Resolution
    unmapped: tuple[str, ...] = field(init=False)
    _admission: Admission = field(init=False)
    _haplotypes: Haplotypes = field(init=False)
    _tables: list[Table] = field(init=False, default_factory=list)
    _numbers: dict[tuple[object, ...], int] = field(init=False, default_factory=dict)
    _known: dict[str, tuple[Codes, Floats, float]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._admission = Admission(
            self.frequencies, self.nomenclature, self.nulls, self.resolution
        )
        self.unmapped = self._admission.unmapped
        self._haplotypes = Haplotypes.of(
            self.frequencies.haplotypes, self.frequencies.frequencies, self._admission.n_names
        )
        self._column = {locus: i for i, locus in enumerate(self.frequencies.loci)}
        starts = self._haplotypes.name_starts
        self._name_tokens = np.zeros(starts[-1], dtype=np.int32)
        self._null_names = np.zeros(starts[-1], dtype=np.uint8)
        for i, start in enumerate(starts[:-1].tolist()):
            tokens = self._admission.tokens[i]
            self._name_tokens[start : start + len(tokens)] = tokens
            self._null_names[start : start + len(tokens)] = self._admission.null_names[i]

    def fresh(self) -> Imputer:
        """The same imputer with a memory of its own, so for one call and one thread.

        What was made ready of the set, and what positions admit, is shared.
        """
        found = copy(self)
        found._tables, found._numbers, found._known = [], {}, {}
        return found

    def genotypes(self, column: int) -> Codes:
        """All genotypes of a locus of the set, (n, 2) tokens a <= b, at a + b (b + 1) / 2.

        Token `NOTHING` expresses nothing; equal tokens match.
        """
        pairs, starts = self.token_pairs
        return pairs[starts[column] : starts[column + 1]]

    @cached_property
    def token_pairs(self) -> tuple[Codes, Ints]:
        """`genotypes` of all loci one after another, and where each starts, (n_loci + 1,)."""
        tables = []
        for names in self._admission.token_names:
            n = len(names)
            high = np.repeat(np.arange(n), np.arange(1, n + 1))
            low = np.arange(len(high)) - high * (high + 1) // 2
            tables.append(np.stack([low, high], axis=1).astype(np.int32))
        return np.concatenate(tables), np.concatenate([[0], np.cumsum([len(t) for t in tables])])

    def token_names(self, column: int) -> tuple[str, ...]:
        """What the tokens of a locus stand for: "" for nothing expressed, else a group or name."""
        return self._admission.token_names[column]

    def name_tokens(self, column: int) -> Codes:
        """The token of every name of a locus of the set, (n_names,); nulls are themselves."""
        return self._admission.tokens[column]

    def null_names(self, column: int) -> npt.NDArray[np.uint8]:
        """Whether each name of a locus of the set is a null by name, (n_names,)."""
        return self._admission.null_names[column]

    def admitted(self, column: int, position: Position) -> Admitted:
        """The names of the set that explain a written position. Raises `TypingError`."""
        return self._admission.admitted(column, position)

    def haplotype_tokens(self) -> Codes:
        """Tokens of every haplotype of the set, (n_haplotypes, n_loci); nulls are themselves."""
        tokens = self._admission.tokens
        columns = zip(tokens, self.frequencies.haplotypes.T, strict=True)
        return np.stack([token[names] for token, names in columns], axis=1)

    @cached_property
    def distinct_haplotypes(self) -> Ints:
        """A number for each haplotype, (n_haplotypes,), the same for those of the same tokens."""
        return distinct_rows(self.haplotype_tokens())[1].astype(np.int64)

    def impute(
        self,
        people: Iterable[Typing | Written],
        frequencies: Floats | None = None,
        precision: float = 0.0,
        threads: int = 1,
        most: int | None = None,
    ) -> ImputedGenotypes:
        """The genotypes of people, in their order.

        `frequencies`: (n_haplotypes,) in place of those of the set. `precision`: the share of each
        one's mass that may be cut; 0 cuts nothing up to 20 million pairs of haplotypes. `most`:
        people with more pairs have no genotypes at all, all of their mass dropped. Raises
        `TypingError` for a name that the release cannot read and `TooAmbiguousError` for genotype
        lists beyond measure.
        """
        numbers = [self._units(person) for person in people]
        distinct = {key: i for i, key in enumerate(dict.fromkeys(numbers))}
        found = self._impute_distinct(list(distinct), frequencies, precision, threads, most)
        if len(distinct) == len(numbers):
            return found
        return found.take(np.array([distinct[key] for key in numbers], dtype=np.int64))

    def impute_one(self, typing: Typing) -> tuple[Codes, Floats, float]:
        """Codes (n, n_loci), weights (n,) and mass of one person, as in `ImputedGenotypes`."""
        text = typing.text
        known = self._known.get(text)
        if known is None:
            found = self.impute([typing])
            known = self._known[text] = found.codes, found.weights, float(found.mass[0])
        return known

    def pairs(
        self, person: Typing | Written, frequencies: Floats | None = None, precision: float = 0.0
    ) -> HaplotypePairs:
        """The haplotype pairs of one person. Otherwise as `impute`."""
        found = self.explain(person, frequencies)
        found, least, n_pairs, dropped = cut_pairs(found, precision)
        left, right = np.empty(n_pairs, np.int64), np.empty(n_pairs, np.int64)
        weights = np.empty(n_pairs)
        kernels.list_pairs(
            found.rows, found.bounds, found.pairs, found.haplotypes.frequencies, least, left,
            right, weights,
        )  # fmt: skip
        order = np.lexsort((np.maximum(left, right), np.minimum(left, right), -weights))
        left, right = np.minimum(left, right)[order], np.maximum(left, right)[order]
        mass = found.mass or 1.0
        return HaplotypePairs(left, right, weights[order] / mass, found.mass, dropped)

    def explain(
        self, person: Typing | Written, frequencies: Floats | None = None
    ) -> ExplainingClasses:
        """The haplotypes that explain a typing, by class; none of their pairs is listed."""
        return self._explain(self._weighted(frequencies), self._units(person))

    def genotypes_of(self, found: ExplainingClasses, least: float = 0.0) -> tuple[Codes, Floats]:
        """Codes (n, n_loci) of the genotypes of compatible classes, and the weights (n,) of their
        haplotype pairs, not divided by the mass. `least`: as `cut_pairs` gives it."""
        codes, weights = kernels.genotypes_of_classes(
            found.haplotypes.rows, found.haplotypes.frequencies, found.rows, found.bounds,
            found.held, found.pairs, least, found.packed.tables, found.packed.compatible,
            found.packed.columns, found.packed.nulls, found.chosen, found.haplotypes.name_starts,
            self._name_tokens, self._null_names, self.nulls is NullImputation.PARTNER,
        )  # fmt: skip
        return codes, weights

    def list_genotypes(
        self, found: ExplainingClasses, precision: float = 0.0, most: int | None = None
    ) -> tuple[Codes, Floats, float, float]:
        """Codes, weights, mass and dropped share of one person. Otherwise as `impute`."""
        if most is not None and found.n_pairs > most:
            n_loci = len(self.frequencies.loci)
            return np.empty((0, n_loci), np.int32), np.empty(0), found.mass, 1.0
        found, least, _, dropped = cut_pairs(found, precision)
        codes, weights = self.genotypes_of(found, least)
        return codes, weights / (found.mass or 1.0), found.mass, dropped

    def mass(self, person: Typing | Written, frequencies: Floats | None = None) -> float:
        """Total weight of the haplotype pairs that explain a typing, exact for any ambiguity."""
        return self.explain(person, frequencies).mass

    def count(self, person: Typing | Written) -> int:
        """How many haplotype pairs explain a typing; none of them is listed."""
        return self.explain(person).n_pairs

    def faults(
        self, person: Typing | Written, frequencies: Floats | None = None
    ) -> tuple[tuple[Locus, ...], ...]:
        """The smallest sets of typed loci without which an unrepresented typing is explained.

        Loci in phase go together. Empty where it is explained.
        """
        haplotypes, units = self._weighted(frequencies), self._units(person)
        for size in range(len(units) + 1):
            found = []
            for left_out in combinations(range(len(units)), size):
                kept = tuple(unit for i, unit in enumerate(units) if i not in left_out)
                if self._explain(haplotypes, kept).mass > 0:
                    columns = chain.from_iterable(self._tables[units[i]].columns for i in left_out)
                    found.append(tuple(self.frequencies.loci[c] for c in sorted(columns)))
            if found:
                return tuple(found) if size else ()
        return ()

    def recombine(
        self,
        person: Typing | Written,
        blocks: Sequence[Sequence[Locus]],
        frequencies: Floats | None = None,
    ) -> ExplainingClasses:
        """`explain` by haplotypes put together from the set's parts over blocks of loci.

        A part has its marginal frequency, and the parts of a haplotype are independent. `blocks`
        hold every locus of the set once. Raises `TooAmbiguousError` where too many parts fit, and
        `ValueError` for loci in phase.
        """
        units = self._units(person)
        if any(len(self._tables[unit].columns) > 1 for unit in units):
            raise ValueError("phase cannot be followed through recombined haplotypes")
        source = self._weighted(frequencies)
        rows = np.zeros((1, source.rows.shape[1]), dtype=np.int32)
        weights = np.ones(1)
        for block in blocks:
            columns = [self._column[locus] for locus in block]
            own = tuple(unit for unit in units if self._tables[unit].columns[0] in columns)
            fitting = self._explain(source, own).rows
            parts, sums = merge_haplotypes(
                source.rows[fitting][:, columns],
                source.frequencies[fitting] / source.frequencies.sum(),
            )
            n, m = len(rows), len(parts)
            if n * m > MAX_RECOMBINED:
                raise TooAmbiguousError(
                    f"more than {MAX_RECOMBINED:,} recombined haplotypes fit the typing"
                )
            rows, weights = np.repeat(rows, m, axis=0), np.repeat(weights, m) * np.tile(sums, n)
            rows[:, columns] = np.tile(parts, (n, 1))
        haplotypes = Haplotypes.of(rows, weights, self._admission.n_names)
        return self._explain(haplotypes, units)

    def _weighted(self, frequencies: Floats | None) -> Haplotypes:
        return self._haplotypes if frequencies is None else self._haplotypes.weighted(frequencies)

    def _units(self, person: Typing | Written) -> tuple[int, ...]:
        """Numbers of the tables of what is typed, one a locus or block of loci in phase."""
        if isinstance(person, Written) and person.phase:
            person = typing_of(person)
        loci: Mapping[Locus, object] = (
            person.loci if isinstance(person, Written) else dict(person.loci.items())
        )
        phased = set(chain.from_iterable(person.phase))
        units = []
        for locus in self._column:
            written = loci.get(locus)
            if written is not None and locus not in phased:
                units.append(self._number((locus,), (written,)))
        for block in person.phase:
            kept = tuple(locus for locus in block if locus in self._column)
            if kept:
                units.append(self._number(kept, tuple(loci[locus] for locus in kept)))
        return tuple(unit for unit in units if unit >= 0)

    def _number(self, block: tuple[Locus, ...], written: tuple[object, ...]) -> int:
        key = (block, written)
        number = self._numbers.get(key)
        if number is None:
            typings = [
                _parsed(locus, one) if isinstance(one, str) else one
                for locus, one in zip(block, written, strict=True)
            ]
            read = [typing for typing in typings if isinstance(typing, LocusTyping)]
            number = -1
            if read:
                columns = [self._column[locus] for locus in block]
                self._tables.append(self._admission.table(columns, read))
                number = len(self._tables) - 1
            self._numbers[key] = number
        return number

    def _explain(self, haplotypes: Haplotypes, units: tuple[int, ...]) -> ExplainingClasses:
        tables = [self._tables[unit] for unit in units]
        _check_size(tables)
        packed, chosen = PackedTables.of(tables), np.arange(len(tables))
        rows, bounds, held = explaining_classes(
            haplotypes.rows, haplotypes.frequencies, haplotypes.by_name, haplotypes.name_offsets,
            haplotypes.name_starts, packed.tables, packed.patterns, chosen,
        )  # fmt: skip
        pairs, mass, n_pairs = compatible_classes(
            rows, bounds, held, haplotypes.frequencies, packed.tables, packed.compatible, chosen
        )
        return ExplainingClasses(
            haplotypes, packed, chosen, rows, bounds, held, pairs, mass, n_pairs
        )

    def _impute_distinct(
        self,
        people: Sequence[tuple[int, ...]],
        frequencies: Floats | None,
        precision: float,
        threads: int,
        most_listed: int | None,
    ) -> ImputedGenotypes:
        haplotypes = self._weighted(frequencies)
        used, flat = np.unique([u for units in people for u in units], return_inverse=True)
        tables = [self._tables[int(unit)] for unit in used]
        packed = PackedTables.of(tables)
        sizes = np.array([len(units) for units in people], dtype=np.int64)
        for units in {tuple(len(self._tables[u].compatible) for u in units) for units in people}:
            _check_key(units)
        most = most_pairs(precision) if most_listed is None else most_listed
        starts = np.concatenate([[0], np.cumsum(sizes)])

        def chunk(first: int) -> tuple[Codes, Floats, Ints, Floats, Ints]:
            offsets = starts[first : first + _CHUNK + 1]
            found: tuple[Codes, Floats, Ints, Floats, Ints] = kernels.impute_people(
                haplotypes.rows, haplotypes.frequencies, haplotypes.by_name,
                haplotypes.name_offsets, haplotypes.name_starts, packed.tables, packed.patterns,
                packed.compatible, packed.columns, packed.nulls, self._name_tokens,
                self._null_names, self.nulls is NullImputation.PARTNER,
                offsets - offsets[0], flat[offsets[0] : offsets[-1]].astype(np.int64), most,
            )  # fmt: skip
            return found

        firsts = range(0, len(people), _CHUNK)
        if threads > 1 and len(firsts) > 1:
            with ThreadPoolExecutor(threads) as pool:
                parts = list(pool.map(chunk, firsts))
        else:
            parts = [chunk(first) for first in firsts]
        n_loci = len(self.frequencies.loci)
        codes = np.concatenate([np.empty((0, n_loci), np.int32), *(p[0] for p in parts)])
        weights = np.concatenate([np.empty(0), *(p[1] for p in parts)])
        counts = np.concatenate([np.empty(0, np.int64), *(p[2] for p in parts)])
        mass = np.concatenate([np.empty(0), *(p[3] for p in parts)])
        n_pairs = np.concatenate([np.empty(0, np.int64), *(p[4] for p in parts)])
        weights /= np.repeat(mass, counts)
        dropped = np.zeros(len(people))
        offsets = np.concatenate([[0], np.cumsum(counts)])
        many = np.flatnonzero(n_pairs > most).tolist()
        if most_listed is not None:
            dropped[many] = 1.0
        if not many or most_listed is not None:
            return ImputedGenotypes(offsets, codes, weights, mass, dropped)
        pieces: list[tuple[Codes, Floats]] = []
        done = 0
        for person in many:
            pieces.append((codes[done : offsets[person]], weights[done : offsets[person]]))
            done = offsets[person]
            own = self.list_genotypes(self._explain(haplotypes, people[person]), precision)
            pieces.append((own[0], own[1]))
            counts[person], dropped[person] = len(own[1]), own[3]
        pieces.append((codes[done:], weights[done:]))
        return ImputedGenotypes(
            np.concatenate([[0], np.cumsum(counts)]),
            np.concatenate([codes for codes, _ in pieces]),
            np.concatenate([weights for _, weights in pieces]),
            mass,
            dropped,
        )


def _parsed(locus: Locus, text: str) -> LocusTyping | None:
    return typing_of(Written({locus: text})).loci[locus] if text else None


def _check_size(tables: Sequence[Table]) -> None:
    _check_key(tuple(len(table.compatible) for table in tables))


def _check_key(sizes: Sequence[int]) -> None:
    product = 1
    for size in sizes:
        product *= size
    if product > _MAX_KEY:
        raise TooAmbiguousError("the genotype lists of the typing are too many; type more exactly")
