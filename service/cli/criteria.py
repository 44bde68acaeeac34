"""Criteria of a search as options of graftmatch match."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Annotated, Any

import typer

from data.donor_files import FACTS
from matching.loci import Locus, parse_loci
from matching.search import Criteria, Direction
from service.criteria import DONOR_LEVELS


class MismatchDirection(Enum):
    """Which mismatches count."""

    BOTH = "both"
    GVH = "gvh"
    HVG = "hvg"


LimitsOption = Annotated[
    str | None,
    typer.Option("--max-mismatches-at", help="Most mismatches at single loci: A=1,DRB1=0."),
]
DirectionOption = Annotated[
    MismatchDirection, typer.Option("--direction", help="Mismatches that count.")
]
LevelOption = Annotated[
    str | None,
    typer.Option("--level", help="antigen or allele at single loci: A=antigen,B=antigen."),
]
PotentialOption = Annotated[
    bool,
    typer.Option("--potential/--no-potential", help="Keep donors that may match, or certain ones."),
]
TypeOption = Annotated[str | None, typer.Option("--donor-type", help="adult, cord.")]
AgeOption = Annotated[str | None, typer.Option("--age", help="Of adult donors: 18-35, 18- or -35.")]
SexOption = Annotated[str | None, typer.Option("--sex", help="male, female.")]
CmvOption = Annotated[str | None, typer.Option("--cmv", help="positive, negative.")]
AboOption = Annotated[str | None, typer.Option("--abo", help="A,B,AB,O, those that are kept.")]
RegistriesOption = Annotated[
    str | None, typer.Option("--donor-registry", help="Registries that are kept, with commas.")
]
StatusOption = Annotated[
    str | None,
    typer.Option("--status", help="available, temporarily_unavailable, reserved; with commas."),
]
TncOption = Annotated[
    float | None,
    typer.Option("--min-tnc", min=0, help="Least nucleated cells of cord units, 10^7 a kg."),
]
Cd34Option = Annotated[
    float | None,
    typer.Option("--min-cd34", min=0, help="Least CD34+ cells of cord units, 10^6 a kg."),
]
KnownOption = Annotated[
    bool,
    typer.Option("--require-known", help="Leave out donors of whom what is asked is unknown."),
]
PatientFactsOption = Annotated[
    str | None,
    typer.Option(
        "--patient-facts",
        help="Of --patient: age_years=40,sex=male,cmv=negative,abo=O,weight_kg=70.",
    ),
]
_PATIENT_LEVELS = {"sex": "sexes", "cmv": "cmv", "abo": "abo"}
_PATIENT_NUMBERS = {"age_years": (0, 120), "weight_kg": (1, 500)}
# Of whose frequencies the patient is imputed under.
_PATIENT_TEXTS = ("ancestry", "registry")


def hla_criteria(
    loci: tuple[Locus, ...],
    max_mismatches: int,
    limits: str | None,
    direction: MismatchDirection,
    level: str | None,
    keep_potential: bool,
) -> Criteria:
    """What is asked of typings."""
    hint = "--max-mismatches-at or --level"
    try:
        of_loci = {_locus(name): int(value) for name, value in _pairs(limits)}
        levels = {_locus(name): value for name, value in _pairs(level)}
        if wrong := sorted(set(levels.values()) - {"antigen", "allele"}):
            raise ValueError(f"{wrong[0]!r} is no level; give antigen or allele")
        antigen = frozenset(locus for locus, value in levels.items() if value == "antigen")
        return Criteria(
            loci,
            max_mismatches,
            of_loci,
            Direction[direction.name],
            antigen,
            keep_potential,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=hint) from error


def _locus(name: str) -> Locus:
    return parse_loci(name)[0]


def _pairs(text: str | None) -> list[tuple[str, str]]:
    if text is None:
        return []
    found = [part.partition("=") for part in text.split(",")]
    if not all(equals for _, equals, _ in found):
        raise ValueError(f"{text!r} is no list such as A=1,DRB1=0")
    names = [name.strip() for name, _, _ in found]
    if len(set(names)) != len(names):
        raise ValueError(f"{text!r} names something twice")
    return [(name.strip(), value.strip()) for name, _, value in found]


def donor_criteria(
    donor_type: str | None,
    age: str | None,
    sex: str | None,
    cmv: str | None,
    abo: str | None,
    registries: str | None,
    status: str | None,
    min_tnc: float | None,
    min_cd34: float | None,
    require_known: bool,
) -> dict[str, Any]:
    """What is asked of donors' facts, as in `service.criteria`."""
    asked = {
        "types": ("--donor-type", donor_type),
        "sexes": ("--sex", sex),
        "cmv": ("--cmv", cmv),
        "abo": ("--abo", abo),
        "registries": ("--donor-registry", registries),
        "statuses": ("--status", status),
    }
    found: dict[str, Any] = {
        name: _levels(text, DONOR_LEVELS[name], option)
        for name, (option, text) in asked.items()
        if text is not None
    }
    if age is not None:
        found |= _ages(age)
    if min_tnc is not None:
        found["min_tnc_1e7_per_kg"] = min_tnc
    if min_cd34 is not None:
        found["min_cd34_1e6_per_kg"] = min_cd34
    if require_known and not found:
        raise typer.BadParameter(
            "nothing is asked that could be unknown", param_hint="--require-known"
        )
    return found | ({"require_known": True} if require_known else {})


def _levels(text: str, known: Iterable[str], option: str) -> list[str]:
    values = sorted({value.strip() for value in text.split(",")})
    if wrong := sorted(set(values) - set(known)) if known else []:
        raise typer.BadParameter(f"{wrong[0]!r} is none of {', '.join(known)}", param_hint=option)
    return values


def _ages(text: str) -> dict[str, float]:
    low, dash, high = text.partition("-")
    try:
        found = {
            name: float(value)
            for name, value in (("min_age_years", low), ("max_age_years", high))
            if value
        }
    except ValueError:
        found = {}
    if not dash or not found or any(not 0 <= value <= 150 for value in found.values()):
        raise typer.BadParameter(f"{text!r} is no range such as 18-35", param_hint="--age")
    return found


def facts_of(text: str | None) -> dict[str, Any]:
    """Facts of a patient, None where unknown."""
    facts: dict[str, Any] = dict.fromkeys(FACTS)
    try:
        for name, value in _pairs(text):
            if name in _PATIENT_LEVELS:
                known = DONOR_LEVELS[_PATIENT_LEVELS[name]]
                if value not in known:
                    raise ValueError(f"{name} {value!r} is none of {', '.join(known)}")
                facts[name] = value
            elif name in _PATIENT_NUMBERS:
                low, high = _PATIENT_NUMBERS[name]
                facts[name] = float(value)
                if not low <= facts[name] <= high:
                    raise ValueError(f"{name} {value!r} is not in {low} to {high}")
            elif name in _PATIENT_TEXTS:
                facts[name] = value
            else:
                known = (*_PATIENT_NUMBERS, *_PATIENT_LEVELS, *_PATIENT_TEXTS)
                raise ValueError(f"{name!r} is none of {', '.join(known)}")
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--patient-facts") from error
    return facts
