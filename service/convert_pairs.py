"""Requests about many pairs of people as values, and predictions as messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data.donor_files import Person
from matching.haplotypes import NullImputation
from matching.loci import LOCI, Locus
from matching.nomenclature import Nomenclature
from matching.probability import Prediction
from matching.typings import split_gl
from service.calls import watched
from service.convert import LIMITS, ReadTyping, checking, read_loci, read_typing, read_with
from service.masses import Outcome
from service.pb.graftmatch.v1 import common_pb2, graftmatch_pb2, prediction_pb2
from service.status import Violation

_NULLS = {
    prediction_pb2.NULL_IMPUTATION_UNSPECIFIED: NullImputation.TYPED,
    prediction_pb2.NULL_IMPUTATION_TYPED: NullImputation.TYPED,
    prediction_pb2.NULL_IMPUTATION_PARTNER: NullImputation.PARTNER,
}


@dataclass(frozen=True)
class Typings:
    """The typings of one side, None where one cannot be read, and then why."""

    read: tuple[ReadTyping | None, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class PairsRequest:
    """Checked pairs, as positions in both sides."""

    patients: Typings
    donors: Typings
    pairs: tuple[tuple[int, int], ...]
    loci: tuple[Locus, ...]
    with_probabilities: bool
    with_details: bool
    with_haplotypes: bool

    @property
    def notes(self) -> tuple[str, ...]:
        """Of reading the typings, each once."""
        return tuple(dict.fromkeys((*self.patients.notes, *self.donors.notes)))

    def problem(self, patient: int, donor: int) -> str:
        """Why a pair cannot be compared, "" where it can."""
        sides = (("patient", self.patients, patient), ("donor", self.donors, donor))
        reasons = (f"{side}: {of.problems[i]}" for side, of, i in sides if of.read[i] is None)
        return "; ".join(reasons)


def pairs_request(
    request: graftmatch_pb2.ScorePairsRequest, read: Callable[[str], ReadTyping]
) -> PairsRequest:
    """`read`: reads a GL string. Raises `RequestError` with every violation."""
    with checking() as found:
        sides = (("patients", request.patients), ("donors", request.donors))
        for field, texts in sides:
            if not 1 <= len(texts) <= LIMITS.pairs:
                found.append(Violation(field, f"must be 1 to {LIMITS.pairs:,} typings"))
        n_pairs = len(request.pairs) or len(request.patients) * len(request.donors)
        if n_pairs > LIMITS.pairs:
            found.append(Violation("pairs", f"more than {LIMITS.pairs:,} pairs"))
        else:
            _check_positions(request, found)
        loci = read_loci(request.loci, found)
    pairs = [(pair.patient, pair.donor) for pair in request.pairs] or [
        (patient, donor)
        for patient in range(len(request.patients))
        for donor in range(len(request.donors))
    ]
    patients, donors = (_typings(texts, read) for _, texts in sides)
    return PairsRequest(
        *(patients, donors, tuple(pairs), loci),
        *(not request.without_probabilities, request.with_details, request.with_haplotypes),
    )


def _check_positions(request: graftmatch_pb2.ScorePairsRequest, found: list[Violation]) -> None:
    for i, pair in enumerate(request.pairs):
        for side, at, n in (
            ("patient", pair.patient, len(request.patients)),
            ("donor", pair.donor, len(request.donors)),
        ):
            if at >= n:
                found.append(Violation(f"pairs[{i}].{side}", f"must be below {n:,}"))


def _typings(texts: Sequence[str], read: Callable[[str], ReadTyping]) -> Typings:
    typings: list[ReadTyping | None] = []
    problems: list[str] = []
    notes: list[str] = []
    for text in watched(texts):
        wrong: list[Violation] = []
        typing = read_with("", text, read, wrong)
        typings.append(typing)
        problems.append("".join(one.reason for one in wrong))
        notes += [] if typing is None else typing.genotype.notes
    return Typings(tuple(typings), tuple(problems), tuple(notes))


@dataclass(frozen=True)
class MatchRequest:
    """A checked prediction. `donors`: None where a typing cannot be read, then with the reason in
    `problems`. Identifiers of people are their positions."""

    patient: Person
    donors: tuple[Person | None, ...]
    problems: tuple[str, ...]
    nulls: NullImputation
    recombine: bool


def match_request(
    request: prediction_pb2.PredictMatchRequest, nomenclature: Nomenclature
) -> MatchRequest:
    """Raises `RequestError` with every violation."""
    with checking() as found:
        patient = person_of("patient", "0", request.patient, nomenclature, found)
        if not 1 <= len(request.donors) <= LIMITS.pairs:
            found.append(Violation("donors", f"must be 1 to {LIMITS.pairs:,} people"))
        if request.null_imputation not in _NULLS:
            found.append(Violation("null_imputation", "is none that this server knows"))
    donors, problems = [], []
    for i, donor in enumerate(watched(request.donors)):
        wrong: list[Violation] = []
        donors.append(person_of("", str(i), donor, nomenclature, wrong))
        problems.append("; ".join(f"{one.field}: {one.reason}".lstrip(".") for one in wrong))
    assert patient is not None
    return MatchRequest(
        *(patient, tuple(donors), tuple(problems), _NULLS[request.null_imputation]),
        request.recombine,
    )


def person_of(
    field: str,
    identifier: str,
    message: prediction_pb2.TypedPerson,
    nomenclature: Nomenclature,
    found: list[Violation],
) -> Person | None:
    """Someone who was given with a call; None, and violations, where that cannot be used."""
    before = len(found)
    read_typing(f"{field}.typing", message.typing, nomenclature, found)
    facts = {}
    for name in ("ancestry", "registry"):
        text = getattr(message, name).strip()
        if len(text) > LIMITS.identifier_characters or not text.isprintable():
            reason = f"must be text of at most {LIMITS.identifier_characters}"
            found.append(Violation(f"{field}.{name}", reason))
        facts[name] = text or None
    return None if len(found) > before else Person(identifier, facts, split_gl(message.typing))


def match_prediction(
    prediction: Prediction, row: int, loci: Sequence[Locus], recombined: str
) -> prediction_pb2.MatchPrediction:
    """One donor of a prediction whose columns are `loci`."""
    by_locus = zip(loci, prediction.p_locus[row].tolist(), strict=True)
    return prediction_pb2.MatchPrediction(
        status=common_pb2.PROBABILITY_STATUS_COMPUTED,
        mismatches=prediction.p_total[row],
        gvh=_known(prediction.p_gvh[row]),
        hvg=_known(prediction.p_hvg[row]),
        loci=[
            prediction_pb2.LocusPrediction(locus=locus.value, matches=matches)
            for locus, matches in sorted(by_locus, key=lambda one: LOCI.index(one[0]))
        ],
        dropped=prediction.dropped[row],
        donor_recombined=recombined,
    )


def _known(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | list[float]:
    return [] if np.isnan(values).any() else values


def without_prediction(problem: str, why: Outcome | None) -> prediction_pb2.MatchPrediction:
    """A donor of whom nothing is predicted; `why`: None where the typing cannot be read."""
    status: Any = common_pb2.PROBABILITY_STATUS_UNSPECIFIED
    if why is not None:
        status = common_pb2.ProbabilityStatus.Value(f"PROBABILITY_STATUS_{why.name}")
    return prediction_pb2.MatchPrediction(status=status, problem=problem)
