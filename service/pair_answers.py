"""Many pairs of people at once: compared, and predicted in full. Stops where nobody waits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data.donor_files import Person
from matching.haplotypes import MOST_LISTED, Imputer
from matching.probability import MOST_IN_PAIRS, DonorTable, HaplotypeSums, predict_by_class
from service import convert
from service.ancestry import Ancestries
from service.answering import provenance
from service.calls import checkpoint, watched
from service.convert import LIMITS
from service.convert_pairs import (
    MatchRequest,
    PairsRequest,
    match_prediction,
    match_request,
    pairs_request,
    without_prediction,
)
from service.imputation import UNREPRESENTED, Explanations, impute_by_ancestry
from service.masses import CandidateProbabilities, Outcome
from service.pair_scores import PairScorer
from service.pb.graftmatch.v1 import graftmatch_pb2, prediction_pb2
from service.snapshot import Snapshot

# Donors that are imputed before it is asked whether anybody still waits.
_AT_ONCE = 5


def score_pairs_answer(
    snapshot: Snapshot, message: graftmatch_pb2.ScorePairsRequest
) -> graftmatch_pb2.ScorePairsResponse:
    """Raises `RequestError` and `CallEndedError`."""
    request = pairs_request(message, snapshot.pairs.read)
    scored = []
    for patient, donor in watched(request.pairs):
        problem = request.problem(patient, donor)
        pair = graftmatch_pb2.ScoredPair(patient=patient, donor=donor, problem=problem)
        if not problem:
            _score(snapshot.pairs, request, pair)
        scored.append(pair)
    return graftmatch_pb2.ScorePairsResponse(
        provenance=provenance(snapshot), pairs=scored, notes=request.notes[: LIMITS.listed]
    )


def _score(pairs: PairScorer, request: PairsRequest, pair: graftmatch_pb2.ScoredPair) -> None:
    """Fill in the comparison of a pair."""
    patient, donor = request.patients.read[pair.patient], request.donors.read[pair.donor]
    assert patient is not None and donor is not None
    counts = pairs.counter.of(patient.genotype, donor.genotype)
    probable = CandidateProbabilities.without(1, Outcome.NOT_REQUESTED)
    if request.with_probabilities:
        probable = pairs.probabilities(patient, donor, None, LIMITS.genotypes)
    shared = pairs.shared(patient, donor, None) if request.with_haplotypes else None
    pair.comparison.CopyFrom(convert.pair_comparison(counts, request.loci, probable, shared))
    if request.with_details:
        detail = pairs.details.of(patient.typing, donor.typing, counts.tce, request.loci)
        pair.detail.CopyFrom(convert.pair_detail(detail))


def predict_match_answer(
    snapshot: Snapshot, message: prediction_pb2.PredictMatchRequest
) -> prediction_pb2.PredictMatchResponse:
    """Raises `RequestError` and `CallEndedError`."""
    request = match_request(message, snapshot.nomenclature)
    answer = prediction_pb2.PredictMatchResponse(provenance=provenance(snapshot))
    predicted = [
        without_prediction(problem, None if donor is None else Outcome.NO_FREQUENCY_SET)
        for donor, problem in zip(request.donors, request.problems, strict=True)
    ]
    if snapshot.sets is not None:
        sets = snapshot.sets.under_nulls(request.nulls)
        _predict(sets.imputer(), sets.under, request, answer, predicted)
    answer.predictions.extend(predicted)
    return answer


def _predict(
    imputer: Imputer,
    under: Ancestries,
    request: MatchRequest,
    answer: prediction_pb2.PredictMatchResponse,
    predicted: list[prediction_pb2.MatchPrediction],
) -> None:
    """Put in the place of each readable donor what is known of the pair."""
    donors = [donor for donor in request.donors if donor is not None]
    patient = _imputed(imputer, [request.patient], under, request.recombine)
    if not patient.people.names:
        problem = patient.people.problems[request.patient.id]
        why = _outcome(problem, Outcome.PATIENT_UNREPRESENTED)
        for donor in donors:
            predicted[int(donor.id)] = without_prediction(f"patient: {problem}", why)
        return
    answer.patient_recombined = patient.people.recombined.get(request.patient.id, "")
    own = HaplotypeSums(imputer, patient.of(0))
    genotypes = patient.people.imputed.codes, patient.people.imputed.weights
    for first in watched(range(0, len(donors), _AT_ONCE)):
        found = _imputed(imputer, donors[first : first + _AT_ONCE], under, request.recombine)
        for identifier, problem in found.people.problems.items():
            why = _outcome(problem, Outcome.DONOR_UNREPRESENTED)
            predicted[int(identifier)] = without_prediction(problem, why)
        table = DonorTable(imputer, found.people.imputed)
        for row, name in enumerate(found.people.names):
            theirs = HaplotypeSums(imputer, found.of(row))
            both = own.found.n_pairs, theirs.found.n_pairs
            if max(both) <= MOST_LISTED and both[0] * both[1] <= MOST_IN_PAIRS:
                values = table.predict(genotypes, np.array([row]))
            elif min(both) <= LIMITS.genotypes.pairs:
                values = predict_by_class(own, theirs, LIMITS.genotypes.pairs, checkpoint)
            else:
                problem = "too many haplotype pairs of patient and donor"
                predicted[int(name)] = without_prediction(problem, Outcome.TOO_AMBIGUOUS)
                continue
            predicted[int(name)] = match_prediction(
                values, 0, imputer.frequencies.loci, found.people.recombined.get(name, "")
            )


def _imputed(
    imputer: Imputer,
    people: Sequence[Person],
    under: Ancestries,
    recombine: bool,
) -> Explanations:
    found = impute_by_ancestry(imputer, people, under, recombine=recombine, most=MOST_LISTED)
    return Explanations(imputer, under, {one.id: one.written for one in people}, found)


def _outcome(problem: str, unrepresented: Outcome) -> Outcome:
    return unrepresented if problem.startswith(UNREPRESENTED) else Outcome.TOO_AMBIGUOUS
