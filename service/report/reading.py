"""The files of match, batch and typing-plan that a report is made from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from data.donor_files import INDEXED_FACTS
from data.donor_files.columns import NUMBERS as NUMBER_FACTS
from matching.antibodies import SYSTEMS
from matching.errors import InputFileError
from matching.family import RelativeClass
from matching.loci import LOCI, Locus
from matching.rank import REASONS
from matching.risk import OUTCOMES
from matching.search import POSITION_LETTERS
from service.family_page import FAMILIES
from service.pairs import risk_columns
from service.recipients import read_table
from service.report.listed import read_antibodies, read_families, stated_antibodies

NEEDED = ("patient", "rank", "donor", "mismatches_best", "mismatches_worst")
PROVENANCE = ("release", "index", "frequency_set", "model")
COUNTS = ("count_best", "count_worst", "gvh_best", "gvh_worst", "hvg_best", "hvg_worst")
POSITIONS = ("position_1", "position_2")
TOTALS = ("gvh_best", "gvh_worst", "hvg_best", "hvg_worst")
DETAILS = (
    *("category", "leader_genotype", "leader_matched", "leader_shared", "leader_from_family"),
    "dpb1_expression",
)
# Of relatives, and of the virtual crossmatch; docs/batch.md tells their meaning.
RELATIVE_TEXTS = (
    "relationship",
    "class",
    "by_descent",
    "haplotypes",
    "typing_refined",
    "weighting",
)
RELATIVE_SHARES = (
    *(f"p_{kind.name.lower()}" for kind in RelativeClass),
    *("shares_a", "shares_c", "p_nima"),
)
ANTIBODY_SHARES = ("antibody_p_positive", "antibody_p_positive_worst")
ANTIBODY_MFI = ("antibody_cumulative_mfi_low", "antibody_cumulative_mfi_high")
ANTIBODY_SYSTEMS = tuple(f"antibody_{system.value.lower()}_answer" for system in SYSTEMS)
ANTIBODY_TEXTS = (
    *("antibody_answer", "antibody_worst", *ANTIBODY_SYSTEMS),
    *("antibody_evidence", "antibody_override"),
)
ALLOCATION_TEXTS = (
    *("allocated", "second", "first", "not_first_for", "best", "reason", "best_given_to", "limit"),
)
PLAN = ("patient", "donor", "p10", "p9", "availability", "gain")
_FORMATS = (".parquet", ".csv", ".jsonl")
# Most mismatches over nine loci.
_MOST = 18


def at_locus(locus: Locus, name: str) -> str:
    """The column of one locus, such as `drb1_count_best`."""
    return f"{locus.value.lower()}_{name}"


# Every column that a report shows, with the range of a number (of integers where it is whole) or
# None for a text.
_NUMBER = (0.0, 1e12)
_SHARE = (0.0, 1.0)
_DIFFERENCE = (-1.0, 1.0)
COLUMNS: Mapping[str, tuple[float, float] | None] = {
    **dict.fromkeys(("patient", "donor")),
    "stratum": None,
    **dict.fromkeys(("place", "rank"), (1, 10**9)),
    **dict.fromkeys(("mismatches_best", "mismatches_worst", *TOTALS), (0, _MOST)),
    **dict.fromkeys(("p10", "p9"), _SHARE),
    **{
        name: _DIFFERENCE if "_difference" in name else _SHARE
        for outcome in OUTCOMES
        for name in risk_columns(outcome.name)
    },
    **{at_locus(locus, name): (0, 2) for locus in LOCI for name in COUNTS},
    **dict.fromkeys(at_locus(locus, name) for locus in LOCI for name in POSITIONS),
    "dpb1_tce": None,
    **{name: _NUMBER if name in NUMBER_FACTS else None for name in INDEXED_FACTS},
    **dict.fromkeys(f"rank_{key}" for key in REASONS),
    **dict.fromkeys(("ranked_below_previous_for", "allocated_to", "typing", *DETAILS)),
    **dict.fromkeys(PROVENANCE),
    **dict.fromkeys(("risk_not_told", "nima", *RELATIVE_TEXTS, *ANTIBODY_TEXTS)),
    **dict.fromkeys((*RELATIVE_SHARES, *ANTIBODY_SHARES), _SHARE),
    **dict.fromkeys(ANTIBODY_MFI, _NUMBER),
}


@dataclass(frozen=True)
class Results:
    """What was found in one run.

    `candidates`: one row a patient and donor, the columns of `COLUMNS` that the file has; texts are
    categories, what is unknown is missing. `provenance`: what the run states of itself.
    `allocation`, `plan`, `rejects`, `notes`: tables, None where none is known. `proof`: status and
    levels of the allocation of batch, empty where they are not known. `families`: pictures of
    pedigrees by patient; `antibodies`: of patients with a report, what becomes of the registry
    (`listed.REGISTRY_ANSWERS`), how many were left out, and warnings.
    """

    candidates: pd.DataFrame
    provenance: Mapping[str, Any]
    proof: Mapping[str, Any]
    allocation: pd.DataFrame | None
    plan: pd.DataFrame | None
    rejects: pd.DataFrame | None
    notes: pd.DataFrame | None
    families: Mapping[str, Any] = field(default_factory=dict)
    antibodies: Mapping[str, Any] = field(default_factory=dict)


def read_results(path: Path, allocation: Path | None = None, plan: Path | None = None) -> Results:
    """The results in the folder of batch or in a file of candidates: Parquet, CSV or JSON Lines.

    `allocation`: a file of allocate, by default that of the folder. `plan`: a file of typing-plan.
    Raises `InputFileError` where a file is missing, damaged, or holds something else.
    """
    summary: Mapping[str, Any] = {}
    proof: Mapping[str, Any] = {}
    if path.is_dir():
        file = _of_folder(path, "candidates")
        if file is None:
            names = ", ".join(f"candidates{form}" for form in _FORMATS)
            raise InputFileError(f"{path} holds none of {names}; give a folder that batch wrote")
        if not (path / "summary.json").is_file():
            raise InputFileError(
                f"{path} holds no summary.json, so its batch did not end; run it with --resume"
            )
        summary = _read_summary(path / "summary.json")
        if allocation is None and (allocation := _of_folder(path, "allocation")):
            proof = {name: summary[name] for name in ("status", "levels") if name in summary}
        rejects, notes = path / "rejects.csv", path / "notes.csv"
        families, antibodies = path / FAMILIES, path / "antibodies.csv"
    else:
        file, rejects, notes = path, path.with_name(f"{path.name}.rejects.csv"), None
        families, antibodies = path.with_name(f"{path.name}.{FAMILIES}"), None
    candidates, note = _read_candidates(file)
    for name in (*PROVENANCE, "as_of"):
        if name in note and name in summary and note[name] != summary[name]:
            raise InputFileError(
                f"{file} is of {name} {note[name]!r}, but {path / 'summary.json'} of "
                f"{summary[name]!r}; give the files of one run"
            )
    stated = {name: _only(candidates, name) for name in PROVENANCE if name in candidates}
    found = Results(
        candidates.drop(columns=[name for name in PROVENANCE if name in candidates]),
        {**stated, **summary, **note},
        proof,
        None if allocation is None else _read_allocation(allocation),
        None if plan is None else _read_plan(plan),
        _read_rejects(rejects, summary),
        read_table(notes, "patient", ("note",)) if notes and notes.is_file() else None,
        read_families(families) if families.is_file() else {},
        read_antibodies(antibodies)
        if antibodies and antibodies.is_file()
        else stated_antibodies(file, note.get("antibodies", {})),
    )
    if candidates.empty and found.allocation is None:
        raise InputFileError(f"{file} holds no donor of any patient; there is nothing to report")
    return found


def _of_folder(folder: Path, name: str) -> Path | None:
    """The file of a name in the folder of batch, in whichever format; None where there is none."""
    return next((f for form in _FORMATS if (f := folder / f"{name}{form}").is_file()), None)


def _read_candidates(path: Path) -> tuple[pd.DataFrame, Mapping[str, Any]]:
    """The columns that are known, checked, and what Parquet says of the run."""
    note: Mapping[str, Any] = {}
    try:
        if path.suffix == ".parquet":
            schema = pq.read_schema(path)
            table = pq.read_table(path, columns=_known(path, schema.names))
            note = _object(path, (schema.metadata or {}).get(b"graftmatch", b"{}"))
        elif path.suffix == ".csv":
            table = _read_csv(path)
        elif path.suffix == ".jsonl":
            table = _read_json_lines(path)
        else:
            raise InputFileError(
                f"{path} is neither a folder of batch nor a file that ends in "
                f"{', '.join(_FORMATS)}; give what match or batch wrote"
            )
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputFileError(f"cannot read candidates from {path}: {error}") from error
    return _checked(path, _typed(path, table)), note


def _known(path: Path, names: Iterable[str]) -> list[str]:
    found = list(names)
    if missing := [name for name in NEEDED if name not in found]:
        raise InputFileError(
            f"{path} lacks the columns {', '.join(missing)}; give what match or batch wrote"
        )
    return [name for name in COLUMNS if name in found]


def _arrow_type(name: str) -> pa.DataType:
    return pa.string() if COLUMNS[name] is None else pa.float64()


def _read_csv(path: Path) -> pa.Table:
    with path.open("rb") as file, pa.csv.open_csv(file) as reader:
        names = _known(path, reader.schema.names)
    # Only a blank is unknown: an identifier may be NA, or begin with zeros.
    return pa.csv.read_csv(
        path,
        convert_options=pa.csv.ConvertOptions(
            column_types={name: _arrow_type(name) for name in names},
            include_columns=names,
            null_values=[""],
            strings_can_be_null=True,
        ),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
    )


def _read_json_lines(path: Path) -> pa.Table:
    with path.open("rb") as file:
        first = file.readline()
    names = _known(path, _object(path, first))
    return pa.json.read_json(
        path,
        parse_options=pa.json.ParseOptions(
            explicit_schema=pa.schema([(name, _arrow_type(name)) for name in names]),
            unexpected_field_behavior="ignore",
        ),
    )


def _typed(path: Path, table: pa.Table) -> pd.DataFrame:
    columns = {}
    for name in table.column_names:
        column = table.column(name)
        try:
            if pa.types.is_dictionary(column.type):
                column = column.cast(column.type.value_type)
            column = column.cast(_arrow_type(name))
        except pa.ArrowException as error:
            wanted = "text" if COLUMNS[name] is None else "a number"
            raise InputFileError(f"{path}: column {name} is not {wanted}: {error}") from error
        if COLUMNS[name] is not None:
            columns[name] = column.to_pandas()
            continue
        texts = column.dictionary_encode().to_pandas()
        # A blank is unknown in every form of a file.
        columns[name] = texts.cat.remove_categories(texts.cat.categories.intersection([""]))
    return pd.DataFrame(columns)


def _checked(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    for name in NEEDED:
        if (blank := table[name].isna()).any():
            raise InputFileError(f"{path}: column {name} is blank in row {int(blank.argmax()) + 1}")
    for name, limits in COLUMNS.items():
        if limits is None or name not in table:
            continue
        # Sums of weights are exact to about 1e-13.
        wrong = ~table[name].between(limits[0] - 1e-9, limits[1] + 1e-9)
        whole = isinstance(limits[0], int)
        if whole:
            wrong |= table[name] % 1 != 0
        wrong &= table[name].notna()
        if wrong.any():
            value, kind = table.loc[wrong, name].iloc[0], "a whole number" if whole else "a number"
            allowed = f"{kind} from {limits[0]:g} to {limits[1]:g}"
            raise _of_row(path, table, wrong, f"{name} {value:g} is not {allowed}")
        table[name] = table[name].clip(*limits)
    for name in (at_locus(locus, name) for locus in LOCI for name in POSITIONS):
        if name in table:
            wrong = ~table[name].isin(POSITION_LETTERS)
            if wrong.any():
                value = table.loc[wrong, name].iloc[0]
                letters = " ".join(POSITION_LETTERS)
                raise _of_row(path, table, wrong, f"{name} {value!r} is none of {letters}")
    for name in ("donor", "rank"):
        # Ranks are within a stratum, and a relative may be called as a donor is.
        twice = table.duplicated(["patient", name, *(["stratum"] if "stratum" in table else [])])
        if twice.any():
            raise _of_row(path, table, twice, f"the same {name} comes twice; give one run's file")
    return table


def _of_row(path: Path, table: pd.DataFrame, wrong: pd.Series, reason: str) -> InputFileError:
    row = table[wrong].iloc[0]
    return InputFileError(f"{path}: patient {row['patient']!r}, donor {row['donor']!r}: {reason}")


def _only(table: pd.DataFrame, name: str) -> str:
    """The values of a column of provenance: one, unless files of several runs were joined."""
    return ", ".join(map(str, table[name].dropna().unique()))


def _read_summary(path: Path) -> Mapping[str, Any]:
    try:
        return _object(path, path.read_bytes())
    except OSError as error:
        raise InputFileError(f"cannot read {path}: {error}") from error


def _object(path: Path, text: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InputFileError(f"{path} is not JSON as batch and match write it: {error}") from error
    if not isinstance(found, dict):
        raise InputFileError(f"{path} is not JSON as batch and match write it: no object")
    return found


def _read_allocation(path: Path) -> pd.DataFrame:
    """An allocation in any of the formats of batch; a blank text is "", a blank number missing."""
    try:
        if path.suffix == ".csv":
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
        elif path.suffix == ".jsonl":
            lines = path.read_text(encoding="utf-8").splitlines()
            table = pd.DataFrame([json.loads(line) for line in lines])
        else:
            table = pq.read_table(path).to_pandas()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputFileError(f"cannot read an allocation from {path}: {error}") from error
    needed = ("patient", *ALLOCATION_TEXTS, "utility", "swap_cost", "backups")
    if missing := [name for name in needed if name not in table]:
        raise InputFileError(
            f"{path} lacks the columns {', '.join(missing)}; give what batch or allocate wrote"
        )
    if (twice := table["patient"].duplicated()).any():
        name = table.loc[twice, "patient"].iloc[0]
        raise InputFileError(f"{path}: patient {name!r} has two rows; give one plan")
    for name in ("patient", *ALLOCATION_TEXTS):
        table[name] = table[name].astype(object).fillna("").astype(str)
    for name in table.columns.intersection(["utility", "swap_cost", "found"]):
        numbers = pd.to_numeric(table[name], errors="coerce").astype("float64")
        wrong = numbers.isna() & table[name].notna() & (table[name] != "")
        if wrong.any():
            value, patient = table.loc[wrong, [name, "patient"]].iloc[0]
            raise InputFileError(f"{path}: {name} {value!r} of patient {patient!r} is no number")
        table[name] = numbers
    if path.suffix == ".csv":
        table["backups"] = [list(filter(None, text.split(";"))) for text in table["backups"]]
    return table


def _read_rejects(path: Path, summary: Mapping[str, Any]) -> pd.DataFrame | None:
    """Refused records: none where batch says so, None where nothing is known of them."""
    columns = ("id", "reason")
    if path.is_file():
        return read_table(path, "record", columns)
    if summary.get("rejected_records") == 0:
        return pd.DataFrame(columns=["record", *columns], dtype=str)
    return None


def _read_plan(path: Path) -> pd.DataFrame:
    table = read_table(path, "order", PLAN)
    for name in ("order", "p10", "p9", "availability", "gain"):
        values = pd.to_numeric(table[name], errors="coerce")
        if values.isna().any():
            wrong = table[values.isna()].iloc[0]
            raise InputFileError(
                f"{path}: {name} {wrong[name]!r} of patient {wrong['patient']!r} is no number; "
                "give what typing-plan wrote"
            )
        table[name] = values
    return table.sort_values("order", kind="stable", ignore_index=True)
