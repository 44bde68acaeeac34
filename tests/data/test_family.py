"""Files of families: what is read, and what refuses a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.family import read_family
from matching.errors import InputFileError
from matching.loci import Locus
from matching.nomenclature import Nomenclature

HEADER = "id,father,mother,sex,birth_date,gl"


def written(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "family.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_a_family_is_read(tmp_path: Path, demo: Nomenclature) -> None:
    path = written(
        tmp_path,
        "F,,,M,1960-02-01,A*01:01+A*02:01^B*08:01+B*44:02",
        "M,,,female,,",
        "",
        "P,F,M,,1990-02-01,A*01:01+A*03:01",
    )
    members = read_family(path, demo).pedigree.members
    assert list(members) == ["F", "M", "P"]
    assert (members["F"].sex, members["F"].birth_date) == ("male", "1960-02-01")
    assert members["M"].typing is None
    assert members["P"].parents == ("F", "M")
    typing = members["F"].typing
    assert typing is not None and typing.text == "A*01:01+A*02:01^B*08:01+B*44:02"


def test_one_column_a_locus(tmp_path: Path, nomenclature: Nomenclature) -> None:
    path = written(
        tmp_path,
        "P,,,01:01+02:01,03:01+04:01,01:01,01:03",
        "Q,,,-,,,",
        header="ID,Father,Mother,A,DRB1,DRB3,DRB4",
    )
    members = read_family(path, nomenclature).pedigree.members
    typing = members["P"].typing
    assert typing is not None and typing.loci[Locus.DRB345] is not None
    assert typing.text == "A*01:01+A*02:01^DRB3*01:01+DRB4*01:03^DRB1*03:01+DRB1*04:01"
    assert members["Q"].typing is None


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (["P,F,,,,"], r"row 2: P: father 'F' is not in the family; add a row"),
        (["P,,,,,", "P,,,,,"], r"row 3: id 'P' stands in row 2 too"),
        (["P,Q,,,,", "Q,P,,,,"], r"descend from themselves"),
        (["P,F,,,,", "F,,,F,,"], r"row 2: P: father 'F' is female; exchange"),
        (["P,F,,,1950-01-01,", "F,,,,1960-01-01,"], r"birth_date 1950-01-01 is not after"),
        (["P,,,x,,"], r"row 2 \(P\): sex: 'x': not one of male, female; write male"),
        (["P,,,,1.1.1990,"], r"row 2 \(P\): birth_date: '1.1.1990': not a date.*YYYY-MM-DD"),
        (["P,,,,,A*01:01"], r"row 2 \(P\): locus A: 'A\*01:01': only one of two.*leave it blank"),
        (["P,,,,,A*99:99+A*01:01"], r"row 2 \(P\): locus A: 'A\*99:99'"),
        ([",,,,,"], r"row 2"),
        (["P,,,"], r"row 2 has 4 fields where the header has 6"),
        ([], r"is empty"),
    ],
)
def test_what_refuses_a_file(
    tmp_path: Path, demo: Nomenclature, rows: list[str], reason: str
) -> None:
    if rows == [",,,,,"]:
        rows, reason = [",,,F,,"], r"row 2 \(\): id: '': missing"
    with pytest.raises(InputFileError, match=reason):
        read_family(written(tmp_path, *rows), demo)


def test_every_row_at_fault_is_named(tmp_path: Path, demo: Nomenclature) -> None:
    path = written(tmp_path, "P,,,x,,", "Q,,,,,A*01:01")
    with pytest.raises(InputFileError, match=r"row 2 .*row 3 .*nothing was used"):
        read_family(path, demo)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("id,fater,gl", r"unknown column 'fater'; did you mean 'father'\?"),
        ("father,gl", "column 'id' is missing"),
        ("id,gl,gl", "column 'gl' comes twice"),
        ("id,gl,a", "not in both"),
        ("id,father", "either in column 'gl' or"),
        ("id,drb345,drb3", "'drb345' or drb3, and not both"),
    ],
)
def test_columns_that_cannot_be_used(
    tmp_path: Path, demo: Nomenclature, header: str, reason: str
) -> None:
    with pytest.raises(InputFileError, match=reason):
        read_family(written(tmp_path, "P,,", header=header), demo)


def test_a_file_that_is_not_there(tmp_path: Path, demo: Nomenclature) -> None:
    with pytest.raises(InputFileError, match="cannot read"):
        read_family(tmp_path / "none.csv", demo)
    (tmp_path / "family.csv").write_bytes(b"id,gl\n\xff,\n")
    with pytest.raises(InputFileError, match="cannot read"):
        read_family(tmp_path / "family.csv", demo)
