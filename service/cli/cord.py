"""Cord blood units as options of graftmatch match: rules, grafts of two, strata."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from data.donor_files import Person
from matching.cord import CordRule, DoubleRule, cord_criteria
from matching.rank import CORD_KEYS, DEFAULT_KEYS, RankRule
from matching.search import Criteria
from service.antibody_tables import FLAGS, flag
from service.cli.antibodies import ReportedAntibodies
from service.cli.common import console, searched_loci
from service.cli.criteria import MismatchDirection, hla_criteria
from service.criteria import criteria_json
from service.double import NO_RISK, DoubleResults, double_document, find_pairs
from service.results_files import write_table
from service.search import DonorSearch, SearchSettings

FIVE = "A,B,C,DRB1,DQB1"
LociOption = Annotated[
    str | None,
    typer.Option("--loci", help=f"Loci to match, separated by commas; by default {FIVE}."),
]
MaxMismatchesOption = Annotated[
    int | None,
    typer.Option(
        "--max-mismatches", min=0, max=18, help="Most mismatches in the best case; by default 1."
    ),
]
CordRuleOption = Annotated[
    CordRule | None,
    typer.Option(
        "--cord-rule",
        help="Cord units by a rule: 6, antigens at A and B, alleles at DRB1, at most 2 mismatches; "
        "8, alleles at A, B, C and DRB1, at most 3. With --double and --strata 6 by default.",
    ),
]
DoubleOption = Annotated[
    bool,
    typer.Option("--double", help="Pairs of cord units that meet the dose together."),
]
UnitTncOption = Annotated[
    float | None,
    typer.Option(
        "--min-unit-tnc", min=0, help="With --double: least of each unit, 10^7 a kg; usually 1.5."
    ),
]
UnitCd34Option = Annotated[
    float | None,
    typer.Option("--min-unit-cd34", min=0, help="With --double: least of each unit, 10^6 a kg."),
]
BetweenOption = Annotated[
    int | None,
    typer.Option(
        "--max-mismatches-between",
        min=0,
        max=8,
        help="With --double: of the units with each other; as with the patient by default.",
    ),
]


class Listed(NamedTuple):
    """What the options of cord units found besides `SearchResults`: a table, what it depends on,
    the same as values of JSON, and how it looks on the screen."""

    table: Callable[[], pd.DataFrame]
    provenance: dict[str, Any]
    document: Callable[[], dict[str, Any]]
    show: Callable[[Console], None]

    def write(self, form: str, out: Path | None) -> None:
        if form == "table":
            self.show(console())
            return
        write_table(self.table(), self.provenance, self.document, form, out or sys.stdout)
        if out is not None:
            typer.echo(f"{len(self.table()):,} rows written to {out}")


@dataclass(frozen=True)
class CordOptions:
    """Those that are given; see above."""

    rule: CordRule | None
    double: bool = False
    min_unit_tnc: float | None = None
    min_unit_cd34: float | None = None
    max_between: int | None = None
    strata: str | None = None

    def __post_init__(self) -> None:
        of_units = (self.min_unit_tnc, self.min_unit_cd34, self.max_between)
        if not self.double and any(value is not None for value in of_units):
            raise typer.BadParameter("only with --double", param_hint="--min-unit-... or -between")
        if self.double and self.strata is not None:
            raise typer.BadParameter("a list of strata holds single units", param_hint="--double")

    @property
    def of_search(self) -> CordRule | None:
        """The rule of a search of cord units alone."""
        if self.strata is not None:
            return None
        return self.rule or (CordRule.SIX if self.double else None)

    def criteria(
        self,
        loci: str | None,
        max_mismatches: int | None,
        limits: str | None,
        direction: MismatchDirection,
        level: str | None,
        potential: bool,
    ) -> Criteria:
        """What is asked of typings, by a rule or by the other options."""
        if self.of_search is None:
            most = 1 if max_mismatches is None else max_mismatches
            return hla_criteria(
                searched_loci(loci or FIVE), most, limits, direction, level, potential
            )
        asked = {
            "--loci": loci is not None,
            "--level": level is not None,
            "--max-mismatches-at": limits is not None,
            "--direction": direction is not MismatchDirection.BOTH,
            "--no-potential": self.double and not potential,
        }
        if given := [name for name, is_given in asked.items() if is_given]:
            raise typer.BadParameter(
                f"a rule of cord units does not go with {given[0]}", param_hint="--cord-rule"
            )
        return cord_criteria(self.of_search, max_mismatches, potential)

    def types(self, donor_type: str | None) -> str | None:
        """The types of donors that are searched."""
        if self.strata is not None and donor_type is not None:
            raise typer.BadParameter("give one of --strata and --donor-type")
        if self.of_search is None:
            return donor_type
        if donor_type not in (None, "cord"):
            raise typer.BadParameter("it is for cord units alone", param_hint="--cord-rule")
        return "cord"

    @property
    def usual_keys(self) -> tuple[str, ...]:
        """What donors are ordered by unless it is asked for."""
        return DEFAULT_KEYS if self.of_search is None else CORD_KEYS

    def rank(self, rule: RankRule, ranked_by: str | None) -> RankRule:
        """The order of cord units, unless one is given."""
        is_cord = self.of_search is not None and ranked_by is None
        return replace(rule, keys=CORD_KEYS) if is_cord else rule

    def pairs(
        self,
        person: Person,
        search: DonorSearch,
        wanted: SearchSettings,
        start: int,
        size: int,
        reported: ReportedAntibodies | None,
    ) -> tuple[Listed, bool]:
        """Pairs of units, and whether there are more. `--min-tnc` and `--min-cd34`, which `wanted`
        holds, are of both together."""
        donors = dict(wanted.donors)
        rule = DoubleRule(
            wanted.criteria.max_mismatches if self.max_between is None else self.max_between,
            **{
                name: value
                for name, value in (
                    ("min_tnc", donors.pop("min_tnc_1e7_per_kg", None)),
                    ("min_cd34", donors.pop("min_cd34_1e6_per_kg", None)),
                    ("min_unit_tnc", self.min_unit_tnc),
                    ("min_unit_cd34", self.min_unit_cd34),
                )
                if value is not None
            },
        )
        use = None if reported is None else reported.use.get(person.id)
        found = find_pairs(person, search, replace(wanted, donors=donors), rule, start, size, use)
        stated = None
        if reported is not None:
            stated = reported.stated(search.index.donors, {person.id: found.excluded})
        provenance = {
            "release": search.nomenclature.release,
            "index": search.index.version,
            **criteria_json(wanted.criteria, donors),
            "as_of": wanted.as_of.isoformat(),
        }
        return (
            Listed(
                lambda: found.table,
                {
                    **provenance,
                    "double": asdict(rule),
                    "risk_not_told": NO_RISK,
                    **({"antibodies": stated} if stated else {}),
                },
                lambda: double_document(found, rule, provenance, stated),
                lambda screen: _print_pairs(screen, found, rule, wanted.criteria),
            ),
            found.more,
        )


def _print_pairs(
    screen: Console, found: DoubleResults, rule: DoubleRule, criteria: Criteria
) -> None:
    positions = 2 * len(criteria.loci)
    table = Table(
        title=f"pairs of {found.n_units:,} cord units within {criteria.max_mismatches} mismatches"
    )
    has_report = "antibody_answer" in found.table
    names = ("#", "units", "match", "each other", "TNC 10^7/kg", "CD34 10^6/kg", "maternal")
    for name in (*names, *(["antib."] if has_report else []), "below the one above for"):
        table.add_column(name)
    for row in found.table.to_dict(orient="records"):
        table.add_row(
            str(row["rank"]),
            f"{row['unit_1']} {row['unit_2']}",
            " ".join(f"{positions - row[f'mismatches_{n}']}/{positions}" for n in (1, 2)),
            f"{positions - row['mismatches_between']}/{positions}",
            _dose(row, "tnc_1e7_per_kg"),
            _dose(row, "cd34_1e6_per_kg"),
            "; ".join(filter(None, (row["nima_1"], row["nima_2"]))),
            *([_flags(row)] if has_report else []),
            row["ranked_below_previous_for"],
        )
    screen.print(table)
    if has_report:
        screen.print(FLAGS)
    asked = [f"together at least {rule.min_tnc:g} x 10^7 nucleated cells a kg"]
    asked.append(f"each at least {rule.min_unit_tnc:g}")
    if rule.min_cd34 is not None:
        asked.append(f"together at least {rule.min_cd34:g} x 10^6 CD34+ cells a kg")
    if rule.min_unit_cd34 is not None:
        asked.append(f"each at least {rule.min_unit_cd34:g}")
    asked.append(f"at most {rule.max_mismatches} mismatches between them")
    screen.print(
        f"{', '.join(asked)}\n{found.without_count:,} units without a count that is asked for are "
        f"left out\n{NO_RISK}\ndecision support for clinicians, not a medical device",
        style="dim",
    )


def _flags(row: Mapping[Hashable, Any]) -> str:
    """The virtual crossmatch of both units."""
    answers = ((row[f"antibody_answer_{n}"], row[f"antibody_worst_{n}"]) for n in (1, 2))
    return " ".join(flag(*one) for one in answers)


def _dose(row: Mapping[Hashable, Any], name: str) -> str:
    one, two, both = (row[key] for key in (f"{name}_1", f"{name}_2", name))
    known = [("?" if value != value else f"{value:.2f}") for value in (one, two, both)]
    return f"{known[0]} + {known[1]} = {known[2]}"
