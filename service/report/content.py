"""Results -> what the page embeds: columns of few distinct values, patient by patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np
import pandas as pd

from data.donor_files import INDEXED_FACTS
from matching.loci import LOCI, Locus
from matching.rank import REASONS
from matching.risk import OUTCOMES
from service.allocation import AVAILABLE, texts_of
from service.pairs import risk_columns
from service.report.listed import antibody_content, shown_outcome, strata_content
from service.report.reading import (
    ALLOCATION_TEXTS,
    ANTIBODY_MFI,
    ANTIBODY_SHARES,
    ANTIBODY_SYSTEMS,
    COUNTS,
    DETAILS,
    POSITIONS,
    RELATIVE_SHARES,
    RELATIVE_TEXTS,
    Results,
    at_locus,
)
from service.typing_plan import availability_of

# Sums of weights are exact to about 1e-13; finer differences say nothing.
_DECIMALS = 9
_RISK_DECIMALS = 6
_LABELS = {
    "antibody": "Virtual crossmatch",
    "p10": "P(10/10)",
    "p9": "P(9/10)",
    "mismatches_best": "Mismatches at best",
    "mismatches_worst": "Mismatches at worst",
    "tce": "DPB1",
    "leader": "HLA-B leader",
    "risk": "Risk of acute GVHD III-IV",
    "age": "Age",
    "cmv": "CMV",
    "sex": "Sex",
    "abo": "ABO",
    "mismatches_counted": "Mismatches by the rule",
    "tnc": "Nucleated cells a kg, 10^7",
    "cd34": "CD34+ cells a kg, 10^6",
    "nima": "Maternal antigens",
}
_NO_LEADER = "no mismatch, or best"
Columns = dict[str, dict[str, Any]]


def report_content(results: Results, most_donors: int) -> dict[str, Any]:
    """Everything that the page shows, as values of JSON.

    Of each patient, or of each of its strata, the first `most_donors` candidates are embedded, and
    those that the allocation or the typing plan names. A column of n rows is `levels`, its distinct
    values, and `codes`, n positions in them, -1 where unknown. `starts`: patient i has the rows
    starts[i] to starts[i + 1] - 1, by stratum and rank, of which the first `first_ranks[i]` leave
    none out.
    Figures of a patient are those of all candidates of the results; `found[i]` counts what these
    leave out too. `fails[i]`: probability that no candidate is both available and 10/10.
    """
    allocation, plan = results.allocation, results.plan
    listed = [] if allocation is None else [str(name) for name in allocation["patient"]]
    seen = results.candidates["patient"].unique().astype(str)
    patients = list(dict.fromkeys([*listed, *seen]))
    table = results.candidates.assign(
        position=pd.Index(patients).get_indexer(pd.Index(results.candidates["patient"].astype(str)))
    )
    if "stratum" in table and "place" not in table:
        # Files of match hold stratum after stratum, in their order.
        table["place"] = table.groupby("patient", observed=True).cumcount() + 1
    place = "place" if "place" in table else "rank"
    # A copy, since columns that were set one by one are slow.
    table = table.sort_values(["position", place], ignore_index=True).copy()
    table = _with_differences(_with_availability(table, plan))
    table["allocated_to"] = _recipients(table, allocation)
    whole = ["position", *(["stratum"] if "stratum" in table else [])]
    is_first = (table.groupby(whole, observed=True).cumcount() < most_donors).to_numpy()
    kept = is_first | _named(table, allocation, plan)
    # Up to where the first one is left out.
    leading = pd.Series(is_first).groupby(table["position"]).cummin().to_numpy(dtype=bool)
    position = table["position"].to_numpy()
    rows, n = table[kept].reset_index(drop=True), len(patients)
    return {
        "version": metadata.version("graftmatch"),
        "provenance": _provenance(results.provenance),
        "day": str(results.provenance.get("as_of", "")),
        "release": str(results.provenance.get("release", "")),
        "absent": _absent(results, table),
        "loci": _loci(results, table),
        "outcomes": [
            {"name": o.name, "text": o.text, "days": o.horizon_days, "wanted": o.wanted}
            for o in OUTCOMES
            if f"risk_{o.name}" in table
        ],
        "outcome": shown_outcome(table),
        "strata": strata_content(results.provenance, table),
        "antibodies": antibody_content(results.antibodies, patients),
        "families": {patient: one for patient, one in results.families.items() if patient in seen},
        "keys": _keys(results, table),
        "facts": [name for name in INDEXED_FACTS if name in table],
        "details": [name for name in DETAILS if name in table],
        "patients": {
            "id": patients,
            "starts": np.searchsorted(position[kept], np.arange(n + 1)).tolist(),
            "first_ranks": np.bincount(position[leading], minlength=n).tolist(),
            "found": _found(patients, allocation, table),
            **_figures(table, n),
        },
        "rows": _rows(rows),
        "allocation": None if allocation is None else _allocation(allocation, results.proof),
        "plan": None if plan is None else _columns(plan),
        "rejects": None if results.rejects is None else _columns(results.rejects),
        "notes": None if results.notes is None else _columns(results.notes),
    }


def _with_availability(table: pd.DataFrame, plan: pd.DataFrame | None) -> pd.DataFrame:
    """The probability that a donor is available: of the plan where it says, else the prior."""
    known = table if "age_years" in table else table.assign(age_years=np.nan)
    available = availability_of(known, None)
    if plan is not None and len(plan):
        asked = plan.drop_duplicates("donor").set_index("donor")["availability"]
        stated = asked.reindex(table["donor"].astype(str)).to_numpy()
        available = np.where(np.isnan(stated), available, stated)
    here = texts_of(table, "status", AVAILABLE) == AVAILABLE
    return table.assign(availability=np.where(here, available, 0.0))


def _with_differences(table: pd.DataFrame) -> pd.DataFrame:
    """The difference of each risk to the best of the patient's, where the results state none."""
    found: dict[str, pd.Series] = {}
    for outcome in OUTCOMES:
        risk, _, _, difference, *_ = risk_columns(outcome.name)
        if risk in table and difference not in table:
            best = table.groupby("position")[risk].transform("max" if outcome.wanted else "min")
            found[difference] = table[risk] - best
    return table.assign(**found)


