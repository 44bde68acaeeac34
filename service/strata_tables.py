"""One list of donors as a table, as JSON and on the screen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich.console import Console

from matching.family import SOURCES, HaploidenticalRule
from service.antibody_columns import (
    NO_REPORT,
    antibody_columns,
    antibody_table,
    candidate_crossmatches,
    donor_columns,
)
from service.antibody_tables import FLAGS, flags
from service.details import Detailed
from service.family import family_json, print_relatives, relatives_table, warnings_of
from service.frequency_sets import SearchSets
from service.results import (
    RISK_NAMES,
    comparison_columns,
    print_donors,
    result_table,
    risk_text,
)
from service.results_files import results_document
from service.strata import ORDER, STRATA, DonorList, order_of

# Columns of a family that stand for the whole of it, or elsewhere in the list.
_LEFT_OUT = ("dpb1", "loci", "release", "frequency_set")


def strata_table(
    found: DonorList,
    typings: Mapping[str, str],
    sets: SearchSets | None = None,
    detailed: Detailed | None = None,
) -> pd.DataFrame:
    """One row a patient and donor, stratum by stratum; `rank` is within the stratum.

    `typings`: of donors of the registry, as reported. `sets`: for probabilities of antigens.
    """
    tables = []
    for name in found.asked:
        if name in found.registry:
            results = found.registry[name]
            table = result_table(results, typings)
            if detailed is not None:
                more = detailed.columns(results, typings)
                table = pd.concat([table, more], axis="columns")
            if found.reports:
                more = antibody_columns(results, typings, found.reports, sets)
                table = pd.concat([table, more], axis="columns")
            untold = [why for p in found.patients for why in found.untold[name][p]]
        else:
            table = _related_table(found, name, detailed)
            untold = [why for p in found.related[name] for why in found.untold[name][p]]
        places = pd.DataFrame({"stratum": [name] * len(table), "risk_not_told": untold})
        table = pd.concat([places, table], axis="columns")
        tables.append(table)
    # A part without rows has no types of its own.
    return pd.concat([one for one in tables if len(one)] or tables, ignore_index=True)


def _related_table(found: DonorList, stratum: str, detailed: Detailed | None) -> pd.DataFrame:
    tables = [pd.DataFrame({"patient": [], "rank": [], "donor": []})]
    for patient, family in found.related[stratum].items():
        if not len(family.matches):
            continue
        table = relatives_table(family.result).drop(columns=list(_LEFT_OUT))
        table = table.rename(columns={"relative": "donor", "nima": "p_nima"})
        p10, p9 = family.certain_matches
        columns: dict[str, Any] = {
            **comparison_columns([family.matches]),
            "p10": p10,
            "p9": p9,
            **found.scores[stratum][patient],
            "type": "related",
            "typing": [typing.text for typing in family.typings],
            "release": family.result.provenance["release"],
            "model": found.model,
        }
        table = pd.concat([table, pd.DataFrame(columns)], axis="columns")
        if detailed is not None:
            loci = family.result.analysis.compared
            more = detailed.of(family.patient, family.typings, family.matches.tce, loci)
            table = table.drop(columns=table.columns.intersection(more.columns))
            table = pd.concat([table, more], axis="columns")
        if found.reports:
            use = found.reports.get(patient)
            rows: list[Mapping[str, Any]] = [NO_REPORT] * len(table)
            if use is not None and family.crossmatches is not None:
                rows = [donor_columns(one, use) for one in family.crossmatches]
            table = pd.concat([table, antibody_table(rows)], axis="columns")
        tables.append(table)
    return pd.concat(tables[1:] or tables, ignore_index=True)


def strata_document(
    found: DonorList, table: pd.DataFrame, stated: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The list as values of JSON. `table`: that of `strata_table`; `stated`: of antibodies."""
    return {
        "strata_order": ORDER,
        "compared_risk": found.outcome,
        "notes": found.notes,
        **({"antibodies": dict(stated)} if stated else {}),
        "strata": [
            {
                "stratum": name,
                "donors_are": STRATA[name],
                "below_another_for": order_of(found.asked[name]),
                "excluded": {p: list(found.excluded(name, p)) for p in found.patients},
                **_content(found, name, table[table["stratum"] == name].drop(columns="stratum")),
            }
            for name in found.asked
        ],
    }


