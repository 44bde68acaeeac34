"""The virtual crossmatch on the command line, in searches, and with imputed genotypes."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from data.donor_files import FACTS, Person
from data.frequencies import read_frequencies
from matching.antibodies import Answer, Bead, CutOffs, Names, Profile, PublicEpitopes
from matching.haplotypes import NullImputation, Populations
from matching.nomenclature import Nomenclature
from matching.sequences import Domains
from matching.typings import parse_typing, split_gl
from service.ancestry import FIVE, Ancestries
from service.antibodies import crossmatch_columns, crossmatched
from service.frequency_sets import SearchSets
from tests.oracles.antibodies import imputed_shares
from tests.service.conftest import Run
from tests.service.test_cli import PATIENT

# Alleles of the demo: A*02:01 is positive, the patient's own type too.
REPORT = """antigen_or_allele,partner_chain,mfi,date,kit,result
A*02:01,,9000,2026-01-31,LSA I,
A*01:01,,100,2026-01-31,LSA I,
A*03:01,,200,2026-01-31,LSA I,
A*24:02,,150,2026-01-31,LSA I,
B*07:02,,4000,2026-01-31,LSA I,negative
"""


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "antibodies.csv"
    path.write_text(REPORT)
    return path


def test_a_file_of_donors(run: Run, registry: Path, report: Path, tmp_path: Path) -> None:
    donors = tmp_path / "donors.csv"
    donors.write_text(
        "id,a,b\nD1,A*02:01+A*03:01,B*07:02+B*07:02\nD2,A*01:01+A*03:01,B*07:02+B*07:02\n"
        "D3,A*01:01+A*03:01,\nD4,A*02:01/A*03:01+A*03:01,B*07:02+B*07:02\n"
    )
    out = tmp_path / "found.json"
    common = ("crossmatch", "--antibodies", report, "--donors", donors, "--release", "demo")
    code, printed, error = run(*common, "--out", out)
    assert (code, printed) == (0, f"4 crossmatches of 1 patients written to {out}\n")
    assert "row 6, B*07:02: reported as negative" in error
    document = json.loads(out.read_text())
    assert document["release"] == "demo" and document["mfi_cut_off"] == 1000
    (patient,) = document["patients"]
    by_id = {donor["donor"]: donor for donor in patient["donors"]}
    answers = {name: (donor["answer"], donor["worst"]) for name, donor in by_id.items()}
    assert answers == {
        "D1": ("positive", "positive"),
        "D2": ("negative", "negative"),
        "D3": ("not assessable", "not assessable"),
        "D4": ("not assessable", "positive"),
    }
    first = by_id["D1"]["findings"][0]
    assert first["system"] == "A" and first["molecules"] == ["A*02:01"] and first["is_certain"]
    assert first["beads"] == [
        {
            "antigen_or_allele": "A*02:01",
            "partner_chain": "",
            "mfi": 9000.0,
            "reported": None,
            "date": "2026-01-31",
            "kit": "LSA I",
            "line": 2,
        }
    ]
    assert by_id["D3"]["b_answer"] == "untyped" and by_id["D3"]["c_answer"] == "not tested"
    code, printed, _ = run(*common)
    assert code == 0 and "P positive, N tested negative" in printed and "cut-off 1,000" in printed
    code, printed, _ = run(*common, "--format", "csv", "--mfi-cut-off", "10000")
    assert code == 0 and "positive" not in printed.splitlines()[1].split(",")[2]


def test_the_registry_and_a_patient(run: Run, registry: Path, report: Path, tmp_path: Path) -> None:
    patients = tmp_path / "patients.csv"
    patients.write_text("id,a,b\nP1,A*02:01+A*01:01,B*08:01+B*08:01\n")
    common = ("crossmatch", patients, "--antibodies", report, "--release", "demo")
    code, printed, error = run(*common)
    assert code == 0 and "of 300 donors of the registry" in printed and "Virtual PRA" in printed
    assert "antibody against the patient's own type: A A*02:01 positive" in error
    code, printed, _ = run(*common, "--format", "json", "--limit", 300)
    document = json.loads(printed)
    counts = document["patients"][0]["registry"]
    donors = document["patients"][0]["donors"]
    assert sum(counts.values()) == len(donors) == 300
    # The index says nothing that reported typings do not.
    exact = [donor["answer"] for donor in donors]
    assert 0 < counts["positive"] <= exact.count("positive")
    assert counts["negative"] <= exact.count("negative")


def test_lines_that_cannot_be_read(run: Run, registry: Path, report: Path) -> None:
    report.write_text(f"{REPORT}Foo,,9000,,,\n")
    code, _, error = run("crossmatch", "--antibodies", report, "--release", "demo")
    assert code == 3 and "1 lines of the antibody report cannot be read" in error
    assert "Foo" in report.with_name("antibodies.csv.rejects.csv").read_text()


def test_wrong_use(run: Run, registry: Path, report: Path) -> None:
    match = ("match", "--patient", PATIENT, "--release", "demo")
    for arguments in (
        (*match, "--exclude-positive"),
        (*match, "--antibodies", report, "--keep-donor", "D1=known"),
        (*match, "--antibodies", report, "--exclude-positive", "--keep-donor", "D1"),
        (
            *(*match, "--antibodies", report, "--exclude-positive", "--keep-donor", "D1=known"),
            *("--save", "search"),
        ),
        (*match, "--antibodies", report, "--mfi-cut-off", 0),
        ("crossmatch", "--antibodies", report, "--format", "parquet"),
    ):
        assert run(*arguments)[0] == 2
    report.write_text("patient,antigen_or_allele,mfi\nP9,A*02:01,5\n")
    code, _, error = run(*match, "--antibodies", report)
    assert code == 1 and "'P9'" in error


def test_match_flags_ranks_and_leaves_out(
    run: Run, registry: Path, report: Path, tmp_path: Path
) -> None:
    search = ("match", "--patient", PATIENT, "--release", "demo", "--max-mismatches", 3)
    code, printed, error = run(*search, "--antibodies", report, "--limit", 5)
    assert code == 0 and "antib." in printed and "own type" in error and "Virtual PRA" in error
    out = tmp_path / "all.csv"
    assert run(*search, "--antibodies", report, "--out", out)[0] == 0
    every = pd.read_csv(out)
    assert set(every["antibody_answer"]) == {"positive", "not assessable", "negative"} & set(
        every["antibody_answer"]
    )
    order = every["rank_antibody"].map({"negative": 0, "not assessable": 1, "positive": 2})
    assert order.is_monotonic_increasing and order.nunique() > 1
    positive = every.loc[every["antibody_answer"] == "positive", "donor"].tolist()
    rest = every.loc[every["antibody_answer"] != "positive", "donor"].tolist()
    assert positive and rest
    assert (
        every.loc[every["antibody_answer"] == "positive", "antibody_evidence"]
        .str.contains("A\\*02:01 MFI 9,000 2026-01-31 LSA I")
        .all()
    )
    kept = tmp_path / "kept.json"
    code, _, error = run(
        *(*search, "--antibodies", report, "--exclude-positive", "--out", kept),
        *("--keep-donor", f"{positive[0]}=desensitised"),
    )
    assert code == 0 and f"{len(positive) - 1} candidates are left out" in error
    document = json.loads(kept.read_text())
    found = document["patients"][0]["donors"]
    assert {donor["donor"] for donor in found} == {*rest, positive[0]}
    overridden = [donor["donor"] for donor in found if donor["antibody_override"]]
    assert overridden == [positive[0]]
    stated = document["antibodies"]
    assert sorted(stated["excluded"]["patient"]) == sorted(positive[1:])
    assert stated["overrides"] == {positive[0]: "desensitised"}


def _sets(nomenclature: Nomenclature) -> SearchSets:
    (demo,) = read_frequencies("demo")
    populations = Populations.of([demo.over(FIVE)])
    under = Ancestries(populations, ((populations.labels[0], 1.0),), False)
    return SearchSets("demo", "", under, nomenclature, NullImputation.TYPED)


def test_probabilities_are_those_of_every_imputed_genotype(
    nomenclature: Nomenclature, proteins: dict[str, str]
) -> None:
    """Each imputed genotype crossmatched as a typing of its own."""
    sets = _sets(nomenclature)
    names = Names(nomenclature)
    reported = [
        Bead("A*02:01", mfi=9000),
        Bead("A*01:01", mfi=10),
        Bead("A*03:01", mfi=10),
        Bead("Bw4", mfi=3000),
        Bead("B*07:02", mfi=10),
        Bead("DQB1*02:01", "DQA1*05:01", mfi=5000),
        Bead("DRB3*01:01", mfi=10),
    ]
    profile = Profile(names, PublicEpitopes(Domains(nomenclature, proteins)), reported, CutOffs())
    typings = [
        "A*02:XX+A*01:01^B*07:02+B*44:XX^DRB1*03:XX+DRB1*15:XX",
        "A*01:01+A*03:01^B*07:02+B*08:01",
        "B*07:02+B*08:01^DRB1*03:01+DRB1*15:01^DQA1*05:01+DQA1*01:02^DRBX*NNNN+DRB3*01:01",
        "A2+A3^B7+B44^DRBX*NNNN+DRBX*NNNN",
    ]
    people = [
        Person(f"D{i}", dict.fromkeys(FACTS), split_gl(text)) for i, text in enumerate(typings)
    ]
    found = crossmatched(people, profile, sets)
    assert any(one.p_positive not in (None, 0.0, 1.0) for one in found)
    imputer = sets.imputer()
    for text, one in zip(typings, found, strict=True):
        expected = imputed_shares(imputer, parse_typing(text), profile, {})
        assert (one.p_positive, one.p_negative) == pytest.approx(expected)


def test_what_the_set_does_not_carry_is_no_zero(
    nomenclature: Nomenclature, proteins: dict[str, str]
) -> None:
    epitopes = PublicEpitopes(Domains(nomenclature, proteins))
    donor = Person("D", dict.fromkeys(FACTS), split_gl("A*01:01/A*02:01+A*03:01"))
    of_dp = [Bead("DPB1*04:01", "DPA1*01:03", 5000), Bead("DRB3*01:01", "", 100)]
    (one,) = crossmatched(
        [donor], Profile(Names(nomenclature), epitopes, of_dp, CutOffs()), _sets(nomenclature)
    )
    assert (one.answer, one.worst) == (Answer.NOT_ASSESSABLE, Answer.POSITIVE)
    columns = crossmatch_columns(one)
    assert columns["p_positive"] is None and columns["p_positive_worst"] is None
    assert one.system_texts()["DP"] == one.system_texts()["DRB345"] == "untyped"
    # With a locus that is carried the rest counts in the worst case.
    both = [*of_dp, Bead("A*02:01", "", 5000), Bead("A*01:01", "", 9), Bead("A*03:01", "", 9)]
    profile = Profile(Names(nomenclature), epitopes, both, CutOffs())
    (one,) = crossmatched([donor], profile, _sets(nomenclature))
    columns = crossmatch_columns(one)
    assert 0 < columns["p_positive"] < 1 and columns["p_positive_worst"] == 1
