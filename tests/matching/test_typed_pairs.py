"""Factors of a pair from its typings, under 3.58.0."""

from __future__ import annotations

import numpy as np
import pytest

from data.cohort import Reference, parse_cohort, parse_factors
from matching.errors import CohortError
from matching.nomenclature import Nomenclature
from matching.typed_pairs import typed_factors
from matching.typings import parse_typing

PATIENT = (
    "A*01:01+A*02:01^B*08:01+B*44:02^C*07:01+C*05:01^DRB1*03:01+DRB1*04:01"
    "^DQB1*02:01+DQB1*03:01^DPB1*04:01+DPB1*03:01"
)
OTHER_B = PATIENT.replace("B*44:02", "B*07:02")
OTHER_DPB1 = PATIENT.replace("DPB1*03:01", "DPB1*02:01")


def test_mismatches_leaders_and_residues(
    nomenclature: Nomenclature, proteins: dict[str, str]
) -> None:
    typings = [parse_typing(text) for text in (PATIENT, PATIENT, OTHER_B, OTHER_DPB1)]
    patient = typings[0]
    found = typed_factors(
        [*((patient, donor) for donor in typings[1:]), None], nomenclature, proteins
    )
    assert found["hla_match"].tolist() == ["10/10", "9/10 class I", "10/10", ""]
    assert found["mismatches_b"][:3].tolist() == [0, 1, 0]
    assert found["mismatches_dpb1"][:3].tolist() == [0, 0, 1]
    assert all(np.isnan(values[3]) for name, values in found.items() if "mismatche" in name)
    # B*44:02 has the leader T and B*07:02 M; B*08:01, which both have, M.
    assert found["b_leader"].tolist() == ["match", "mismatched M", "match", ""]
    # DPB1*03:01 of the patient is linked to G: highly expressed.
    assert found["dpb1_expression"].tolist() == ["match", "match", "unfavourable", ""]
    assert found["dpb1_tce"][:2].tolist() == ["match", "match"] and found["dpb1_tce"][2]
    assert found["residues_mismatched"][0] == 0
    # Counted in the sequences: the domains of two class I alleles of one locus.
    first, second = (
        next(p for n, p in proteins.items() if n.startswith(a)) for a in ("B*44:02", "B*07:02")
    )
    by_hand = sum(a != b for a, b in zip(first[25:206], second[25:206], strict=True))
    assert found["residues_mismatched"][1] == by_hand > 5


def test_a_file_with_typings_gets_their_factors(
    nomenclature: Nomenclature, proteins: dict[str, str]
) -> None:
    table = {
        "patient_typing": [PATIENT, PATIENT, ""],
        "donor_typing": [PATIENT, OTHER_B, OTHER_B],
        "hla_match": ["", "other", "10/10"],
    }
    outcome = {"survival_status": ["1", "0", "0"], "survival_days": ["10", "400", "400"]}
    reference = Reference(nomenclature, proteins)
    cohort = parse_cohort({**table, **outcome}, None, "file.csv", reference=reference)
    # What the file says goes first.
    assert cohort.columns["hla_match"].tolist() == ["10/10", "other", "10/10"]
    assert cohort.columns["mismatches_b"][:2].tolist() == [0, 1]
    columns = parse_factors(table, None, "file.csv", reference)
    assert columns["hla_match"].tolist() == cohort.columns["hla_match"].tolist()
    with pytest.raises(CohortError, match="hold typings; name a --release"):
        parse_factors(table, None, "file.csv")
    with pytest.raises(CohortError, match=r"record 1, column donor_typing: locus B"):
        parse_factors({**table, "donor_typing": ["B*08:01", "", ""]}, None, "f", reference)
    with pytest.raises(CohortError, match="are read together"):
        parse_factors({"patient_typing": [PATIENT]}, None, "f", reference)
