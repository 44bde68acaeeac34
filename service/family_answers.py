"""A family over the service: its haplotypes, and the relatives of a patient as donors."""

from __future__ import annotations

from matching.errors import FamilyError, TooAmbiguousError
from matching.family import analyse
from service.answering import provenance
from service.calls import checkpoint
from service.convert.family import family_request, family_response, refused_family
from service.family import family_result
from service.pb.graftmatch.v1 import family_pb2
from service.snapshot import Snapshot
from service.status import StateError


def analyse_family_answer(
    snapshot: Snapshot, message: family_pb2.AnalyseFamilyRequest
) -> family_pb2.AnalyseFamilyResponse:
    """Raises `RequestError`, and `StateError` without the frequencies that are asked for."""
    request = family_request(message, snapshot.nomenclature)
    frequencies, label = None, ""
    if request.frequencies_of is not None:
        if snapshot.sets is None:
            raise StateError("the server has no haplotype frequencies in use")
        prior = snapshot.sets.prior(*request.frequencies_of)
        frequencies = snapshot.sets.founders(prior)
        label = "+".join(f"{name}={share:g}" for name, share in prior)
    checkpoint()
    try:
        analysis = analyse(
            *(request.pedigree, request.patient, snapshot.nomenclature, request.loci),
            *(frequencies, checkpoint),
        )
    except (FamilyError, TooAmbiguousError) as error:
        raise refused_family(error) from None
    result = family_result(
        *(analysis, request.rule, snapshot.nomenclature, snapshot.proteins),
        *(request.as_of, label),
    )
    return family_response(result, request.notes, provenance(snapshot))
