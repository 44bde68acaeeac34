"""A report of beads of the demo's alleles, as a message and as a file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from data.antibodies import COLUMNS
from service.convert.antibodies import ANSWERS
from service.pb.graftmatch.v1 import antibodies_pb2 as ab

BEADS = (
    ab.AntibodyBead(antigen_or_allele="A*02:01", mfi=9000, date="2026-01-31", kit="LSA I"),
    ab.AntibodyBead(antigen_or_allele="A*01:01", mfi=100),
    ab.AntibodyBead(antigen_or_allele="A*03:01", mfi=200.5),
    ab.AntibodyBead(antigen_or_allele="A*24:02", mfi=150),
    ab.AntibodyBead(
        antigen_or_allele="B*07:02", mfi=4000, result=ab.CROSSMATCH_ANSWER_NEGATIVE, kit="LSA I"
    ),
)
REPORT = ab.AntibodyReport(beads=BEADS)
# How files write an answer.
TEXTS = {number: answer.text for answer, number in ANSWERS.items()}


def write_beads(path: Path) -> None:
    """`BEADS` as a file."""
    rows = [
        {
            "antigen_or_allele": bead.antigen_or_allele,
            "partner_chain": bead.partner_chain,
            "mfi": bead.mfi,
            "date": bead.date,
            "kit": bead.kit,
            "result": TEXTS.get(bead.result, ""),
        }
        for bead in BEADS
    ]
    pd.DataFrame(rows, columns=COLUMNS[:-1]).to_csv(path, index=False)


def crossmatch_row(one: ab.Crossmatch) -> dict[str, Any]:
    """A crossmatch as the columns of a file."""

    def known(name: str) -> float:
        return getattr(one, name) if one.HasField(name) else math.nan

    systems = {
        f"{of.system.lower()}_answer": "untyped"
        if of.untyped
        else TEXTS.get(of.answer, "not tested")
        for of in one.systems
    }
    return {
        "answer": TEXTS[one.answer],
        "worst": TEXTS[one.worst],
        **{name: known(name) for name in ("p_positive", "p_positive_worst")},
        **{name: known(name) for name in ("cumulative_mfi_low", "cumulative_mfi_high")},
        **systems,
    }