def _recipients(table: pd.DataFrame, allocation: pd.DataFrame | None) -> pd.Series:
    """Whom each row's donor is allocated to, missing where to nobody or not known."""
    if allocation is None:
        return table.get("allocated_to", pd.Series(None, index=table.index, dtype=object))
    recipient = {
        str(donor): str(patient)
        for column in ("allocated", "second")
        for donor, patient in zip(allocation[column], allocation["patient"], strict=True)
        if donor
    }
    return table["donor"].astype(str).map(recipient)


def _named(table: pd.DataFrame, allocation: pd.DataFrame | None, plan: pd.DataFrame | None) -> Any:
    """(n_rows,) bool: the pair is one of the allocation or of the plan."""
    pairs: set[tuple[str, str]] = set()
    if plan is not None:
        pairs |= set(zip(plan["patient"], plan["donor"], strict=True))
    if allocation is not None:
        for row in allocation.to_dict(orient="records"):
            donors = (row["allocated"], row["second"], row["best"], *row["backups"])
            pairs |= {(str(row["patient"]), str(donor)) for donor in donors if donor}
    written = zip(table["patient"].astype(str), table["donor"].astype(str), strict=True)
    return np.array([pair in pairs for pair in written], dtype=bool)


def _found(
    patients: Sequence[str], allocation: pd.DataFrame | None, table: pd.DataFrame
) -> list[int]:
    """Donors that were found for each patient: more than were written where batch kept the best."""
    written: list[int] = np.bincount(table["position"], minlength=len(patients)).tolist()
    if allocation is None or "found" not in allocation:
        return written
    stated = dict(zip(allocation["patient"], allocation["found"].fillna(0), strict=True))
    found = zip(patients, written, strict=True)
    return [max(n, int(stated.get(name, 0))) for name, n in found]


def _figures(table: pd.DataFrame, n: int) -> dict[str, Any]:
    """Of each patient, over all candidates: numbers, the best values, and the chance of a match."""
    position = table["position"].to_numpy()
    mismatches = table["mismatches_best"].to_numpy(dtype=np.int64)
    counts = np.zeros((n, int(mismatches.max(initial=0)) + 1), dtype=np.int64)
    np.add.at(counts, (position, mismatches), 1)
    found: dict[str, Any] = {
        "candidates": np.bincount(position, minlength=n).tolist(),
        "at": counts.tolist(),
    }
    if "p10" in table:
        p = table["p10"].to_numpy(dtype=np.float64)
        unknown = np.isnan(p)
        fails = 1 - np.nan_to_num(p) * table["availability"].to_numpy()
        none = np.ones(n)
        np.multiply.at(none, position, fails)
        # Many donors must not round to certainty: only a certain donor is.
        certain = np.bincount(position[fails == 0], minlength=n) > 0
        none = np.where(certain, 0.0, np.maximum(none, np.finfo(float).tiny))
        known = np.bincount(position[~unknown], minlength=n) > 0
        found["unknown_p"] = np.bincount(position[unknown], minlength=n).tolist()
        best = table.groupby("position")["p10"].max().reindex(range(n)).round(_DECIMALS)
        found["best_p10"] = [_value(value) for value in best]
        found["fails"] = [
            float(value) if there else None for value, there in zip(none, known, strict=True)
        ]
    return found


