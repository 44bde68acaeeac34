"""Cohort files: mapping, units, and every problem of a file at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.cohort import parse_cohort, parse_mapping, read_cohort, read_mapping
from data.synthetic_cohort import INTERCEPTS, LEVELS, synthetic_cohort, write_synthetic_cohort
from matching.errors import CohortError, GraftmatchError, InputFileError
from matching.fit import ipcw_weights
from matching.risk import OUTCOMES

MAPPING = """
# A comment.
{
  "name": "example", "missing": ["", "NA"], "ignore": ["race"],
  "columns": {
    "centre": {"from": "hospital"},
    "age_years": {"from": "age"},
    "donor_type": {"from": "donor", "codes": {"MSD": "sibling", "MUD": "unrelated"}},
    "hctci": {"codes": {"0": "0", "1": "1"}, "others": "unknown"},
    "cgvhd_status": {"from": "status"},
    "cgvhd_days": {"from": "months", "factor": 30.4, "whole": true}
  }
}
"""

TABLE = {
    "hospital": ["a", "a", "b"],
    "age": ["40", "NA", "17.5"],
    "donor": ["MSD", "", "MUD"],
    "hctci": ["0", "1.0", "7"],
    "race": ["x", "y", "z"],
    "status": ["1.0", "0", "NA"],
    "months": ["12.0066", "3.2895", ""],
}


def test_a_mapping_renames_recodes_and_converts() -> None:
    cohort = parse_cohort(TABLE, parse_mapping(MAPPING, "m.yaml"), "file.csv", "ab")
    assert (cohort.name, cohort.sha256, len(cohort)) == ("example", "ab", 3)
    assert cohort.centre.tolist() == ["a", "a", "b"]
    assert cohort.columns["donor_type"].tolist() == ["sibling", "", "unrelated"]
    assert cohort.columns["hctci"].tolist() == ["0", "1", ""]
    assert np.array_equal(cohort.columns["age_years"], [40, np.nan, 17.5], equal_nan=True)
    assert cohort.status["cgvhd"].tolist() == [1, 0, -1]
    # Months of a whole number of days: exactly those days, so that day 100 is day 100.
    assert np.array_equal(cohort.days["cgvhd"], [365, 100, np.nan], equal_nan=True)


def test_every_problem_is_named_by_record_and_column() -> None:
    table = {
        **TABLE,
        "hospital": ["a", "", "b"],
        "age": ["forty", "-1", "nan"],
        "donor": ["MSD", "cousin", "MUD"],
        "status": ["3", "0", "1"],
        "colour": ["red"] * 3,
    }
    del table["hctci"]
    with pytest.raises(CohortError) as caught:
        parse_cohort(table, parse_mapping(MAPPING, "m.yaml"), "file.csv")
    assert isinstance(caught.value, GraftmatchError)
    problems = "\n".join(caught.value.problems)
    for part in (
        "column 'hctci' is missing",
        "column 'colour' is not known",
        "record 2, column hospital: the centre is missing",
        "record 1, column age: 'forty' is not a number",
        "record 2, column age: '-1' gives age_years -1, not from 0 to 110",
        "record 3, column age: 'nan'",
        "record 2, column donor: 'cousin' is none of MSD, MUD",
        "record 1, column status: '3' is none of 0, 1, 2",
        "record 1: cgvhd has a status without days or days without a status",
        "record 3: cgvhd has a status without days or days without a status",
    ):
        assert part in problems
    assert len(caught.value.problems) == 10
    assert "10 problems, nothing was used" in str(caught.value)


def test_a_long_list_of_problems_is_cut_in_the_message_only() -> None:
    n = 500
    table = {
        "donor_type": ["x"] * n,
        "cgvhd_status": ["0"] * n,
        "cgvhd_days": ["1"] * n,
    }
    with pytest.raises(CohortError, match="and 480 more") as caught:
        parse_cohort(table, None, "file.csv")
    assert len(caught.value.problems) == n


def test_without_a_mapping_names_and_codes_are_those_of_the_schema() -> None:
    table = {"tbi": ["yes", "no"], "cgvhd_status": ["1", "0"], "cgvhd_days": ["30", "400"]}
    cohort = parse_cohort(table, None, "file.csv")
    assert cohort.columns["tbi"].tolist() == ["yes", "no"]
    assert len(set(cohort.centre)) == 2  # each patient a unit of its own


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"tbi": ["yes"]}, "no outcome is given"),
        ({"cgvhd_status": ["1"]}, "cgvhd_status needs cgvhd_days"),
        ({"cgvhd_status": [], "cgvhd_days": []}, "holds no patients"),
        ({"cgvhd_status": ["1"], "cgvhd_days": ["-1"]}, "not from 0 to"),
        ({"cgvhd_status": ["1"], "cgvhd_days": ["inf"]}, "not from 0 to"),
        ({"cgvhd_status": ["1"], "cgvhd_days": ["1"], "surv": ["1"]}, "'surv' is not known"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(table: dict[str, list[str]], message: str) -> None:
    with pytest.raises(CohortError, match=message):
        parse_cohort(table, None, "file.csv")


def columns(text: str) -> str:
    return '{"columns": {' + text + "}}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = 1", "is not YAML in its JSON form"),
        ("[]", "must be one object"),
        ('{"a": 1, "a": 2}', "key 'a' stands twice"),
        ('{"colour": 1}', "unknown key 'colour'"),
        ('{"name": 1, "columns": {"tbi": {}}}', "name must be a text"),
        ('{"missing": [1], "columns": {"tbi": {}}}', "missing must be a list of texts"),
        ('{"ignore": []}', "columns must be an object that is not empty"),
        (columns('"blood": {}'), "columns.blood: not a column of the schema"),
        (columns('"tbi": 1'), "columns.tbi: must be an object"),
        (columns('"tbi": {"form": "x"}'), "columns.tbi: unknown key 'form'"),
        (columns('"tbi": {"codes": {"y": "ja"}}'), "code 'y' leads to 'ja'"),
        (columns('"tbi": {"factor": 2}'), "factor and whole are for columns of numbers"),
        (columns('"tbi": {"others": "drop"}'), 'others must be "refuse", "unknown" or "pass"'),
        (columns('"tbi": {"others": "pass"}'), "only these pass other codes: donor_type"),
        (columns('"age_years": {"factor": 0}'), "factor must be a positive number"),
        (columns('"age_years": {"from": ["a", "b"]}'), "only columns with levels"),
        (columns('"age_years": {"codes": {"a": "1"}}'), "codes and others are for columns with"),
        (columns('"age_years": {"from": "ST2"}'), "'ST2' is recorded after the transplant"),
        (columns('"cd34_1e6_per_kg": {"from": "ANC_recovery"}'), "recorded after the transplant"),
        (
            columns('"age_years": {"from": "x"}, "cgvhd_days": {"from": "x"}'),
            "columns.age_years: 'x' is recorded after the transplant",
        ),
        (
            '{"columns": {"tbi": {"from": "d"}}, "outcomes": {"survival": '
            '{"event": {"column": "d", "codes": ["1"]}, "follow_up": "t"}}}',
            "columns.tbi: 'd' is recorded after",
        ),
        ('{"columns": {"tbi": {}}, "outcomes": {"fame": {}}}', "not an outcome"),
        ('{"columns": {"tbi": {}}, "outcomes": {"nrm": {}}}', "it has no event"),
        (
            '{"columns": {"tbi": {}}, "outcomes": {"nrm": {"event": {"column": "x"}}}}',
            "event must hold column",
        ),
    ],
)
def test_a_mapping_file_at_fault_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputFileError, match=message):
        parse_mapping(text, "m.yaml")


def test_files_that_are_not_there_or_no_tables(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="cannot read"):
        read_cohort(tmp_path / "none.csv")
    (tmp_path / "bad.parquet").write_text("no")
    with pytest.raises(InputFileError, match="cannot read"):
        read_cohort(tmp_path / "bad.parquet")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputFileError, match="cannot read"):
        read_cohort(tmp_path / "empty.csv")
    with pytest.raises(InputFileError, match="mappings by name: ds1302, kmsurv_bmt, uci"):
        read_mapping("nothing")


def test_csv_and_parquet_are_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "cohort.csv"
    write_synthetic_cohort(path, 300, seed=4)
    table = pd.read_csv(path)
    table.to_parquet(tmp_path / "cohort.parquet")
    first, second = read_cohort(path), read_cohort(tmp_path / "cohort.parquet")
    assert first.columns.keys() == second.columns.keys()
    for name in first.columns:
        assert first.columns[name].tolist() == pytest.approx(
            second.columns[name].tolist(), nan_ok=True
        )
    for name in first.status:
        assert first.status[name].tolist() == second.status[name].tolist()
    assert first.sha256 != second.sha256


def test_the_synthetic_cohort_repeats_itself_and_is_labelled(tmp_path: Path) -> None:
    first, again, other = (synthetic_cohort(200, seed) for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)
    assert all(str(centre).startswith("synthetic") for centre in first["centre"])


def test_the_synthetic_cohort_has_the_incidence_of_its_truth() -> None:
    table = synthetic_cohort(40_000, seed=5)
    texts = {str(name): [str(value) for value in table[name]] for name in table}
    cohort = parse_cohort(texts, None, "synthetic")
    assert set(cohort.columns) >= set(LEVELS)
    # Among siblings' and others' first levels the log-odds is near the intercept.
    plain = np.ones(len(cohort), dtype=bool)
    for name, level in (
        ("donor_type", "unrelated"),
        ("graft_source", "PB"),
        ("atg", "no"),
        ("hctci", "0"),
        ("sex_match", "M-M"),
    ):
        plain &= cohort.columns[name] == level
    plain &= cohort.columns["gvhd_prophylaxis"] != "PTCy"
    for endpoint in OUTCOMES[:3]:
        days, status = cohort.days[endpoint.name], cohort.status[endpoint.name]
        weight = ipcw_weights(days, status, endpoint.horizon_days)
        y = (status == 1) & (days <= endpoint.horizon_days)
        found = (weight * y)[plain].sum() / weight[plain].sum()
        assert found == pytest.approx(1 / (1 + np.exp(-INTERCEPTS[endpoint.name])), abs=0.06)
    assert (cohort.status["agvhd_3_4"] == 1).sum() < (cohort.status["agvhd_2_4"] == 1).sum()


def test_the_shipped_mapping_reads_the_published_cohort(shared: Path) -> None:
    path = shared / "cohorts" / "cibmtr_ds1302.csv"
    cohort, table = read_cohort(path, "ds1302"), pd.read_csv(path)
    assert len(cohort) == len(table)
    assert len(set(cohort.centre)) == table["center"].nunique()
    for name, column in (("agvhd_2_4", "agvhd24"), ("agvhd_3_4", "agvhd34"), ("cgvhd", "cgvhd")):
        status = table[f"{column}_status"].fillna(-1).to_numpy()
        assert cohort.status[name].tolist() == status.tolist()
        days = cohort.days[name]
        assert np.array_equal(days, np.round(days), equal_nan=True)
        assert np.allclose(days / 30.4, table[f"{column}_months"], atol=6e-5, equal_nan=True)
    assert np.array_equal(cohort.columns["donor_type"] == "sibling", table["donor"] == "MSD")
    for name in ("sex_match", "graft_source", "gvhd_prophylaxis", "hctci"):
        source = {"sex_match": "sexm", "graft_source": "graft", "gvhd_prophylaxis": "proph"}
        known = table[source.get(name, name)].notna()
        assert np.array_equal(cohort.columns[name] != "", known)


def test_what_is_not_listed_passes_where_the_mapping_lets_it(shared: Path, tmp_path: Path) -> None:
    table = pd.read_csv(shared / "cohorts" / "cibmtr_ds1302.csv", dtype=str, keep_default_na=False)
    table = table.head(50).assign(dis="MDS-like", donor="MMUD", proph="ruxolitinib", race="X")
    path = tmp_path / "other.csv"
    table.to_csv(path, index=False)
    cohort = read_cohort(path, "ds1302", group="year")
    assert set(cohort.columns["disease"]) == {"MDS-like"}
    assert set(cohort.columns["donor_type"]) == {"MMUD"}
    assert set(cohort.columns["gvhd_prophylaxis"]) == {"ruxolitinib"}
    assert set(cohort.groups["ancestry"]) == {"X"}
    assert set(cohort.centre) == set(table["year"])
    table.assign(graft="liver").to_csv(path, index=False)
    with pytest.raises(CohortError, match="column graft: 'liver' is none of PB, BM, CB"):
        read_cohort(path, "ds1302")


def test_the_mapping_of_kmsurv_against_the_file_by_hand(shared: Path) -> None:
    path = shared / "cohorts" / "kmsurv_bmt.csv"
    cohort, table = read_cohort(path, "kmsurv_bmt"), pd.read_csv(path)
    rows: Any = table.itertuples()
    for i, row in enumerate(rows):
        if row.da == 1:
            assert (cohort.status["agvhd_2_4"][i], cohort.days["agvhd_2_4"][i]) == (1, row.ta)
        else:
            expected = 2 if row.d1 == 1 else 0
            assert (cohort.status["agvhd_2_4"][i], cohort.days["agvhd_2_4"][i]) == (
                *(expected, row.t1),
            )
        # Dead without a relapse; a relapse comes first whatever follows.
        nrm = 2 if row.d2 == 1 else 1 if row.d1 == 1 else 0
        assert cohort.status["nrm"][i] == nrm
        assert cohort.days["nrm"][i] == (row.t2 if row.d2 == 1 else row.t1)
        assert cohort.status["survival"][i] == row.d1
        donor, recipient = ("M" if z else "F" for z in (row.z4, row.z3))
        assert cohort.columns["sex_match"][i] == f"{donor}-{recipient}"
        donor, recipient = ("+" if z else "-" for z in (row.z6, row.z5))
        assert cohort.columns["cmv_match"][i] == f"D{donor}R{recipient}"
    assert set(cohort.status) == {
        *("agvhd_2_4", "cgvhd", "nrm", "relapse", "survival", "platelets"),
    }


def test_the_mapping_of_the_children_against_the_file_by_hand(shared: Path) -> None:
    path = shared / "cohorts" / "uci_bone_marrow_children.csv"
    cohort, table = read_cohort(path, "uci_bone_marrow_children"), pd.read_csv(path)
    rows: Any = table.itertuples()
    for i, row in enumerate(rows):
        end, dead = float(row.survival_time), row.survival_status == 1
        acute = row.acute_GvHD_II_III_IV == "yes"
        assert cohort.status["agvhd_2_4"][i] == (1 if acute else 2 if dead else 0)
        assert cohort.days["agvhd_2_4"][i] == (min(100.0, end) if acute else end)
        # Two children have a day of recovery after that of their death: what comes first counts.
        recovered = row.PLT_recovery <= end
        assert cohort.status["platelets"][i] == (1 if recovered else 2 if dead else 0)
        assert cohort.days["platelets"][i] == (row.PLT_recovery if recovered else end)
        relapsed = row.relapse == "yes"
        assert cohort.status["nrm"][i] == (2 if relapsed else 1 if dead else 0)
        assert cohort.columns["cd34_1e6_per_kg"][i] == row.CD34_x1e6_per_kg
    # The file's own column of matches is wrong for one child of group B with a donor of group B.
    same = (table["donor_ABO"] == table["recipient_ABO"]).to_numpy()
    assert np.array_equal(cohort.columns["abo_match"] == "match", same)


def test_the_table_of_outcomes_names_the_mappings_that_carry_it(shared: Path) -> None:
    files = {
        "ds1302": "cibmtr_ds1302.csv",
        "kmsurv_bmt": "kmsurv_bmt.csv",
        "uci_bone_marrow_children": "uci_bone_marrow_children.csv",
    }
    held = {
        name: set(read_cohort(shared / "cohorts" / file, name).status)
        for name, file in files.items()
    }
    for outcome in OUTCOMES:
        assert set(outcome.cohorts) == {n for n, names in held.items() if outcome.name in names}


def test_gvhd_of_an_autologous_transplant_is_a_problem_of_the_file() -> None:
    table = {
        "donor_type": ["autologous", "sibling"],
        "cgvhd_status": ["1", "1"],
        "cgvhd_days": ["30", "40"],
    }
    with pytest.raises(CohortError, match="record 1: chronic GVHD is not applicable"):
        parse_cohort(table, None, "file.csv")
