"""Files of donors: formats, and what is refused as a whole or record by record."""

from __future__ import annotations

import datetime
import gzip
from pathlib import Path

import pandas as pd
import pytest

from data.donor_files import COLUMNS, Record, parse_person, read_records
from matching.errors import InputFileError, RecordError, TypingError
from matching.loci import Locus

GL = "A*01:01+A*02:01^B*07:02+B*08:01"


def fields(path: Path) -> list[dict[str, str]]:
    return [dict(record.fields) for record in read_records(path)]


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


def test_parquet_types_become_text(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "id": [1, 2],
            "birth_date": [datetime.date(1990, 2, 1), None],
            "age_years": [None, 30.0],
            "gl": [GL, GL],
        }
    )
    table.to_parquet(tmp_path / "typed.parquet")
    first, second = (parse_person(r) for r in read_records(tmp_path / "typed.parquet"))
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
        (b"PAR1 and no more", "no readable Parquet"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, content: bytes, match: str) -> None:
    path = tmp_path / "donors"
    path.write_bytes(content)
    with pytest.raises(InputFileError, match=match):
        list(read_records(path))


def test_a_cut_gzip_file_and_one_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(("id,gl\n" + f"D1,{GL}\n" * 1000).encode())[:-10])
    with pytest.raises(InputFileError, match="is damaged"):
        list(read_records(path))
    with pytest.raises(InputFileError, match="cannot read"):
        list(read_records(tmp_path / "absent"))
    with pytest.raises(InputFileError, match="cannot read"):
        list(read_records(tmp_path))
    pd.DataFrame({"id": [], "gl": []}).to_parquet(tmp_path / "none.parquet")
    with pytest.raises(InputFileError, match="is empty"):
        list(read_records(tmp_path / "none.parquet"))


def test_one_bad_line_does_not_end_the_file(tmp_path: Path) -> None:
    path = tmp_path / "donors.csv"
    huge = b"D3," + b"A" * 10_000_000
    path.write_bytes(
        b"\n".join([b"id,gl", b"D1,x", b"D2,x,y", huge, b"D4,\xff\xfe", b"D5", b"D6,x", b""])
    )
    records = list(read_records(path))
    assert [bool(r.problem) for r in records] == [False, True, True, False, True, False]
    assert records[1].problem == "3 fields where the header has 2"
    assert "field larger" in records[2].problem
    with pytest.raises(RecordError, match="not text"):
        parse_person(records[3])
    text = tmp_path / "donors.txt"
    text.write_bytes(b"D1%x\nD2\nD3%" + b"A" * 10_000_000 + b"\nD4%x\n")
    assert [r.problem[:6] for r in read_records(text)] == ["", "no % b", "longer", ""]


def person(**values: str) -> Record:
    return Record(1, {"id": "D1", "gl": GL, **values})


def test_values_are_read() -> None:
    read = parse_person(
        person(sex="F", cmv="+", abo="ab", rh="neg", weight_kg="70.5", age_years="34", type="CORD")
    )
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
    }
    assert read.written.loci == {Locus.A: "A*01:01+A*02:01", Locus.B: "B*07:02+B*08:01"}
    assert parse_person(person()).facts["type"] == "adult"
    by_locus = parse_person(Record(1, {"id": "D1", "a": " 01:01+02:01 ", "b": ""}))
    assert by_locus.written.loci == {Locus.A: "01:01+02:01"}


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"id": " "}, "id: '': missing"),
        ({"id": "x" * 201}, "longer than 200"),
        ({"sex": "x"}, "sex: 'x': not one of male, female"),
        ({"cmv": "maybe"}, "not one of positive, negative"),
        ({"type": "sibling"}, "not one of adult, cord"),
        ({"age_years": "34.5"}, "not whole years from 0 to 120"),
        ({"age_years": "-1"}, "not whole years"),
        ({"age_years": "nan"}, "not whole years"),
        ({"age_years": "121"}, "not whole years"),
        ({"weight_kg": "0"}, "not kg from 0 to 500"),
        ({"weight_kg": "inf"}, "not kg"),
        ({"birth_date": "1.2.1990"}, "write YYYY-MM-DD"),
        ({"birth_date": "1890-01-01"}, "before 1900"),
        ({"birth_date": "1990-01-01", "age_years": "30"}, "not both"),
        ({"ancestry": "a\x00b"}, "not text"),
    ],
)
def test_values_that_are_refused(values: dict[str, str], match: str) -> None:
    with pytest.raises(RecordError, match=match):
        parse_person(person(**values))


def test_a_typing_of_no_locus_is_refused() -> None:
    with pytest.raises(TypingError, match="no locus of a GL string"):
        parse_person(person(gl="nonsense"))


def test_the_documented_columns_are_the_accepted_ones() -> None:
    documentation = (Path(__file__).parents[2] / "docs/registry.md").read_text(encoding="utf-8")
    for column in COLUMNS:
        assert f"`{column}`" in documentation
