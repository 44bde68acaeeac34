"""Files of donors: formats, and what is refused as a whole or record by record."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.donor_files import COLUMNS, PeopleFile, Person, RecordReader
from data.donor_files.batches import _plain_columns
from matching.errors import InputFileError
from matching.loci import Locus
from matching.nomenclature import Nomenclature

GL = "A*01:01+A*02:01^B*07:02+B*08:01"


def fields(path: Path) -> list[dict[str, str]]:
    found = []
    for batch in PeopleFile(path).batches():
        assert not batch.problems
        rows = zip(*(column.to_list() for column in batch.columns.values()), strict=True)
        found += [dict(zip(batch.columns, row, strict=True)) for row in rows]
    return found


def people_and_rejects(
    path: Path, demo: Nomenclature
) -> tuple[list[Person], list[tuple[str, ...]]]:
    reader = RecordReader(demo)
    people = list(reader.people(path))
    reader.write_rejects(path.with_name("rejects.csv"))
    with path.with_name("rejects.csv").open(newline="") as file:
        rejects = [tuple(row) for row in csv.reader(file)][1:]
    assert reader.read == len(people) + len(rejects) and len(reader.rejects) == len(rejects)
    return people, rejects


def test_the_same_donors_in_every_format(tmp_path: Path) -> None:
    expected = [{"id": "D1", "gl": GL}, {"id": "D2", "gl": GL}]
    text = f"D1%{GL}\n\nD2%{GL}\n"
    csv_text = f"\ufeffID,GL\nD1,{GL}\n\nD2,{GL}\n"
    (tmp_path / "a.txt").write_text(text)
    (tmp_path / "a.csv").write_text(csv_text, encoding="utf-8")
    (tmp_path / "crlf.csv").write_bytes(csv_text.replace("\n", "\r\n").encode())
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "no-extension").write_bytes(gzip.compress(csv_text.encode()))
    pd.DataFrame(expected).to_parquet(tmp_path / "a.parquet")
    for path in tmp_path.iterdir():
        assert fields(path) == expected, path.name


def test_parquet_types_become_text(tmp_path: Path, demo: Nomenclature) -> None:
    table = pd.DataFrame(
        {
            "id": [1, 2],
            "birth_date": [datetime.date(1990, 2, 1), None],
            "age_years": [None, 30.0],
            "gl": [GL, GL],
        }
    )
    table.to_parquet(tmp_path / "typed.parquet")
    (first, second), _ = people_and_rejects(tmp_path / "typed.parquet", demo)
    assert (first.id, first.facts["birth_date"], first.facts["age_years"]) == (
        "1",
        "1990-02-01",
        None,
    )
    assert (second.facts["birth_date"], second.facts["age_years"]) == (None, 30.0)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"id,gl\n", "a header and no record"),
        (b"id,gl,colour\nD1,x,y\n", "unknown column 'colour'"),
        (b"id,gl,sexx\nD1,x,y\n", "did you mean 'sex'"),
        (b"id,gl,gl\nD1,x,y\n", "comes twice"),
        (b"gl\nx\n", "column 'id' is missing"),
        (b"id,sex\nD1,F\n", "the typing must stand either"),
        (b"id,gl,a\nD1,x,y\n", "and not in both"),
        (b"\x1f\x8b\x08\x00broken", "is damaged"),
        (b"PAR1 and no more", "is damaged: "),
    ],
)
def test_files_that_are_refused(tmp_path: Path, content: bytes, match: str) -> None:
    path = tmp_path / "donors"
    path.write_bytes(content)
    with pytest.raises(InputFileError, match=match):
        list(PeopleFile(path).batches())


def test_a_cut_gzip_file_and_one_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(("id,gl\n" + f"D1,{GL}\n" * 1000).encode())[:-10])
    with pytest.raises(InputFileError, match="is damaged"):
        list(PeopleFile(path).batches())
    with pytest.raises(InputFileError, match="cannot read"):
        list(PeopleFile(tmp_path / "absent").batches())
    with pytest.raises(InputFileError, match="cannot read"):
        list(PeopleFile(tmp_path).batches())
    pd.DataFrame({"id": [], "gl": []}).to_parquet(tmp_path / "none.parquet")
    with pytest.raises(InputFileError, match="is empty"):
        list(PeopleFile(tmp_path / "none.parquet").batches())


def test_one_bad_line_does_not_end_the_file(tmp_path: Path, demo: Nomenclature) -> None:
    path = tmp_path / "donors.csv"
    gl = GL.encode()
    huge = b"D3," + b"A" * 10_000_000
    lines = [b"", b"id,gl", b"D1," + gl, b"D2,x,y", huge, b"D4,\xff\xfe", b"", b"D5"]
    path.write_bytes(b"\n".join([*lines, b"D6," + gl, b'"D7","' + gl + b'"', b""]))
    people, rejects = people_and_rejects(path, demo)
    assert [person.id for person in people] == ["D1", "D6", "D7"]
    assert [reject[:2] for reject in rejects] == [
        *(("4", "D2"), ("5", ""), ("6", "D4"), ("8", "D5")),
    ]
    reasons = [reject[2] for reject in rejects]
    assert "3 fields where the header has 2" in reasons[0] and "field larger" in reasons[1]
    assert "gl: " in reasons[2] and "not text" in reasons[2]
    assert "1 fields where" in reasons[3]
    text = tmp_path / "donors.txt"
    text.write_bytes(b"D1%" + gl + b"\nD2\nD3%" + b"A" * 10_000_000 + b"\n\nD4%" + gl + b"\n")
    people, rejects = people_and_rejects(text, demo)
    assert [person.id for person in people] == ["D1", "D4"]
    assert [reject[:2] for reject in rejects] == [("2", "D2"), ("3", "D3")]
    assert "no % between" in rejects[0][2] and "longer" in rejects[1][2]


def test_a_file_without_one_good_line(tmp_path: Path, demo: Nomenclature) -> None:
    path = tmp_path / "people.csv"
    path.write_text('id,gl\n"' + "x" * 1_100_000)
    people, ((number, _, reason),) = people_and_rejects(path, demo)
    assert people == [] and number == "2" and "field limit" in reason


def test_a_record_over_several_lines_has_the_number_of_its_last(
    tmp_path: Path, demo: Nomenclature
) -> None:
    path = tmp_path / "donors.csv"
    path.write_text(f'id,ancestry,gl\nD1,"two\nlines",{GL}\nD2,,nonsense\n')
    _, rejects = people_and_rejects(path, demo)
    assert [reject[:2] for reject in rejects] == [("3", "D1"), ("4", "D2")]


def read_one(tmp_path: Path, demo: Nomenclature, values: dict[str, str]) -> Person | str:
    """The person of a file with one record, or the reason of the reject."""
    path = tmp_path / "one.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([values.keys(), values.values()])
    people, rejects = people_and_rejects(path, demo)
    return people[0] if people else rejects[0][2]


def test_values_are_read(tmp_path: Path, demo: Nomenclature) -> None:
    values = {
        "sex": "F",
        "cmv": "+",
        "abo": "ab",
        "rh": "neg",
        "weight_kg": "70.5",
        "age_years": "34",
        "type": "CORD",
        "grid": "9991 0123 4567 890c S23",
        "status": "TU",
        "tnc_1e7": "150",
        "cd34_1e6": "4.5",
        "volume_ml": "25",
        "typing_date": "2020-02-01",
        "mother_gl": "HLA-A*01:01+A*02:01",
    }
    read = read_one(tmp_path, demo, {"id": "D1", "gl": GL, **values})
    assert isinstance(read, Person)
    assert read.facts == {
        "type": "cord",
        "birth_date": None,
        "age_years": 34,
        "sex": "female",
        "cmv": "positive",
        "abo": "AB",
        "rh": "negative",
        "weight_kg": 70.5,
        "ancestry": None,
        "registry": None,
        "grid": "999101234567890CS23",
        "status": "temporarily_unavailable",
        "tnc_1e7": 150,
        "cd34_1e6": 4.5,
        "volume_ml": 25,
        "mother_gl": "A*01:01+A*02:01",
        "typing_date": "2020-02-01",
    }
    assert read.written.loci == {Locus.A: "A*01:01+A*02:01", Locus.B: "B*07:02+B*08:01"}
    plain = read_one(tmp_path, demo, {"id": "D1", "gl": GL})
    assert isinstance(plain, Person)
    assert (plain.facts["type"], plain.facts["status"]) == ("adult", "available")
    by_locus = read_one(tmp_path, demo, {"id": "D1", "a": " 01:01+02:01 ", "b": ""})
    assert isinstance(by_locus, Person)
    assert by_locus.written.loci == {Locus.A: "A*01:01+A*02:01"}


def test_phase_release_and_genes_beside_the_matched_ones_stay(
    tmp_path: Path, demo: Nomenclature
) -> None:
    gl = "hla#3.44.0#A*01:01~B*07:02+A*02:01~B*08:01^MICA*001+MICA*002"
    read = read_one(tmp_path, demo, {"id": "D1", "gl": gl})
    assert isinstance(read, Person)
    assert read.written.phase == ((Locus.A, Locus.B),)
    assert read.written.carried == ("MICA*001+MICA*002",)
    assert read.written.release == "3.44.0"


def test_one_column_a_gene(tmp_path: Path, nomenclature: Nomenclature) -> None:
    values = {"id": "D1", "a": "01:01+02:01", "drb3": "01:01", "drb4": "DRB4*01:03", "drb5": ""}
    read = read_one(tmp_path, nomenclature, values)
    assert isinstance(read, Person)
    assert read.written.loci[Locus.DRB345] == "DRB3*01:01+DRB4*01:03"
    too_many = read_one(tmp_path, nomenclature, values | {"drb3": "01:01+02:02"})
    assert "more than the two copies" in str(too_many)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"id": " "}, "id: '': missing"),
        ({"id": "x" * 201}, "longer than 200"),
        ({"sex": "x"}, "sex: 'x': not one of male, female"),
        ({"cmv": "maybe"}, "not one of positive, negative"),
        ({"type": "sibling"}, "not one of adult, cord"),
        ({"status": "DE"}, "not one of available, temporarily_unavailable, reserved"),
        ({"age_years": "34.5"}, "not whole years from 0 to 120"),
        ({"age_years": "-1"}, "not whole years"),
        ({"age_years": "nan"}, "not whole years"),
        ({"age_years": "121"}, "not whole years"),
        ({"weight_kg": "0"}, "not kg from 0 to 500"),
        ({"weight_kg": "inf"}, "not kg"),
        ({"tnc_1e7": "-5"}, "not 10^7 cells"),
        ({"cd34_1e6": "many"}, "not 10^6 cells"),
        ({"volume_ml": "20000"}, "not ml from 0 to 10000"),
        ({"birth_date": "1.2.1990"}, "write YYYY-MM-DD"),
        ({"birth_date": "1890-01-01"}, "before 1900"),
        ({"typing_date": "yesterday"}, "typing_date: 'yesterday': not a date"),
        ({"birth_date": "1990-01-01", "age_years": "30"}, "not both"),
        ({"ancestry": "a\x00b"}, "ancestry: 'a\\x00b': holds control characters"),
        ({"id": "D\n1"}, "id: 'D\\n1': holds control characters, such as an end of line; remove"),
        ({"grid": "99910123"}, "not 4 digits, 13 letters or digits and 2 digits"),
        ({"grid": "9991" + "A" * 13 + "ZZ"}, "2 digits of checksum"),
        ({"mother_gl": "A*01:01"}, "mother_gl: 'A*01:01': locus A"),
        ({"change": "X"}, "change: 'X': not one of N (new)"),
        ({"change": "D"}, "deleted (change D)"),
        ({"reported_at": "noon"}, "reported_at: 'noon': not a time"),
        ({"gl": "nonsense"}, "no locus of a GL string"),
        ({"gl": ""}, "no locus is typed"),
        ({"gl": "A*01:01"}, "only one of two positions"),
    ],
)
def test_values_that_are_refused(
    tmp_path: Path, demo: Nomenclature, values: dict[str, str], reason: str
) -> None:
    found = read_one(tmp_path, demo, {"id": "D1", "gl": GL, **values})
    assert isinstance(found, str) and reason in found


def test_of_several_errors_the_first_is_told(tmp_path: Path, demo: Nomenclature) -> None:
    values = {"id": "D1", "gl": "nonsense", "sex": "x", "ancestry": "a\x00b"}
    assert "ancestry" in str(read_one(tmp_path, demo, values))
    assert "sex" in str(read_one(tmp_path, demo, values | {"ancestry": ""}))


def test_the_documented_columns_are_the_accepted_ones() -> None:
    documentation = (Path(__file__).parents[2] / "docs/registry.md").read_text(encoding="utf-8")
    for column in COLUMNS:
        assert f"`{column}`" in documentation


@given(
    st.lists(
        st.text(alphabet='ab",\n\r é\0', max_size=12)
        | st.sampled_from(["a,b\n", '"a","b"\n', '"a",b\r\n', '"a\n', "a,b", '"a""",b\n', "\n"]),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=300, deadline=None)
def test_plain_lines_are_read_as_by_the_standard_library(parts: list[str]) -> None:
    """Wherever the fast reader of CSV answers, it says what the slow one says."""
    with io.StringIO("".join(parts), newline="") as file:
        lines = list(file)
    if not lines:
        return
    found = _plain_columns(lines, ["id", "gl"])
    if found is not None:
        rows = [
            list(row) for row in zip(*(found[name].to_list() for name in ("id", "gl")), strict=True)
        ]
        assert rows == list(csv.reader(lines))


def test_lines_with_every_field_quoted_or_none_are_plain() -> None:
    lines = ['"D1","A*01:01+A*02:01"\n', "D2,\n", '"","é"\n', "D4,A*01:01+A*02:01"]
    found = _plain_columns(lines, ["id", "gl"])
    assert found is not None
    assert found["id"].to_list() == ["D1", "D2", "", "D4"]
    assert found["gl"].to_list() == ["A*01:01+A*02:01", "", "é", "A*01:01+A*02:01"]