def _content(found: DonorList, stratum: str, table: pd.DataFrame) -> dict[str, Any]:
    table = table.dropna(axis="columns", how="all")
    if stratum in found.registry:
        return results_document(found.registry[stratum], table)
    asked = found.asked[stratum]
    assert isinstance(asked, HaploidenticalRule)
    records = json.loads(table.to_json(orient="records"))
    return {
        "sources": {key: SOURCES[key] for key in asked.keys},
        "patients": [
            {
                "patient": patient,
                "no_relatives": found.reasons.get(patient, ""),
                "donors": [one for one in records if one["patient"] == patient],
                **(
                    {"family": family_json(found.related[stratum][patient].result)}
                    if patient in found.related[stratum]
                    else {}
                ),
            }
            for patient in found.patients
        ],
    }


def print_strata(
    screen: Console,
    found: DonorList,
    limit: int,
    typings: Mapping[str, str],
    sets: SearchSets | None,
) -> None:
    """Every stratum; `typings`: of the donors of the registry that are shown, as reported."""
    for number, name in enumerate(found.asked, 1):
        screen.print(f"stratum {number} of {len(found.asked)}: {STRATA[name]}", style="bold")
        screen.print(
            f"below another for: {'; then '.join(order_of(found.asked[name]))}", style="dim"
        )
        for patient in found.patients:
            if len(found.patients) > 1:
                screen.print(f"patient {patient}", markup=False)
            if name in found.registry:
                best = found.registry[name].best(patient, limit)
                use = found.reports.get(patient)
                flagged = None
                if use is not None:
                    rows = best.matches[patient].candidates.rows
                    called = candidate_crossmatches(best.index, rows, typings, use.profile, sets)
                    flagged = flags({one.id: one for one in called})
                print_donors(screen, found.registry[name], limit, patient, flagged, found.outcome)
            else:
                _print_related(screen, found, name, patient, limit)
            reasons = found.untold[name].get(patient, ())[:limit]
            for reason in dict.fromkeys(filter(None, reasons)):
                screen.print(f"risk not told: {reason}", markup=False, highlight=False)
            if excluded := found.excluded(name, patient):
                screen.print(f"{len(excluded):,} left out for antibodies")
    screen.print(
        f"{ORDER}: {found.model} tells {found.outcome} of {found.n_told} of {len(found.asked)} "
        "strata, with donor type and graft source among its factors",
        style="dim",
        markup=False,
        highlight=False,
    )


def _print_related(
    screen: Console, found: DonorList, stratum: str, patient: str, limit: int
) -> None:
    family = found.related[stratum].get(patient)
    if family is None:
        screen.print(f"patient {patient}: no relatives: {found.reasons[patient]}", markup=False)
        return
    for line in warnings_of(family.result.analysis):
        screen.print(f"! {line}", markup=False, highlight=False)
    if not len(family.matches):
        screen.print(f"no relative of patient {patient} is of this stratum", markup=False)
        return
    scores = found.scores[stratum][patient]
    columns = [scores[f"risk_{found.outcome}{end}"] for end in ("", "_low", "_high")]
    risks = [risk_text(*one) for one in zip(*columns, strict=True)]
    more: dict[str, Sequence[str]] = {RISK_NAMES.get(found.outcome, found.outcome): risks}
    if family.crossmatches is not None:
        screen.print(FLAGS)
        more["antib."] = list(flags({one.id: one for one in family.crossmatches}).values())
    print_relatives(screen, family.result, more, limit)
    n = len(family.matches)
    if n > limit:
        screen.print(f"{limit} of {n} shown: --limit N for more, --out FILE for all")
