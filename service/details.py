"""Details of pairs as columns beside the results of a search, and as a table on the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from matching.immunogenetics import TceCategory
from matching.kernels import COUNT_BEST, COUNT_WORST, GVH_BEST, GVH_WORST, HVG_BEST, HVG_WORST
from matching.loci import LOCI, Locus
from matching.pair import PairDetail, PairDetails
from matching.pipeline import Matches
from matching.sequences import ArdMismatches
from matching.typings import Typing, parse_typing
from service.results import SearchResults, span


@dataclass(frozen=True)
class Detailed:
    """What details of pairs need besides the pairs: the typings of `patients`, by identifier."""

    patients: Mapping[str, Typing]
    details: PairDetails

    def columns(self, results: SearchResults, donors: Mapping[str, str]) -> pd.DataFrame:
        """One row a patient and donor, in the order of `result_table`; see docs/matching.md.

        `donors`: the reported GL string of each donor by identifier.
        """
        typings = {donor: parse_typing(text) for donor, text in donors.items()}
        tables = [
            self.of(
                self.patients[name],
                [typings[donor] for donor in results.index.ids(matches.candidates.rows)],
                matches.tce,
                results.loci,
            )
            for name, matches in results.matches.items()
        ]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()

    def of(
        self,
        patient: Typing,
        donors: Sequence[Typing],
        tce: Sequence[TceCategory],
        loci: tuple[Locus, ...],
    ) -> pd.DataFrame:
        """One row a donor."""
        return pd.DataFrame(
            [
                _columns(self.details.of(patient, donor, category, loci))
                for donor, category in zip(donors, tce, strict=True)
            ]
        )


def _columns(detail: PairDetail) -> dict[str, Any]:
    leaders, expression = detail.leaders, detail.expression
    columns: dict[str, Any] = {
        "category": detail.overall.value,
        "leader_genotype": leaders and leaders.patient_genotype,
        "leader_matched": leaders and leaders.leader_matched,
        "leader_shared": leaders and leaders.shared,
        "leader_from_family": leaders and leaders.from_family,
        "dpb1_expression": expression and expression.outcome.value,
    }
    for locus, at in detail.loci.items():
        name = locus.value.lower()
        columns[f"{name}_category"] = at.category.value
        for side in (0, 1):
            columns[f"{name}_grade_{side + 1}"] = at.graded.grades[side].value
            columns[f"{name}_confidence_{side + 1}"] = at.graded.confidences[side].value
            columns[f"{name}_antigen_{side + 1}"] = at.graded.antigen_match[side]
            columns[f"{name}_residues_{side + 1}"] = _residues(at.domains[side])
    return columns


def _residues(compared: ArdMismatches | None) -> str | None:
    """How many residues differ and which, such as "1: 156 L/D"; None where nobody can tell."""
    if compared is None:
        return None
    count = str(compared.best)
    if compared.worst != compared.best:
        count += f" to {compared.worst}"
    listed = ", ".join(difference.text for difference in compared.differences)
    return f"{count}: {listed}" if listed else count


def print_pair(
    console: Console,
    typings: tuple[Typing, Typing],
    matches: Matches,
    detail: PairDetail,
) -> None:
    """One patient and one donor, a row a position."""
    table = Table(title="patient and donor")
    for name in ("locus", "patient", "donor", "matches", "GvH", "HvG", "category", "position"):
        table.add_column(name)
    for name in ("grade", "confidence", "antigen", "residues that differ, patient/donor"):
        table.add_column(name)
    patient, donor = typings
    for locus in LOCI:
        ours, theirs = patient.loci[locus], donor.loci[locus]
        if ours is None and theirs is None:
            continue
        row = matches.candidates.compared[0, locus.position].tolist()
        at = detail.loci[locus]
        for side in (0, 1):
            left = [
                locus.value,
                "untyped" if ours is None else ours.text,
                "untyped" if theirs is None else theirs.text,
                span(row[COUNT_BEST], row[COUNT_WORST]),
                span(row[GVH_BEST], row[GVH_WORST]),
                span(row[HVG_BEST], row[HVG_WORST]),
                at.category.value,
            ]
            table.add_row(
                *(left if side == 0 else [""] * len(left)),
                str(side + 1),
                at.graded.grades[side].value,
                at.graded.confidences[side].value,
                {True: "match", False: "mismatch", None: "?"}[at.graded.antigen_match[side]],
                _residues(at.domains[side]) or "",
            )
    console.print(table)
    mismatches = matches.candidates
    best, worst = int(mismatches.mismatches_best[0]), int(mismatches.mismatches_worst[0])
    facts = [
        f"mismatches {span(best, worst)} over {', '.join(x.value for x in mismatches.loci)}",
        f"category {detail.overall.value}",
    ]
    if matches.tce[0] is not TceCategory.UNTYPED:
        facts.append(f"DPB1 {matches.tce[0].value}")
    if detail.expression is not None:
        facts.append(f"DPB1 expression {detail.expression.outcome.value}")
    console.print("; ".join(facts))
    if (leaders := detail.leaders) is not None:
        text = f"HLA-B leader: patient {leaders.patient_genotype or 'undetermined'}"
        if leaders.direction is not None:
            text += (
                f"; mismatched copies {leaders.patient_mismatched or '?'} and "
                f"{leaders.donor_mismatched or '?'}, shared {leaders.shared or '?'}"
            )
        if leaders.leader_matched is not None:
            text += ", leader-matched" if leaders.leader_matched else ", leader-mismatched"
        if leaders.from_family:
            text += " (a leader that is not sequenced is taken from its allele family)"
        console.print(text)
