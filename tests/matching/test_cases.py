"""Acceptance cases of the field: one test a case of `GRAFTMATCH_CASES`.

The adapters call the ordinary API. A case runs once for each of the releases 3.44.0 and 3.58.0 that
it holds for; it is skipped where it needs another one, or codes that the table at hand lacks.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.nomenclature import ReferenceFolder
from matching.errors import TypingError, TypingSyntaxError, UnknownNameError
from matching.genotypes import Book, LocusGenotype, encode_locus
from matching.grade import (
    Confidence,
    Grade,
    GradedLocus,
    GradeOptions,
    antigen_match,
    confidence_positions,
    grade_locus,
    grade_positions,
    locus_category,
    read_position,
)
from matching.immunogenetics import (
    ExpressionOutcome,
    Expressions,
    Leaders,
    TceCategory,
    b_leader,
    dpb1_expression,
    dpb1_tce,
)
from matching.kernels import COUNT_BEST
from matching.loci import Locus
from matching.names import codes_by_members, encode
from matching.nomenclature import Nomenclature, tce_group
from matching.reduction import Level, reduce_gl, xx_of_antigen
from matching.search import compare_locus
from matching.serology import PREFIX_OF_GENE, reported_antigens
from matching.typings import Form, LocusTyping, locus_of, parse_locus, parse_position
from tests.conftest import PROJECT

Fields = dict[str, Any]


def load_cases() -> list[Fields]:
    shared = Path(os.environ.get("GRAFTMATCH_SHARED", PROJECT.parent / "shared"))
    path = Path(os.environ.get("GRAFTMATCH_CASES", shared / "cases/cases.json"))
    if not path.is_file():
        return []
    return list(json.loads(path.read_text(encoding="utf-8"))["cases"])


def genotype(release: Nomenclature, locus: Locus, names: list[str] | None) -> LocusGenotype | None:
    if names is None:
        return None
    typing = parse_locus(locus, "+".join(names))
    assert typing is not None
    return encode_locus(locus, typing, release)[0]


def compared(release: Nomenclature, case: Fields) -> list[int]:
    locus = Locus(case["locus"])
    patient = genotype(release, locus, case["patient"])
    donor = genotype(release, locus, case["donor"])
    book = Book.of([donor] if donor else [])
    entry = np.array([1 if donor else 0])
    return [int(value) for value in compare_locus(patient, book, entry)[0]]


def match_count(release: Nomenclature, case: Fields, expected: Fields) -> None:
    assert compared(release, case)[COUNT_BEST] == expected["match_count"]


TCE_ANSWERS = {
    TceCategory.PERMISSIVE: ("PermissiveMismatch", "NotApplicable"),
    TceCategory.GVH_NON_PERMISSIVE: ("Mismatch", "NonPermissiveGvH"),
    TceCategory.HVG_NON_PERMISSIVE: ("Mismatch", "NonPermissiveHvG"),
    TceCategory.UNKNOWN: ("Unknown", None),
}


def tce_pair(release: Nomenclature, case: Fields, expected: Fields) -> None:
    patient = genotype(release, Locus.DPB1, case["patient"])
    donor = genotype(release, Locus.DPB1, case["donor"])
    assert patient is not None and donor is not None
    answer = TCE_ANSWERS[dpb1_tce(patient, donor)]
    assert answer == (expected["category"], expected["direction"])


def tce_of_typing(release: Nomenclature, case: Fields, expected: Fields) -> None:
    # Beside a partner without a group, what is left is the group of the typing itself.
    read = genotype(release, Locus.DPB1, [case["typing"], case["typing"]])
    assert read is not None
    assert read.tce[0] == int(expected["group"] or 0)


def tce_of_file(release: Nomenclature, case: Fields, expected: Fields) -> None:
    for i in release.read(case["allele"]).alleles:
        row = release.alleles[i]
        assert (row.tce_v1, row.tce_v2) == (expected["raw_v1"], expected["raw_v2"])
        assert tce_group(row.tce_v1) == int(expected["v1"] or 0)
        assert tce_group(row.tce_v2) == int(expected["v2"] or 0)


def allele_groups(release: Nomenclature, case: Fields, expected: Fields) -> None:
    row = release.alleles[release.by_name[case["allele"]]]
    assert (row.g_group, row.p_group) == (expected["g_group"], expected["p_group"])


def group_members(release: Nomenclature, case: Fields, expected: Fields) -> None:
    members = [release.alleles[i].name for i in release.read(case["group"]).alleles]
    assert members == expected["members"] and len(members) == expected["count"]


def deleted_allele(release: Nomenclature, case: Fields, expected: Fields) -> None:
    reading = release.read(case["allele"])
    assert f"identical to {expected['identical_to']}" in reading.note
    rows = [release.alleles[i] for i in reading.alleles]
    assert {row.p_group or row.name for row in rows} == set(expected["read_as"])


def serology_closure(release: Nomenclature, case: Fields, expected: Fields) -> None:
    matching = release.serology.matching(case["antigen"])
    assert {name: subtype.value for name, subtype in matching.items()} == expected["matching"]
    assert release.serology.subtype(case["antigen"]).value == expected["subtype"]


def allele_serology(release: Nomenclature, case: Fields, expected: Fields) -> None:
    serology = release.alleles[release.by_name[case["allele"]]].serology
    columns = [expected[name] for name in ("unambiguous", "possible", "assumed", "expert")]
    assert serology.split(";")[:4] == columns
    assert sorted(reported_antigens(serology)) == sorted(expected["union"])


def deleted_serology(release: Nomenclature, case: Fields, expected: Fields) -> None:
    reading, target = release.read(case["antigen"]), release.read(expected["identical_to"])
    assert reading.alleles == target.alleles and expected["identical_to"] in reading.note


FORM_NAMES = {
    "allele": Form.ALLELE,
    "P": Form.P_GROUP,
    "G": Form.G_GROUP,
    "XX": Form.XX,
    "mac": Form.CODE,
    "serology": Form.SEROLOGY,
    "g": Form.SMALL_G,
    "new": Form.NEW,
    "string_of_names": Form.STRING,
    "string_of_subtypes": Form.STRING,
}


def typing_category(release: Nomenclature, case: Fields, expected: Fields) -> None:
    if expected["category"] == "invalid":
        with pytest.raises(TypingSyntaxError):
            parse_position("A", case["text"])
        return
    assert parse_position("A", case["text"]).form is FORM_NAMES[expected["category"]]


def allele_status(release: Nomenclature, case: Fields, expected: Fields) -> None:
    row = release.alleles[release.by_name[case["allele"]]]
    assert (row.sequence, row.dna) == (expected["sequence"], expected["dna"])


SEROLOGY_GRADES = {Grade.ASSOCIATED, Grade.SPLIT, Grade.BROAD}
MOLECULAR_GRADES = {Grade.GDNA, Grade.CDNA, Grade.PROTEIN, Grade.G_GROUP, Grade.P_GROUP}
GRADE_KINDS = {
    "serology": {grade.value for grade in SEROLOGY_GRADES},
    "molecular-match": {grade.value for grade in MOLECULAR_GRADES},
}
CONFIDENCE_KINDS = {"not-Mismatch": {c.value for c in Confidence} - {Confidence.MISMATCH.value}}


def graded(release: Nomenclature, case: Fields) -> GradedLocus:
    locus = Locus(case["locus"])
    patient, donor = (
        None if case[side] is None else parse_locus(locus, "+".join(case[side]))
        for side in ("patient", "donor")
    )
    return grade_locus(locus, patient, donor, release)


def graded_case(release: Nomenclature, case: Fields, expected: Fields) -> None:
    found = graded(release, case)
    checked = 0
    for values, key, kinds in (
        ([grade.value for grade in found.grades], "grades", GRADE_KINDS),
        ([value.value for value in found.confidences], "confidences", CONFIDENCE_KINDS),
    ):
        for i, value in enumerate(values):
            wanted = expected.get(key, [None, None])[i]
            if wanted is not None:
                assert value in kinds.get(wanted, {wanted})
                checked += 1
            one_of = expected.get(f"{key}_position{i + 1}_one_of")
            if one_of is not None:
                assert value in one_of
                checked += 1
            wanted = expected.get(f"{key}_position{i + 1}")
            if wanted is not None:
                assert value in kinds.get(wanted, {wanted})
                checked += 1
    if "antigen_match" in expected:
        assert list(found.antigen_match) == expected["antigen_match"]
        checked += 1
    if "category" in expected:
        assert locus_category(found).value == expected["category"]
        checked += 1
    if "match_count" in expected:
        match_count(release, case, expected)
        checked += 1
    assert checked


def graded_pair(release: Nomenclature, case: Fields, expected: Fields) -> None:
    locus = Locus(case["locus"]) if "locus" in case else locus_of(case["patient"])
    assert locus is not None
    patient, donor = (
        read_position(parse_position(locus.value, case[side]), release)
        for side in ("patient", "donor")
    )
    if "grade" in expected:
        assert grade_positions(patient, donor).value == expected["grade"]
    if "confidence" in expected:
        assert confidence_positions(patient, donor).value == expected["confidence"]
    for key in ("antigen_match", "antigen_match_patient_to_donor"):
        if key in expected:
            assert antigen_match(patient, donor, GradeOptions()) == expected[key]


_CODE = re.compile(r"\*[0-9]{2,5}:?(?!XX)([A-Z]{2,8})(?![A-Z0-9])")


def needs_codes(release: Nomenclature, text: str) -> None:
    """Skips a case whose codes the table at hand does not hold."""
    words = {"UUUU", "NNNN", "NEW"}
    for code in _CODE.findall(text):
        if code not in words and code not in release.codes:
            pytest.skip(f"code {code} is not in the table of codes")


def redux(release: Nomenclature, case: Fields, expected: Fields) -> None:
    needs_codes(release, case["typing"])
    release = replace(release, strict=case["mode"] == "strict")
    assert reduce_gl(case["typing"], Level(case["level"]), release) == expected["result"]


def antigen_of(name: str) -> str:
    """The antigen that a first field is named after: HLA-B*05 is B5."""
    gene, star, number = name.removeprefix("HLA-").partition("*")
    return f"{PREFIX_OF_GENE[gene]}{int(number)}" if star else gene


def spelled_like(name: str, antigen: str) -> str:
    """An antigen in the spelling of `name`."""
    written, star, _ = name.partition("*")
    prefix = antigen.rstrip("0123456789")
    return f"{written}*{antigen.removeprefix(prefix):0>2}" if star else antigen


def broad_splits(release: Nomenclature, case: Fields, expected: Fields) -> None:
    serology = release.serology
    (asked, name), *_ = case.items()
    antigen = antigen_of(name)
    answers = {
        "Splits": serology.splits(antigen),
        "Siblings": serology.siblings(antigen),
        "Broad": (serology.broad(antigen) or antigen,),
        "Associated Serology": (serology.parent(antigen) or antigen,),
    }
    for what, text in expected.items():
        assert "/".join(spelled_like(name, found) for found in answers[what]) == text, asked


def serology_valid(release: Nomenclature, case: Fields, expected: Fields) -> None:
    assert (case["antigen"] in release.serology) == expected["valid"]


def serology_to_xx(release: Nomenclature, case: Fields, expected: Fields) -> None:
    assert xx_of_antigen(case["antigen"], release) == expected["xx"]


def is_valid(release: Nomenclature, name: str) -> bool:
    try:
        release.read(name.removeprefix("HLA-"))
    except TypingError:
        return False
    return True


def allele_valid(release: Nomenclature, case: Fields, expected: Fields) -> None:
    release = replace(release, strict=case["mode"] == "strict")
    assert is_valid(release, case["allele"]) == expected["valid"]


def mac_valid(release: Nomenclature, case: Fields, expected: Fields) -> None:
    needs_codes(release, case["mac"])
    assert is_valid(release, case["mac"]) == expected["valid"]


def mac(release: Nomenclature, case: Fields, expected: Fields) -> None:
    needs_codes(release, case["mac"])
    name = case["mac"].removeprefix("HLA-")
    prefix = "HLA-" if name != case["mac"] else ""
    if expected["direction"] == "encode":
        names = [part.removeprefix("HLA-") for part in expected["alleles"].split("/")]
        assert encode(names, codes_by_members(release.codes)) == name
        return
    if expected["alleles"] is None:
        with pytest.raises(UnknownNameError):
            release.decode(name)
        return
    # The members that are current, as written.
    readings, _ = release.decode(name)
    members = [member for member, reading in readings.items() if not reading.note]
    assert "/".join(prefix + member for member in members) == expected["alleles"]


ADAPTERS: dict[str, Callable[[Nomenclature, Fields, Fields], None]] = {
    "match_count": match_count,
    "dpb1_tce": tce_pair,
    "dpb1_tce_null": tce_pair,
    "tce_group": tce_of_typing,
    "tce_file": tce_of_file,
    "allele_groups": allele_groups,
    "p_group_members": group_members,
    "g_group_members": group_members,
    "deleted_allele": deleted_allele,
    "allele_status": allele_status,
    "serology_closure": serology_closure,
    "allele_serology": allele_serology,
    "deleted_serology": deleted_serology,
    "typing_category": typing_category,
    "grade": graded_case,
    "confidence": graded_case,
    "antigen_match": graded_case,
    "locus_category": graded_case,
    "untyped": graded_case,
    "grade_pair": graded_pair,
    "serology_pair": graded_pair,
    "dna_serology_pair": graded_pair,
    "redux": redux,
    "broad_splits": broad_splits,
    "serology_valid": serology_valid,
    "serology_to_xx": serology_to_xx,
    "allele_valid": allele_valid,
    "mac": mac,
    "mac_valid": mac_valid,
}


def leader_of(release: Nomenclature, proteins: Mapping[str, str], name: str) -> str | None:
    return b_leader(release, proteins, name).residue


def b_leader_case(release: Nomenclature, proteins: Mapping[str, str], case: Fields) -> None:
    expected = case["expected"]
    assert leader_of(release, proteins, case["input"]["allele"]) == expected["leader"]
    assert proteins[case["input"]["allele"]][:24] == expected["leader_peptide"]


def dpb1_expression_case(release: Nomenclature, proteins: Mapping[str, str], case: Fields) -> None:
    found = dpb1_expression(release, proteins, case["input"]["allele"])
    assert found.value == case["expected"]["expression"]


def typed(locus: Locus, names: list[str]) -> LocusTyping:
    typing = parse_locus(locus, "+".join(names))
    assert typing is not None
    return typing


def b_leader_match_case(release: Nomenclature, proteins: Mapping[str, str], case: Fields) -> None:
    patient, donor = (typed(Locus.B, case["input"][person]) for person in ("patient", "donor"))
    found = Leaders(release, proteins).match(patient, donor)
    assert {
        "patient_genotype": found.patient_genotype,
        "mismatched_patient": found.patient_mismatched,
        "mismatched_donor": found.donor_mismatched,
        "shared": found.shared,
        "leader_matched": found.leader_matched,
    } == case["expected"]


EXPRESSION_OUTCOMES = {
    ExpressionOutcome.FAVOURABLE: "favorable",
    ExpressionOutcome.UNFAVOURABLE: "unfavorable",
    ExpressionOutcome.UNKNOWN: "unknown",
}
TCE_NAMES = {
    "match": "Allele",
    "permissive": "Permissive",
    "unknown": "Unknown",
    "non-permissive GvH": "NonPermissiveGvH",
    "non-permissive HvG": "NonPermissiveHvG",
}


def dpb1_expression_match_case(
    release: Nomenclature, proteins: Mapping[str, str], case: Fields
) -> None:
    pair = [typed(Locus.DPB1, case["input"][person]) for person in ("patient", "donor")]
    found = Expressions(release, proteins).match(*pair)
    assert found is not None
    assert EXPRESSION_OUTCOMES[found.outcome] == case["expected"]["expression"]
    patient, donor = (encode_locus(Locus.DPB1, typing, release)[0] for typing in pair)
    assert TCE_NAMES[dpb1_tce(patient, donor).value] == case["expected"]["tce"]


SEQUENCE_ADAPTERS = {
    "b_leader": b_leader_case,
    "dpb1_expression": dpb1_expression_case,
    "b_leader_match": b_leader_match_case,
    "dpb1_expression_match": dpb1_expression_match_case,
}


def releases_of(case: Fields) -> list[str]:
    """Those of 3.44.0 and 3.58.0 for which a case holds."""
    written = case["release"]
    named = written if isinstance(written, list) else [written]
    found = [release for release in named if release in ("3.44.0", "3.58.0")]
    if any(text.startswith("3.44.0..") for text in named):
        return ["3.44.0", "3.58.0"]
    if "expected_3_58_0" in case and "3.58.0" not in found:
        found.append("3.58.0")
    if found:
        return found
    return ["3.58.0"] if any(re.match("any|needs NMDP", text) for text in named) else []


def expected_of(case: Fields, release: str) -> Fields:
    """What a case expects at a release."""
    if release == "3.58.0" and "expected_3_58_0" in case:
        return dict(case["expected_3_58_0"])
    return dict(case["expected"])


def codes_of(case: Fields, codes: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    """The table of codes with those that the case's release field spells out (AB=01/02)."""
    text = case["release"] if isinstance(case["release"], str) else ""
    stated = {c: tuple(m.split("/")) for c, m in re.findall(r"\b([A-Z]{2,8})=([0-9A-Z:/]+)", text)}
    return {**stated, **codes}


