"""graftmatch score: one patient and one donor, by their typings alone."""

from __future__ import annotations

import json
import sys
from enum import Enum
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict

from data.nomenclature import ReferenceFolder
from matching.genotypes import encode
from matching.pair import PairDetails
from matching.pipeline import match_typed
from matching.typings import parse_typing
from service.cli.common import (
    ReleaseOption,
    StrictOption,
    console,
    open_nomenclature,
    searched_loci,
    settings,
)
from service.convert import pair_detail
from service.details import print_pair


class _Form(Enum):
    TABLE = "table"
    JSON = "json"


def score(
    patient: Annotated[str, typer.Option(help="The patient's typing as a GL string.")],
    donor: Annotated[str, typer.Option(help="The donor's typing as a GL string.")],
    loci: Annotated[str, typer.Option(help="Loci to match, separated by commas.")] = (
        "A,B,C,DRB1,DQB1"
    ),
    form: Annotated[_Form, typer.Option("--format", help="table or json.")] = _Form.TABLE,
    release: ReleaseOption = None,
    strict: StrictOption = False,
) -> None:
    """Grades, antigens, residues, leaders and DPB1 of one pair; no registry is read."""
    nomenclature = open_nomenclature(release, strict)
    searched = searched_loci(loci)
    ours, theirs = parse_typing(patient), parse_typing(donor)
    for person, typing in (("patient", ours), ("donor", theirs)):
        for note in encode(typing, nomenclature).notes:
            typer.echo(f"{person}: {note}", err=True)
    matches = match_typed(ours, [theirs], nomenclature, searched)
    proteins = ReferenceFolder(settings().reference).proteins(nomenclature.release)
    detail = PairDetails(nomenclature, proteins).of(ours, theirs, matches.tce[0], searched)
    if form is _Form.TABLE:
        print_pair(console(), (ours, theirs), matches, detail)
        typer.echo(f"release {nomenclature.release}; decision support, not a medical device")
        return
    answer = {
        "release": nomenclature.release,
        "mismatches_best": int(matches.candidates.mismatches_best[0]),
        "mismatches_worst": int(matches.candidates.mismatches_worst[0]),
        "dpb1_tce": matches.tce[0].value,
        **MessageToDict(pair_detail(detail), preserving_proto_field_name=True),
    }
    json.dump(answer, sys.stdout, indent=1)
    sys.stdout.write("\n")