def _rows(table: pd.DataFrame) -> Columns:
    """The columns of candidates; what belongs together is one column of lists."""
    found: Columns = {}
    for name in (
        "stratum",
        "place",
        "rank",
        "donor",
        "p10",
        "p9",
        "availability",
        "dpb1_tce",
        "allocated_to",
    ):
        if name in table:
            found[name] = _column(table[name])
    found["mismatches"] = _joined(table, ("mismatches_best", "mismatches_worst"))
    for name in ("gvh", "hvg"):
        found[name] = _joined(table, (f"{name}_best", f"{name}_worst"))
    for locus in LOCI:
        if at_locus(locus, POSITIONS[0]) in table:
            names = [at_locus(locus, name) for name in (*POSITIONS, *COUNTS)]
            found[f"locus_{locus.value}"] = _joined(table, names)
    for outcome in OUTCOMES:
        if f"risk_{outcome.name}" in table:
            parts = risk_columns(outcome.name)
            risks = table.reindex(columns=list(parts)).round(_RISK_DECIMALS)
            found[f"risk_{outcome.name}"] = _joined(risks, parts)
    if "antibody_answer" in table:
        found["antibody"] = _joined(table, ("antibody_answer", "antibody_worst", *ANTIBODY_SHARES))
        found["antibody_systems"] = _joined(table, ANTIBODY_SYSTEMS)
        found["antibody_mfi"] = _joined(table, ANTIBODY_MFI)
    if "class" in table:
        found["classes"] = _joined(table, RELATIVE_SHARES)
    texts = [f"rank_{key}" for key in REASONS]
    texts += ["risk_not_told", "nima", "antibody_evidence", "antibody_override", *RELATIVE_TEXTS]
    for name in (*INDEXED_FACTS, *texts, "ranked_below_previous_for", "typing", *DETAILS):
        if name in table:
            found[name] = _column(table[name])
    if "rank_leader" in table:
        found["leader"] = _column(_leaders(table))
    return found


def _leaders(table: pd.DataFrame) -> pd.Series:
    """The leader in words, with the cases told apart that rank alike."""
    texts = table["rank_leader"].astype(object)
    best, worst = (at_locus(Locus.B, name) for name in ("count_best", "count_worst"))
    if best not in table or worst not in table:
        return texts
    alike = np.select(
        [table[worst] == 2, table[best] == 2], ["no B mismatch", "B may match"], "most favourable"
    )
    return texts.where(texts != _NO_LEADER, pd.Series(alike, index=texts.index))


def _column(values: pd.Series) -> dict[str, Any]:
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.cat.remove_unused_categories()
        return {"levels": list(values.cat.categories), "codes": values.cat.codes.tolist()}
    if pd.api.types.is_float_dtype(values.dtype):
        values = values.round(_DECIMALS)
    codes, levels = pd.factorize(values)
    return {"levels": [_value(level) for level in levels], "codes": codes.tolist()}


