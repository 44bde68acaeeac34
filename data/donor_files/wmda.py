"""The inventory of WMDA (XML, schemas 2.2 to 2.4): donors and cord blood units, one at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.etree.ElementTree import Element, ParseError, iterparse
from xml.parsers import expat

from data.donor_files.exchange import EXCHANGED_LOCI, Fields, locus_text
from matching.errors import InputFileError

_ROOTS = ("INVENTORIES", "INVENTORY")
ITEMS = {"DONOR": "adult", "CBU": "cord"}
# Column of an element of an item; of several for one column the first that is filled.
_COLUMNS = {
    "GRID": "grid",
    "BIRTH_DATE": "birth_date",
    "SEX": "sex",
    "ABO": "abo",
    "RHESUS": "rh",
    "ETHN": "ancestry",
    "WEIGHT": "weight_kg",
    "STATUS": "status",
    "CMV": "cmv",
    "IDM/CMV": "cmv",
    "IDM/ANTI_CMV": "cmv",
    # What was frozen is what a patient gets.
    "TNC_FRZN": "tnc_1e7",
    "TNC": "tnc_1e7",
    "CD34PC_FRZN": "cd34_1e6",
    "CD34PC": "cd34_1e6",
    "VOL_FRZN": "volume_ml",
    "VOL": "volume_ml",
}
_RHESUS = {"P": "positive", "N": "negative"}
# Data dictionary of WMDA: G, M, B, P and H are positive for an antibody, N and O negative; Q is
# questionable, so unknown.
_CMV = {**dict.fromkeys("GMBPH", "positive"), **dict.fromkeys("NO", "negative"), "Q": ""}
_DELETED = "DE"
_LOCI = {name.upper(): name for name in EXCHANGED_LOCI}


@dataclass(frozen=True, slots=True)
class Inventory:
    """What an inventory says of itself; `time` is ISO text or ""."""

    pool: str
    full: bool | None
    time: str


def items(path: Path, file: IO[bytes]) -> Iterator[tuple[Inventory, Element]]:
    """The items of a file with their inventory, in its order; elements of other names too.

    Document type declarations, and so entities of one's own, are refused.
    Raises `InputFileError`.
    """
    _refuse_declarations(path, file)
    created = ""
    inventory: Inventory | None = None
    depth, container = 0, 0
    try:
        for event, element in iterparse(file, ("start", "end")):
            if event == "start":
                depth += 1
                name = _name(element)
                if depth == 1 and name not in _ROOTS:
                    raise InputFileError(
                        f"{path}: XML is read as an inventory of WMDA (INVENTORIES), and this one "
                        f"begins with {name[:40]!r}; nothing was used"
                    )
                if depth == 1:
                    created = element.get("CREATION_TIME", "")
                if name == "INVENTORY" and inventory is None:
                    inventory, container = _inventory(element, created), depth
                    parent = element
                continue
            if inventory is not None and depth == container + 1:
                yield inventory, element
                parent.clear()
            elif inventory is not None and depth == container:
                inventory = None
                element.clear()
            depth -= 1
    except ParseError as error:
        raise InputFileError(
            f"{path} is damaged: {error}; nothing was used; get the file again"
        ) from error


def _refuse_declarations(path: Path, file: IO[bytes]) -> None:
    """A declaration can only stand before the first element."""
    parser = expat.ParserCreate()
    found: list[str] = []
    parser.StartDoctypeDeclHandler = lambda *_: found.append("declaration")
    parser.StartElementHandler = lambda *_: found.append("element")
    while not found and (text := file.read(4096)):
        try:
            parser.Parse(text)
        except expat.ExpatError as error:
            if not found:
                raise InputFileError(
                    f"{path} is damaged: {error}; nothing was used; get the file again"
                ) from error
    if found[:1] == ["declaration"]:
        raise InputFileError(
            f"{path} has a document type declaration (<!DOCTYPE ...>); an inventory needs none, so "
            "remove it; nothing was used"
        )
    file.seek(0)


def _inventory(element: Element, created: str) -> Inventory:
    mode = element.get("UPDATE_MODE", "").upper()
    full = {"FULL": True, "DIFF": False}.get(mode)
    return Inventory(element.get("POOL", ""), full, element.get("SNAPSHOT_TIME", "") or created)


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def item_record(inventory: Inventory, item: Element, ignored: Counter[str]) -> dict[str, str]:
    """A donor or cord blood unit in the columns of `EXCHANGED`.

    Elements that are not used are counted in `ignored`.
    """
    kind = _name(item)
    found: dict[str, str] = {}
    record = {"type": ITEMS[kind], "registry": inventory.pool, "reported_at": inventory.time}
    for element in item:
        name = _name(element)
        if name == "HLA":
            record.update(_typing(element, f"{kind}/HLA", ignored))
        elif name == "MAT":
            record["mother_gl"] = _mother(element, kind, ignored)
        elif name == "IDM":
            found.update((f"IDM/{_name(marker)}", _text(marker)) for marker in element)
        else:
            found[name] = _text(element)
    for name, column in _COLUMNS.items():
        if found.get(name) and not record.get(column):
            record[column] = found[name]
    record["id"] = found.get("ID", "") or found.get("GRID", "")
    record["rh"] = _RHESUS.get(record.get("rh", ""), record.get("rh", ""))
    record["cmv"] = _CMV.get(record.get("cmv", ""), record.get("cmv", ""))
    if record.get("status") == _DELETED:
        record["status"], record["change"] = "", "D"
    for name in found.keys() - _COLUMNS.keys() - {"ID"}:
        ignored[f"{kind}/{name}"] += 1
    return record


def _mother(element: Element, kind: str, ignored: Counter[str]) -> str:
    texts: dict[str, str] = {}
    for part in element:
        if _name(part) == "HLA":
            texts = _typing(part, f"{kind}/MAT/HLA", ignored)
        else:
            ignored[f"{kind}/MAT/{_name(part)}"] += 1
    return "^".join(texts.values())


def _typing(element: Element, path: str, ignored: Counter[str]) -> dict[str, str]:
    texts = {}
    for locus in element:
        name = _LOCI.get(_name(locus))
        if name is None:
            ignored[f"{path}/{_name(locus)}"] += 1
            continue
        fields: dict[str, Fields] = {"DNA": ("", ""), "SER": ("", "")}
        for method in locus:
            if _name(method) not in fields:
                ignored[f"{path}/{_name(locus)}/{_name(method)}"] += 1
                continue
            parts = {_name(part): _text(part) for part in method}
            fields[_name(method)] = parts.get("FIELD1", ""), parts.get("FIELD2", "")
        text = locus_text(name, fields["DNA"], fields["SER"], homozygous=False)
        if text:
            texts[name] = text
    return texts


def _text(element: Element) -> str:
    return (element.text or "").strip()
