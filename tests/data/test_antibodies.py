"""Files of antibody reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.antibodies import AntibodyFile
from matching.antibodies import Answer, Names
from matching.errors import InputFileError
from matching.nomenclature import Nomenclature

HEADER = "antigen_or_allele,partner_chain,mfi,date,kit,result\n"


@pytest.fixture
def file(demo: Nomenclature) -> AntibodyFile:
    """Alleles only: the demo reads no antigens."""
    return AntibodyFile(Names(demo))


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "antibodies.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_in_any_order_and_number(file: AntibodyFile, tmp_path: Path) -> None:
    text = "mfi,Antigen_or_Allele,result\n1250.5,A*02:01,\n,A*01:01,negative\n0,A*03:01\n"
    file.read(write(tmp_path, "\ufeff" + text))
    first, second, third = file.beads[""]
    assert (first.target, first.mfi, first.result, first.row) == ("A*02:01", 1250.5, None, 2)
    assert (second.mfi, second.result) == (None, Answer.NEGATIVE)
    assert (third.mfi, third.partner, third.date, third.kit) == (0, "", "", "")


def test_every_field(nomenclature: Nomenclature, tmp_path: Path) -> None:
    file = AntibodyFile(Names(nomenclature))
    line = 'DQB1*03:01,DQA1*05:01,7000,2026-01-31,"LABScreen, lot 7",not_assessable\n'
    file.read(write(tmp_path, HEADER + line))
    (bead,) = file.beads[""]
    assert (bead.name, bead.mfi) == ("DQB1*03:01/DQA1*05:01", 7000)
    assert (bead.date, bead.kit) == ("2026-01-31", "LABScreen, lot 7")
    assert bead.result is Answer.NOT_ASSESSABLE


def test_a_list_of_unacceptable_antigens(file: AntibodyFile, tmp_path: Path) -> None:
    text = "# of March\nA*02:01, B*07:02; B*08:01\n\nB*44:02  # historic\n"
    file.read(write(tmp_path, text))
    assert [(bead.target, bead.row) for bead in file.beads[""]] == [
        *(("A*02:01", 2), ("B*07:02", 2), ("B*08:01", 2), ("B*44:02", 4))
    ]
    assert {bead.result for bead in file.beads[""]} == {Answer.POSITIVE}


def test_reports_of_several_patients(file: AntibodyFile, tmp_path: Path) -> None:
    text = "patient,antigen_or_allele,mfi\nP1,A*02:01,5\nP2,A*01:01,6\nP1,A*03:01,7\n"
    file.read(write(tmp_path, text))
    assert {name: len(beads) for name, beads in file.beads.items()} == {"P1": 2, "P2": 1}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("A*99:99,,100,,,", ("A*99:99", "near names|not complete")),
        ("Foo,,100,,,", ("Foo", "neither an antigen")),
        (",,100,,,", ("antigen_or_allele", "name the antigen")),
        ("A*02:01,,-1,,,", ("mfi: '-1'", "no number from 0")),
        ("A*02:01,,1.250.000,,,", ("mfi: '1.250.000'", "no number from 0")),
        ("A*02:01,,nan,,,", ("mfi: 'nan'", "no number from 0")),
        ("A*02:01,,,,,", ("mfi", "give one of them")),
        ("A*02:01,,5,31.01.2026,,", ("date: '31.01.2026'", "YYYY-MM-DD")),
        ("A*02:01,,5,,,perhaps", ("result: 'perhaps'", "leave it blank")),
        ("A*02:01,B*07:02,5,,,", ("A*02:01/B*07:02", "no alpha and beta chain")),
        ("A*02:01,,5,,kit,positive,more", ("line: 'more'", "quote values")),
        ("A*02:01,,5,," + 201 * "x" + ",", ("kit", "more than 200")),
    ],
)
def test_a_bad_line_is_rejected_and_the_others_go_on(
    file: AntibodyFile, tmp_path: Path, line: str, says: tuple[str, str]
) -> None:
    file.read(write(tmp_path, f"{HEADER}{line}\nA*01:01,,100,,,\n"))
    assert [bead.target for bead in file.beads[""]] == ["A*01:01"]
    file.rejects.write(tmp_path / "rejects.csv")
    rejects = (tmp_path / "rejects.csv").read_text(encoding="utf-8").splitlines()
    assert len(rejects) == 2 and rejects[1].startswith("2,") and "line 2" in rejects[1]
    assert says[0] in rejects[1]
    assert any(part in rejects[1] for part in says[1].split("|"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it is empty"),
        (HEADER, "it is empty"),
        (f"{HEADER}Foo,,100,,,\n", "Foo"),
        ("antigen_or_allele,mfy\nA*02:01,5\n", "column 'mfy' is not known"),
        ("antigen_or_allele,mfi,mfi\nA*02:01,5,5\n", "column 'mfi' comes twice"),
        # Tables without their header are no lists of unacceptable antigens.
        ("A*02:01,5\nA*01:01,9000\n", "line 1: '5' is no antigen of a list"),
        ("allele,result\nA*02:01,negative\n", "line 1: 'result'"),
        ("A*02:01,2026-01-31\n", "2026-01-31"),
        ("A*02:01;negative\n", "'negative'"),
        (f'{HEADER}"A*02:01,,5,,,\n', "line"),
    ],
)
def test_a_file_without_any_antibody_is_refused(
    file: AntibodyFile, tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(InputFileError, match=says):
        file.read(write(tmp_path, text))


def test_reading_ends_where_nobody_waits(file: AntibodyFile, tmp_path: Path) -> None:
    lines: list[int] = []

    def stop() -> None:
        lines.append(1)
        if len(lines) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        file.read(write(tmp_path, "A*02:01\n" * 9), stop)
    assert len(file.beads[""]) == 2


def test_files_that_cannot_be_read(file: AntibodyFile, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="cannot read"):
        file.read(tmp_path / "absent.csv")
    (tmp_path / "latin.csv").write_bytes(b"A*02:01,\xe9\n")
    with pytest.raises(InputFileError, match="UTF-8"):
        file.read(tmp_path / "latin.csv")
