"""What a report shows of strata, antibodies and families besides the rows of candidates."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from matching.errors import InputFileError
from matching.family import REASONS as FAMILY_REASONS
from matching.rank import REASONS
from matching.risk import OUTCOMES
from service.pairs import RISK_OUTCOME
from service.recipients import read_table
from service.relatives import RELATED
from service.strata import STRATA

# What becomes of all donors of a registry, as `matching.antibodies.RegistryAnswers.count` says.
REGISTRY_ANSWERS = ("negative", "not_assessable", "open", "positive")
_DECIMALS = 9


def read_families(path: Path) -> Mapping[str, Any]:
    """Of each patient an image, an explanation and warnings."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputFileError(f"cannot read {path}: {error}") from error
    if not isinstance(found, dict):
        raise InputFileError(f"{path} holds no families; give what batch or match wrote")
    for patient, one in found.items():
        is_family = isinstance(one, dict) and {"svg", "explanation", "warnings"} <= one.keys()
        if not is_family or not str(one["svg"]).startswith("<svg"):
            raise InputFileError(
                f"{path}: patient {patient!r} has no picture; give what batch or match wrote"
            )
    return found


def read_antibodies(path: Path) -> Mapping[str, Any]:
    columns = ("donors_of_registry", *REGISTRY_ANSWERS, "left_out", "own_type")
    found = {}
    for row in read_table(path, "patient", columns).to_dict(orient="records"):
        try:
            counts = {name: int(row[name]) for name in columns[:-1]}
        except ValueError as error:
            raise InputFileError(f"{path}: patient {row['patient']!r}: {error}") from error
        own = [line for line in str(row["own_type"]).split(" | ") if line]
        found[str(row["patient"])] = {**counts, "own_type": own}
    return found


def stated_antibodies(path: Path, stated: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same of what match states in Parquet."""
    try:
        return {
            patient: {
                **{name: int(counts[name]) for name in REGISTRY_ANSWERS},
                "donors_of_registry": sum(int(counts[name]) for name in REGISTRY_ANSWERS),
                "left_out": len(stated["excluded"].get(patient, ())),
                "own_type": list(stated["own_type"].get(patient, ())),
            }
            for patient, counts in stated.get("registry", {}).items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputFileError(f"{path}: what it states of antibodies cannot be read") from error


def shown_outcome(table: pd.DataFrame) -> str:
    """The risk that is shown first: of strata, the one that is told in most of them."""
    told = [outcome.name for outcome in OUTCOMES if f"risk_{outcome.name}" in table]
    if not told:
        return ""
    of_strata = dict.fromkeys(told, 0)
    if "stratum" in table:
        for name in told:
            known = table["stratum"][table[f"risk_{name}"].notna()]
            of_strata[name] = int(known.nunique())
    return min(told, key=lambda name: (-of_strata[name], name != RISK_OUTCOME))


def strata_content(provenance: Mapping[str, Any], table: pd.DataFrame) -> list[dict[str, Any]]:
    """In their order, what each holds and what it is ordered by, "" where that is not stated."""
    if "stratum" not in table:
        return []
    stated = provenance.get("strata", {})
    names = table.sort_values("place", kind="stable")["stratum"].astype(str).unique()
    order = [name for name in stated if name in names]
    found = []
    for name in [*order, *(name for name in names if name not in order)]:
        keys = stated.get(name, {}).get("rank_keys", ())
        reasons = FAMILY_REASONS if name in RELATED else REASONS
        ordered = "; then ".join(reasons.get(key, key) for key in keys)
        found.append({"name": name, "text": STRATA.get(name, name), "ordered": ordered})
    return found


def antibody_content(antibodies: Mapping[str, Any], patients: Sequence[str]) -> dict[str, Any]:
    """By patient: what becomes of the registry, and the share of it that is ruled out."""
    found = {}
    for patient, told in antibodies.items():
        if patient in patients:
            n, least = max(told["donors_of_registry"], 1), told["positive"]
            pra = [least / n, (least + told["open"]) / n]
            found[patient] = {**told, "virtual_pra": [round(share, _DECIMALS) for share in pra]}
    return found
