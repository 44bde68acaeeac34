"""Very ambiguous people and shared haplotypes, through the command line and the service."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.frequencies import read_frequencies
from matching.haplotypes import Imputer, NullImputation, Resolution
from matching.nomenclature import Nomenclature
from matching.typings import Typing, parse_typing
from service import masses, prediction
from service.ancestry import FIVE
from service.cli import predict as predict_command
from service.pb.graftmatch.v1 import common_pb2, graftmatch_pb2
from service.snapshot import Snapshot
from tests.oracles import prediction as oracle
from tests.service.conftest import Run
from tests.service.serving import PATIENT

pb = graftmatch_pb2


@pytest.fixture(scope="module")
def imputer(demo: Nomenclature) -> Imputer:
    (frequencies,) = read_frequencies("demo")
    return Imputer(frequencies.over(FIVE), demo, NullImputation.TYPED, Resolution.P_GROUP)


def enumerated(imputer: Imputer, patient: Typing, donor: Typing) -> list[float] | None:
    """P(0, 1, 2 haplotypes in common) of all pairs of haplotype pairs; None where unknown."""
    sides = []
    for typing in (patient, donor):
        pairs = imputer.pairs(typing)
        tokens = [tuple(row) for row in imputer.haplotype_tokens().tolist()]
        side: dict[tuple[object, object], Fraction] = defaultdict(Fraction)
        for a, b, weight in zip(pairs.left, pairs.right, pairs.weights, strict=True):
            side[tokens[a], tokens[b]] += Fraction(float(weight))
        sides.append(side)
    if not all(sides):
        return None
    return [float(p) for p in oracle.shared_haplotypes(sides[0], sides[1])]


def test_match_tells_of_shared_haplotypes(run: Run, registry: Path, imputer: Imputer) -> None:
    out = registry / "found.csv"
    asked = ("match", "--release", "demo", "--max-mismatches", 2)
    code, _, _ = run(*asked, "--patients", registry / "patients.csv", "--haplotypes", "--out", out)
    assert code == 0
    found = pd.read_csv(out)
    typings = pd.read_csv(registry / "patients.csv", dtype=str).set_index("id")
    checked = 0
    for row in found.to_dict(orient="records"):
        texts = [typings.loc[row["patient"], locus.value.lower()] for locus in FIVE]
        patient = parse_typing("^".join(text for text in texts if isinstance(text, str)))
        expected = enumerated(imputer, patient, parse_typing(row["typing"]))
        ours = [row[f"p_shared_{k}"] for k in range(3)]
        if expected is None:
            assert np.isnan(ours).all()
        else:
            assert np.allclose(ours, expected, rtol=0, atol=1e-12)
            checked += 1
    assert checked > 20
    # Only of the donors that are shown, and only if asked for.
    text = "^".join(typings.iloc[0][[locus.value.lower() for locus in FIVE]].dropna())
    code, printed, _ = run(*asked, "--patient", text, "--haplotypes", "--limit", 2)
    assert code == 0 and "haplotypes 2/1/0" in printed
    code, printed, _ = run(*asked, "--patient", text)
    assert code == 0 and "haplotypes 2/1/0" not in printed
    code, _, error = run(*asked, "--patients", registry / "patients.csv", "--haplotypes")
    assert code == 2 and "--out" in error


def test_the_service_tells_of_shared_haplotypes(
    stub: Any, snapshot: Snapshot, imputer: Imputer
) -> None:
    request = pb.SearchDonorsRequest(
        patient=PATIENT, max_mismatches=3, with_haplotypes=True, batch_size=7
    )
    donors = [donor for batch in stub.SearchDonors(request) for donor in batch.candidates]
    typings = snapshot.registry.typings([donor.donor for donor in donors])
    assert len(donors) > 7
    for donor in donors:
        expected = enumerated(imputer, parse_typing(PATIENT), parse_typing(typings[donor.donor]))
        sharing = donor.comparison.haplotypes
        assert donor.comparison.HasField("haplotypes") == (expected is not None)
        if expected is not None:
            assert [sharing.p0, sharing.p1, sharing.p2] == pytest.approx(expected, abs=1e-12)
        one = pb.ScorePairRequest(patient=PATIENT, donor=typings[donor.donor], with_haplotypes=True)
        assert stub.ScorePair(one).comparison.haplotypes == sharing
        many = pb.ScorePairsRequest(
            patients=[PATIENT], donors=[typings[donor.donor]], with_haplotypes=True
        )
        assert stub.ScorePairs(many).pairs[0].comparison.haplotypes == sharing
    request.with_haplotypes = False
    (batch, *_) = stub.SearchDonors(request)
    assert not any(donor.comparison.HasField("haplotypes") for donor in batch.candidates)


@pytest.mark.parametrize("full", [False, True])
def test_predict_is_the_same_where_genotypes_are_not_listed(
    run: Run, registry: Path, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    lines = (registry / "donors.csv").read_text().splitlines()
    people = registry / "people.csv"
    people.write_text("\n".join(lines[:31]) + "\n")
    tables = []
    for most, in_pairs in ((20_000, 5_000_000), (3, 100), (0, 0)):
        monkeypatch.setattr(predict_command, "MOST_LISTED", most)
        monkeypatch.setattr(prediction, "MOST_IN_PAIRS", in_pairs)
        out = registry / "pairs.parquet"
        code, _, _ = run(
            *("predict", "--patients", people, "--release", "demo"),
            *("--donors", people, "--frequencies", "demo", "--out", out),
            *("--min-probability", 0, "--haplotypes", "--recombine", *(["--full"] * full)),
        )
        assert code in (0, 3)
        tables.append(pd.read_parquet(out))
    listed = tables[0].set_index(["patient", "donor"])
    assert len(listed) > 40
    for other in tables[1:]:
        by_class = other.set_index(["patient", "donor"])
        assert by_class.index.equals(listed.index)
        for column in listed.columns.drop("recombined"):
            ours, theirs = by_class[column], listed[column]
            assert np.allclose(ours, theirs, rtol=0, atol=1e-12, equal_nan=True), column
        assert by_class["recombined"].equals(listed["recombined"])


def test_the_service_answers_for_very_ambiguous_pairs(
    stub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = pb.ScorePairRequest(patient="A*02:01+A*01:01", donor="B*08:01+B*44:02")
    listed = stub.ScorePair(request).comparison
    monkeypatch.setattr(masses, "MOST_IN_PAIRS", 100)
    by_class = stub.ScorePair(request).comparison
    assert by_class.probability_status == common_pb2.PROBABILITY_STATUS_COMPUTED
    for name in ("p10", "p9", "p8"):
        assert getattr(by_class, name) == pytest.approx(getattr(listed, name), abs=1e-12)