def _joined(table: pd.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    """Several columns as one of lists."""
    parts = table.reindex(columns=list(names))
    distinct = parts.drop_duplicates()
    codes = parts.groupby(list(names), sort=False, observed=True, dropna=False).ngroup()
    rows = distinct.itertuples(index=False, name=None)
    return {"levels": [[_value(v) for v in row] for row in rows], "codes": codes.tolist()}


def _columns(table: pd.DataFrame) -> Columns:
    return {str(name): _column(table[name]) for name in table}


def _value(value: Any) -> Any:
    """A value of JSON: a text, a whole number where it is one, None where it is unknown."""
    if isinstance(value, str):
        return value
    if value is None or value is pd.NA or np.isnan(value):
        return None
    number = round(float(value), _DECIMALS)
    return int(number) if number.is_integer() else number


def _allocation(table: pd.DataFrame, proof: Mapping[str, Any]) -> dict[str, Any]:
    texts = table[["patient", *ALLOCATION_TEXTS]]
    backups = [[str(donor) for donor in donors] for donors in table["backups"]]
    return {
        "status": proof.get("status", ""),
        "levels": proof.get("levels", []),
        "columns": {
            **_columns(texts),
            "utility": _column(table["utility"]),
            "swap_cost": _column(table["swap_cost"]),
            "backups": {"levels": backups, "codes": list(range(len(backups)))},
        },
    }


def _loci(results: Results, table: pd.DataFrame) -> list[dict[str, Any]]:
    """The loci of the grid, the searched ones first; `searched` is None where that is not known."""
    searched = results.provenance.get("loci")
    loci = [
        {"name": locus.value, "searched": None if searched is None else locus.value in searched}
        for locus in LOCI
        if all(at_locus(locus, name) in table for name in POSITIONS)
    ]
    return sorted(loci, key=lambda locus: not locus["searched"])


def _keys(results: Results, table: pd.DataFrame) -> list[dict[str, str]]:
    """The keys that donors were ordered by, in their order as far as the results state it."""
    strata = results.provenance.get("strata", {}).values()
    of_strata = [key for one in strata for key in one.get("rank_keys", ())]
    stated = dict.fromkeys([*of_strata, *results.provenance.get("rank_keys", ()), *REASONS])
    return [
        {"name": key, "label": _LABELS[key], "reason": REASONS[key]}
        for key in stated
        if key in REASONS and f"rank_{key}" in table
    ]


def _provenance(known: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the results depend on, in words; what they do not say is said to be not stated."""
    limits = known.get("max_mismatches_at") or {}
    mismatches = str(known.get("max_mismatches", ""))
    if limits:
        mismatches += "; " + ", ".join(f"{locus} {most}" for locus, most in limits.items())
    donors = known.get("donors")
    stated = {
        "Release of IPD-IMGT/HLA": known.get("release", ""),
        "Donor index": known.get("index", ""),
        "Frequency set": known.get("frequency_set", "")
        or ("none: match probabilities are unknown" if "frequency_set" in known else ""),
        "Risk model": known.get("model", ""),
        "Day of ages": known.get("as_of", ""),
        "Loci matched": _listed(known.get("loci")),
        "Most mismatches at best": mismatches,
        "Direction": known.get("direction", ""),
        "Matched by antigen": _listed(known.get("antigen_loci"), "none"),
        "Potential matches": {True: "kept", False: "left out"}.get(bool(known["keep_potential"]))
        if "keep_potential" in known
        else "",
        "Asked of donors": ""
        if donors is None
        else "; ".join(f"{name} {_listed(asked)}" for name, asked in donors.items()) or "nothing",
        "Ranked by": "each stratum as its heading says"
        if known.get("strata")
        else _listed([_LABELS.get(key, key) for key in known.get("rank_keys", ())]),
        "Bands of P, %": _listed([f"{band:g}" for band in known.get("rank_bands", ())]),
    }
    return [(label, str(value) or "not stated") for label, value in stated.items()]


def _listed(values: Any, nothing: str = "") -> str:
    if values is None:
        return ""
    if isinstance(values, list | tuple):
        return ", ".join(map(str, values)) or nothing
    return str(values)


def _absent(results: Results, table: pd.DataFrame) -> list[tuple[str, str]]:
    """What a report can show and these results do not hold, with what brings it."""
    found: list[tuple[str, str]] = []
    if results.allocation is None:
        found.append(
            (
                "Allocation",
                "none was given; batch writes one, or give --allocation FILE of allocate",
            )
        )
        found.append(
            ("Patients without donors", "a file of candidates does not name them; batch does")
        )
    if results.plan is None:
        found.append(("Typing plan", "none was given: --plan FILE of typing-plan"))
    if results.rejects is None:
        found.append(("Rejected records", "no file of rejects stands beside the results"))
    if "p10" not in table:
        found.append(("Match probabilities", "the results have no columns p10 and p9"))
    elif len(table) and table["p10"].isna().all():
        found.append(("Match probabilities", "unknown for every donor; is a frequency set in use?"))
    if not any(f"risk_{outcome.name}" in table for outcome in OUTCOMES):
        found.append(("Predicted risks", "the results have no columns risk_..."))
    if missing := [locus.value for locus in LOCI if at_locus(locus, POSITIONS[0]) not in table]:
        found.append(("Match grid", f"the results have no columns of {', '.join(missing)}"))
    for name, what in (("dpb1_tce", "DPB1 epitopes"), ("rank_leader", "HLA-B leader")):
        if name not in table:
            found.append((what, f"the results have no column {name}"))
    if "typing" not in table:
        found.append(("Typings of donors", "batch does not write them; match --out does"))
    if missing := [name for name in INDEXED_FACTS if name not in table]:
        found.append(("Facts of donors", f"the results have no columns {', '.join(missing)}"))
    if "loci" not in results.provenance:
        found.append(
            ("Criteria of the search", "they stand in Parquet files and in summary.json of batch")
        )
    return found
