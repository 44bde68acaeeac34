"""Explanations of typings and details of pairs as messages."""

from __future__ import annotations

from dataclasses import dataclass, replace

from matching.errors import ReleaseNotInstalledError, TypingError
from matching.explain import ExplainedLocus, Explanation, explain
from matching.nomenclature import Nomenclature
from matching.reduction import Level, reduce_gl
from matching.typings import split_release
from service.convert import LIMITS, checking
from service.pb.graftmatch.v1 import common_pb2, graftmatch_pb2, nomenclature_pb2
from service.snapshot import Releases
from service.status import Violation


@dataclass(frozen=True)
class ExplainRequest:
    """An explanation that was asked for and given. `reduced`: the typing at `level`, or ""."""

    nomenclature: Nomenclature
    explanation: Explanation
    reduced: str


def explain_request(
    request: graftmatch_pb2.ExplainTypingRequest, releases: Releases
) -> ExplainRequest:
    """Raises `RequestError` with every violation, and `NomenclatureError`."""
    with checking() as found:
        _check_length(request.typing, found)
        level = _level("reduce_to", request.reduce_to, found) if request.reduce_to else None
    nomenclature, text = _release(request, releases)
    with checking() as found:
        try:
            explanation = explain(request.typing, nomenclature, level)
            reduced = "" if level is None else reduce_gl(text, level, nomenclature)
        except TypingError as error:
            found.append(Violation("typing", str(error)))
    return ExplainRequest(nomenclature, explanation, reduced)


def reduction(request: nomenclature_pb2.ReduceTypingRequest, releases: Releases) -> tuple[str, str]:
    """The release under which a typing was read, and the typing at the level that was asked for.

    Raises `RequestError` with every violation, `NomenclatureError` and `TooAmbiguousError`.
    """
    with checking() as found:
        _check_length(request.typing, found)
        level = _level("level", request.level, found)
    assert level is not None
    nomenclature, text = _release(request, releases)
    with checking() as found:
        try:
            reduced = reduce_gl(text, level, nomenclature)
        except TypingError as error:
            found.append(Violation("typing", str(error)))
    return nomenclature.release, reduced


def _check_length(text: str, found: list[Violation]) -> None:
    if len(text) > LIMITS.typing_characters:
        reason = f"longer than {LIMITS.typing_characters:,} characters"
        found.append(Violation("typing", reason))


def _level(field: str, text: str, found: list[Violation]) -> Level | None:
    known = [level.value for level in Level]
    if text in known:
        return Level(text)
    found.append(Violation(field, f"must be one of {', '.join(known)}"))
    return None


def _release(
    request: graftmatch_pb2.ExplainTypingRequest | nomenclature_pb2.ReduceTypingRequest,
    releases: Releases,
) -> tuple[Nomenclature, str]:
    """Under which a typing is read, and the typing without it. Raises `RequestError`."""
    named, text = split_release(request.typing)
    with checking() as found:
        try:
            release = releases.of(request.release or named)
        except ReleaseNotInstalledError as error:
            found.append(Violation("release" if request.release else "typing", str(error)))
    return replace(release, strict=request.strict), text


def explain_response(
    request: ExplainRequest, provenance: common_pb2.Provenance
) -> graftmatch_pb2.ExplainTypingResponse:
    """An explanation as a message."""
    explanation = request.explanation
    return graftmatch_pb2.ExplainTypingResponse(
        provenance=provenance,
        canonical=explanation.canonical,
        loci=[_explained_locus(locus) for locus in explanation.loci],
        warnings=explanation.warnings,
        reduced=request.reduced,
    )


def _explained_locus(locus: ExplainedLocus) -> graftmatch_pb2.ExplainedLocus:
    genotypes = [
        graftmatch_pb2.ExplainedGenotype(
            positions=[
                graftmatch_pb2.ExplainedPosition(
                    text=position.text,
                    form=position.form.value,
                    resolution=position.resolution.value,
                    alleles=position.alleles,
                    n_nulls=position.n_nulls,
                    p_groups=position.p_groups,
                    g_groups=position.g_groups,
                    antigens=[
                        graftmatch_pb2.ExplainedAntigen(name=antigen.name, source=antigen.source)
                        for antigen in position.antigens
                    ],
                    tce_groups=position.tce,
                    notes=position.notes,
                    reduced=position.reduced,
                )
                for position in genotype
            ]
        )
        for genotype in locus.genotypes
    ]
    return graftmatch_pb2.ExplainedLocus(
        name=locus.name, genotypes=genotypes, n_genotypes=locus.n_genotypes
    )
