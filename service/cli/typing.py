"""graftmatch typing: what a written typing stands for."""

from __future__ import annotations

import dataclasses
import json
from enum import Enum
from typing import Annotated, Any

import typer
from rich.table import Table

from matching.explain import Explanation, explain
from matching.loci import Locus
from matching.reduction import Level, reduce_gl
from matching.typings import split_release
from service.cli.common import ReleaseOption, StrictOption, console, open_nomenclature

typing = typer.Typer(no_args_is_help=True, help="Typings as text.")
_SHOWN = 6


class _Form(Enum):
    TABLE = "table"
    JSON = "json"


@typing.command("explain")
def typing_explain(
    text: Annotated[
        str, typer.Argument(help="GL string, a locus of one, or a single name; quote it.")
    ],
    to: Annotated[
        Level | None, typer.Option("--to", help="Also reduce every name to this level.")
    ] = None,
    form: Annotated[_Form, typer.Option("--format", help="table or json.")] = _Form.TABLE,
    release: ReleaseOption = None,
    strict: StrictOption = False,
) -> None:
    """Canonical form, groups, serology, resolution, ambiguity and warnings of a typing.

    It is read under --release, else under the release that it names (hla#3.44.0#...), else under
    the newest installed one.
    """
    named, written = split_release(text)
    nomenclature = open_nomenclature(release or named or None, strict)
    explanation = explain(text, nomenclature, to)
    reduced = None if to is None else reduce_gl(written, to, nomenclature)
    if form is _Form.JSON:
        answer = dataclasses.asdict(explanation) | ({} if to is None else {"reduced": reduced})
        typer.echo(json.dumps(answer, indent=1, default=_value))
        return
    _print(explanation, to)
    if reduced is not None and to is not None:
        typer.echo(f"{to.value}: {reduced or 'none'}")


def _value(item: Any) -> Any:
    return item.value if isinstance(item, Enum) else str(item)


def _print(explanation: Explanation, to: Level | None) -> None:
    table = Table(title=explanation.canonical, title_justify="left")
    columns = ["locus", "written", "resolution", "alleles", "P groups", "G groups", "serology"]
    columns += ["TCE"] if any(locus.name == Locus.DPB1.value for locus in explanation.loci) else []
    columns += [to.value] if to is not None else []
    for name in columns:
        table.add_column(name)
    notes = list(explanation.warnings)
    for locus in explanation.loci:
        for number, genotype in enumerate(locus.genotypes):
            for position in genotype:
                notes += position.notes
                nulls = f", {position.n_nulls} null" if position.n_nulls else ""
                cells = {
                    "locus": locus.name if number == 0 and position is genotype[0] else "",
                    "written": position.text if len(position.text) <= 40 else "...",
                    "resolution": position.resolution.value,
                    "alleles": f"{len(position.alleles):,}{nulls}",
                    "P groups": _some(position.p_groups),
                    "G groups": _some(position.g_groups),
                    "serology": _some([f"{a.name} ({a.source})" for a in position.antigens], 3),
                    "TCE": "/".join(map(str, position.tce)),
                }
                if to is not None:
                    cells[to.value] = _some(position.reduced)
                table.add_row(*(cells[name] for name in columns))
        if len(locus.genotypes) > 1 or locus.n_genotypes > 1:
            notes.append(f"{locus.name}: {locus.n_genotypes:,} pairs of P groups are possible")
    console().print(table)
    for note in dict.fromkeys(notes):
        typer.echo(f"note: {note}")
    typer.echo(f"release {explanation.release}; decision support, not a medical device")


def _some(names: list[str] | tuple[str, ...], most: int = _SHOWN) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
