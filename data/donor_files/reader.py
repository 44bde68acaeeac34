"""Batches of records -> checked people: each distinct value of a column is read once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

from data.donor_files.batches import Batch, PeopleFile
from data.donor_files.column_reader import ColumnReader
from data.donor_files.columns import (
    DEFAULTS,
    FACTS,
    GENE_COLUMNS,
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
    phase_blocks,
    phase_text,
    split_or_error,
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

    `contents`: values of `CONTENT`, of no meaning where the change is D. `times`: the record's own
    time in microseconds since 1970, None where it has none.
    """

    numbers: list[int]
    ids: list[str]
    changes: list[str]
    times: list[int | None]
    contents: list[tuple[Any, ...]]
    rejects: list[Reject]


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
                batch.numbers, batch.ids, batch.changes, batch.contents, strict=True
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
        blank = [""] * n
        columns = batch.columns
        errors: dict[int, Exception] = {}
        for name, texts in columns.items():
            if not "".join(texts).isprintable():
                _keep_first(errors, _errors_of(partial(check_text, name), texts))
        ids = [text.strip() for text in columns["id"]]
        if "" in ids or max(map(len, ids), default=0) > MAX_ID_CHARACTERS:
            _keep_first(errors, _errors_of(check_identifier, ids))
        changes, bad = self._changes.all(columns.get("change", blank))
        _keep_first(errors, bad)
        times, bad = self._times.all(columns.get("reported_at", blank))
        _keep_first(errors, bad)
        self._times.forget()
        deleted = {i for i, change in enumerate(changes) if change == "D"}
        known = dict(errors)
        values: list[Sequence[Any]] = []
        for name in FACTS:
            if name in columns:
                column = self._facts[name]
                of_fact, bad = column.all(columns[name])
                _keep_first(errors, bad)
                column.forget()
            else:
                of_fact = [DEFAULTS.get(name)] * n
            values.append(of_fact)
        _keep_first(errors, _two_ages(values))
        values += self._typings(columns, n, errors)
        if deleted:
            # All that a deletion needs is who is deleted and when.
            errors = {i: error for i, error in errors.items() if i in known or i not in deleted}
        self._count_disagreeing(values, errors, deleted)
        contents = list(zip(*values, strict=True))
        rejects = [
            (problem.number, problem.id.strip(), problem.reason) for problem in batch.problems
        ]
        rejects = [(number, i, str(RecordError("record", i, why))) for number, i, why in rejects]
        rejects += [(batch.numbers[i], ids[i], str(error)) for i, error in errors.items()]
        kept = [i for i in range(n) if i not in errors]
        return CheckedBatch(
            [batch.numbers[i] for i in kept],
            [ids[i] for i in kept],
            [changes[i] for i in kept],
            [times[i] for i in kept],
            [contents[i] for i in kept],
            sorted(rejects),
        )

    def _typings(
        self, columns: Mapping[str, Sequence[str]], n: int, errors: dict[int, Exception]
    ) -> list[Sequence[Any]]:
        """Values of `TYPING`; `errors` gets those of the typings."""
        blank = [""] * n
        carried, phases, releases = blank, blank, blank
        texts: Mapping[Locus, Sequence[str]]
        if "gl" in columns:
            split = [split_or_error(text) for text in columns["gl"]]
            _keep_first(errors, {i: w for i, w in enumerate(split) if isinstance(w, Exception)})
            written = [NOTHING_WRITTEN if isinstance(one, Exception) else one for one in split]
            texts = {locus: [one.loci.get(locus, "") for one in written] for locus in LOCI}
            carried = ["^".join(one.carried) for one in written]
            phases = [phase_text(one.phase) for one in written]
            releases = [one.release for one in written]
        else:
            texts = {locus: columns.get(locus.value.lower(), blank) for locus in LOCI}
            genes = [
                (gene, columns[name]) for name, gene in GENE_COLUMNS.items() if name in columns
            ]
            if genes:
                merged, bad = merged_genes(genes)
                _keep_first(errors, bad)
                texts = {**texts, Locus.DRB345: merged}
        canonical: list[Sequence[str | None]] = []
        for locus in LOCI:
            of_locus, bad = self._loci[locus].all(texts[locus])
            _keep_first(errors, bad)
            self._loci[locus].forget_errors()
            canonical.append(of_locus)
        for i, of_person in enumerate(zip(*canonical, strict=True)):
            if not any(of_person):
                errors.setdefault(i, RecordError("typing", "", "no locus is typed"))
            elif phases[i]:
                typed = {locus for locus, text in zip(LOCI, of_person, strict=True) if text}
                blocks = [block for block in phase_blocks(phases[i]) if typed >= set(block)]
                phases[i] = phase_text(blocks)
        return [*canonical, carried, phases, releases]

    def _count_disagreeing(
        self, values: Sequence[Sequence[Any]], errors: Mapping[int, Exception], deleted: set[int]
    ) -> None:
        drb1, drb345 = (values[len(FACTS) + locus.position] for locus in (Locus.DRB1, Locus.DRB345))
        both = [
            i
            for i, (first, second) in enumerate(zip(drb1, drb345, strict=True))
            if first and second and i not in errors and i not in deleted
        ]
        expected, _ = self._copies[Locus.DRB1].all([drb1[i] for i in both])
        reported, _ = self._copies[Locus.DRB345].all([drb345[i] for i in both])
        for pair in zip(expected, reported, strict=True):
            agrees = self._agreeing.get(pair)
            if agrees is None:
                agrees = self._agreeing[pair] = bool(pair[0] & pair[1])
            self.disagreeing += not agrees

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


def _errors_of(check: Callable[[str], None], texts: Iterable[str]) -> dict[int, Exception]:
    found: dict[int, Exception] = {}
    for i, text in enumerate(texts):
        try:
            check(text.strip())
        except RecordError as error:
            found[i] = error
    return found


def _two_ages(facts: Sequence[Sequence[Any]]) -> dict[int, Exception]:
    dates, ages = facts[FACTS.index("birth_date")], facts[FACTS.index("age_years")]
    return {
        i: RecordError("age_years", f"{age:g}", "give birth_date or age_years, not both")
        for i, (date, age) in enumerate(zip(dates, ages, strict=True))
        if date is not None and age is not None
    }


def _person(identifier: str, content: Sequence[Any]) -> Person:
    facts = dict(zip(FACTS, content, strict=False))
    return Person(identifier, facts, written_of(content[len(FACTS) :]))
