"""AnalyseFamily over a channel: the answers of `graftmatch family`."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.nomenclature import DEMO_RELEASE
from matching.family import Member, RelativeClass, Weighting
from matching.immunogenetics import TceCategory
from matching.nomenclature import Nomenclature
from matching.typings import parse_typing
from service import family_answers
from service.calls import CallEndedError
from service.client import connect, frame
from service.config import Settings
from service.convert.family import read_members
from service.convert.responses import TCE
from service.pb.graftmatch.v1 import common_pb2
from service.pb.graftmatch.v1 import family_pb2 as fp
from service.security.audit import audit_key, record_hash
from service.snapshot import Snapshot, load_snapshot
from service.status import Violation
from tests.conftest import PROJECT
from tests.service.conftest import Run
from tests.service.serving import running, stub_of
from tests.service.test_jobs import refusal
from tests.service.test_server_audit import lines

FILE = PROJECT / "examples/family.csv"
DAY = "2026-01-01"
CATEGORIES = {number: category for category, number in TCE.items()}
CLASSES = {fp.RelativeClass.Value(f"RELATIVE_CLASS_{kind.name}"): kind for kind in RelativeClass}


def members_of(path: Path) -> list[fp.FamilyMember]:
    with path.open(encoding="utf-8", newline="") as file:
        return [fp.FamilyMember(typing=row.pop("gl"), **row) for row in csv.DictReader(file)]


def asked(**fields: Any) -> fp.AnalyseFamilyRequest:
    given = {"members": members_of(FILE), "patient": "P", "as_of": DAY, **fields}
    return fp.AnalyseFamilyRequest(**given)


def as_document(answer: fp.AnalyseFamilyResponse, members: list[fp.FamilyMember]) -> dict[str, Any]:
    """An answer as the JSON of the command, without the values of its request."""

    def known(message: Any, name: str) -> Any:
        return getattr(message, name) if message.HasField(name) else None

    loci = list(answer.loci)
    told = {member.id: member for member in members}
    return {
        "release": answer.provenance.release,
        "as_of": answer.as_of,
        "frequency_set": answer.weighted_by,
        "weighting": {1: Weighting.EQUAL, 2: Weighting.FREQUENCIES}[answer.weighting].value,
        "loci": loci,
        "compared": list(answer.compared),
        "warnings": list(answer.warnings),
        "recombinations": [
            {
                name: getattr(one, name)
                for name in ("child", "parent", "role", "after", "before", "probability")
            }
            for one in answer.recombinations
        ],
        "inconsistencies": [
            {
                "locus": one.locus,
                "conflicts": [
                    {"child": c.child, "role": c.role, "parent": c.parent} for c in one.conflicts
                ],
                "suspects": list(one.suspects),
            }
            for one in answer.inconsistencies
        ],
        "haplotypes": {
            one.letter: {
                "founder": one.founder,
                "alleles": dict(zip(loci, one.alleles, strict=True)),
            }
            for one in answer.haplotypes
        },
        "likeliest_share": answer.likeliest_share,
        "members": {
            one.id: {
                "father": told[one.id].father,
                "mother": told[one.id].mother,
                "sex": {"M": "male", "F": "female"}.get(told[one.id].sex),
                "birth_date": told[one.id].birth_date or None,
                "paternal": list(one.paternal),
                "maternal": list(one.maternal),
                "refined": {
                    refined.locus: {
                        "written": refined.written,
                        "refined": refined.refined,
                        "genotypes": [{"text": g.text, "p": g.p} for g in refined.genotypes],
                    }
                    for refined in one.refined
                },
            }
            for one in answer.members
        },
        "relatives": [
            {
                "rank": one.rank,
                "relative": one.id,
                "relationship": one.relationship,
                "class": CLASSES[one.likeliest_class].value,
                "classes": {CLASSES[c.relative_class].value: c.p for c in one.classes},
                "shares_a": one.shares_a,
                "shares_c": one.shares_c,
                "mismatches": {str(m.mismatches): m.p for m in one.mismatches},
                "nima": known(one, "nima"),
                "by_descent": list(one.by_descent),
                "age_years": known(one, "age_years"),
                "drb1_favourable": known(one, "drb1_favourable"),
                "leader_matched": known(one, "leader_matched"),
                "dpb1": CATEGORIES[one.dpb1_tce].value,
                "ranked_below_previous_for": one.ranked_below_previous_for,
            }
            for one in answer.relatives
        ],
    }


CONTRADICTION = "S6,F,M,F,1999-03-01,A*29:02+A*01:01^B*08:01+B*07:02\n"
RULE = 'keys = ["class", "nima", "age"]\nage_step_years = 5\ndpb1_order = ["permissive"]\n'


@pytest.mark.parametrize(
    ("more", "options", "fields"),
    [
        ("", (), {}),
        ("", ("--frequencies", "demo"), {"with_frequencies": True}),
        (CONTRADICTION, ("--loci", "A,B,DRB1"), {"loci": ["A", "B", "DRB1"]}),
        (
            *("", ("--rule", "rule.toml")),
            {
                "rule": fp.HaploidenticalRule(
                    keys=["class", "nima", "age"],
                    age_step_years=5,
                    dpb1_order=[common_pb2.DPB1_TCE_PERMISSIVE],
                )
            },
        ),
    ],
)
def test_a_family_is_that_of_the_command(
    run: Run,
    stub: Any,
    snapshot: Snapshot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: str,
    options: tuple[str, ...],
    fields: dict[str, Any],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rule.toml").write_text(RULE)
    file, out = tmp_path / "family.csv", tmp_path / "family.json"
    file.write_text(FILE.read_text("utf-8") + more, "utf-8")
    command = ("family", file, "--patient", "P", "--release", "demo", "--as-of", DAY)
    code, _, error = run(*command, *options, "--out", out)
    assert code == 0, error
    expected = json.loads(out.read_text("utf-8"))
    members = members_of(file)
    answer = stub.AnalyseFamily(asked(members=members, **fields))
    rule = expected.pop("rule")
    assert {one.key: one.source for one in answer.ordered_by} == rule["sources"]
    assert [one.key for one in answer.ordered_by] == rule["keys"]
    assert expected.pop("patient") == "P"
    assert as_document(answer, members) == expected
    assert answer.provenance.index == snapshot.index_version
    assert answer.provenance.model == snapshot.model_label
    assert bool(answer.inconsistencies) == bool(more)
    assert answer.recombinations and any(w.startswith("RECOMBINATION") for w in answer.warnings)


def test_every_value_of_ours_is_told() -> None:
    assert set(CLASSES.values()) == set(RelativeClass) and set(CATEGORIES.values()) == {
        *TceCategory
    }
    names = {f"FAMILY_WEIGHTING_{one.name}" for one in Weighting}
    assert {*fp.FamilyWeighting.keys()} == {"FAMILY_WEIGHTING_UNSPECIFIED", *names}


def member(name: str, typing: str = "", **fields: str) -> fp.FamilyMember:
    return fp.FamilyMember(id=name, typing=typing, **fields)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"members": []}, {"members": "1 to 100"}),
        ({"members": [member(f"M{i}") for i in range(101)]}, {"members": "1 to 100"}),
        ({"patient": "X"}, {"patient": "none of the members"}),
        (
            {
                "members": [
                    member("P", "A*01"),
                    member("", "A*01:01+A*02:01"),
                    member("Q", sex="x", birth_date=""),
                    member("R", birth_date="yesterday"),
                    member("x" * 300),
                    member("S", "A*01:01+A*02:01/" * 10_000),
                ]
            },
            {
                "members[0].typing": "A*01",
                "members[1].id": "missing",
                "members[2].sex": "x",
                "members[3].birth_date": "yesterday",
                "members[4].id": "longer than",
                "members[5].typing": "longer than 100,000",
            },
        ),
        ({"members": [member("P", "A*01:01+A*02:01")] * 2}, {"members": "comes twice"}),
        ({"members": [member("P", father="F")]}, {"members": "not in the family"}),
        ({"members": [member("P")]}, {"members": "no member is typed"}),
        ({"loci": ["Q"]}, {"loci[0]": "not a matched locus"}),
        ({"loci": ["DRB345"]}, {"members": "no compared locus"}),
        ({"as_of": "soon"}, {"as_of": "not a day"}),
        ({"rule": fp.HaploidenticalRule(keys=["weight"])}, {"rule": "no key is called"}),
        ({"rule": fp.HaploidenticalRule(age_step_years=0)}, {"rule": "above 0"}),
        (
            {"rule": fp.HaploidenticalRule(dpb1_order=[common_pb2.DPB1_TCE_UNTYPED])},
            {"rule": "known categories"},
        ),
        ({"rule": {"dpb1_order": [99]}}, {"rule.dpb1_order": "is none"}),
        ({"ancestry": "x" * 201}, {"ancestry": "at most 200"}),
    ],
)
def test_what_is_refused(stub: Any, fields: dict[str, Any], expected: dict[str, str]) -> None:
    code, found = refusal(lambda: stub.AnalyseFamily(asked(**fields)))
    assert code == "INVALID_ARGUMENT" and list(found) == list(expected)
    for field, reason in expected.items():
        assert reason in found[field], found[field]


def test_without_frequencies_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = load_snapshot(Settings(home=tmp_path / "empty"), DEMO_RELEASE)
    without = empty.__class__(**{**vars(empty), "sets": None})
    with running(without) as address, grpc.insecure_channel(address) as channel:
        code, _ = refusal(lambda: stub_of(channel).AnalyseFamily(asked(with_frequencies=True)))
        assert code == "FAILED_PRECONDITION"
        assert stub_of(channel).AnalyseFamily(asked()).relatives


def test_who_was_asked_about_is_written_down_and_a_table(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    log = tmp_path / "audit.jsonl"
    with running(snapshot, audit_log=log) as address, connect(address, insecure=True) as client:
        answer = client.analyse_family(asked())
    table = frame(answer.relatives)
    assert table["rank"].tolist() == list(range(1, 1 + len(answer.relatives)))
    assert table["likeliest_class"][0].startswith("RELATIVE_CLASS_")
    key = audit_key(tmp_path / "audit.jsonl.key")
    first = lines(log)[0]
    assert first["records"] == [record_hash(key, one.id) for one in members_of(FILE)]


def test_an_analysis_ends_with_its_call(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0

    def step(most: int) -> None:
        nonlocal steps
        steps += 1
        if steps > most:
            raise CallEndedError("the caller does not wait any more")

    monkeypatch.setattr(family_answers, "checkpoint", lambda: step(10**9))
    assert family_answers.analyse_family_answer(snapshot, asked()).relatives
    assert steps > 100
    steps = 0
    monkeypatch.setattr(family_answers, "checkpoint", lambda: step(50))
    with pytest.raises(CallEndedError):
        family_answers.analyse_family_answer(snapshot, asked())
    assert steps == 51


NAMES = st.sampled_from(["A*01:01", "A*02:01", "A*03:01", "A*24:02"])


@settings(deadline=None)
@given(
    ids=st.lists(st.text("ABCDEF-12", min_size=1, max_size=6), min_size=1, max_size=6, unique=True),
    typed=st.lists(st.tuples(NAMES, NAMES), min_size=6, max_size=6),
    sexes=st.lists(st.sampled_from(["male", "female", ""]), min_size=6, max_size=6),
    days=st.lists(st.sampled_from(["1980-02-29", ""]), min_size=6, max_size=6),
)
def test_members_come_through_as_they_were_sent(
    demo: Nomenclature,
    ids: list[str],
    typed: list[tuple[str, str]],
    sexes: list[str],
    days: list[str],
) -> None:
    rows = list(zip(ids, typed, sexes, days, strict=False))
    sent = [member(name, f"{a}+{b}", sex=sex, birth_date=day) for name, (a, b), sex, day in rows]
    found: list[Violation] = []
    pedigree, notes = read_members("members", sent, demo, found)
    assert pedigree is not None and not found and not notes
    assert list(pedigree.members.values()) == [
        Member(name, "", "", sex or None, day or None, parse_typing(f"{a}+{b}"))
        for name, (a, b), sex, day in rows
    ]
