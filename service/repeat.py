"""A search that is run again: what is new, changed and gone since it last ran."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from data.registry import Registry
from data.saved_searches import Run, SavedSearch
from matching.antibodies import Answer, Bead, CutOffs, DonorAnswers
from matching.errors import InputFileError, TypingError
from matching.haplotypes import NullImputation
from matching.rank import RankRule
from matching.typings import Typing
from service.antibodies import ReportReader, own_warnings
from service.criteria import criteria_json, criteria_of
from service.results import SearchResults, result_table
from service.search import AntibodyUse, SearchSettings

# What is compared of a donor besides its rank; age grows by itself.
COMPARED = (
    *("mismatches_best", "mismatches_worst", "p10", "p9", "dpb1_tce"),
    *("type", "sex", "cmv", "abo", "rh", "weight_kg", "registry"),
    *("antibody", "antibody_worst"),
)

KINDS = ("new", "changed", "gone")
NO_HISTORY = "the registry is another one, so its history says nothing"


class Difference(NamedTuple):
    """A donor that two runs tell apart: `kind` is new, changed or gone; `rank` is None if gone.

    `reasons`: what the registry's history says of the donor, and every value that changed.
    """

    donor: str
    kind: str
    rank: int | None
    reasons: tuple[str, ...]


def run_of(results: SearchResults, patient: str, antibodies: AntibodyUse | None = None) -> Run:
    """What a search of one patient found. `antibodies`: its report, against which donors are told
    as far as the index does."""
    table = result_table(results, {})
    table[["antibody", "antibody_worst"]] = None
    if antibodies is not None:
        found = results.matches[patient].candidates.rows
        answers = DonorAnswers(results.index.donors, antibodies.profile).of(found)
        table["antibody"] = [Answer(one).text for one in answers.low.tolist()]
        table["antibody_worst"] = [Answer(one).text for one in answers.high.tolist()]
    store, _, revision = results.index.version.rpartition("-")
    rows = table[["rank", *COMPARED]].astype(object)
    records = [
        {str(name): _value(value) for name, value in row.items()}
        for row in rows.to_dict(orient="records")
    ]
    assert list(results.matches) == [patient]
    return Run(
        results.as_of.isoformat(),
        store,
        int(revision),
        {
            "release": results.release,
            "frequency set": results.frequency_set,
            "risk model": results.model,
        },
        dict(zip(table["donor"], records, strict=True)),
    )


def _value(value: Any) -> Any:
    """A value of a table for JSON; probabilities to what two runs agree in."""
    if value is None or pd.isna(value):
        return None
    if isinstance(value, float | np.floating):
        return round(float(value), 6)
    return int(value) if isinstance(value, int | np.integer) else str(value)


def history_since(store: Registry, last: Run) -> dict[str, str] | None:
    """What became of donors since a run: new, updated or deleted by identifier.

    None where the registry is another one than that of the run.
    """
    with store.opened() as source:
        if not source.store_id.startswith(last.store) or source.revision < last.revision:
            return None
        return {change.id: change.kind for change in source.changes(last.revision)}


_NEW = {"new": "new in the registry", "updated": "updated in the registry"}
_GONE = {
    "deleted": "deleted from the registry",
    "updated": "updated in the registry, no longer within the criteria",
}


def differences(last: Run, now: Run, history: Mapping[str, str]) -> list[Difference]:
    """New and changed donors in rank order, then those that are gone, in the order of before."""
    found = []
    for donor, values in now.donors.items():
        kind = history.get(donor, "")
        before = last.donors.get(donor)
        if before is None:
            reason = _NEW.get(kind, "found now, its record as before")
            found.append(Difference(donor, "new", values["rank"], (reason,)))
            continue
        reasons = ["updated in the registry"] if kind else []
        reasons += [
            f"{name} {_text(before.get(name))} -> {_text(values[name])}"
            for name in COMPARED
            if before.get(name) != values[name]
        ]
        if reasons:
            found.append(Difference(donor, "changed", values["rank"], tuple(reasons)))
    for donor in last.donors:
        if donor not in now.donors:
            reason = _GONE.get(history.get(donor, ""), "no longer found, its record as before")
            found.append(Difference(donor, "gone", None, (reason,)))
    return found


def _text(value: Any) -> str:
    return "unknown" if value is None else str(value)


def provenance_notes(last: Run, now: Run) -> list[str]:
    """What two runs depend on that is not the same."""
    return [
        f"the {what} was {before or 'none'} and is {now.provenance[what] or 'none'}"
        for what, before in last.provenance.items()
        if before != now.provenance[what]
    ]


def antibody_notes(patient: Typing, use: AntibodyUse, excluded: int) -> list[str]:
    """What is said of a report besides of single donors. `excluded`: how many were left out."""
    notes = [*own_warnings(patient, use.profile), *use.profile.notes]
    if use.exclude:
        notes.append(f"{excluded:,} donors are left out as positive")
    return notes


def stored_settings(
    wanted: SearchSettings,
    release: str | None = None,
    registry: str | None = None,
    antibodies: AntibodyUse | None = None,
) -> dict[str, Any]:
    """Settings of a search as a saved search keeps them. `release`, `registry`: None for those in
    use. `antibodies`: the patient's report, without donors that are to be kept."""
    return {
        "criteria": criteria_json(wanted.criteria, wanted.donors),
        "nulls": wanted.nulls.value,
        "rule": asdict(wanted.rule),
        "release": release,
        "registry": registry,
        "antibodies": None if antibodies is None else _stored_report(antibodies),
    }


def _stored_report(use: AntibodyUse) -> dict[str, Any]:
    cut_offs = use.profile.cut_offs
    return {
        "beads": [asdict(read.bead) for read in use.profile.beads],
        "mfi_cut_off": cut_offs.mfi,
        "cumulative_mfi_cut_off": cut_offs.cumulative,
        "exclude_positive": use.exclude,
    }


def antibodies_of(name: str, saved: SavedSearch, reader: ReportReader) -> AntibodyUse | None:
    """The report of a saved search, read again; None where it has none. Raises `InputFileError`."""
    stored = saved.settings.get("antibodies")
    if stored is None:
        return None
    try:
        beads = [
            Bead(**{**bead, "result": None if bead["result"] is None else Answer(bead["result"])})
            for bead in stored["beads"]
        ]
        cut_offs = CutOffs(stored["mfi_cut_off"], stored["cumulative_mfi_cut_off"])
        return AntibodyUse(reader.profile(beads, cut_offs), bool(stored["exclude_positive"]))
    except (KeyError, TypeError, ValueError, TypingError) as error:
        raise _not_used(name, error) from None


def settings_of(name: str, saved: SavedSearch, as_of: datetime.date) -> SearchSettings:
    """The settings of a saved search, for a day. Raises `InputFileError`."""
    try:
        rule = saved.settings["rule"]
        criteria, donors = criteria_of(saved.settings["criteria"])
        return SearchSettings(
            criteria,
            as_of,
            NullImputation(saved.settings["nulls"]),
            RankRule(
                tuple(rule["keys"]),
                tuple(rule["bands"]),
                float(rule["risk_step"]),
                tuple((matched, shared) for matched, shared in rule["leader_order"]),
            ),
            donors,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _not_used(name, error) from None


def _not_used(name: str, error: Exception) -> InputFileError:
    # The text of the error could quote the search.
    return InputFileError(
        f"the saved search {name} cannot be used ({type(error).__name__}); search and save again"
    )
