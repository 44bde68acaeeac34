"""Details of pairs as messages."""

from __future__ import annotations

from functools import lru_cache

from matching.pair import LocusDetail, PairDetail
from service.convert.responses import as_range
from service.pb.graftmatch.v1 import graftmatch_pb2


def pair_detail(detail: PairDetail) -> graftmatch_pb2.PairDetail:
    """Grades, categories, residues, leaders and expression of a pair."""
    message = graftmatch_pb2.PairDetail(
        overall_category=detail.overall.value,
        loci=map(_locus_detail, detail.loci),
    )
    if (leaders := detail.leaders) is not None:
        message.leaders.CopyFrom(
            graftmatch_pb2.LeaderMatch(
                patient_genotype=leaders.patient_genotype or "",
                patient_mismatched=leaders.patient_mismatched or "",
                donor_mismatched=leaders.donor_mismatched or "",
                shared=leaders.shared or "",
                leader_matched=leaders.leader_matched,
                direction="" if leaders.direction is None else leaders.direction.value,
                from_family=leaders.from_family,
            )
        )
    if (expression := detail.expression) is not None:
        direction = "" if expression.direction is None else expression.direction.value
        message.dpb1_expression.CopyFrom(
            graftmatch_pb2.ExpressionMatch(outcome=expression.outcome.value, direction=direction)
        )
    return message


# The same object comes again for the same typings; a message put into another one is copied.
@lru_cache(maxsize=20_000)
def _locus_detail(at: LocusDetail) -> graftmatch_pb2.LocusDetail:
    return graftmatch_pb2.LocusDetail(
        locus=at.graded.locus.value,
        category=at.category.value,
        positions=[_position_detail(at, side) for side in (0, 1)],
    )


def _position_detail(at: LocusDetail, side: int) -> graftmatch_pb2.PositionDetail:
    residues = at.domains[side]
    return graftmatch_pb2.PositionDetail(
        grade=at.graded.grades[side].value,
        confidence=at.graded.confidences[side].value,
        antigen_match=at.graded.antigen_match[side],
        amino_acid_mismatches=None if residues is None else as_range(residues.best, residues.worst),
        differences=[] if residues is None else [d.text for d in residues.differences],
    )
