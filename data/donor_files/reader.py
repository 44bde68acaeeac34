"""Batches of records -> checked people: each distinct value of a column is read once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.donor_files.batches import Batch, PeopleFile
from data.donor_files.coded import Coded
from data.donor_files.column_reader import ColumnReader
from data.donor_files.columns import (
    DEFAULTS,
    FACTS,
    GENE_COLUMNS,
    LOCUS_COLUMNS,
    MAX_ID_CHARACTERS,
    Person,
    check_change,
    check_fact,
    check_identifier,
    check_text,
    check_time,
)
from data.donor_files.rejects import Reject, Rejects, duplicate
from data.donor_files.typing_columns import (
    NOTHING_WRITTEN,
    TYPING,
    merged_genes,
    phase_text,
    split_or_error,
    typed_phases,
    written_of,
)
from matching.errors import RecordError, TypingError
from matching.genotypes import BookBuilder, book_builders
from matching.linkage import Copies, drb345_copies
from matching.loci import LOCI, Locus
from matching.nomenclature import Nomenclature
from matching.typings import (
    Position,
    Written,
    homozygous_where_blank,
    parse_locus,
    split_gl,
)

# The content of a record, as it is stored.
CONTENT = (*FACTS, *TYPING)


class BlankSecond(Enum):
    """What a blank second position of a locus means; DRB3/4/5 are read by their own rule."""

    REFUSE = "refuse"
    HOMOZYGOUS = "homozygous"


@dataclass(frozen=True)
class ReadingOptions:
    """How incoming records are read.

    `strict`: names that are not current in the release are refused and not followed.
    """

    strict: bool = False
    blank_second: BlankSecond = BlankSecond.REFUSE


AS_WRITTEN = ReadingOptions()


@dataclass(slots=True)
class CheckedBatch:
    """Records that can be used, and the others with their reasons.

    `columns`: values of `CONTENT`, of no meaning where the change is D. `times`: the record's own
    time in microseconds since 1970, None where it has none.
    """

    numbers: Sequence[int]
    ids: list[str]
    changes: Coded
    times: Coded
    columns: Mapping[str, Coded]
    rejects: list[Reject]

    def contents(self) -> Iterator[tuple[Any, ...]]:
        """The values of `CONTENT`, one record after the other."""
        return zip(*(self.columns[name].to_list() for name in CONTENT), strict=True)


@dataclass
class RecordReader:
    """Checked people of a file, and the rejects with their reasons, in the file's order.

    `disagreeing`: people whose DRB3/4/5 do not go with their DRB1.
    """

    nomenclature: Nomenclature
    options: ReadingOptions = AS_WRITTEN
    rejects: Rejects = field(default_factory=Rejects)
    read: int = 0
    disagreeing: int = 0
    _builders: Mapping[Locus, BookBuilder] = field(init=False)
    _changes: ColumnReader = field(init=False)
    _times: ColumnReader = field(init=False)
    _facts: dict[str, ColumnReader] = field(init=False)
    _loci: dict[Locus, ColumnReader] = field(init=False)
    _copies: dict[Locus, ColumnReader] = field(init=False)
    _agreeing: dict[tuple[Copies, Copies], bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.nomenclature = replace(self.nomenclature, strict=self.options.strict)
        self._builders = book_builders(self.nomenclature)
        self._changes = ColumnReader(lambda text: check_change(text.strip()))
        self._times = ColumnReader(lambda text: check_time("reported_at", text.strip()))
        self._facts = {name: ColumnReader(self._reader_of(name)) for name in FACTS}
        self._loci = {locus: ColumnReader(self._locus_reader(locus)) for locus in LOCI}
        self._copies = {
            locus: ColumnReader(self._copies_reader(locus)) for locus in (Locus.DRB1, Locus.DRB345)
        }

    @property
    def builders(self) -> Mapping[Locus, BookBuilder]:
        """What has read the typings of each locus."""
        return self._builders

    @property
    def notes(self) -> tuple[str, ...]:
        """How names were followed through renamed or deleted ones, sorted."""
        return tuple(sorted({n for builder in self._builders.values() for n in builder.notes}))

    def batches(self, file: PeopleFile) -> Iterator[CheckedBatch]:
        """The records of a file, checked; whoever uses them adds their rejects to `rejects`.

        Locus texts are canonical. An identifier may come twice.
        Raises `InputFileError` for what is wrong with the file as a whole.
        """
        for batch in file.batches():
            self.read += len(batch.numbers) + len(batch.problems)
            yield self._checked(batch)

    def people(self, path: Path) -> Iterator[Person]:
        """People of a small file. Raises `InputFileError`."""
        seen: dict[str, int] = {}
        for batch in self.batches(PeopleFile(path)):
            people = []
            for number, identifier, change, content in zip(
                batch.numbers, batch.ids, batch.changes.to_list(), batch.contents(), strict=True
            ):
                if identifier in seen:
                    batch.rejects.append(duplicate(number, identifier, seen[identifier]))
                elif change == "D":
                    reason = "the record says that the person is deleted (change D)"
                    batch.rejects.append((number, identifier, reason))
                else:
                    seen[identifier] = number
                    people.append(_person(identifier, content))
            self.rejects.add(sorted(batch.rejects))
            yield from people

    def write_rejects(self, path: Path) -> None:
        """The rejects as CSV: record number, identifier, reason. Raises `OutputError`."""
        self.rejects.write(path)

    def _checked(self, batch: Batch) -> CheckedBatch:
        n = len(batch.numbers)
        blank = Coded.same("", n)
        columns = batch.columns
        errors: dict[int, Exception] = {}
        for name, texts in columns.items():
            if not "".join(texts.values).isprintable():
                _keep_first(errors, _errors_of(partial(check_text, name), texts))
        ids = columns["id"].to([text.strip() for text in columns["id"].values])
        if "" in ids.values or max(map(len, ids.values), default=0) > MAX_ID_CHARACTERS:
            _keep_first(errors, _errors_of(check_identifier, ids))
        changes, bad = self._changes.all(columns.get("change", blank))
        _keep_first(errors, bad)
        times, bad = self._times.all(columns.get("reported_at", blank))
        _keep_first(errors, bad)
        self._times.forget()
        deleted: set[int] = set(
            changes.rows_of(i for i, c in enumerate(changes.values) if c == "D")
        )
        known = dict(errors)
        values: dict[str, Coded] = {}
        for name in FACTS:
            if name in columns:
                column = self._facts[name]
                values[name], bad = column.all(columns[name])
                _keep_first(errors, bad)
                column.forget()
            else:
                values[name] = Coded.same(DEFAULTS.get(name), n)
        _keep_first(errors, _two_ages(values["birth_date"], values["age_years"]))
        values |= self._typings(columns, n, errors)
        if deleted:
            # All that a deletion needs is who is deleted and when.
            errors = {i: error for i, error in errors.items() if i in known or i not in deleted}
        is_used = np.ones(n, dtype=bool)
        is_used[list(errors)] = False
        kept = np.flatnonzero(is_used)
        is_used[list(deleted)] = False
        self._count_disagreeing(values, np.flatnonzero(is_used))
        names = ids.to_list()
        rejects = [
            (problem.number, problem.id.strip(), problem.reason) for problem in batch.problems
        ]
        rejects = [(number, i, str(RecordError("record", i, why))) for number, i, why in rejects]
        rejects += [(batch.numbers[i], names[i], str(error)) for i, error in errors.items()]
        if errors:
            values = {name: column.take(kept) for name, column in values.items()}
            changes, times = changes.take(kept), times.take(kept)
            names = [names[i] for i in kept.tolist()]
        numbers = [batch.numbers[i] for i in kept.tolist()] if errors else batch.numbers
        return CheckedBatch(numbers, names, changes, times, values, sorted(rejects))

    def _typings(
        self, columns: Mapping[str, Coded], n: int, errors: dict[int, Exception]
    ) -> dict[str, Coded]:
        """Values of `TYPING`; `errors` gets those of the typings."""
        blank = Coded.same("", n)
        found = dict.fromkeys(("carried", "phase", "typing_release"), blank)
        texts: Mapping[Locus, Coded]
        if "gl" in columns:
            gl = columns["gl"]
            split = [split_or_error(text) for text in gl.values]
            bad = {i: one for i, one in enumerate(split) if isinstance(one, Exception)}
            _keep_first(errors, gl.errors(bad))
            written = [NOTHING_WRITTEN if isinstance(one, Exception) else one for one in split]
            texts = {locus: gl.to([one.loci.get(locus, "") for one in written]) for locus in LOCI}
            found["carried"] = gl.to(["^".join(one.carried) for one in written])
            found["phase"] = gl.to([phase_text(one.phase) for one in written])
            found["typing_release"] = gl.to([one.release for one in written])
        else:
            texts = {locus: columns.get(locus.value.lower(), blank) for locus in LOCI}
            genes = [
                (gene, columns[name]) for name, gene in GENE_COLUMNS.items() if name in columns
            ]
            if genes:
                merged, of_row = merged_genes(genes)
                _keep_first(errors, of_row)
                texts = {**texts, Locus.DRB345: merged}
        canonical: dict[str, Coded] = {}
        is_typed = np.zeros(n, dtype=bool)
        for name, locus in LOCUS_COLUMNS.items():
            canonical[name], of_row = self._loci[locus].all(texts[locus])
            _keep_first(errors, of_row)
            self._loci[locus].forget_errors()
            is_typed |= canonical[name].is_true
        for row in np.flatnonzero(~is_typed).tolist():
            errors.setdefault(row, RecordError("typing", "", "no locus is typed"))
        if any(found["phase"].values):
            found["phase"] = typed_phases(found["phase"], canonical)
        return {**canonical, **found}

    def _count_disagreeing(self, values: Mapping[str, Coded], used: npt.NDArray[np.int64]) -> None:
        drb1, drb345 = (values[locus.value.lower()] for locus in (Locus.DRB1, Locus.DRB345))
        used = used[(drb1.is_true & drb345.is_true)[used]]
        pairs = drb1.places[used].astype(np.int64) * len(drb345.values) + drb345.places[used]
        distinct, counts = np.unique(pairs, return_counts=True)
        first, second = np.divmod(distinct, len(drb345.values))
        expected, _ = self._copies[Locus.DRB1].all(Coded(drb1.values, first).used())
        reported, _ = self._copies[Locus.DRB345].all(Coded(drb345.values, second).used())
        for pair, count in zip(
            zip(expected.to_list(), reported.to_list(), strict=True), counts.tolist(), strict=True
        ):
            agrees = self._agreeing.get(pair)
            if agrees is None:
                agrees = self._agreeing[pair] = bool(pair[0] & pair[1])
            self.disagreeing += 0 if agrees else count

    def _reader_of(self, name: str) -> Callable[[str], Any]:
        if name == "mother_gl":
            return self._mother
        return lambda text: check_fact(name, text.strip())

    def _mother(self, text: str) -> str | None:
        """Typing of the mother as a canonical GL string."""
        stripped = text.strip()
        if not stripped:
            return None
        try:
            written = split_gl(stripped)
            loci = [self._loci[locus].read(part) for locus, part in written.loci.items()]
        except TypingError as error:
            raise RecordError("mother_gl", stripped, str(error)) from None
        return "^".join([*filter(None, loci), *written.carried]) or None

    def _locus_reader(self, locus: Locus) -> Callable[[str], str | None]:
        builder = self._builders[locus]
        homozygous = self.options.blank_second is BlankSecond.HOMOZYGOUS

        def read(text: str) -> str | None:
            stripped = text.strip()
            if homozygous:
                stripped = homozygous_where_blank(Written({locus: stripped})).loci[locus]
            return builder.canonical(stripped)[0]

        return read

    def _copies_reader(self, locus: Locus) -> Callable[[str], Copies]:
        known: dict[Position, frozenset[str]] = {}
        distinct: dict[Copies, Copies] = {}

        def read(text: str) -> Copies:
            typed = parse_locus(locus, text)
            assert typed is not None
            copies = drb345_copies(typed, self.nomenclature, known)
            return distinct.setdefault(copies, copies)

        return read


def _keep_first(errors: dict[int, Exception], further: Mapping[int, Exception]) -> None:
    for i, error in further.items():
        errors.setdefault(i, error)


def _errors_of(check: Callable[[str], None], texts: Coded) -> dict[int, Exception]:
    found: dict[int, Exception] = {}
    for i, text in enumerate(texts.values):
        try:
            check(text.strip())
        except RecordError as error:
            # Its frames hold the whole batch.
            found[i] = error.with_traceback(None)
    return texts.errors(found)


def _two_ages(dates: Coded, ages: Coded) -> dict[int, Exception]:
    has_date = np.array([date is not None for date in dates.values])[dates.places]
    has_age = np.array([age is not None for age in ages.values])[ages.places]
    return {
        row: RecordError("age_years", f"{ages[row]:g}", "give birth_date or age_years, not both")
        for row in np.flatnonzero(has_date & has_age).tolist()
    }


def _person(identifier: str, content: Sequence[Any]) -> Person:
    facts = dict(zip(FACTS, content, strict=False))
    return Person(identifier, facts, written_of(content[len(FACTS) :]))
