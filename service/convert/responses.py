"""Values -> messages of responses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from matching.genotypes import Genotype
from matching.immunogenetics import TceCategory
from matching.kernels import (
    COUNT_BEST,
    COUNT_WORST,
    DONOR_1,
    DONOR_2,
    GVH_BEST,
    GVH_WORST,
    HVG_BEST,
    HVG_WORST,
)
from matching.loci import LOCI, Locus
from matching.nomenclature import Nomenclature
from matching.pipeline import Matches, PairCounts
from matching.risk import Comparison as RiskComparison
from matching.risk import Known, OutcomeModel, Prediction
from matching.search import POSITION_LETTERS
from matching.typings import Position, Typing
from service.masses import CandidateProbabilities, Outcome
from service.pb.graftmatch.v1 import common_pb2, graftmatch_pb2


def typing_response(
    typing: Typing,
    genotype: Genotype,
    nomenclature: Nomenclature,
    provenance: common_pb2.Provenance,
) -> graftmatch_pb2.ParseTypingResponse:
    """A typing as read."""

    def position(written: Position, groups: Iterable[int], tce: int) -> Any:
        return graftmatch_pb2.TypedPosition(
            text=written.text,
            form=written.form.value,
            p_groups=[nomenclature.p_group_names[code] for code in groups if code >= 0],
            tce_group=tce,
        )

    loci = []
    for locus, (written, meant) in typing.loci.zip(genotype.loci).items():
        if written is not None and meant is not None:
            first = position(written.first, meant.first, meant.tce[0])
            second = position(written.second, meant.second, meant.tce[1])
            loci.append(
                graftmatch_pb2.LocusTyping(
                    locus=locus.value,
                    first=first,
                    second=second,
                    others=[f"{a.text}+{b.text}" for a, b in written.others],
                )
            )
    return graftmatch_pb2.ParseTypingResponse(
        provenance=provenance,
        canonical=typing.text,
        loci=loci,
        carried=typing.carried,
        notes=genotype.notes,
    )


def comparisons(
    matches: Matches,
    probabilities: CandidateProbabilities,
    shared: npt.NDArray[np.float64] | None = None,
) -> list[common_pb2.Comparison]:
    """One message a candidate, in their order.

    `shared`: (n, 3), the probability of 0, 1 and 2 whole haplotypes in common; NaN where unknown.
    """
    if shared is None:
        shared = np.full((len(matches), 3), np.nan)
    candidates = matches.candidates
    best, worst = candidates.mismatches_best.tolist(), candidates.mismatches_worst.tolist()
    gvh = zip(candidates.total(GVH_BEST), candidates.total(GVH_WORST), strict=True)
    hvg = zip(candidates.total(HVG_BEST), candidates.total(HVG_WORST), strict=True)
    rows = zip(
        zip(best, worst, strict=True),
        gvh,
        hvg,
        _rows(candidates.compared),
        matches.tce,
        probabilities.p.tolist(),
        map(Outcome, probabilities.outcomes.tolist()),
        shared.tolist(),
        strict=True,
    )
    return [_comparison(*row) for row in rows]


def pair_comparison(
    counts: PairCounts,
    loci: Sequence[Locus],
    probabilities: CandidateProbabilities,
    shared: npt.NDArray[np.float64] | None = None,
) -> common_pb2.Comparison:
    """One pair; totals run over `loci`. `shared`: as in `comparisons`."""
    total, most = counts.totals(loci), 2 * len(loci)
    return _comparison(
        (most - total[COUNT_BEST], most - total[COUNT_WORST]),
        (total[GVH_BEST], total[GVH_WORST]),
        (total[HVG_BEST], total[HVG_WORST]),
        map(bytes, counts.compared),
        counts.tce,
        probabilities.p[0].tolist(),
        Outcome(int(probabilities.outcomes[0])),
        _UNKNOWN if shared is None else shared[0].tolist(),
    )


_UNKNOWN = (np.nan, np.nan, np.nan)
_LOCUS_NAMES = tuple(locus.value for locus in LOCI)
TCE = {tce: common_pb2.Dpb1Tce.Value(f"DPB1_TCE_{tce.name}") for tce in TceCategory}
_STATUS = {
    outcome: common_pb2.ProbabilityStatus.Value(f"PROBABILITY_STATUS_{outcome.name}")
    for outcome in Outcome
}


def _comparison(
    mismatches: tuple[int, int],
    to_host: tuple[int, int],
    to_graft: tuple[int, int],
    compared: Iterable[bytes],
    tce: TceCategory,
    p: Sequence[float],
    outcome: Outcome,
    in_common: Sequence[float],
) -> common_pb2.Comparison:
    return common_pb2.Comparison(
        mismatches=as_range(*mismatches),
        gvh=as_range(*to_host),
        hvg=as_range(*to_graft),
        loci=[_locus(name, row) for name, row in zip(_LOCUS_NAMES, compared, strict=True)],
        dpb1_tce=TCE[tce],
        probability_status=_STATUS[outcome],
        haplotypes=haplotype_sharing(in_common),
        **_known_probabilities(p),
    )


def _known_probabilities(p: Sequence[float]) -> dict[str, float]:
    return {} if np.isnan(p[0]) else dict(zip(("p10", "p9", "p8"), p, strict=True))


def haplotype_sharing(p: Sequence[float]) -> common_pb2.HaplotypeSharing | None:
    """P(0, 1, 2 haplotypes in common); None where they are NaN."""
    return None if np.isnan(p[0]) else common_pb2.HaplotypeSharing(p0=p[0], p1=p[1], p2=p[2])


def as_range(best: int, worst: int) -> common_pb2.Range:
    return common_pb2.Range(best=int(best), worst=int(worst))


def _rows(compared: npt.NDArray[np.uint8]) -> Iterator[list[bytes]]:
    """Of each candidate what was compared at every locus, (n, n_loci, n_columns)."""
    raw, (_, n_loci, size) = compared.tobytes(), compared.shape
    for begin in range(0, len(raw), n_loci * size):
        yield [raw[i : i + size] for i in range(begin, begin + n_loci * size, size)]


# There are few that differ, and a message that is put into another one is copied.
@lru_cache(maxsize=10_000)
def _locus(name: str, row: bytes) -> common_pb2.LocusComparison:
    return common_pb2.LocusComparison(
        locus=name,
        matches=as_range(row[COUNT_BEST], row[COUNT_WORST]),
        gvh=as_range(row[GVH_BEST], row[GVH_WORST]),
        hvg=as_range(row[HVG_BEST], row[HVG_WORST]),
        positions=POSITION_LETTERS[row[DONOR_1]] + POSITION_LETTERS[row[DONOR_2]],
    )


_TEXT_FACTS = ("type", "sex", "cmv", "abo", "rh", "ancestry", "registry")


def donor_facts(facts: Mapping[str, Any], age_years: float) -> graftmatch_pb2.DonorFacts:
    """The facts of a donor; None and NaN are unknown."""
    texts: dict[str, Any] = {name: facts[name] or "" for name in _TEXT_FACTS}
    message = graftmatch_pb2.DonorFacts(**texts)
    # A day before the birth date has no age.
    if age_years >= 0:
        message.age_years = int(age_years)
    if facts["weight_kg"] is not None:
        message.weight_kg = facts["weight_kg"]
    return message


def compared_risk(outcome: OutcomeModel, risk: RiskComparison) -> graftmatch_pb2.OutcomeRisk:
    """The risk of one pair, without what each factor adds."""
    message = graftmatch_pb2.OutcomeRisk(outcome=outcome.name, horizon_days=outcome.horizon_days)
    if np.isnan(risk.probability[0]):
        message.not_applicable = True
        return message
    message.probability = risk.probability[0]
    message.low, message.high = risk.low[0], risk.high[0]
    return message


def outcome_risk(prediction: Prediction) -> graftmatch_pb2.OutcomeRisk:
    """The prediction of one case."""
    if not prediction.applicable[0]:
        return graftmatch_pb2.OutcomeRisk(
            outcome=prediction.outcome, horizon_days=prediction.horizon_days, not_applicable=True
        )
    rows = zip(
        prediction.factors,
        prediction.contributions[0].tolist(),
        prediction.known[0].tolist(),
        strict=True,
    )
    return graftmatch_pb2.OutcomeRisk(
        outcome=prediction.outcome,
        horizon_days=prediction.horizon_days,
        probability=prediction.probability[0],
        low=prediction.low[0],
        high=prediction.high[0],
        intercept=prediction.intercept,
        contributions=[
            graftmatch_pb2.Contribution(
                factor=factor,
                log_odds=log_odds,
                known=graftmatch_pb2.Known.Value(f"KNOWN_{Known(known).name}"),
            )
            for factor, log_odds, known in rows
        ],
    )
