"""CrossmatchDonors over a channel: the answers of `graftmatch crossmatch`."""

from __future__ import annotations

import json
import math
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from data.nomenclature import DEMO_RELEASE
from service.calls import CURRENT, Call, CallEndedError
from service.client import connect, frame
from service.config import Settings
from service.crossmatch_answers import Crossmatches
from service.pb.graftmatch.v1 import antibodies_pb2 as ab
from service.pb.graftmatch.v1 import prediction_pb2
from service.security.audit import audit_key, record_hash
from service.security.caller import ANYONE
from service.snapshot import Snapshot, load_snapshot
from tests.service.antibody_reports import REPORT, TEXTS, crossmatch_row
from tests.service.conftest import Run
from tests.service.serving import PATIENT, running
from tests.service.test_jobs import refusal
from tests.service.test_server_audit import lines

TYPINGS = (
    "A*02:01+A*03:01^B*07:02+B*07:02",
    "A*01:01+A*03:01^B*07:02+B*07:02",
    "A*01:01+A*03:01",
    "A*02:01/A*03:01+A*03:01^B*07:02+B*07:02^C*07:02+C*07:02^DRB1*15:01+DRB1*15:01",
    "B*08:01+B*44:02",
)


def asked(**fields: Any) -> ab.CrossmatchDonorsRequest:
    return ab.CrossmatchDonorsRequest(**{"report": REPORT, **fields})


def named(*identifiers: str) -> list[ab.DonorToCrossmatch]:
    return [ab.DonorToCrossmatch(identifier=one) for one in identifiers]


def typed(*typings: str) -> list[ab.DonorToCrossmatch]:
    return [
        ab.DonorToCrossmatch(person=prediction_pb2.TypedPerson(typing=text)) for text in typings
    ]


def told(stub: Any, request: ab.CrossmatchDonorsRequest) -> list[ab.DonorCrossmatch]:
    return [one for answer in stub.CrossmatchDonors(request) for one in answer.donors]


def document_of(run: Run, *options: object) -> dict[str, Any]:
    code, printed, error = run("crossmatch", *options, "--release", "demo", "--format", "json")
    assert code == 0, error
    (patient,) = json.loads(printed)["patients"]
    found: dict[str, Any] = patient
    return found


def check_same(found: list[ab.DonorCrossmatch], donors: list[dict[str, Any]]) -> None:
    """Crossmatches, findings and beads are those of the command's JSON."""
    assert len(found) == len(donors)
    for one, expected in zip(found, donors, strict=True):
        row = crossmatch_row(one.crossmatch)
        known = {name: None if value != value else value for name, value in row.items()}
        assert known == pytest.approx({name: expected[name] for name in row})
        assert list(one.crossmatch.imputed) == expected["imputed"]
        assert one.crossmatch.problem == expected["problem"]
        assert len(one.crossmatch.findings) == len(expected["findings"])
        for finding, of_json in zip(one.crossmatch.findings, expected["findings"], strict=True):
            assert {
                "system": finding.system,
                "molecules": list(finding.molecules),
                "is_certain": finding.is_certain,
                "answer": TEXTS[finding.answer],
                "worst": TEXTS[finding.worst],
                "basis": finding.basis,
            } == {name: value for name, value in of_json.items() if name != "beads"}
            beads = [(bead.bead.antigen_or_allele, bead.bead.mfi) for bead in finding.beads]
            assert beads == [(b["antigen_or_allele"], b["mfi"]) for b in of_json["beads"]]


def test_typings_are_judged_as_a_file_of_donors(
    run: Run, own: Any, beads_file: Path, tmp_path: Path
) -> None:
    donors = tmp_path / "donors.csv"
    rows = [f'D{i},"{text}"' for i, text in enumerate(TYPINGS)]
    donors.write_text("\n".join(["id,gl", *rows]) + "\n")
    document = document_of(run, "--antibodies", beads_file, "--donors", donors)
    found = told(own, asked(donors=typed(*TYPINGS), batch_size=2))
    check_same(found, document["donors"])
    assert {one.crossmatch.answer for one in found} == set(TEXTS)
    assert any(one.crossmatch.p_positive > 0 for one in found if not one.donor)


