"""Donor files of Atlas and inventories of WMDA."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from data.donor_files import CheckedBatch, PeopleFile, ReadingOptions, RecordReader
from data.donor_files.columns import time_text
from data.donor_files.reader import CONTENT, BlankSecond
from data.registry import ImportRequest, Mode, Registry
from matching.errors import InputFileError
from matching.nomenclature import Nomenclature


def read(
    path: Path, nomenclature: Nomenclature, options: ReadingOptions | None = None
) -> tuple[dict[str, dict[str, Any]], dict[str, str], PeopleFile]:
    """Known values of the donors by identifier, reasons of the rejects, and the file."""
    file = PeopleFile(path)
    reader = RecordReader(nomenclature, options or ReadingOptions())
    batches: list[CheckedBatch] = list(reader.batches(file))
    donors, rejects = {}, {}
    for batch in batches:
        for i, (identifier, content) in enumerate(zip(batch.ids, batch.contents(), strict=True)):
            values = dict(zip(CONTENT, content, strict=True))
            known = {name: value for name, value in values.items() if value not in (None, "")}
            time = {"time": time_text(batch.times[i])} if batch.times[i] is not None else {}
            donors[identifier] = {**known, "change": batch.changes[i], **time}
        rejects.update({identifier: reason for _, identifier, reason in batch.rejects})
    return donors, rejects, file


def both(first: str | None, second: str | None = None) -> dict[str, Any]:
    return {"field1": first, "field2": second}


def atlas(path: Path, donors: list[Any], **more: Any) -> Path:
    path.write_text(json.dumps({"updateMode": "diff", **more, "donors": donors}))
    return path


FULL_TYPING = {
    "a": {"dna": both("*01:01", "02:01"), "ser": both("1", "2")},
    "b": {"dna": both("*07:02")},
    "drb1": {"ser": both("4", "1"), "dna": both(None, "")},
}


def test_a_donor_file_of_atlas(tmp_path: Path, nomenclature: Nomenclature) -> None:
    donor = {
        "recordId": "D1",
        "changeType": "NU",
        "donorType": "D",
        "donPool": 1234,
        "ethn": "CAEU",
        "hla": {**FULL_TYPING, "drb3": {"dna": both("*01:01")}},
    }
    others = [
        {**donor, "recordId": 2, "changeType": "N", "donorType": "C", "ethn": None},
        {"recordId": "D3", "changeType": "D"},
        {**donor, "recordId": "D4", "donorType": "B"},
        {**donor, "recordId": "D5", "hla": {"a": {"dna": both(None, "*01:01")}}},
        {**donor, "recordId": "D6", "hla": {"a": {"dna": "*01:01"}}},
        {**donor, "recordId": "D7", "hla": {}},
        {**donor, "recordId": "D8", "shoe": 44, "hla": {"a": FULL_TYPING["a"], "e": {}}},
        [1, 2],
    ]
    path = atlas(tmp_path / "atlas.json", [donor, *others], creationTime="now")
    donors, rejects, file = read(path, nomenclature)
    typing = {
        "a": "A*01:01+A*02:01",
        "b": "B*07:02+B*07:02",
        "drb1": "DR4+DR1",
        "drb345": "DRB3*01:01+DRBX*UUUU",
    }
    plain = {"registry": "1234", "status": "available"}
    assert donors["D1"] == {"type": "adult", "ancestry": "CAEU", "change": "NU", **plain, **typing}
    assert donors["2"] == {"type": "cord", "change": "N", **plain, **typing}
    assert donors["D3"]["change"] == "D"
    assert donors["D8"]["a"] == "A*01:01+A*02:01"
    assert rejects.keys() == {"D4", "D5", "D6", "D7", ""}
    assert "type: 'B': not one of adult, cord" in rejects["D4"]
    assert "only one of two" in rejects["D5"]
    assert "hla.a.dna is not an object" in rejects["D6"]
    assert "no locus is typed" in rejects["D7"]
    assert "donor is not an object" in rejects[""]
    assert file.full is False and file.time is None
    assert file.ignored == {"creationTime": 1, "donors/shoe": 1, "donors/hla/e": 1}


def test_a_donor_file_is_read_in_pieces(
    tmp_path: Path, nomenclature: Nomenclature, monkeypatch: pytest.MonkeyPatch
) -> None:
    donors = [
        {"recordId": number, "donorType": "D", "hla": {"a": FULL_TYPING["a"]}}
        for number in range(100, 130)
    ]
    path = tmp_path / "atlas.json.gz"
    text = json.dumps({"donors": donors, "version": 12345, "updateMode": "FULL"}, indent=1)
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + text.encode()))
    expected = [str(number) for number in range(100, 130)]
    for characters in (1, 7, 100, 65_536):
        monkeypatch.setattr("data.donor_files.atlas._READ_CHARACTERS", characters)
        found, rejects, file = read(path, nomenclature)
        assert list(found) == expected and not rejects and file.full is True


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{}", "no list 'donors'"),
        ('{"donors": []}', "lists no donor"),
        ('{"donors": {}}', "'{' where \\[ should be"),
        ('{"donors": [{"recordId": "D1"', "no donor file in JSON"),
        ('{"donors": [{"recordId": "D1"}] "x"', "where , or } should be"),
        ('{"donors": [{"recordId": "D1"}]} {}', "something stands behind"),
        ('{"donors": [' + "[" * 200_000, "no donor file in JSON"),
        ('{"donors": [{"recordId": ' + "1" * 5000 + "}]}", "no donor file in JSON"),
    ],
)
def test_donor_files_that_are_refused(
    tmp_path: Path, nomenclature: Nomenclature, text: str, match: str
) -> None:
    path = tmp_path / "atlas.json"
    path.write_text(text)
    with pytest.raises(InputFileError, match=match):
        read(path, nomenclature)


def locus(name: str, dna: tuple[str, ...] = (), ser: tuple[str, ...] = ()) -> str:
    def fields(method: str, values: tuple[str, ...]) -> str:
        written = "".join(f"<FIELD{i}>{v}</FIELD{i}>" for i, v in enumerate(values, 1))
        return f"<{method}>{written}</{method}>" if values else ""

    return f"<{name}>{fields('DNA', dna)}{fields('SER', ser)}</{name}>"


def inventory(*items: str, mode: str = "DIFF", pool: int = 1234, time: str = "") -> str:
    snapshot = f' SNAPSHOT_TIME="{time}"' if time else ""
    return (
        f'<INVENTORY LISTING_ORGANIZATION="4321" POOL="{pool}" CONTENT_TYPE="D" '
        f'UPDATE_MODE="{mode}"{snapshot} SCHEMA_VERSION="2.3">{"".join(items)}</INVENTORY>'
    )


def file_of(path: Path, *inventories: str, head: str = '<?xml version="1.0"?>') -> Path:
    created = 'CREATION_TIME="2026-01-01T00:00:00Z" xmlns="http://example.org"'
    path.write_text(f"{head}<INVENTORIES {created}>{''.join(inventories)}</INVENTORIES>")
    return path


A, B = locus("A", ("01:01", "02:01"), ("1", "2")), locus("B", ("*07:02", "*08:01"))
HLA = f"<HLA>{A}{B}</HLA>"


def test_an_inventory_of_wmda(tmp_path: Path, nomenclature: Nomenclature) -> None:
    donor = (
        "<DONOR><GRID>123400000000000D100</GRID><ID>D1</ID><BIRTH_DATE>1990-02-01</BIRTH_DATE>"
        "<SEX>F</SEX><ABO>O</ABO><RHESUS>N</RHESUS><ETHN>CAEU</ETHN><WEIGHT>70</WEIGHT>"
        f"<HEIGHT>170</HEIGHT><IDM><CMV>H</CMV><CMV_DATE>2020-01-01</CMV_DATE></IDM>"
        f"<HLA>{A}{B}{locus('DRB1', (), ('4', '1'))}{locus('DRB3', ('01:01',))}{locus('E')}</HLA>"
        "<STATUS>TU</STATUS><STAT_REASON>MO</STAT_REASON></DONOR>"
    )
    unit = (
        "<CBU><ID>C1</ID><VOL>90</VOL><VOL_FRZN>25</VOL_FRZN><TNC>150</TNC><CD34PC>4.5</CD34PC>"
        f"<CMV>O</CMV><MAT><ID>M1</ID><HLA>{A}{locus('DRB1', (), ('4', '1'))}</HLA></MAT>"
        f"{HLA}</CBU>"
    )
    grid_only = f"<DONOR><GRID>123400000000000D200</GRID>{HLA}</DONOR>"
    gone = "<DONOR><ID>D3</ID><STATUS>DE</STATUS></DONOR>"
    half = f"<DONOR><ID>D4</ID><HLA>{locus('A', ('01:01',))}</HLA></DONOR>"
    path = file_of(
        tmp_path / "wmda.xml",
        inventory(donor, grid_only, gone, time="2026-02-01T00:00:00Z"),
        inventory(unit, half, "<ADCU><ID>X</ID></ADCU>", pool=5678),
    )
    donors, rejects, file = read(path, nomenclature)
    typing = {"a": "A*01:01+A*02:01", "b": "B*07:02+B*08:01"}
    assert donors["D1"] == {
        "type": "adult",
        "grid": "123400000000000D100",
        "birth_date": "1990-02-01",
        "sex": "female",
        "abo": "O",
        "rh": "negative",
        "ancestry": "CAEU",
        "weight_kg": 70,
        "cmv": "positive",
        "status": "temporarily_unavailable",
        "registry": "1234",
        "drb1": "DR4+DR1",
        "drb345": "DRB3*01:01+DRBX*UUUU",
        **typing,
        "change": "NU",
        "time": "2026-02-01T00:00:00Z",
    }
    assert donors["C1"] == {
        "type": "cord",
        "registry": "5678",
        "status": "available",
        "cmv": "negative",
        "tnc_1e7": 150,
        "cd34_1e6": 4.5,
        "volume_ml": 25,
        **typing,
        "mother_gl": "A*01:01+A*02:01^DR4+DR1",
        "change": "NU",
        "time": "2026-01-01T00:00:00Z",
    }
    assert donors["123400000000000D200"]["grid"] == "123400000000000D200"
    assert donors["D3"]["change"] == "D"
    assert rejects.keys() == {"D4"} and "only one of two" in rejects["D4"]
    assert file.full is False and time_text(file.time) == "2026-01-01T00:00:00Z"
    assert file.ignored == {
        "DONOR/HEIGHT": 1,
        "DONOR/IDM/CMV_DATE": 1,
        "DONOR/STAT_REASON": 1,
        "DONOR/HLA/E": 1,
        "CBU/MAT/ID": 1,
        "INVENTORY/ADCU": 1,
    }
    homozygous = ReadingOptions(blank_second=BlankSecond.HOMOZYGOUS)
    donors, rejects, _ = read(path, nomenclature, homozygous)
    assert donors["D4"]["a"] == "A*01:01+A*01:01" and not rejects


def test_a_full_inventory_replaces_its_pool(tmp_path: Path, nomenclature: Nomenclature) -> None:
    registry = Registry(tmp_path / "registry")

    def load(mode: Mode, text: str) -> tuple[int, ...]:
        path = file_of(tmp_path / "wmda.xml", text)
        summary = registry.import_file(
            path, nomenclature, tmp_path / "r.csv", request=ImportRequest(mode)
        )
        return summary.new, summary.updated, summary.unchanged, summary.absent, summary.older

    many = [f"<DONOR><ID>D{i:02}</ID>{HLA}</DONOR>" for i in range(20)]
    unit = f"<CBU><ID>C1</ID>{HLA}</CBU>"
    first = inventory(*many, unit, mode="FULL", time="2026-02-01T00:00:00Z")
    assert load(Mode.FULL, first) == (21, 0, 0, 0, 0)
    assert load(Mode.FULL, first) == (0, 0, 21, 0, 0)
    # The unit is of another type, and a later file of another pool concerns none of them.
    second = inventory(*many[1:], mode="FULL", time="2026-03-01T00:00:00Z")
    assert load(Mode.FULL, second) == (0, 0, 19, 1, 0)
    other = inventory(many[3].replace("D03", "E1"), mode="FULL", pool=9999)
    assert load(Mode.FULL, other) == (1, 0, 0, 0, 0)
    assert registry.count() == 21
    # An inventory from before deletes nobody who is known from later.
    before = inventory(*many[5:], mode="FULL", time="2026-01-15T00:00:00Z")
    assert load(Mode.FULL, before) == (0, 0, 15, 0, 15)
    with pytest.raises(InputFileError, match="says that it is differential"):
        load(Mode.FULL, inventory(*many))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("<INVENTORIES></INVENTORIES>", "holds no donor"),
        ("<CATALOG><BOOK/></CATALOG>", "begins with 'CATALOG'"),
        ("<INVENTORIES><INVENTORY><DONOR>", "damaged: no element found"),
        ("<INVENTORIES><INVENTORY></DONOR>", "damaged: mismatched tag"),
        ("<?xml version='1.0'?><<", "damaged"),
        (
            '<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><INVENTORIES>&c;</INVENTORIES>',
            "document type declaration",
        ),
        (
            '<!DOCTYPE x SYSTEM "file:///etc/passwd"><INVENTORIES></INVENTORIES>',
            "document type declaration",
        ),
        (
            '<INVENTORIES><INVENTORY SNAPSHOT_TIME="noon"><DONOR/></INVENTORY></INVENTORIES>',
            "SNAPSHOT_TIME: 'noon': not a time",
        ),
    ],
)
def test_inventories_that_are_refused(
    tmp_path: Path, nomenclature: Nomenclature, text: str, match: str
) -> None:
    for path, content in (
        (tmp_path / "wmda.xml", text.encode()),
        (tmp_path / "wmda.xml.gz", gzip.compress(text.encode())),
    ):
        path.write_bytes(content)
        with pytest.raises(InputFileError, match=match):
            read(path, nomenclature)


def test_an_inventory_in_another_encoding(tmp_path: Path, nomenclature: Nomenclature) -> None:
    text = f'<?xml version="1.0" encoding="UTF-16"?><INVENTORIES>{inventory(accented())}'
    path = tmp_path / "wmda.xml"
    path.write_bytes(f"{text}</INVENTORIES>".encode("utf-16"))
    donors, rejects, _ = read(path, nomenclature)
    assert donors["Dé"]["a"] == "A*01:01+A*02:01" and not rejects


def accented() -> str:
    return f"<DONOR><ID>Dé</ID>{HLA}</DONOR>"
