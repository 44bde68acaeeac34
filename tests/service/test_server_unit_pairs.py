"""SearchUnitPairs over a channel: the pairs of `graftmatch match --double`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import grpc
import pandas as pd
import pytest

from service.client import Client, pages
from service.client.retries import Patience
from service.pb.graftmatch.v1 import antibodies_pb2, cord_pb2
from service.pb.graftmatch.v1 import graftmatch_pb2 as pb
from tests.service.antibody_reports import REPORT, TEXTS, crossmatch_row
from tests.service.conftest import Run
from tests.service.serving import PATIENT
from tests.service.test_jobs import refusal

DAY = "2026-01-01"
EIGHT = cord_pb2.CordSearch(rule=cord_pb2.CORD_RULE_EIGHT)
RULE = cord_pb2.UnitPairRule(min_tnc_1e7_per_kg=3, min_unit_tnc_1e7_per_kg=1)


def search_of(**fields: Any) -> pb.SearchDonorsRequest:
    given = {"patient_facts": pb.PatientFacts(weight_kg=70), **fields}
    return pb.SearchDonorsRequest(patient=PATIENT, as_of=DAY, **given)


def rows_of(pairs: list[cord_pb2.UnitPair]) -> pd.DataFrame:
    """Pairs as the columns of a file."""

    def known(message: Any, name: str) -> float:
        return getattr(message, name) if message.HasField(name) else math.nan

    return pd.DataFrame(
        [
            {
                "rank": pair.rank,
                **{f"unit_{n}": unit.donor for n, unit in enumerate(pair.units, 1)},
                **{f"mismatches_{n}": unit.mismatches for n, unit in enumerate(pair.units, 1)},
                **{
                    f"{name}_{n}": known(unit.unit, name)
                    for n, unit in enumerate(pair.units, 1)
                    for name in ("tnc_1e7_per_kg", "cd34_1e6_per_kg")
                },
                **{f"nima_{n}": unit.unit.nima for n, unit in enumerate(pair.units, 1)},
                "mismatches_between": pair.mismatches_between,
                "tnc_1e7_per_kg": pair.tnc_1e7_per_kg,
                "cd34_1e6_per_kg": known(pair, "cd34_1e6_per_kg"),
                "ranked_below_previous_for": pair.ranked_below_previous_for,
            }
            for pair in pairs
        ]
    )


@pytest.mark.parametrize(
    ("fields", "rule", "options"),
    [
        ({}, None, ()),
        (
            {"cord": EIGHT, "donors": pb.DonorCriteria(abo=["A", "O"])},
            cord_pb2.UnitPairRule(
                max_mismatches_between=4,
                min_tnc_1e7_per_kg=3,
                min_unit_tnc_1e7_per_kg=1.2,
                min_cd34_1e6_per_kg=0.1,
                min_unit_cd34_1e6_per_kg=0.03,
            ),
            (
                *("--cord-rule", 8, "--abo", "A,O", "--max-mismatches-between", 4, "--min-tnc", 3),
                *("--min-unit-tnc", 1.2, "--min-cd34", 0.1, "--min-unit-cd34", 0.03),
            ),
        ),
    ],
)
def test_pairs_are_those_of_the_command(
    run: Run,
    own: Any,
    tmp_path: Path,
    fields: dict[str, Any],
    rule: Any,
    options: tuple[object, ...],
) -> None:
    out = tmp_path / "pairs.csv"
    code, _, error = run(
        *("match", "--patient", PATIENT, "--release", "demo", "--as-of", DAY, "--double"),
        *("--patient-facts", "weight_kg=70", "--page-size", 10_000, *options, "--out", out),
    )
    assert code == 0, error
    expected = pd.read_csv(out, keep_default_na=False, na_values=[""]).drop(columns="patient")
    texts = ["nima_1", "nima_2", "ranked_below_previous_for"]
    expected[texts] = expected[texts].fillna("")
    request = pb.SearchUnitPairsRequest(search=search_of(**fields), rule=rule, page_size=10_000)
    answer = own.SearchUnitPairs(request)
    assert len(answer.pairs) > 10 and not answer.more and not answer.next_page_token
    found = rows_of(list(answer.pairs))
    pd.testing.assert_frame_equal(found, expected[list(found.columns)], check_dtype=False)
    assert answer.units > answer.units_without_count > 0
    assert answer.provenance.release == "demo" and answer.as_of == DAY


def test_pages_together_are_the_whole(own_channel: grpc.Channel, own: Any) -> None:
    request = pb.SearchUnitPairsRequest(search=search_of(cord=EIGHT), rule=RULE, page_size=10_000)
    whole = list(own.SearchUnitPairs(request).pairs)
    assert len(whole) > 80
    request.page_size = 30
    client = Client(own_channel, Patience(60, 1))
    found = list(pages(client.search_unit_pairs, request))
    assert [pair for answer in found for pair in answer.pairs] == whole
    assert [answer.more for answer in found] == [True] * (len(found) - 1) + [False]
    request.page_token = found[0].next_page_token
    request.rule.min_tnc_1e7_per_kg = 2
    code, wrong = refusal(lambda: own.SearchUnitPairs(request))
    assert code == "INVALID_ARGUMENT" and "the criteria changed" in wrong["page_token"]


def test_both_units_are_judged_by_antibodies(
    run: Run, own: Any, beads_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pairs.csv"
    command = ("match", "--patient", PATIENT, "--release", "demo", "--as-of", DAY, "--double")
    given = ("--patient-facts", "weight_kg=70", "--min-tnc", 2, "--min-unit-tnc", 0.9)
    report = ("--antibodies", beads_file, "--page-size", 10_000, "--out", out)
    rule = cord_pb2.UnitPairRule(min_tnc_1e7_per_kg=2, min_unit_tnc_1e7_per_kg=0.9)
    code, _, error = run(*command, *given, *report)
    assert code == 0, error
    expected = pd.read_csv(out, keep_default_na=False, na_values=[""])
    asked = antibodies_pb2.SearchAntibodies(report=REPORT)
    request = pb.SearchUnitPairsRequest(
        search=search_of(antibodies=asked), rule=rule, page_size=10_000
    )
    answer = own.SearchUnitPairs(request)
    assert answer.antibodies.registry.positive > 0 and len(answer.pairs) > 20
    assert [TEXTS[p.crossmatch_answer] for p in answer.pairs] == expected[
        "antibody_answer"
    ].tolist()
    for n in (0, 1):
        assert [p.units[n].donor for p in answer.pairs] == expected[f"unit_{n + 1}"].tolist()
        rows = pd.DataFrame([crossmatch_row(p.units[n].crossmatch) for p in answer.pairs])
        names = ["answer", "worst", "p_positive", "p_positive_worst"]
        of_file = expected[[f"antibody_{name}_{n + 1}" for name in names]].set_axis(names, axis=1)
        pd.testing.assert_frame_equal(rows[names], of_file, check_dtype=False)
    told = {p.crossmatch_answer for p in answer.pairs}
    assert len(told) > 1 and any(u.crossmatch.findings for u in answer.pairs[-1].units)
    positive = next(
        unit.donor
        for pair in answer.pairs
        for unit in pair.units
        if unit.crossmatch.answer == antibodies_pb2.CROSSMATCH_ANSWER_POSITIVE
    )
    request.search.antibodies.exclude_positive = True
    request.search.antibodies.kept.add(donor=positive, reason="no other unit")
    fewer = own.SearchUnitPairs(request)
    assert fewer.antibodies.excluded > 0 and 0 < len(fewer.pairs) < len(answer.pairs)
    kept = {unit.donor for pair in fewer.pairs for unit in pair.units if unit.kept_for}
    assert kept == {positive}
    keep = ("--exclude-positive", "--keep-donor", f"{positive}=no other unit")
    assert run(*command, *given, *report, *keep)[0] == 0
    left = pd.read_csv(out, keep_default_na=False, na_values=[""])
    assert [p.units[0].donor for p in fewer.pairs] == left["unit_1"].tolist()
    assert [p.units[1].donor for p in fewer.pairs] == left["unit_2"].tolist()


@pytest.mark.parametrize(
    ("search", "rule", "field", "reason"),
    [
        ({"patient_facts": None}, {}, "search.patient_facts.weight_kg", "per kg needs it"),
        ({"limit": 5}, {}, "search.limit", "must be empty here"),
        ({"rank_keys": ["tnc"]}, {}, "search.rank_keys", "must be empty here"),
        (
            {"antibodies": antibodies_pb2.SearchAntibodies()},
            *({}, "search.antibodies.report.beads", "give beads"),
        ),
        ({"loci": ["A"]}, {}, "search.loci", "must be empty with a rule"),
        (
            {"donors": pb.DonorCriteria(min_tnc_1e7_per_kg=1)},
            *({}, "search.donors.min_tnc_1e7_per_kg", "both units together"),
        ),
        (
            {"donors": pb.DonorCriteria(types=["adult"])},
            *({}, "search.donors.types", "cord units alone"),
        ),
        ({}, {"min_tnc_1e7_per_kg": -1}, "rule.min_tnc_1e7_per_kg", "0 to 1,000"),
        ({}, {"min_unit_cd34_1e6_per_kg": math.nan}, "rule.min_unit_cd34_1e6_per_kg", "0 to"),
        ({}, {"max_mismatches_between": 19}, "rule.max_mismatches_between", "0 to 18"),
    ],
)
def test_what_is_refused(
    stub: Any, search: dict[str, Any], rule: dict[str, Any], field: str, reason: str
) -> None:
    request = pb.SearchUnitPairsRequest(
        search=search_of(**search), rule=cord_pb2.UnitPairRule(**rule)
    )
    code, found = refusal(lambda: stub.SearchUnitPairs(request))
    assert (code, list(found)) == ("INVALID_ARGUMENT", [field]) and reason in found[field]
