"""Releases and reductions."""

from __future__ import annotations

from data.nomenclature import DEMO_RELEASE
from service.answering import provenance
from service.convert.names import RELEASES
from service.convert_typing import reduction
from service.pages import page_of
from service.pb.graftmatch.v1 import nomenclature_pb2
from service.snapshot import Snapshot


def reduce_typing_answer(
    snapshot: Snapshot, message: nomenclature_pb2.ReduceTypingRequest
) -> nomenclature_pb2.ReduceTypingResponse:
    """Raises `RequestError`, `NomenclatureError` and `TooAmbiguousError`."""
    release, reduced = reduction(message, snapshot.releases)
    answered = provenance(snapshot)
    answered.release = release
    return nomenclature_pb2.ReduceTypingResponse(provenance=answered, reduced=reduced)


def list_releases_answer(
    snapshot: Snapshot, message: nomenclature_pb2.ListReleasesRequest
) -> nomenclature_pb2.ListReleasesResponse:
    """Raises `RequestError`."""
    current = snapshot.nomenclature
    releases = [
        nomenclature_pb2.Release(
            name=RELEASES + one.release,
            release=one.release,
            n_alleles=one.n_alleles,
            n_proteins=one.n_proteins,
            in_use=one.release == current.release,
            damaged=not one.n_alleles,
        )
        for one in snapshot.releases.folder.list()
    ]
    if current.release == DEMO_RELEASE:
        releases.append(
            nomenclature_pb2.Release(
                name=RELEASES + current.release,
                release=current.release,
                n_alleles=len(current.alleles),
                in_use=True,
            )
        )
    state = " ".join(one.release for one in releases)
    page, token = page_of(message, releases, "the list of releases", state)
    return nomenclature_pb2.ListReleasesResponse(
        provenance=provenance(snapshot), releases=page, next_page_token=token
    )