@pytest.mark.parametrize(
    "case",
    [case for case in load_cases() if case["category"] in SEQUENCE_ADAPTERS],
    ids=lambda case: str(case["id"]),
)
def test_case_of_sequences(
    reference: ReferenceFolder, nomenclature: Nomenclature, case: Fields
) -> None:
    proteins = reference.proteins("3.58.0")
    if not proteins:
        pytest.skip("no protein sequences are installed")
    SEQUENCE_ADAPTERS[case["category"]](nomenclature, proteins, case)


def runs() -> list[Any]:
    """Every case of no sequence, once for each release it holds for."""
    found = []
    for case in load_cases():
        if case["category"] not in SEQUENCE_ADAPTERS:
            releases = releases_of(case)
            ids = [f"{case['id']}-{release}" for release in releases] or [str(case["id"])]
            for release, name in zip(releases or [""], ids, strict=True):
                found.append(pytest.param(case, release, id=name))
    return found


@pytest.mark.parametrize(("case", "release"), runs())
def test_case(
    nomenclatures: Mapping[str, Nomenclature],
    codes: Mapping[str, tuple[str, ...]],
    case: Fields,
    release: str,
) -> None:
    if release not in nomenclatures:
        pytest.skip(f"holds for release {case['release']}")
    given = case["input"].get("mac")
    if isinstance(given, dict):
        table = {code: tuple(text.split("/")) for code, text in given.items()}
    else:
        table = dict(codes_of(case, codes))
    nomenclature = replace(nomenclatures[release], codes=table)
    adapter = ADAPTERS.get(case["category"])
    assert adapter is not None, f"no adapter for category {case['category']}"
    adapter(nomenclature, case["input"], expected_of(case, release))
