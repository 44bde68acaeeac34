"""What the first calls would work out once for all is worked out before there are calls."""

from __future__ import annotations

from importlib import import_module

import numpy as np

from matching.errors import GraftmatchError
from matching.haplotypes import FrequencySet
from service.pb.graftmatch.v1 import graftmatch_pb2
from service.search_answers import Search
from service.servicers import score_pair_answer
from service.snapshot import Snapshot

# What allocations and families import.
_LATER = ("networkx", "ortools.graph.python.min_cost_flow", "ortools.sat.python.cp_model")


def import_later() -> None:
    """Import what the first call of a kind would, which does not stop when nobody waits."""
    for name in _LATER:
        import_module(name)


def warm(snapshot: Snapshot) -> None:
    """Score a pair of people with frequent haplotypes, and search donors for one of them."""
    if snapshot.sets is None:
        return
    patient, donor = _people(snapshot.sets.under.populations.shared)
    pair = graftmatch_pb2.ScorePairRequest(
        patient=patient,
        donor=donor,
        patient_facts=graftmatch_pb2.PatientFacts(),
        donor_facts=graftmatch_pb2.DonorFacts(),
    )
    try:
        score_pair_answer(snapshot, pair)
        if snapshot.search is not None:
            search = graftmatch_pb2.SearchDonorsRequest(
                patient=patient, max_mismatches=1, page_size=10
            )
            Search.run(snapshot, search).batch(0)
    except GraftmatchError:
        # Such as names that another release than that of the set knows: calls work these things
        # out, or are told why not.
        return


def _people(found: FrequencySet) -> tuple[str, str]:
    """Typings of two people who share the most frequent haplotype."""
    first, *others = np.argsort(-found.frequencies, kind="stable")[:3].tolist()
    first_names, *other_names = (
        [names[code] for names, code in zip(found.names, found.haplotypes[row], strict=True)]
        for row in (first, *others)
    )
    patient, donor = (
        "^".join(f"{one}+{two}" for one, two in zip(first_names, names, strict=True))
        for names in (other_names[0], other_names[-1])
    )
    return patient, donor
