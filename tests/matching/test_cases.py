"""Acceptance cases of the field: one test a case of `GRAFTMATCH_CASES`.

The adapters call the ordinary API. A case of a category that has no adapter yet (complete
typing forms, grades) is skipped by id with that reason.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.nomenclature import ReferenceFolder
from matching.errors import TypingSyntaxError
from matching.genotypes import LocusGenotype, encode_locus
from matching.immunogenetics import TceCategory, b_leader, dpb1_expression, dpb1_tce
from matching.kernels import COUNT_BEST
from matching.loci import Locus
from matching.nomenclature import Nomenclature, tce_group
from matching.search import UNKNOWN_POSITION, compare_locus
from matching.serology import reported_antigens
from matching.typings import Form, parse_locus, parse_position
from tests.conftest import PROJECT
from tests.matching.test_kernels import book_of

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
    book = book_of([donor] if donor else [])
    entry = np.array([1 if donor else 0])
    return [int(value) for value in compare_locus(patient, book, entry)[0]]


def match_count(release: Nomenclature, case: Fields, expected: Fields) -> None:
    assert compared(release, case)[COUNT_BEST] == expected["match_count"]


def untyped(release: Nomenclature, case: Fields, expected: Fields) -> None:
    row = compared(release, case)
    assert row[COUNT_BEST] == expected["match_count"]
    # Grades come later; that nothing is known of the positions is said now.
    assert row[-2:] == [UNKNOWN_POSITION, UNKNOWN_POSITION]


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


def serology_valid(release: Nomenclature, case: Fields, expected: Fields) -> None:
    assert (case["antigen"] in release.serology) == expected["valid"]


FORM_NAMES = {
    "allele": Form.ALLELE,
    "P": Form.P_GROUP,
    "G": Form.G_GROUP,
    "XX": Form.XX,
    "mac": Form.CODE,
    "serology": Form.SEROLOGY,
    "string_of_names": Form.STRING,
    "string_of_subtypes": Form.STRING,
}


def typing_category(release: Nomenclature, case: Fields, expected: Fields) -> None:
    if expected["category"] == "invalid":
        with pytest.raises(TypingSyntaxError):
            parse_position("A", case["text"])
        return
    if expected["category"] not in FORM_NAMES:
        pytest.skip(f"the form {expected['category']} comes with the complete typing forms")
    assert parse_position("A", case["text"]).form is FORM_NAMES[expected["category"]]


def allele_status(release: Nomenclature, case: Fields, expected: Fields) -> None:
    row = release.alleles[release.by_name[case["allele"]]]
    assert (row.sequence, row.dna) == (expected["sequence"], expected["dna"])


ADAPTERS: dict[str, Callable[[Nomenclature, Fields, Fields], None]] = {
    "match_count": match_count,
    "untyped": untyped,
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
    "serology_valid": serology_valid,
    "typing_category": typing_category,
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


SEQUENCE_ADAPTERS = {"b_leader": b_leader_case, "dpb1_expression": dpb1_expression_case}


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


@pytest.mark.parametrize(
    "case",
    [case for case in load_cases() if case["category"] not in SEQUENCE_ADAPTERS],
    ids=lambda case: str(case["id"]),
)
def test_case(nomenclature: Nomenclature, case: Fields) -> None:
    adapter = ADAPTERS.get(case["category"])
    if adapter is None:
        pytest.skip(f"category {case['category']} comes with the complete typing forms")
    releases = [case["release"]] if isinstance(case["release"], str) else case["release"]
    if not {"3.58.0", "any"} & set(releases):
        pytest.skip(f"holds for release {case['release']}")
    codes = case["input"].get("mac")
    if isinstance(codes, dict):
        members = {code: tuple(text.split("/")) for code, text in codes.items()}
        nomenclature = replace(nomenclature, codes=members)
    adapter(nomenclature, case["input"], case["expected"])
