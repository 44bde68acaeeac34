"""One list of relatives, adults and cord units: the order of each, and the risk that compares."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.literature import LITERATURE_FIGURES, literature_model
from matching.family import Relative, RelativeClass
from matching.risk import predict
from service.relatives import donor_type
from tests.service.conftest import Run
from tests.service.test_cord import SEARCH, WEIGHT, found

FAMILY = Path(__file__).parents[2] / "examples/family.csv"
# The patient P of the example.
HLA = "A*01:01+A*03:01^B*08:01+B*07:02^C*07:01+C*07:02^DRB1*03:01+DRB1*15:01^DQB1*02:01+DQB1*06:02"
# A sibling with both of P's haplotypes, and one whose class depends on what the parents have.
MORE = (
    "S4,F,M,F,1998-03-01,A*01:01+A*03:01^B*08:01+B*07:02^C*07:01+C*07:02^DRB1*03:01+DRB1*15:01"
    "^DQB1*02:01+DQB1*06:02\nS5,F,M,F,1999-03-01,\n"
)
FAMILY_LOCI = ("A", "B", "C", "DRB1", "DQB1")
OUTCOMES = ("agvhd_2_4", "agvhd_3_4", "cgvhd")
PATIENT = ("--patient", HLA, "--patient-id", "P", "--patient-facts", "weight_kg=70,sex=male")


@pytest.fixture
def family(tmp_path: Path) -> Path:
    path = tmp_path / "family.csv"
    path.write_text(FAMILY.read_text(encoding="utf-8") + MORE, encoding="utf-8")
    return path


def listed(run: Run, out: Path, *options: object) -> pd.DataFrame:
    code, _, error = run(
        "match", *PATIENT, "--release", "demo", "--as-of", "2026-01-01", *options, "--out", out
    )
    assert code == 0, error
    return pd.read_csv(out, keep_default_na=False, na_values=[""])


def told(outcome: str, kind: str) -> bool:
    """Whether the published figures hold an effect of a type of donor, or it is the reference."""
    document = json.loads(LITERATURE_FIGURES.read_text(encoding="utf-8"))
    return kind == "unrelated" or any(
        effect["outcome"] == outcome
        and effect["factor"] in ("donor_type", "graft_source")
        and {"cord": {"cord", "CB"}}.get(kind, {kind}) & set(effect["levels"])
        for effect in document["effects"]
    )


def test_adults_and_units_are_those_of_their_own_searches(
    run: Run,
    units: pd.DataFrame,
    tmp_path: Path,
) -> None:
    adults = found(run, tmp_path / "adults.csv", "--donor-type", "adult")
    cords = found(run, tmp_path / "cords.csv", "--cord-rule", "8", *WEIGHT)
    table = found(run, tmp_path / "list.csv", "--strata", "cord,adult", "--cord-rule", "8", *WEIGHT)
    assert table["stratum"].drop_duplicates().tolist() == ["cord", "adult"]
    assert table["donor"].tolist() == [*cords["donor"], *adults["donor"]]
    assert table["rank"].tolist() == [*cords["rank"], *adults["rank"]]
    alone = pd.concat([cords, adults], ignore_index=True)
    for outcome in OUTCOMES:
        column = f"risk_{outcome}"
        tells = table["type"].map(lambda kind, o=outcome: kind == "adult" or told(o, kind))
        np.testing.assert_allclose(table[column], alone[column].where(tells))
        # Over both strata one donor is the best.
        np.testing.assert_allclose(
            table[f"{column}_difference"], table[column] - table[column].min(), atol=1e-12
        )
        says = table["risk_not_told"].fillna("").str.contains(outcome)
        assert (says == ~tells).all()
    best = table.groupby("stratum")["risk_cgvhd"].first().to_dict()
    assert best["cord"] < best["adult"]
    code, printed, _ = run(*SEARCH, "--strata", "adult,cord", *WEIGHT, "--limit", 2)
    assert code == 0 and "stratum 1 of 2: adult unrelated donors" in printed
    assert "stratum 2 of 2: cord blood units" in printed and "aGVHD II-IV" in printed
    assert "below another for: more mismatches by the rule of the search; then fewer" in printed
    assert "agvhd_3_4: literature-3" in " ".join(printed.split())
    assert "tells agvhd_2_4 of 2 of 2 strata" in " ".join(printed.split())
    out = tmp_path / "list.json"
    assert run(*SEARCH, "--strata", "adult,cord", *WEIGHT, "--out", out)[0] == 0
    document = json.loads(out.read_text())
    assert document["compared_risk"] == "agvhd_2_4" and "asked for" in document["strata_order"]
    strata = document["strata"]
    assert [one["stratum"] for one in strata] == ["adult", "cord"]
    assert strata[1]["antigen_loci"] == ["A", "B"] and strata[1]["donors"]["types"] == ["cord"]
    assert strata[0]["patients"][0]["donors"] and strata[1]["patients"][0]["donors"]


def test_relatives_are_a_stratum(
    run: Run,
    units: pd.DataFrame,
    family: Path,
    tmp_path: Path,
) -> None:
    alone = tmp_path / "alone.csv"
    arguments = ("family", family, "--patient", "P", "--release", "demo", "--as-of", "2026-01-01")
    assert run(*arguments, "--out", alone)[0] == 0
    relatives = pd.read_csv(alone, keep_default_na=False, na_values=[""])
    table = listed(
        *(run, tmp_path / "list.csv", "--strata", "cord,related,adult", "--family", family)
    )
    assert table["stratum"].drop_duplicates().tolist() == ["cord", "related", "adult"]
    own = table[table["stratum"] == "related"].reset_index(drop=True)
    assert own["donor"].tolist() == relatives["relative"].tolist()
    for column in ("rank", "class", "shares_a", "shares_c", "p_haploidentical", "typing_refined"):
        pd.testing.assert_series_equal(own[column], relatives[column], check_dtype=False)
    with FAMILY.open(encoding="utf-8", newline="") as file:
        rows = {row["id"]: row["gl"] for row in csv.DictReader(file)}
    # Mismatches of relatives with one allele at each position, as multisets of names.
    for name in ("S1", "S2", "F", "M"):
        (row,) = own[own["donor"] == name].to_dict(orient="records")
        typed = {part.partition("*")[0]: part for part in rows[name].split("^")}
        patient = {part.partition("*")[0]: part for part in HLA.split("^")}
        expected = 0
        for locus in FAMILY_LOCI:
            lacks = Counter(patient[locus].split("+")) - Counter(typed[locus].split("+"))
            expected += sum(lacks.values())
            assert 2 - row[f"{locus.lower()}_count_best"] == sum(lacks.values())
        assert row["mismatches_best"] == row["mismatches_worst"] == expected
    # Risks are those of the model for one donor alone, where it tells the type.
    model = literature_model()
    for row in own.to_dict(orient="records"):
        kind = "sibling" if row["donor"] == "S4" else "haploidentical"
        for outcome in model.outcomes:
            is_told = row["donor"] == "S4" and told(outcome.name, kind)
            assert np.isfinite(row[f"risk_{outcome.name}"]) == is_told
            assert (outcome.name in str(row["risk_not_told"])) == (not is_told)
            if is_told:
                columns = {
                    "donor_type": np.array([kind]),
                    "donor_age_years": np.array([row["age_years"]]),
                    "hla_match": np.array(["10/10"]),
                    "sex_match": np.array(["F-M"]),
                }
                expected_risk = predict(outcome, columns, 1).probability[0]
                assert row[f"risk_{outcome.name}"] == pytest.approx(expected_risk)
    assert "class is not certain" in own.set_index("donor")["risk_not_told"]["S5"]
    told_of_all = table["risk_agvhd_2_4"]
    np.testing.assert_allclose(
        table["risk_agvhd_2_4_difference"], told_of_all - told_of_all.min(), atol=1e-12
    )
    assert table.groupby("stratum")["risk_agvhd_2_4"].count().min() > 0


def test_parts_of_the_relatives_and_their_order(
    run: Run,
    units: pd.DataFrame,
    family: Path,
    tmp_path: Path,
) -> None:
    parts = ("--strata", "related-identical,adult,related-mismatched", "--family", family)
    table = listed(run, tmp_path / "list.csv", *parts)
    by = {name: part["donor"].tolist() for name, part in table.groupby("stratum", sort=False)}
    assert list(by) == ["related-identical", "adult", "related-mismatched"]
    assert by["related-identical"] == ["S4"]
    whole = listed(run, tmp_path / "whole.csv", "--strata", "related", "--family", family)
    assert whole["donor"].tolist() == [*by["related-identical"], *by["related-mismatched"]]
    rank = ("--rank", "adult=age;related-mismatched=age")
    aged = listed(run, tmp_path / "aged.csv", *parts, *rank)
    ages = {name: part["age_years"] for name, part in aged.groupby("stratum")}
    assert ages["adult"].is_monotonic_increasing and ages["adult"].nunique() > 1
    decades = (ages["related-mismatched"] // 10).fillna(99)
    assert decades.is_monotonic_increasing and decades.nunique() > 3
    out = tmp_path / "list.json"
    assert (
        run("match", *PATIENT, "--release", "demo", *parts, "--rank", rank[1], "--out", out)[0] == 0
    )
    strata = json.loads(out.read_text())["strata"]
    assert strata[2]["below_another_for"] == ["older by a step of age, or age unknown"]
    assert list(strata[2]["sources"]) == ["age"]
    pedigree = strata[0]["patients"][0]["family"]
    assert pedigree["patient"] == "P" and pedigree["recombinations"]
    code, printed, _ = run(*("match", *PATIENT, "--release", "demo", *parts, "--limit", 3))
    assert code == 0 and "RECOMBINATION" in printed and "not told" in printed
    assert "tells agvhd_3_4 of 2 of 3 strata" in " ".join(printed.split())
    assert "no effect of donor type haploidentical" in " ".join(printed.split())


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (("--strata", "adult,cord,adult"), 2, "each once"),
        (("--strata", "related,adult"), 2, "need --family FILE"),
        (("--strata", "adult", "--family", FAMILY), 2, "needs relatives in --strata"),
        (("--family", FAMILY), 2, "give --strata"),
        (("--strata", "related,related-identical", "--family", FAMILY), 2, "holds all relatives"),
        (("--strata", "related", "--family", FAMILY), 1, "not in the file of families"),
        (("--strata", "related", "--family", FAMILY, "--patient-id", "S1"), 1, "contradicts"),
        (
            (
                *("--strata", "related", "--family", FAMILY, "--patient-id", "P"),
                *("--patient-facts", "sex=female"),
            ),
            1,
            "is male in the family and female in the search",
        ),
        (("--strata", "adult", "--rank", "cord=tnc"), 2, "which is none of the strata"),
        (("--strata", "adult,cord", "--rank", "cord=fame"), 2, "no key is called 'fame'"),
        (("--strata", "adult", "--rank", "adult=age;adult=tnc"), 2, "each once"),
    ],
)
def test_strata_that_cannot_be_asked_for(
    run: Run, registry: Path, options: tuple[object, ...], code: int, reason: str
) -> None:
    ended, _, error = run("match", "--patient", HLA, "--release", "demo", *options)
    assert ended == code and reason in " ".join(error.replace("│", " ").split()), error


def test_several_patients_have_families_in_one_file(
    run: Run,
    units: pd.DataFrame,
    family: Path,
    tmp_path: Path,
) -> None:
    patients = tmp_path / "patients.csv"
    patients.write_text(f"id,gl\nP,{HLA}\nX,{HLA}\n", encoding="utf-8")
    with family.open("a", encoding="utf-8") as file:
        file.write("Z,,,F,,A*01:01+A*03:01\n")
    out = tmp_path / "list.csv"
    code, _, error = run(
        *("match", "--patients", patients, "--release", "demo", "--strata", "related,adult"),
        *("--family", family, "--out", out),
    )
    assert code == 0 and "patient X: no relatives: not in the file of families" in error
    assert "Z is related to no patient and left out" in error
    table = pd.read_csv(out, keep_default_na=False, na_values=[""])
    counts = Counter(zip(table["stratum"], table["patient"], strict=True))
    assert counts["related", "X"] == 0 and counts["related", "P"] == 12
    assert counts["adult", "P"] == counts["adult", "X"] > 0


def _relative(classes: dict[RelativeClass, float], relationship: str) -> Relative:
    everything = dict.fromkeys(RelativeClass, 0.0) | classes
    return Relative("R", relationship, everything, 1.0, 1.0, {0: 1.0}, None, ())


def test_the_type_of_a_donor_is_certain_or_none() -> None:
    kinds = RelativeClass
    both = {kinds.IDENTICAL: 0.5, kinds.IDENTICAL_BY_TYPE: 0.5}
    assert donor_type(_relative(both, "sibling")) == ("sibling", "")
    assert donor_type(_relative(both, "mother")) == ("other related", "")
    assert donor_type(_relative({kinds.HAPLOIDENTICAL: 1.0}, "child")) == ("haploidentical", "")
    open_class = {kinds.IDENTICAL: 0.98, kinds.HAPLOIDENTICAL: 0.02}
    kind, why = donor_type(_relative(open_class, "sibling"))
    assert kind == "" and "HLA-identical 98.0 %, haploidentical 2.0 %" in why
