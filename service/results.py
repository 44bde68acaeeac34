"""Results of searches as one table of columns, and as JSON, CSV, Parquet or text."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from data.donor_files import INDEXED_FACTS
from data.index import StoredIndex
from matching.cord import nima_text
from matching.kernels import (
    COUNT_BEST,
    COUNT_WORST,
    DONOR_1,
    DONOR_2,
    GVH_BEST,
    GVH_WORST,
    HVG_BEST,
    HVG_WORST,
)
from matching.loci import LOCI, Locus
from matching.pipeline import Matches
from matching.rank import Ranking, RankRule, value_texts
from matching.search import POSITION_LETTERS, Criteria
from service.antibody_tables import FLAGS
from service.cord import Mothers
from service.criteria import criteria_json
from service.pairs import RISK_OUTCOME

# How a narrow column names an outcome.
RISK_NAMES = {"agvhd_2_4": "aGVHD II-IV", "agvhd_3_4": "aGVHD III-IV", "cgvhd": "cGVHD"}
# Probabilities of 0, 1 and 2 whole haplotypes in common.
SHARED = ("p_shared_0", "p_shared_1", "p_shared_2")
_NUMBERS = {
    "count_best": COUNT_BEST,
    "count_worst": COUNT_WORST,
    "gvh_best": GVH_BEST,
    "gvh_worst": GVH_WORST,
    "hvg_best": HVG_BEST,
    "hvg_worst": HVG_WORST,
}
_LETTERS = {"position_1": DONOR_1, "position_2": DONOR_2}
_STYLES = {"A": "green", "P": "yellow", "M": "bold red", "-": "dim"}


@dataclass(frozen=True)
class Predicted:
    """How the probabilities of a patient's candidates came about.

    `missing_masses`: of how many no masses were there, so that they were predicted in pairs.
    `dropped`: by how much each probability may be too low.
    """

    missing_masses: int
    dropped: float


@dataclass(frozen=True)
class SearchResults:
    """The searches of one run: ranked `matches` by patient, in the order of the input.

    `scores`: by patient, columns of numbers, (n,) each: p10 and p9, NaN where unknown, and
    predicted risks. `found`: by patient, how many donors were found; the ranks from `start`, from
    0, are here, and `next_page_token` is for those after them. `frequency_set` and `model` label
    what is behind them. `predicted`: by patient, empty without frequencies. `mothers`: None where
    maternal antigens are not shown.
    `excluded`: by patient, donors left out for antibodies; `antibodies`: what is stated of these.
    """

    matches: Mapping[str, Matches]
    scores: Mapping[str, Mapping[str, npt.NDArray[np.float64]]]
    rankings: Mapping[str, Ranking]
    found: Mapping[str, int]
    index: StoredIndex
    release: str
    frequency_set: str
    model: str
    criteria: Criteria
    donors: Mapping[str, Any]
    as_of: datetime.date
    rule: RankRule
    start: int = 0
    next_page_token: str = ""
    predicted: Mapping[str, Predicted] = field(default_factory=dict)
    mothers: Mothers | None = None
    excluded: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    antibodies: Mapping[str, Any] = field(default_factory=dict)

    @property
    def loci(self) -> tuple[Locus, ...]:
        """The searched loci."""
        return tuple(self.criteria.loci)

    def best(self, patient: str, limit: int) -> SearchResults:
        """The first donors of one patient."""
        return replace(
            self,
            matches={patient: self.matches[patient].best(limit)},
            scores={patient: {k: v[:limit] for k, v in self.scores[patient].items()}},
            rankings={patient: self.rankings[patient].part(0, limit)},
        )

    @property
    def provenance(self) -> dict[str, Any]:
        """What an answer depends on besides the typings."""
        return {
            "release": self.release,
            "index": self.index.version,
            "frequency_set": self.frequency_set,
            "model": self.model,
            **criteria_json(self.criteria, self.donors),
            "as_of": self.as_of.isoformat(),
            "rank_keys": list(self.rule.keys),
            "rank_bands": list(self.rule.bands),
            "next_page_token": self.next_page_token,
            **({"antibodies": dict(self.antibodies)} if self.antibodies else {}),
        }


def result_table(results: SearchResults, typings: Mapping[str, str]) -> pd.DataFrame:
    """One row a patient and donor, ranked; columns are described in docs/search.md.

    `typings`: the reported GL string of each donor by identifier.
    """
    all_matches = list(results.matches.values())
    sizes = [len(m) for m in all_matches]
    rows = _joined([m.candidates.rows for m in all_matches], np.int64)
    donors = results.index.ids(rows)
    compared = comparison_columns(all_matches)
    columns: dict[str, Any] = {
        "patient": np.repeat(np.array(list(results.matches), dtype=object), sizes),
        "rank": _joined([results.start + np.arange(1, n + 1) for n in sizes], np.int64),
        "donor": donors,
        "mismatches_best": compared.pop("mismatches_best"),
        "mismatches_worst": compared.pop("mismatches_worst"),
    }
    predicted = (key for scores in results.scores.values() for key in scores)
    for name in dict.fromkeys(("p10", "p9", *predicted)):
        columns[name] = _joined([results.scores[p][name] for p in results.matches], np.float64)
    columns |= compared
    facts = results.index.facts(rows)
    for name in INDEXED_FACTS:
        # Unknown is None; pandas would make it a number (NaN) in columns of text.
        columns[name] = facts[name].astype(object).where(facts[name].notna(), None)
    columns["age_years"] = results.index.ages(results.as_of, rows)
    rankings = [results.rankings[patient] for patient in results.matches]
    for name in dict.fromkeys(key for ranking in rankings for key in ranking.keys):
        columns[f"rank_{name}"] = [
            text for ranking in rankings for text in value_texts(ranking, name, results.rule)
        ]
    columns["ranked_below_previous_for"] = [
        reason for ranking in rankings for reason in ranking.reasons
    ]
    if results.mothers is not None:
        columns["nima"] = [
            nima_text(found)
            for m in all_matches
            for found in results.mothers.matches(
                results.index, m.candidates.patient, m.candidates.rows, results.criteria
            )
        ]
    columns["typing"] = [typings.get(donor, "") for donor in donors]
    columns["release"] = results.release
    columns["index"] = results.index.version
    columns["frequency_set"] = results.frequency_set
    columns["model"] = results.model
    return pd.DataFrame(columns)


def comparison_columns(all_matches: Sequence[Matches]) -> dict[str, Any]:
    """How donors compare with their patients, locus by locus and over the searched loci."""
    columns: dict[str, Any] = {
        "mismatches_best": _joined([m.candidates.mismatches_best for m in all_matches], np.int64),
        "mismatches_worst": _joined([m.candidates.mismatches_worst for m in all_matches], np.int64),
    }
    for name in ("gvh_best", "gvh_worst", "hvg_best", "hvg_worst"):
        totals = [m.candidates.total(_NUMBERS[name]) for m in all_matches]
        columns[name] = _joined(totals, np.int64)
    letters = np.array(POSITION_LETTERS, dtype=object)
    for locus in LOCI:
        compared = [m.candidates.compared[:, locus.position] for m in all_matches]
        for name, column in _NUMBERS.items():
            columns[f"{locus.value.lower()}_{name}"] = _joined(
                [c[:, column] for c in compared], np.uint8
            )
        for name, column in _LETTERS.items():
            codes = _joined([c[:, column] for c in compared], np.uint8)
            columns[f"{locus.value.lower()}_{name}"] = letters[codes]
    columns["dpb1_tce"] = [category.value for m in all_matches for category in m.tce]
    return columns


def _joined(parts: Sequence[npt.NDArray[Any]], dtype: type) -> npt.NDArray[Any]:
    return np.concatenate([*parts, np.empty(0, dtype)]).astype(dtype)


def print_donors(
    console: Console,
    results: SearchResults,
    limit: int,
    patient: str,
    antibodies: Mapping[str, str] | None = None,
    outcome: str = RISK_OUTCOME,
) -> None:
    """The ranked donors of one patient; `antibodies`: the virtual crossmatch of each. `outcome`:
    whose risk is shown."""
    matches = results.matches[patient]
    shown = result_table(results.best(patient, limit), {})
    found, most = results.found[patient], results.criteria.max_mismatches
    donors = "donor" if found == 1 else "donors"
    mismatches = "mismatch" if most == 1 else "mismatches"
    table = Table(title=f"{found} {donors} within {most} {mismatches} at best")
    for name in (
        "#",
        "donor",
        "type",
        "age",
        "sex",
        "CMV",
        "ABO",
        "mism.",
        "P 10/10",
        "P 9/10",
        RISK_NAMES.get(outcome, outcome),
    ):
        table.add_column(name, no_wrap=True)
    is_shared = SHARED[0] in shown
    if is_shared:
        table.add_column("haplotypes 2/1/0", no_wrap=True)
    for locus in results.loci:
        table.add_column(locus.value, no_wrap=True)
    if antibodies is not None:
        table.add_column("antib.", no_wrap=True)
    is_cord = {"rank_mismatches_counted", "rank_tnc", "rank_cd34", "nima"} <= set(shown)
    cord = ("match", "TNC 10^7/kg", "CD34 10^6/kg", "maternal") if is_cord else ()
    for name in (*cord, "GvH", "HvG", "DPB1", "below the one above for"):
        table.add_column(name)
    for row in shown.to_dict(orient="records"):
        table.add_row(
            str(row["rank"]),
            row["donor"],
            row["type"],
            "" if pd.isna(row["age_years"]) else f"{row['age_years']:.0f}",
            row["sex"] or "",
            row["cmv"] or "",
            row["abo"] or "",
            span(row["mismatches_best"], row["mismatches_worst"]),
            _percent(row["p10"]),
            _percent(row["p9"]),
            _risk(row, outcome),
            *([_shared(row)] if is_shared else []),
            *(_positions(row, locus) for locus in results.loci),
            *(() if antibodies is None else (antibodies[row["donor"]],)),
            *(_of_unit(row, 2 * len(results.loci)) if cord else ()),
            span(row["gvh_best"], row["gvh_worst"]),
            span(row["hvg_best"], row["hvg_worst"]),
            row["dpb1_tce"],
            row["ranked_below_previous_for"],
        )
    console.print(table)
    _print_legend(console, results)
    if antibodies is not None:
        console.print(FLAGS)
    if len(matches) > len(shown):
        console.print(
            f"{len(shown)} of {len(matches)} shown: --limit N for more, --out FILE for all"
        )


def print_patients(
    console: Console, results: SearchResults, allocation: pd.DataFrame, limit: int
) -> None:
    """One line a patient: donors at each number of mismatches, the first, and the allocated one.

    `allocation`: the table of `service.allocation`.
    """
    given = allocation.set_index("patient").to_dict(orient="index")
    table = Table(title=f"{len(results.matches)} patients")
    table.add_column("patient", no_wrap=True)
    for k in range(results.criteria.max_mismatches + 1):
        table.add_column(f"{k} mism.", justify="right")
    for name in ("first donor", "age", "mismatches", "P 10/10"):
        table.add_column(name, no_wrap=True)
    for locus in results.loci:
        table.add_column(locus.value, no_wrap=True)
    for name in ("DPB1", "allocated", "why not the best"):
        table.add_column(name)
    for patient, matches in list(results.matches.items())[:limit]:
        counts = Counter(matches.candidates.mismatches_best.tolist())
        cells: list[Text | str] = [patient]
        cells += [str(counts[k]) for k in range(results.criteria.max_mismatches + 1)]
        if counts:
            (row,) = result_table(results.best(patient, 1), {}).to_dict(orient="records")
            cells += [row["donor"], "" if pd.isna(row["age_years"]) else f"{row['age_years']:.0f}"]
            cells.append(span(row["mismatches_best"], row["mismatches_worst"]))
            cells.append(_percent(row["p10"]))
            cells += [_positions(row, locus) for locus in results.loci]
            cells.append(row["dpb1_tce"])
            cells += [given[patient]["allocated"], _why(given[patient])]
        table.add_row(*cells)
    console.print(table)
    _print_legend(console, results)
    if len(results.matches) > limit:
        console.print(
            f"{limit} of {len(results.matches)} patients shown: --limit N for more, "
            "--out FILE for every donor of every patient"
        )


def _why(given: Mapping[Hashable, Any]) -> str:
    if not given["reason"]:
        return ""
    taken = f"{given['best']} to {given['best_given_to']}" if given["best_given_to"] else ""
    why = taken or given["limit"] or given["reason"]
    return why if pd.isna(given["swap_cost"]) else f"{why}, swap costs {given['swap_cost']}"


def _of_unit(row: Mapping[Hashable, Any], positions: int) -> tuple[str, ...]:
    """What a rule of cord units counts, doses in words and maternal antigens."""
    matched = positions - int(row["rank_mismatches_counted"])
    return f"{matched}/{positions}", row["rank_tnc"], row["rank_cd34"], row["nima"]


def _risk(row: Mapping[Hashable, Any], outcome: str) -> str:
    name = f"risk_{outcome}"
    if name not in row:
        # A model of a centre may hold other outcomes only.
        return ""
    return risk_text(row[name], row[f"{name}_low"], row[f"{name}_high"])


def risk_text(risk: float, low: float, high: float) -> str:
    """A risk with its 95 % interval.

    >>> risk_text(0.12, 0.071, 0.2), risk_text(np.nan, np.nan, np.nan)
    ('12 % (7-20)', 'not told')
    """
    if np.isnan(risk):
        return "not told"
    return f"{round(100 * risk)} % ({round(100 * low)}-{round(100 * high)})"


def _shared(row: Mapping[Hashable, Any]) -> str:
    """Percents of two, one and no haplotype in common."""
    p = [row[name] for name in reversed(SHARED)]
    return "?" if np.isnan(p).any() else "/".join(f"{100 * one:.0f}" for one in p)


def _percent(p: float) -> str:
    return "?" if np.isnan(p) else f"{100 * p:.1f} %"


def span(best: int, worst: int) -> str:
    """A number that depends on ambiguities, such as `1 to 2`."""
    return str(best) if best == worst else f"{best} to {worst}"


def _positions(row: Mapping[Hashable, Any], locus: Locus) -> Text:
    text = Text()
    for name in _LETTERS:
        letter = row[f"{locus.value.lower()}_{name}"]
        text.append(letter, style=_STYLES[letter])
    return text


def _print_legend(console: Console, results: SearchResults) -> None:
    missing = sum(predicted.missing_masses for predicted in results.predicted.values())
    if missing:
        console.print(
            f"masses of {missing:,} candidates are not computed yet, so that they were predicted "
            "in pairs: graftmatch registry masses"
        )
    dropped = max((predicted.dropped for predicted in results.predicted.values()), default=0.0)
    if dropped:
        console.print(f"each probability p lies in [p, p + {dropped:.2g}]: some work was cut")
    console.print(
        "donor positions: A matches, P may match, M mismatch, - untyped; ranges run from the best "
        f"to the worst case\nrelease {results.release}, index {results.index.version}, frequencies "
        f"{results.frequency_set or 'none'}, risk model {results.model}\n"
        "decision support for clinicians, not a medical device",
        style="dim",
    )
