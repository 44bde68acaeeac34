"""Virtual crossmatches as a table, CSV and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from data.files import replacing
from matching.antibodies import Answer, Bead, CutOffs, RegistryAnswers
from service.antibodies import Crossmatched, crossmatch_columns

FORMATS = ("table", "csv", "json")
# How a cell says what a system, or a donor, is.
_LETTERS = {
    "positive": ("P", "bold red"),
    "negative": ("N", "green"),
    "not assessable": ("?", "yellow"),
    "untyped": ("u", "yellow"),
    "not tested": ("-", "dim"),
}


@dataclass(frozen=True)
class PatientCrossmatch:
    """The crossmatches of one patient, "" where nobody is named, and of a whole registry.

    `own_type`: warnings of antibodies against it; `notes`: how names of the report were followed.
    `registry`: None where a file of donors was given.
    """

    patient: str
    donors: Sequence[Crossmatched]
    own_type: Sequence[str]
    notes: Sequence[str]
    registry: RegistryAnswers | None = None


def registry_line(answers: RegistryAnswers, cut_offs: CutOffs) -> str:
    """How many donors of a registry remain, and the share that does not (virtual PRA)."""
    without = "" if cut_offs.cumulative is None else ", without the rule of the cumulative MFI"
    counts, (pra_low, pra_high) = answers.count(), answers.pra
    at_most = counts["positive"] + counts["open"]
    return (
        f"of {len(answers):,} donors of the registry {len(answers) - at_most:,} remain: "
        f"{counts['negative']:,} tested negative, {counts['not_assessable']:,} not assessable; "
        f"{counts['positive']:,} are positive and {counts['open']:,} may be. Virtual PRA "
        f"{100 * pra_low:.2f} to {100 * pra_high:.2f} %{without}"
    )


def crossmatch_table(found: Sequence[PatientCrossmatch], cut_offs: CutOffs, release: str) -> Any:
    """One row a patient and donor; columns are described in docs/antibodies.md."""
    rows = [
        {
            "patient": one.patient,
            "donor": donor.id,
            **crossmatch_columns(donor),
            "mfi_cut_off": cut_offs.mfi,
            "cumulative_mfi_cut_off": cut_offs.cumulative,
            "release": release,
        }
        for one in found
        for donor in one.donors
    ]
    empty = Crossmatched("", None)
    names = ["patient", "donor", *crossmatch_columns(empty)]
    names += ["mfi_cut_off", "cumulative_mfi_cut_off", "release"]
    return pd.DataFrame(rows, columns=names)


def crossmatch_json(
    found: Sequence[PatientCrossmatch], cut_offs: CutOffs, release: str, n_rejected: int
) -> dict[str, Any]:
    """All calls with all of their evidence."""
    return {
        "release": release,
        "mfi_cut_off": cut_offs.mfi,
        "cumulative_mfi_cut_off": cut_offs.cumulative,
        "lines_not_read": n_rejected,
        "patients": [
            {
                "patient": one.patient,
                "own_type": list(one.own_type),
                "notes": list(one.notes),
                **({} if one.registry is None else {"registry": one.registry.count()}),
                "donors": [_donor_json(donor) for donor in one.donors],
            }
            for one in found
        ],
    }


def _donor_json(one: Crossmatched) -> dict[str, Any]:
    columns = crossmatch_columns(one)
    del columns["evidence"]
    findings = [] if one.result is None else list(one.result.findings)
    return {
        "donor": one.id,
        **columns,
        "imputed": [system.value for system in one.imputed],
        "problem": one.problem,
        "findings": [
            {
                "system": system.value,
                "molecules": list(finding.molecules),
                "is_certain": finding.is_certain,
                "answer": finding.call.answer.text,
                "worst": finding.call.high.text,
                "basis": finding.call.basis.value,
                "beads": [_bead_json(bead) for bead in finding.call.beads],
            }
            for system, finding in findings
        ],
    }


def _bead_json(bead: Bead) -> dict[str, Any]:
    return {
        "antigen_or_allele": bead.target,
        "partner_chain": bead.partner,
        "mfi": bead.mfi,
        "reported": None if bead.result is None else bead.result.text,
        "date": bead.date,
        "kit": bead.kit,
        "line": bead.row,
    }


def write_crossmatches(
    found: Sequence[PatientCrossmatch],
    cut_offs: CutOffs,
    release: str,
    n_rejected: int,
    form: str,
    target: Path | IO[str],
) -> None:
    """As csv or json, to a file (all or nothing) or a stream. Raises `OutputError`."""
    if isinstance(target, Path):
        with replacing(target) as temporary, temporary.open("w", encoding="utf-8", newline="") as f:
            write_crossmatches(found, cut_offs, release, n_rejected, form, f)
        return
    if form == "csv":
        table = crossmatch_table(found, cut_offs, release)
        table.to_csv(target, index=False, lineterminator="\n")
        return
    json.dump(crossmatch_json(found, cut_offs, release, n_rejected), target, indent=1)
    target.write("\n")


def print_crossmatches(
    console: Console,
    found: Sequence[PatientCrossmatch],
    cut_offs: CutOffs,
    release: str,
    limit: int,
) -> None:
    """The donors of each patient, negative ones first."""
    for one in found:
        table = Table(title=f"virtual crossmatch{f' of {one.patient}' if one.patient else ''}")
        for name in ("donor", "answer", "worst", "P positive", "MFI"):
            table.add_column(name, no_wrap=True)
        systems = Crossmatched("", None).system_texts()
        for name in systems:
            table.add_column(name)
        table.add_column("worst of all")
        ordered = sorted(one.donors, key=lambda donor: (donor.answer, donor.worst))
        for donor in ordered[:limit]:
            table.add_row(
                donor.id,
                answer_text(donor.answer),
                answer_text(donor.worst),
                probability_text(donor),
                _mfi(donor),
                *(Text(*_LETTERS[text]) for text in donor.system_texts().values()),
                donor.worst_finding,
            )
        console.print(table)
        if len(ordered) > limit:
            console.print(f"{limit} of {len(ordered):,} shown: --limit N for more")
        if one.registry is not None:
            console.print(registry_line(one.registry, cut_offs))
    cumulative = "" if cut_offs.cumulative is None else f", cumulative {cut_offs.cumulative:,.0f}"
    console.print(
        "P positive, N tested negative, ? not assessable, u untyped, - not in the report; "
        f"--format json has every call\nMFI cut-off {cut_offs.mfi:,.0f}{cumulative}; release "
        f"{release}\n"
        "decision support for clinicians, not a medical device",
        style="dim",
    )


def answer_text(answer: Answer) -> Text:
    """An answer in its colour."""
    return Text(answer.text, _LETTERS[answer.text][1])


def probability_text(one: Crossmatched) -> str:
    """P(positive), with the worst case where that is another; "" where nothing was imputed."""
    if one.p_positive is None or one.p_negative is None:
        return ""
    low, high = 100 * one.p_positive, 100 * (1 - one.p_negative)
    return f"{low:.1f} %" if high - low < 0.05 else f"{low:.1f} % to {high:.1f} %"


def _mfi(one: Crossmatched) -> str:
    if one.result is None:
        return ""
    low, high = one.result.mfi.low, one.result.mfi.high
    return f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"


FLAGS = "antib.: P positive, N tested negative, ? not assessable, ?P may be positive"


def flags(found: Mapping[str, Crossmatched]) -> dict[str, str]:
    """What a list of donors says of each: P, N, ? or, where it may be positive, ?P."""
    return {name: flag(one.answer.text, one.worst.text) for name, one in found.items()}


def flag(answer: str, worst: str) -> str:
    """The same of one donor.

    >>> flag("not assessable", "positive")
    '?P'
    """
    return _LETTERS[answer][0] + ("" if worst == answer else "P")
