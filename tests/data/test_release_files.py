"""The files of a release: what is read, and what is refused."""

from __future__ import annotations

import pytest

from data.release_files import REQUIRED_FILES, parse_release
from matching.errors import ReleaseSourceError
from tests.data.release_texts import release_texts


def test_a_release_is_read() -> None:
    release = parse_release(release_texts()).nomenclature
    assert release.release == "9.1.0" and len(release.alleles) == 18 and release.notes == ()
    first = release.alleles[0]
    assert first == ("A*01:01:01:01", "A*01:01P", "A*01:01:01G", "Full", "gDNA", "1;;;", "", "")
    null, own = release.alleles[1], release.alleles[2]
    assert (null.p_group, null.g_group) == (None, "A*01:01:01G")
    assert (own.p_group, own.g_group) == ("A*01:02", "A*01:02")
    assert release.deleted == {"A*01:03": "A*01:02"}
    assert release.antigens == (
        ("A", "1", (), ()),
        ("B", "21", ("49", "50"), ("4005",)),
    )
    dpb1 = release.alleles[release.by_name["DPB1*01:01:01:01"]]
    assert (dpb1.tce_v1, dpb1.tce_v2) == ("3", "2a$")
    assert release.tce_groups.tolist()[-3:] == [2, 0, 3]


def test_names_deleted_under_the_old_name_of_a_gene() -> None:
    texts = release_texts()
    texts["wmda/hla_nom.txt"] += "Cw*;0422;19871121;19911114;0421;Sequence identical\n"
    texts["wmda/hla_nom.txt"] += "Cw;11;19871121;19911114;1;Sequence error\n"
    deleted = parse_release(texts).nomenclature.deleted
    assert deleted == {"A*01:03": "A*01:02", "C*0422": "C*0421", "Cw11": "Cw1"}


def test_windows_line_ends_seven_field_serology_and_a_tce_file_without_columns() -> None:
    texts = {name: text.replace("\n", "\r\n") for name, text in release_texts().items()}
    texts["wmda/rel_dna_ser.txt"] = texts["wmda/rel_dna_ser.txt"].replace(";1;;;", ";1;;;;01")
    columns = "Allele,Protein,V1_Assignment,V2_Assignment,Comments\r\n"
    texts["tce/dpb_tce.csv"] = texts["tce/dpb_tce.csv"].replace(columns, "")
    release = parse_release(texts).nomenclature
    assert release.alleles[0].serology == "1;;;;01"
    assert release.tce_groups.tolist()[-3:] == [2, 0, 3]


def test_single_files_may_be_of_a_later_correction() -> None:
    texts = release_texts()
    corrected = texts["Allele_status.txt"].replace("9.1.0", "9.1.1")
    assert parse_release(texts | {"Allele_status.txt": corrected}).nomenclature.release == "9.1.0"


def test_proteins_are_read_where_present() -> None:
    fasta = ">HLA:HLA00001 A*01:01:01:01 8 bp\nMAVM\nAPRT\n>HLA:HLA00002 A*01:02 4 bp\nMAVM\n"
    proteins = parse_release(release_texts() | {"fasta/A_prot.fasta": fasta}).proteins
    assert proteins == {"A*01:01:01:01": "MAVMAPRT", "A*01:02": "MAVM"}
    with pytest.raises(ReleaseSourceError, match="no header"):
        parse_release(release_texts() | {"fasta/A_prot.fasta": ">nothing\nMAVM\n"})


def test_an_expressing_allele_without_p_group_is_no_null() -> None:
    """Releases before 3.58.0 leave some out; two fields tell the protein, else it is its own."""
    texts = release_texts()
    names = [f"A*01:01:{n:02d}" for n in range(3, 603)] + ["A*01:900"]
    for name in names:
        rest = name.removeprefix("A*")
        texts["Allelelist.txt"] += f"HLA9,{name}\n"
        texts["wmda/hla_nom.txt"] += f"A*;{rest};20200101;;;\n"
        texts["wmda/rel_dna_ser.txt"] += f"A*;{rest};1;;;\n"
        texts["Allele_status.txt"] += f"{name},1,1,Confirmed,1,2,Full,gDNA\n"
        texts["wmda/hla_nom_g.txt"] += f"A*;{rest};\n"
        if name not in ("A*01:01:03", "A*01:900"):
            texts["wmda/hla_nom_p.txt"] += f"A*;{rest};01:01P\n"
    release = parse_release(texts).nomenclature
    group = {a.name: a.p_group for a in release.alleles}
    assert (group["A*01:01:03"], group["A*01:900"]) == ("A*01:01P", "A*01:900")
    assert release.notes == (
        "wmda/hla_nom_p.txt leaves out A*01:01:03: read as A*01:01P",
        "wmda/hla_nom_p.txt leaves out A*01:900: read as A*01:900",
    )


@pytest.mark.parametrize("name", REQUIRED_FILES)
def test_a_missing_or_empty_file_is_named(name: str) -> None:
    texts = release_texts()
    missing = {n: text for n, text in texts.items() if n != name}
    with pytest.raises(ReleaseSourceError, match=name):
        parse_release(missing)
    with pytest.raises(ReleaseSourceError, match=name):
        parse_release(texts | {name: ""})
    only_comments = "".join(line for line in texts[name].splitlines(True) if line[0] == "#")
    with pytest.raises(ReleaseSourceError, match="holds no records"):
        parse_release(texts | {name: only_comments})


@pytest.mark.parametrize("name", REQUIRED_FILES)
def test_a_file_of_another_release_is_named(name: str) -> None:
    texts = release_texts()
    with pytest.raises(ReleaseSourceError, match=r"is of release .*9\.2\.0|of 9\.2\.0"):
        parse_release(texts | {name: texts[name].replace("9.1.0", "9.2.0")})


@pytest.mark.parametrize(
    "name",
    [
        *("wmda/hla_nom.txt", "wmda/hla_nom_g.txt", "wmda/hla_nom_p.txt"),
        *("wmda/rel_dna_ser.txt", "Allelelist.txt", "Allele_status.txt"),
    ],
)
def test_a_file_that_is_cut_off_is_refused(name: str) -> None:
    texts = release_texts()
    lines = texts[name].splitlines(True)
    with pytest.raises(ReleaseSourceError):
        parse_release(texts | {name: "".join(lines[: len(lines) // 2])})


def test_a_short_line_names_file_and_line() -> None:
    texts = release_texts()
    texts["wmda/hla_nom_p.txt"] += "A*;01:09\n"
    with pytest.raises(ReleaseSourceError, match=r"hla_nom_p.txt, line 17: 2 fields"):
        parse_release(texts)