def test_the_registry_is_that_of_the_command(
    run: Run, own: Any, own_snapshot: Snapshot, beads_file: Path, tmp_path: Path
) -> None:
    patients = tmp_path / "patients.csv"
    patients.write_text(f'id,gl\nP,"{PATIENT}"\n')
    document = document_of(run, patients, "--antibodies", beads_file, "--limit", 120)
    request = asked(patient=PATIENT, best=120, batch_size=50)
    answers = list(own.CrossmatchDonors(request))
    assert [len(answer.donors) for answer in answers] == [50, 50, 20]
    found = [one for answer in answers for one in answer.donors]
    assert [one.donor for one in found] == [one["donor"] for one in document["donors"]]
    check_same(found, document["donors"])
    for answer in answers:
        assert answer.provenance.index == own_snapshot.index_version
        counts = {name: getattr(answer.antibodies.registry, name) for name in document["registry"]}
        assert counts == document["registry"]
        assert list(answer.antibodies.own_type) == document["own_type"] != []
    (only,) = own.CrossmatchDonors(asked())
    assert only.antibodies.registry == answers[0].antibodies.registry and not only.donors
    # By their identifiers, in any order, the same.
    again = told(own, asked(donors=named(*(one.donor for one in reversed(found)))))
    assert again == found[::-1]


def test_donors_that_cannot_be_judged(own: Any, units: Any) -> None:
    first = str(units.index[0])
    donors = [*named("none such", first), *typed("A*99:99+A*01:01", TYPINGS[0]), *named(first)]
    found = told(own, asked(donors=donors))
    assert [one.donor for one in found] == ["none such", first, "", "", first]
    assert found[1] == found[4] and not found[1].crossmatch.problem
    for i, reason in ((0, "no donor of this identifier"), (2, "demo reference")):
        one = found[i].crossmatch
        assert reason in one.problem
        assert (one.answer, one.worst) == (
            ab.CROSSMATCH_ANSWER_NOT_ASSESSABLE,
            ab.CROSSMATCH_ANSWER_POSITIVE,
        )
        assert not one.HasField("p_positive") and not one.findings


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"report": ab.AntibodyReport()}, "report.beads", "give beads"),
        ({"patient": "A*01"}, "patient", "A*01"),
        ({"batch_size": 1001}, "batch_size", "1 to 1,000"),
        ({"best": 10_001}, "best", "0 to 10,000"),
        ({"best": 1, "donors": named("D")}, "best", "give no donors"),
        ({"donors": [ab.DonorToCrossmatch()]}, "donors[0]", "or a person"),
        ({"donors": named("x" * 201)}, "donors[0]", "1 to 200"),
        ({"donors": named("D\0")}, "donors[0]", "printable"),
        ({"donors": named(*["x"] * 10_001)}, "donors", "more than 10,000"),
    ],
)
def test_what_is_refused(stub: Any, fields: dict[str, Any], field: str, reason: str) -> None:
    code, found = refusal(lambda: list(stub.CrossmatchDonors(asked(**fields))))
    assert (code, list(found)) == ("INVALID_ARGUMENT", [field]) and reason in found[field]


def test_work_ends_with_the_call(snapshot: Snapshot) -> None:
    found = Crossmatches.of(snapshot, asked(donors=typed(*TYPINGS)))
    call = Call("CrossmatchDonors", "", ANYONE)

    def batch() -> int:
        CURRENT.set(call)
        return len(found.batch(0).donors)

    assert copy_context().run(batch) == len(TYPINGS)
    call.ended = True
    with pytest.raises(CallEndedError):
        copy_context().run(batch)


def test_without_a_registry_typings_are_judged(tmp_path: Path) -> None:
    empty = load_snapshot(Settings(home=tmp_path / "empty"), DEMO_RELEASE)
    with running(empty) as address, connect(address, insecure=True) as client:
        (answer,) = client.crossmatch_donors(asked(donors=typed(TYPINGS[0])))
        assert answer.donors[0].crossmatch.answer == ab.CROSSMATCH_ANSWER_POSITIVE
        for request in (asked(), asked(donors=named("D1"))):
            code, _ = refusal(partial(list, client.crossmatch_donors(request)))
            assert code == "FAILED_PRECONDITION"


def test_who_was_judged_is_written_down_and_a_table_of_them(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    log = tmp_path / "audit.jsonl"
    with running(snapshot, audit_log=log) as address, connect(address, insecure=True) as client:
        donors = [*named("D00000001"), *typed(TYPINGS[0])]
        answers = list(client.crossmatch_donors(asked(donors=donors)))
        (best,) = client.crossmatch_donors(asked(best=1))
    table = frame(one.crossmatch for answer in answers for one in answer.donors)
    assert table["answer"].tolist()[1] == "CROSSMATCH_ANSWER_POSITIVE"
    assert math.isclose(table["p_positive"].tolist()[1], 1.0) and len(table) == 2
    key = audit_key(tmp_path / "audit.jsonl.key")
    records = [line["records"] for line in lines(log) if "records" in line]
    hashed = record_hash(key, "D00000001")
    assert records == [[hashed], [hashed], [record_hash(key, best.donors[0].donor)]]
