"""Antibody reports: names of kits, rules of the answers, registries, against a plain definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matching.antibodies import (
    Answer,
    Basis,
    Bead,
    Call,
    CutOffs,
    DonorAnswers,
    ImputedAnswers,
    Names,
    Profile,
    PublicEpitopes,
    System,
    crossmatch,
    registry_answers,
)
from matching.antibodies.names import SYSTEM_OF_LOCUS
from matching.donor_index import DonorIndex, Large, Segment
from matching.errors import IncompleteReferenceError, TypingError
from matching.haplotypes import FrequencySet, Imputer, NullImputation, Resolution
from matching.loci import Locus
from matching.nomenclature import Nomenclature
from matching.search_kernels import LARGE
from matching.sequences import Domains
from matching.typings import parse_typing
from tests.oracles.antibodies import Plain, imputed_shares

NEGATIVE, UNKNOWN, POSITIVE = Answer.NEGATIVE, Answer.NOT_ASSESSABLE, Answer.POSITIVE


@pytest.fixture(scope="module")
def names(nomenclature: Nomenclature) -> Names:
    return Names(nomenclature)


@pytest.fixture(scope="module")
def epitopes(nomenclature: Nomenclature, proteins: dict[str, str]) -> PublicEpitopes:
    return PublicEpitopes(Domains(nomenclature, proteins))


class Report:
    """Reports written as `A*02:01=5000` or `DQB1*03:01/DQA1*05:01=5000`."""

    def __init__(self, names: Names, epitopes: PublicEpitopes) -> None:
        self.names, self.epitopes = names, epitopes

    def __call__(self, text: str, cut_offs: CutOffs = CutOffs()) -> Profile:  # noqa: B008
        return Profile(self.names, self.epitopes, beads(text), cut_offs)


def beads(text: str) -> list[Bead]:
    found = []
    for row, part in enumerate(text.split(), 1):
        name, _, mfi = part.partition("=")
        target, _, partner = name.partition("/")
        found.append(Bead(target, partner, float(mfi), None, "2026-01-02", "kit", row))
    return found


@pytest.fixture(scope="module")
def report(names: Names, epitopes: PublicEpitopes) -> Report:
    return Report(names, epitopes)


# Names as the kits and registries print them, with what they are.
READ = {
    "A2": (Locus.A, "A2"),
    "A203": (Locus.A, "A203"),
    "A2403": (Locus.A, "A2403"),
    "A23(9)": (Locus.A, "A23"),
    "A69 (28)": (Locus.A, "A69"),
    "B60(40)": (Locus.B, "B60"),
    "B71(70)": (Locus.B, "B71"),
    "B2708": (Locus.B, "B2708"),
    "B82": (Locus.B, "B82"),
    "Bw4": (None, "Bw4"),
    "BW6": (Locus.B, "Bw6"),
    "Cw9(w3)": (Locus.C, "Cw9"),
    "C7": (Locus.C, "Cw7"),
    "Cw12": (Locus.C, "Cw12"),
    "Cw18": (Locus.C, "Cw18"),
    "DR17(3)": (Locus.DRB1, "DR17"),
    "DR103": (Locus.DRB1, "DR103"),
    "DRw52": (Locus.DRB345, "DR52"),
    "DR53": (Locus.DRB345, "DR53"),
    "DQ7": (Locus.DQB1, "DQ7"),
    "DQ7(3)": (Locus.DQB1, "DQ7"),
    "DPw4": (Locus.DPB1, "DP4"),
    "DP1": (Locus.DPB1, "DP1"),
    "DP11": (Locus.DPB1, "DP11"),
}


def test_names_that_kits_print(names: Names) -> None:
    for text, (locus, antigen) in READ.items():
        target, partner = names.read(text)
        assert (target.locus, target.antigen, partner) == (locus, antigen, None), text
    for text in ("DRB1*01:03", "HLA-DRB1*01:03", "DRB1*0103", "DRB1*01:03:01"):
        target, _ = names.read(text)
        assert target.protein is not None and target.protein.name == "DRB1*01:03"
        assert target.protein.kind.antigens == {"DR103"}
    assert names.read("Cw*07:02")[0].protein == names.read("C*07:02")[0].protein
    assert "no antigen of the WHO" in names.read("Cw15")[0].note
    family, _ = names.read("DQA1*05")
    assert family.protein is None and {"DQA1*05:01", "DQA1*05:05"} <= family.proteins


def test_pairs_in_all_spellings(names: Names) -> None:
    spellings = [
        ("DQB1*03:01", "DQA1*05:01"),
        ("DQA1*05:01", "DQB1*03:01"),
        ("DQA1*05:01/DQB1*03:01", ""),
        ("DQA1*05:01, DQB1*03:01", ""),
        ("HLA-DQA1*05:01/HLA-DQB1*03:01", ""),
        ("DQA1*05:01 DQB1*03:01", ""),
        ("DQB1*03:01+DQA1*05:01", ""),
        ("DQA1*0501-DQB1*0301", ""),
        ("DQB1*03:01 (DQA1*05:01)", ""),
    ]
    for target, partner in spellings:
        chains = [one for one in names.read(target, partner) if one is not None]
        found = {one.protein.name for one in chains if one.protein is not None}
        assert found == {"DQB1*03:01", "DQA1*05:01"}
    antigen, alpha = names.read("DQ7(DQA1*05:01)")
    assert antigen.antigen == "DQ7" and alpha is not None and alpha.locus is Locus.DQA1
    for text in ("DQ7/DQA1*05:01", "DQA1*05:01, DQ7", "DQ7(3), DQA1*05:01"):
        targets = [one for one in names.read(text) if one is not None]
        assert {one.antigen or one.name for one in targets} == {"DQ7", "DQA1*05:01"}, text
    dp, dpa = names.read("DPA1*01:03 DPB1*04:01")
    assert dpa is not None and {dp.locus, dpa.locus} == {Locus.DPA1, Locus.DPB1}
    assert names.read("DRB1*15:01", "DRA*01:01")[1] is None


def test_every_antigen_of_the_release_is_read_and_carried(report: Report) -> None:
    """But for Dw, which no antibody defines."""
    names = report.names
    rows = names.nomenclature.serology.antigens
    antigens = [row.gene + row.antigen for row in rows if row.gene != "Dw"]
    assert len(antigens) > 130 and {"A2", "B5102", "Bw4", "Cw7", "DR103", "DQ7"} <= set(antigens)
    for text in (*antigens, *(f"Cw{n}" for n in (12, 14, 15, 16, 17, 18))):
        target, _ = names.read(text)
        profile = report(f"{text}=9000")
        locus = Locus.B if target.locus is None else target.locus
        calls = [Basis.UNTESTED]
        if SYSTEM_OF_LOCUS[locus].is_pair:
            typing = {beta for gene in locus.genes for beta in profile.any_chain(gene)}
            found = [crossmatch(parse_typing(f"{p.name}+{p.name}"), profile) for p in typing]
            calls = [
                f.call.basis for one in found for _, f in one.findings if f.call.low is POSITIVE
            ]
            assert Basis.CHAIN in calls, text
        else:
            calls = [profile.call(p).basis for gene in locus.genes for p in profile.any_chain(gene)]
            assert Basis.ANTIGEN in calls, text
    for row in rows:
        if row.gene == "Dw":
            with pytest.raises(TypingError, match="neither an antigen"):
                names.read(row.gene + row.antigen)


@pytest.mark.parametrize(
    ("target", "partner", "why"),
    [
        ("A99", "", "no antigen of release"),
        ("A6601", "", "no antigen of release"),
        ("DP7", "", "no antigen of release"),
        ("Cw19", "", "no antigen of release"),
        ("Cw13", "", "no antigen of release"),
        ("B2705", "", "no antigen of release"),
        ("DP401", "", "as DPB1.04:01"),
        ("DP0401", "", "neither an antigen"),
        ("A0201", "", "neither an antigen"),
        ("Dw4", "", "neither an antigen"),
        ("MICA02", "", "neither an antigen"),
        ("A*02:01, A2", "", "unknown in release"),
        ("DR53", "DRB4*01:03", "no alpha and beta chain"),
        ("B83", "", "no antigen of release"),
        ("A2(9)", "", "not its broad antigen"),
        ("DQA5", "", "neither an antigen"),
        ("positive", "", "neither an antigen"),
        ("A*99:01", "", "unknown in release"),
        ("A*24:09N", "", "no bead carries it"),
        ("A*24:02:01:02L", "", "no bead carries it"),
        ("MICA*002", "", "no locus of an antibody report"),
        ("DQB1*03:01", "DQB1*02:01", "no alpha and beta chain"),
        ("A*02:01", "B*07:02", "no alpha and beta chain"),
        ("DQB1*03:01", "DPA1*01:03", "no alpha and beta chain"),
        ("DQA1*05:01/DQB1*03:01", "DQA1*05:01", "keep one"),
    ],
)
def test_what_has_no_one_meaning_is_refused(
    names: Names, target: str, partner: str, why: str
) -> None:
    with pytest.raises(TypingError, match=why) as refused:
        names.read(target, partner)
    assert target.split("/")[0].split("(")[0] in str(refused.value)


def test_the_demo_reads_no_antigens(demo: Nomenclature) -> None:
    assert Names(demo).read("A*02:01")[0].protein is not None
    with pytest.raises((IncompleteReferenceError, TypingError)):
        Names(demo).read("DQA1*05")


# Antigens with Bw4 and Bw6: Marsh 2010, Tissue Antigens 75:291, by a common allele of each.
BW4_OF = """
B*13:01 B*13:02 B*27:05 B*37:01 B*38:01 B*44:02 B*47:01 B*49:01 B*51:01 B*51:02 B*51:03
B*52:01 B*53:01 B*57:01 B*58:01 B*59:01 B*15:16 B*15:13 A*23:01 A*24:02 A*24:03 A*25:01
A*32:01
"""
BW6_OF = """
B*07:02 B*07:03 B*08:01 B*14:01 B*14:02 B*18:01 B*27:08 B*35:01 B*39:01 B*39:02 B*40:01
B*40:02 B*40:05 B*41:01 B*42:01 B*45:01 B*46:01 B*48:01 B*50:01 B*54:01 B*55:01 B*56:01
B*67:01 B*15:01 B*15:02 B*15:03 B*15:10 B*15:12 B*73:01 B*78:01 B*81:01
"""
NEITHER = """
A*01:01 A*02:01 A*03:01 A*11:01 A*26:01 A*29:02 A*31:01 A*33:01 A*66:01 A*80:01
"""


def test_bw4_and_bw6_are_read_from_residues(
    nomenclature: Nomenclature, epitopes: PublicEpitopes
) -> None:
    for carriers, expected in ((BW4_OF, (True, False)), (BW6_OF, (False, True))):
        for name in carriers.split():
            group = int(nomenclature.p_group_codes[nomenclature.read(name).alleles[0]])
            assert epitopes.of(Locus(name[0]), group) == expected, name
    for name in NEITHER.split():
        group = int(nomenclature.p_group_codes[nomenclature.read(name).alleles[0]])
        assert epitopes.of(Locus.A, group) == (False, False), name


@pytest.mark.slow
def test_windows_are_residues_of_domains(
    nomenclature: Nomenclature, proteins: dict[str, str]
) -> None:
    domains = Domains(nomenclature, proteins)
    for group, name in enumerate(nomenclature.p_group_names):
        if name.startswith(("A*", "B*")):
            assert domains.window(group, 77, 83) == domains.residues(group)[75:82], name


def of(profile: Profile, name: str) -> Call:
    """The call of one allele of a locus of single chains."""
    protein, _ = profile.names.read(name)
    assert protein.protein is not None
    return profile.call(protein.protein)


def test_the_bead_of_the_allele_outweighs_its_neighbours(report: Report) -> None:
    profile = report("A*02:01=200 A*02:06=9000 A2=9000")
    assert (of(profile, "A*02:01").answer, of(profile, "A*02:01").basis) == (NEGATIVE, Basis.ALLELE)
    assert of(profile, "A*02:06").answer is POSITIVE
    # The same domain as A*02:01; no bead of its own.
    assert of(profile, "A*02:09").basis is Basis.DOMAIN
    assert of(profile, "A*02:09").answer is NEGATIVE
    other = of(profile, "A*02:05")
    assert (other.answer, other.basis) == (POSITIVE, Basis.ANTIGEN)
    neighbour = of(report("A*02:01=200 A*02:06=9000"), "A*02:05")
    assert (neighbour.answer, neighbour.basis) == (POSITIVE, Basis.NEIGHBOUR)
    assert [bead.target for bead in neighbour.beads] == ["A*02:06"]


def test_what_the_panel_lacks_is_not_negative(report: Report) -> None:
    profile = report("A*02:01=100 A*03:01=100")
    for name in ("A*02:05", "A*68:01", "A*02:06"):
        assert of(profile, name).answer is UNKNOWN
    assert of(report("A2=100"), "A*02:05").answer is NEGATIVE
    # Without antibody to Bw4 there may be one to another epitope of B27.
    assert of(report("Bw4=100"), "B*27:05").answer is UNKNOWN
    assert of(report("Bw4=5000"), "B*27:05").answer is POSITIVE
    assert of(report("Bw4=5000"), "A*32:01").answer is POSITIVE
    assert of(report("Bw4=5000 B*27:05=100"), "B*27:05").answer is NEGATIVE


def test_alleles_of_one_domain_are_told_apart(report: Report) -> None:
    """DRB1*14:01 and *14:54 differ at residue 112, outside of the domain; kits hold both."""
    profile = report("DRB1*14:01=4000 DRB1*14:54=100")
    assert of(profile, "DRB1*14:01").answer is POSITIVE
    assert of(profile, "DRB1*14:54").answer is NEGATIVE
    both = crossmatch(parse_typing("DRB1*14:01:01G+DRB1*14:54"), profile)
    assert (both.answer, both.low, both.high) == (UNKNOWN, NEGATIVE, POSITIVE)
    sure = crossmatch(parse_typing("DRB1*14:54+DRB1*14:54"), profile)
    assert sure.answer is NEGATIVE


def test_an_allele_specific_antibody(report: Report) -> None:
    """DR103 is an antigen of its own (Marsh 2010), so DRB1*01:01 and *01:03 are told apart."""
    profile = report("DRB1*01:01=100 DRB1*01:03=6000")
    donors = {"DRB1*01:01": NEGATIVE, "DRB1*01:03": POSITIVE}
    for name, expected in donors.items():
        assert crossmatch(parse_typing(f"{name}+{name}"), profile).answer is expected
    assert of(report("DR1=6000"), "DRB1*01:03").answer is UNKNOWN
    assert of(report("DR1=6000"), "DRB1*01:03").high is POSITIVE
    assert of(report("A9=6000"), "A*24:02").answer is POSITIVE
    assert of(report("A23=6000"), "A*24:02").high is UNKNOWN


def test_a_finding_names_what_its_copy_may_be(report: Report) -> None:
    profile = report("DRB1*04:07=5000")
    result = crossmatch(parse_typing("DRB1*04:08+DRB1*04:02/DRB1*04:06/DRB1*01:01"), profile)
    named = {finding.is_certain: finding.molecules for _, finding in result.findings}
    assert named[True] == ("DRB1*04:08",)
    found = {finding.molecules for _, finding in result.findings if not finding.is_certain}
    assert found == {("DRB1*04:02", "DRB1*04:06"), ("DRB1*01:01",)}


def test_expression(report: Report) -> None:
    profile = report("A*24:02=9000 A*01:01=100")
    expected = {
        "A*24:09N": (NEGATIVE, Basis.NULL),
        "A*24:02:01:02L": (UNKNOWN, Basis.EXPRESSION),
        "A*24:329Q": (UNKNOWN, Basis.EXPRESSION),
        "A*24:02": (POSITIVE, Basis.ALLELE),
    }
    for name, (answer, basis) in expected.items():
        result = crossmatch(parse_typing(f"A*01:01+{name}"), profile)
        assert result.answer is answer
        assert basis in {finding.call.basis for _, finding in result.findings}
    new = crossmatch(parse_typing("A*01:01+A*NEW"), profile)
    assert new.answer is UNKNOWN


def test_the_pair_is_the_truth(report: Report) -> None:
    """One beta chain with and without its partner: Tambur 2010, Transplantation 90:1117."""
    profile = report(
        "DQB1*02:01/DQA1*05:01=9000 DQB1*02:02/DQA1*02:01=100 DQB1*03:01/DQA1*05:05=100"
    )

    def dq(alpha: str, beta: str) -> Call:
        chains = [profile.names.read(name)[0].protein for name in (alpha, beta)]
        assert chains[0] is not None and chains[1] is not None
        call = profile.pair_call(System.DQ, chains[0], chains[1])
        assert call is not None
        return call

    assert dq("DQA1*05:01", "DQB1*02:01").answer is POSITIVE
    assert dq("DQA1*02:01", "DQB1*02:02").answer is NEGATIVE
    assert dq("DQA1*05:05", "DQB1*03:01").answer is NEGATIVE
    # Neither chain alone explains the report, so no hypothesis is left: the worst case says so.
    untested = dq("DQA1*03:01", "DQB1*02:01")
    assert (untested.answer, untested.high, untested.basis) == (UNKNOWN, POSITIVE, Basis.CHAIN)
    assert dq("DQA1*04:01", "DQB1*04:02").high is UNKNOWN


def test_a_chain_alone_is_a_hypothesis(report: Report) -> None:
    profile = report("DQB1*03:01/DQA1*05:05=9000 DQB1*03:01/DQA1*03:01=8000")
    result = crossmatch(parse_typing("DQA1*02:01+DQA1*02:01^DQB1*03:01+DQB1*03:01"), profile)
    ((_, finding),) = result.findings
    assert (finding.call.answer, finding.call.basis) == (POSITIVE, Basis.CHAIN)
    assert "hypothesis" in finding.call.basis.value and len(finding.call.beads) == 2
    # The same without the alpha chain: every bead of DQB1*03:01 is positive.
    untyped = crossmatch(parse_typing("DQB1*03:01+DQB1*03:01"), profile)
    assert untyped.answer is POSITIVE
    # A chain that was named alone and is negative does not speak for the pair.
    alone = report("DQ7=100")
    assert crossmatch(parse_typing("DQB1*03:01+DQB1*03:01"), alone).answer is UNKNOWN
    assert crossmatch(parse_typing("DQB1*03:01+DQB1*03:01"), report("DQ7=5000")).answer is POSITIVE


def test_chains_that_do_not_join(report: Report) -> None:
    """DQA1*01 joins DQB1*05 and *06 alone: Kwok 1993, J Immunol 150:2263."""
    profile = report("DQB1*06:02/DQA1*01:02=100 DQB1*02:01/DQA1*05:01=100")
    donor = parse_typing("DQA1*01:02+DQA1*05:01^DQB1*06:02+DQB1*02:01")
    assert crossmatch(donor, profile).answer is NEGATIVE
    tested = report("DQB1*06:02/DQA1*01:02=1 DQB1*02:01/DQA1*05:01=1 DQB1*02:01/DQA1*01:02=5000")
    assert crossmatch(donor, tested).answer is POSITIVE


def test_dp_by_its_table_and_its_pairs(report: Report) -> None:
    profile = report("DPB1*04:01/DPA1*01:03=100 DP4=5000")
    assert crossmatch(
        parse_typing("DPA1*01:03+DPA1*01:03^DPB1*04:01+DPB1*04:01"), profile
    ).answer is (NEGATIVE)
    other = crossmatch(parse_typing("DPA1*01:03+DPA1*01:03^DPB1*04:02+DPB1*04:02"), profile)
    assert other.answer is POSITIVE
    assert {finding.call.basis for _, finding in other.findings} == {Basis.CHAIN}


def test_untyped_and_untested(report: Report) -> None:
    profile = report("A*02:01=100 B*07:02=9000 DRB3*01:01=100")
    result = crossmatch(parse_typing("A*02:01+A*02:01"), profile)
    by_system = {one.system: one for one in result.systems}
    assert by_system[System.A].answer is NEGATIVE
    assert not by_system[System.B].is_typed
    assert (by_system[System.B].answer, by_system[System.B].high) == (UNKNOWN, POSITIVE)
    assert by_system[System.DRB345].high is UNKNOWN
    assert System.C in result.untested and System.DQ in result.untested
    assert (result.answer, result.high) == (UNKNOWN, POSITIVE)
    # DRB1*15 goes with DR51, but nothing is concluded of a locus that was not typed.
    dr2 = crossmatch(parse_typing("DRB1*15:01+DRB1*15:01"), report("DR51=9000"))
    assert (dr2.answer, dr2.low, dr2.high) == (UNKNOWN, NEGATIVE, POSITIVE)
    absent = crossmatch(parse_typing("A*02:01+A*02:01^DRBX*NNNN+DRBX*NNNN"), report("DR52=9000"))
    assert absent.answer is NEGATIVE


def test_cut_offs(report: Report) -> None:
    typing = parse_typing("A*02:01+A*03:01^B*07:02+B*07:02")
    text = "A*02:01=900 A*03:01=800 B*07:02=700"
    assert crossmatch(typing, report(text)).answer is NEGATIVE
    assert crossmatch(typing, report(text, CutOffs(mfi=850))).answer is POSITIVE
    low = crossmatch(typing, report(text, CutOffs(cumulative=2400)))
    assert (low.answer, low.mfi.low, low.mfi.high) == (POSITIVE, 2400, 2400)
    assert crossmatch(typing, report(text, CutOffs(cumulative=2401))).answer is NEGATIVE
    either = crossmatch(
        parse_typing("A*02:01/A*11:01+A*03:01^B*07:02+B*07:02"),
        report(f"{text} A*11:01=10", CutOffs(cumulative=2400)),
    )
    assert (either.low, either.high, either.answer) == (NEGATIVE, POSITIVE, UNKNOWN)
    # Bw4 is on A*24:02 and on B*51:01; its bead counts once.
    bw4 = report("Bw4=5000 A*01:01=10 B*08:01=20")
    both = crossmatch(parse_typing("A*24:02+A*01:01^B*51:01+B*08:01"), bw4)
    assert (both.mfi.low, both.mfi.high) == (5030, 5030)
    open_b = crossmatch(parse_typing("A*24:02+A*01:01^B*51:01/B*08:01+B*08:01"), bw4)
    assert (open_b.mfi.low, open_b.mfi.high) == (5010, 10030)
    for value in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="above 0"):
            CutOffs(mfi=value)


def test_the_laboratory_has_the_last_word(names: Names, epitopes: PublicEpitopes) -> None:
    denatured = [
        Bead("A*02:01", "", 9000, NEGATIVE, "2026-01-02", "kit", 1),
        Bead("A*03:01", "", 9000, UNKNOWN, "2026-01-02", "kit", 2),
    ]
    profile = Profile(names, epitopes, denatured, CutOffs())
    assert of(profile, "A*02:01").answer is NEGATIVE
    assert of(profile, "A*03:01").answer is UNKNOWN
    (note,) = profile.notes
    assert "row 1, A*02:01" in note and "the reported result counts" in note


POOL: Mapping[Locus, tuple[str, ...]] = {
    Locus.A: ("A*02:01", "A*02:03", "A*02:05", "A*02:09", "A*24:02", "A*24:09N", "A*32:01"),
    Locus.B: ("B*27:05", "B*44:02", "B*44:03", "B*07:02", "B*15:10", "B*15:18", "B*51:02"),
    Locus.DRB1: ("DRB1*14:01", "DRB1*14:54", "DRB1*01:01", "DRB1*01:03", "DRB1*03:01"),
    Locus.DRB345: ("DRB3*01:01", "DRB3*02:02", "DRB4*01:03", "DRBX*NNNN"),
    Locus.DQA1: ("DQA1*01:02", "DQA1*05:01", "DQA1*05:05", "DQA1*03:01", "DQA1*02:01"),
    Locus.DQB1: ("DQB1*06:02", "DQB1*02:01", "DQB1*02:02", "DQB1*03:01", "DQB1*03:19"),
    Locus.DPA1: ("DPA1*01:03", "DPA1*02:01", "DPA1*02:02"),
    Locus.DPB1: ("DPB1*04:01", "DPB1*04:02", "DPB1*01:01", "DPB1*105:01", "DPB1*11:01"),
}
SINGLE = (
    *("A*02:01", "A*02:03", "A*02:06", "A*24:02", "A2", "A9", "A203", "Bw4", "Bw6", "B*27:05"),
    *("B12", "B44", "B70", "B71", "B*44:02", "B*15:03", "B5", "DRB1*14:01", "DRB1*14:54", "DR1"),
    *("DR103", "DR3", "DRB1*13:01", "DR52", "DRB3*01:01", "DRB4*01:01"),
)
PAIRS = (
    *(("DQB1*02:01", "DQA1*05:01"), ("DQB1*03:01", "DQA1*05:05"), ("DQB1*03:01", "DQA1*03:01")),
    *(("DQB1*06:02", "DQA1*01:02"), ("DQ7", ""), ("DQ2", "DQA1*02:01"), ("DQB1*02:02", "")),
    *(("DPB1*04:01", "DPA1*01:03"), ("DPB1*01:01", "DPA1*02:01"), ("DP4", "DPA1*01:03")),
    ("DPB1*04:02", "DPA1*01:03"),
)
REPORTS = st.lists(
    st.tuples(
        st.one_of(st.sampled_from([(name, "") for name in SINGLE]), st.sampled_from(PAIRS)),
        st.sampled_from([100, 2000, 8000]),
        st.sampled_from([None, None, None, *Answer]),
    ),
    min_size=1,
    max_size=14,
)


@st.composite
def typings(draw: st.DrawFn) -> str:
    """A typing of all loci of the pool, positions of up to two alleles, a list now and then."""
    parts = []
    for pool in POOL.values():

        def position(pool: tuple[str, ...] = pool) -> str:
            found = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=2, unique=True))
            return found[0] if "DRBX*NNNN" in found else "/".join(found)

        genotypes = [f"{position()}+{position()}" for _ in range(draw(st.integers(1, 2)))]
        parts.append("|".join(dict.fromkeys(genotypes)))
    return "^".join(parts)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(REPORTS, typings())
def test_a_crossmatch_is_that_of_every_choice(
    names: Names,
    epitopes: PublicEpitopes,
    proteins: dict[str, str],
    lines: list[tuple[tuple[str, str], int, Answer | None]],
    text: str,
) -> None:
    reported = [
        Bead(target, partner, mfi, result, row=row)
        for row, ((target, partner), mfi, result) in enumerate(lines, 1)
    ]
    profile = Profile(names, epitopes, reported, CutOffs())
    plain = Plain(names.nomenclature, proteins, reported, CutOffs())
    typing = parse_typing(text)
    for one in crossmatch(typing, profile).systems:
        low, high = plain.range(typing, one.system)
        assert one.high == high
        assert one.low <= low
        typed = [typing.loci[locus] for locus in one.system.loci]
        choices = [len(p.names) for t in typed if t for pair in t.alternatives for p in pair]
        if len(choices) == 2 * len(typed) and set(choices) == {1}:
            assert one.low == low


@st.composite
def registered(draw: st.DrawFn) -> str:
    """A typing of some loci of the pool."""
    kept = draw(st.lists(st.integers(0, 9), min_size=len(POOL), max_size=len(POOL)))
    parts = zip(draw(typings()).split("^"), kept, strict=True)
    return "^".join(part for part, n in parts if n > 2) or "A*02:01+A*02:03"


def _stored_apart(segment: Segment, is_apart: list[bool]) -> Segment:
    """The segment with every other row of some loci in `Large`."""
    codes, rows, large = segment.codes.copy(), [], []
    for column, apart in enumerate(is_apart):
        at = np.arange(0, len(codes) if apart else 0, 2)
        rows.append(at.astype(np.uint32))
        large.append(codes[at, column].astype(np.uint32))
        codes[at, column] = LARGE
    starts = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return replace(
        segment, codes=codes, large=Large(starts, np.concatenate(rows), np.concatenate(large))
    )


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(REPORTS, st.lists(registered(), min_size=1, max_size=12), st.data())
def test_a_registry_is_crossmatched_as_its_donors(
    names: Names,
    epitopes: PublicEpitopes,
    lines: list[tuple[tuple[str, str], int, Answer | None]],
    texts: list[str],
    data: st.DataObject,
) -> None:
    reported = [
        Bead(target, partner, mfi, result, row=row)
        for row, ((target, partner), mfi, result) in enumerate(lines, 1)
    ]
    profile = Profile(names, epitopes, reported, CutOffs())
    index = DonorIndex.of([parse_typing(text) for text in texts], names.nomenclature)
    found = registry_answers(index, profile)
    for i, text in enumerate(texts):
        exact = crossmatch(parse_typing(text), profile)
        assert found.low[i] <= exact.low and found.high[i] >= exact.high
    low, high = found.low, found.high
    expected = {
        answer.name.lower(): int(((low == answer) & (high == answer)).sum()) for answer in Answer
    }
    expected["open"] = int(((low < high) & (high == POSITIVE)).sum())
    expected["not_assessable"] += int(((low < high) & (high == UNKNOWN)).sum())
    assert found.count() == expected
    rows = data.draw(st.lists(st.integers(0, len(texts) - 1)))
    some = DonorAnswers(index, profile).of(np.array(rows, dtype=np.int64))
    assert some.bits.tolist() == found.bits[rows].tolist()
    # The same of entries that are stored apart, as the rare ones of a large registry are.
    (segment,) = index.segments
    apart = _stored_apart(segment, data.draw(st.lists(st.booleans(), min_size=9, max_size=9)))
    assert registry_answers(replace(index, segments=(apart,)), profile).bits.tolist() == (
        found.bits.tolist()
    )
    # The same where the typings say no more than P groups, as the index.
    groups = [_as_groups(text, names.nomenclature) for text in texts if "|" not in text]
    index = DonorIndex.of([parse_typing(text) for text in groups], names.nomenclature)
    found = registry_answers(index, profile)
    for i, text in enumerate(groups):
        exact = crossmatch(parse_typing(text), profile)
        assert (found.low[i], found.high[i]) == (exact.low, exact.high)


def test_a_gene_without_alleles_in_the_release(demo: Nomenclature) -> None:
    epitopes = PublicEpitopes(Domains(demo, {}))
    profile = Profile(Names(demo), epitopes, [Bead("DQB1*03:01", mfi=5000.0)], CutOffs())
    texts = ["DQB1*03:01+DQB1*02:01", "A*01:01+A*02:01"]
    found = registry_answers(DonorIndex.of([parse_typing(text) for text in texts], demo), profile)
    for i, text in enumerate(texts):
        exact = crossmatch(parse_typing(text), profile)
        assert exact.answer is Answer.NOT_ASSESSABLE
        assert found.low[i] <= exact.low and found.high[i] >= exact.high
    assert found.pra == (0.0, 0.5)


def _as_groups(text: str, nomenclature: Nomenclature) -> str:
    """A typing with the P group of each allele that has one."""

    def group(name: str) -> str:
        if name == "DRBX*NNNN":
            return name
        found = nomenclature.alleles[nomenclature.read(name).alleles[0]]
        return found.p_group or name

    def position(text: str) -> str:
        return "/".join(dict.fromkeys(map(group, text.split("/"))))

    return "^".join("+".join(map(position, part.split("+"))) for part in text.split("^"))


# A set with nulls of its own, with a group that holds a null, and with absent genes.
CARRIED: Mapping[Locus, tuple[str, ...]] = {
    Locus.A: ("A*02:01", "A*02:05", "A*24:02:01G", "A*24:09N", "A*32:01"),
    Locus.DRB345: ("DRB3*01:01", "DRB4*01:03", "DRB4*01:03:01:02N", "DRBX*NNNN"),
    Locus.DQB1: ("DQB1*02:01", "DQB1*03:01", "DQB1*06:02", "DQB1*03:66N"),
}
NULLS = {Locus.A: "A*24:09N", Locus.DRB345: "DRB4*01:03:01:02N", Locus.DQB1: "DQB1*03:66N"}
WRITTEN: Mapping[Locus, tuple[str, ...]] = {
    Locus.A: (*CARRIED[Locus.A], "A*02:XX", "A*24:02", "A*02:01/A*24:09N", "A9"),
    Locus.DRB345: (*CARRIED[Locus.DRB345], "DRB3*01:XX"),
    Locus.DQB1: (*CARRIED[Locus.DQB1], "DQB1*03:XX", "DQB1*02:01/DQB1*06:02"),
    Locus.DQA1: ("DQA1*01:02", "DQA1*05:01", "DQA1*05:XX", "DQA1*03:01/DQA1*01:02"),
    Locus.DPB1: ("DPB1*04:01", "DPB1*01:XX"),
}


@st.composite
def written(draw: st.DrawFn) -> str:
    """A typing in which loci may lack and anything may be ambiguous."""
    parts = []
    for locus, pool in WRITTEN.items():
        if draw(st.integers(0, 3)):
            pair = st.tuples(st.sampled_from(pool), st.sampled_from(pool)).map("+".join)
            genotypes = draw(st.lists(pair, min_size=1, max_size=2, unique=True))
            parts.append("|".join(g for g in genotypes if locus in CARRIED) or genotypes[0])
    return "^".join(parts) or "A*02:01+A*02:01"


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(REPORTS, written(), st.lists(st.integers(0, 4), min_size=80, max_size=80))
def test_classes_of_haplotypes_say_what_every_genotype_says(
    names: Names,
    epitopes: PublicEpitopes,
    lines: list[tuple[tuple[str, str], int, Answer | None]],
    text: str,
    weights: list[int],
) -> None:
    reported = [
        Bead(target, partner, mfi, result, row=row)
        for row, ((target, partner), mfi, result) in enumerate(lines, 1)
    ]
    profile = Profile(names, epitopes, reported, CutOffs())
    sizes = [len(of) for of in CARRIED.values()]
    rows = np.stack(np.unravel_index(np.arange(80), sizes), axis=1).astype(np.int32)
    values = np.array(weights) / max(sum(weights), 1)
    carried = FrequencySet("test", tuple(CARRIED), tuple(CARRIED.values()), rows, values)
    imputer = Imputer(carried, names.nomenclature, NullImputation.TYPED, Resolution.P_GROUP)
    typing = parse_typing(text)
    found = imputer.explain(typing)
    if not found.mass:
        return
    result = crossmatch(typing, profile)
    shares = ImputedAnswers(imputer, profile).probabilities(typing, result, found)
    assert shares == pytest.approx(imputed_shares(imputer, typing, profile, NULLS), abs=1e-12)


def test_probabilities_of_answers_need_nulls_as_typed(report: Report, names: Names) -> None:
    carried = FrequencySet(
        "test", (Locus.A,), (("A*02:01",),), np.zeros((1, 1), np.int32), np.ones(1)
    )
    partner = Imputer(carried, names.nomenclature, NullImputation.PARTNER, Resolution.P_GROUP)
    with pytest.raises(ValueError, match="nulls"):
        ImputedAnswers(partner, report("A2=100"))
