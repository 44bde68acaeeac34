"""Criteria of a search as values of JSON, for answers, page tokens and saved searches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data.index import DonorFilter
from matching.errors import InputFileError
from matching.loci import Locus
from matching.search import Criteria, Direction

# What may be asked of a donor's facts: values that are kept, and limits. Registries are not listed.
DONOR_LEVELS: Mapping[str, tuple[str, ...]] = {
    "types": ("adult", "cord"),
    "sexes": ("male", "female"),
    "cmv": ("positive", "negative"),
    "abo": ("A", "B", "AB", "O"),
    "registries": (),
    "statuses": ("available", "temporarily_unavailable", "reserved"),
}
DONOR_LIMITS = (*("min_age_years", "max_age_years", "min_tnc_1e7_per_kg", "min_cd34_1e6_per_kg"),)


def criteria_json(criteria: Criteria, donors: Mapping[str, Any]) -> dict[str, Any]:
    """`donors`: fields of `DonorFilter` that are asked for, but the weight of the patient."""
    return {
        "loci": [locus.value for locus in criteria.loci],
        "max_mismatches": criteria.max_mismatches,
        "max_mismatches_at": {locus.value: n for locus, n in criteria.limits.items()},
        "direction": criteria.direction.value,
        "antigen_loci": sorted(locus.value for locus in criteria.antigen_loci),
        "keep_potential": criteria.keep_potential,
        "donors": dict(donors),
    }


def criteria_of(content: Mapping[str, Any]) -> tuple[Criteria, dict[str, Any]]:
    """The inverse of `criteria_json`. Raises `KeyError`, `TypeError` and `ValueError`."""
    criteria = Criteria(
        tuple(map(Locus, content["loci"])),
        int(content["max_mismatches"]),
        {Locus(name): int(n) for name, n in content["max_mismatches_at"].items()},
        Direction(content["direction"]),
        frozenset(map(Locus, content["antigen_loci"])),
        bool(content["keep_potential"]),
    )
    return criteria, dict(content["donors"])


def donor_filter(
    donors: Mapping[str, Any], patient: str, weight_kg: str | float | None
) -> DonorFilter:
    """The filter for one patient. Raises `InputFileError` where a dose needs an unknown weight."""
    try:
        return DonorFilter(
            **donors, patient_weight_kg=None if weight_kg is None else float(weight_kg)
        )
    except ValueError as error:
        raise InputFileError(
            f"patient {patient}: {error}; give weight_kg, or --patient-facts weight_kg=70"
        ) from error
