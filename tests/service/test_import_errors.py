"""Every way that an import can fail, as a user meets it: one line, an exit code, nothing lost."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from data.donor_files import PeopleFile
from data.registry import Registry
from tests.service.conftest import Run

GL = "A*01:01+A*02:01"
CSV = "id,gl\n" + "".join(f"E{i:04},{GL}\n" for i in range(3_000))
JSON = json.dumps(
    {
        "updateMode": "diff",
        "donors": [
            {
                "recordId": f"J{i}",
                "changeType": "N",
                "donorType": "D",
                "hla": {"a": {"dna": {"field1": "*01:01", "field2": "*02:01"}}},
            }
            for i in range(50)
        ],
    }
)
XML = (
    "<INVENTORIES><INVENTORY POOL='1'>"
    + "".join(
        f"<DONOR><ID>X{i}</ID><HLA><A><DNA><FIELD1>01:01</FIELD1><FIELD2>02:01</FIELD2></DNA></A>"
        "</HLA></DONOR>"
        for i in range(50)
    )
    + "</INVENTORY></INVENTORIES>"
)
PACKED = gzip.compress(CSV.encode())


def parquet(tmp_path: Path) -> bytes:
    rng = random.Random(1)
    path = tmp_path / "whole.parquet"
    ids = [f"{rng.getrandbits(64):x}" for _ in range(3_000)]
    pd.DataFrame({"id": ids, "gl": [GL] * len(ids)}).to_parquet(path)
    return path.read_bytes()


class Files:
    """A registry of two donors, and files that are imported into it."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run, self.folder = run, folder
        code, _, _ = self("two.csv", f"id,gl\nD1,{GL}\nD2,{GL}\n")
        assert code == 0

    def __call__(
        self, name: str, content: str | bytes | None, *options: object
    ) -> tuple[int, str, str]:
        path = self.folder / name
        if content is not None:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self.run("registry", "import", path, "--release", "demo", *options)

    def check(self, *n_donors: int) -> None:
        """The registry holds so many donors and can be searched."""
        code, printed, _ = self.run("registry", "show", "--release", "demo")
        assert code == 0
        assert any(printed.startswith(f"{n:,} donors stored") for n in n_donors)
        assert any(f", {n:,} searchable" in printed for n in n_donors)

    def refused(self, name: str, content: str | bytes | None, *parts: str) -> None:
        """The file is refused by one line that names it and holds the parts."""
        code, printed, error = self(name, content)
        assert (code, printed) == (1, "")
        assert error.startswith("error: ") and error.count("\n") == 1
        for part in (name, *parts):
            assert part in error
        assert not (self.folder / f"{name}.rejects.csv").exists()
        self.check(2)

    def rejected(self, name: str, content: str | bytes, *parts: str) -> None:
        """One record of a file of two is rejected, with a reason that holds the parts."""
        code, printed, error = self(name, content)
        assert code == 3 and "read 2 = new 1" in printed and "rejected 1" in printed
        assert error.count("\n") == 1 and f"{name}.rejects.csv" in error
        with (self.folder / f"{name}.rejects.csv").open(newline="") as file:
            (row,) = csv.DictReader(file)
        assert row["record"] and row["reason"].count("\n") == 0
        for part in parts:
            assert part in f"{row['record']} {row['id']} {row['reason']}"
        self.check(3)


@pytest.fixture
def files(run: Run, tmp_path: Path) -> Files:
    return Files(run, tmp_path)


def test_files_that_are_refused(files: Files, tmp_path: Path) -> None:
    once_more = "get the file again"
    files.refused("empty.csv", "", "is empty", "give a file")
    files.refused("blank.csv", "\n \n", "is empty", "give a file")
    files.refused("header.csv", "id,gl\n", "no record", "give a file")
    files.refused("column.csv", f"id,gl,abbo\nD3,{GL},A\n", "'abbo'; did you mean 'abo'? rename or")
    files.refused("tabs.csv", f"id\tgl\nD3\t{GL}\n", r"unknown column 'id\tgl'")
    files.refused("no_id.csv", f"gl\n{GL}\n", "'id' is missing")
    files.refused("twice.csv", f"id,gl,gl\nD3,{GL},{GL}\n", "'gl' comes twice; remove one")
    files.refused("utf16.csv", CSV.encode("utf-16"), "neither text in UTF-8", "save it")
    files.refused("bytes.csv", bytes(random.Random(1).randbytes(999)), "neither text", "save it")
    files.refused("cut.csv", PACKED[: len(PACKED) // 2], "is damaged", "ended before", once_more)
    files.refused("sum.csv", PACKED[:-8] + bytes(8), "is damaged", "CRC", once_more)
    files.refused("behind.csv", PACKED + b"junk", "is damaged", once_more)
    files.refused("inside.csv", PACKED[:99] + b"\xff" * 99 + PACKED[198:], "is damaged", once_more)
    whole = parquet(tmp_path)
    files.refused("cut.parquet", whole[:-50], "is damaged", once_more)
    files.refused("start.parquet", whole[:8], "is damaged", once_more)
    half = len(whole) // 3
    torn = whole[:half] + b"\xff" * 300 + whole[half + 300 :]
    files.refused("inside.parquet", torn, "is damaged", once_more)
    files.refused("cut.json", JSON[: len(JSON) // 2], "no donor file in JSON", "nothing was used")
    files.refused("behind.json", JSON + "x", "behind its end", "nothing was used")
    files.refused("none.json", '{"donors": []}', "lists no donor", "give a file")
    files.refused("cut.xml", XML[: len(XML) // 2], "is damaged", once_more)
    files.refused("tags.xml", XML.replace("</HLA>", "</HLB>", 1), "is damaged", "line 1", once_more)
    files.refused("other.xml", "<html></html>", "inventory of WMDA", "'html'")
    files.refused("absent.csv", None, "No such file", "give the path")
    (tmp_path / "folder.csv").mkdir()
    files.refused("folder.csv", None, "no regular file", "give the path")
    os.mkfifo(tmp_path / "pipe.csv")
    files.refused("pipe.csv", None, "no regular file", "give the path")


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("unknown.csv", f"id,gl\nD3,A*77:77+A*01:01\nD4,{GL}\n", ("2 D3 locus A", "'A*77:77'")),
        ("half.csv", f"id,gl\nD3,{GL}\nD4,A*01:01\n", ("3 D4 locus A", "one of two", "write a")),
        ("sex.csv", f"id,sex,gl\nD3,F,{GL}\nD4,W,{GL}\n", ("3 D4 sex: 'W'", "male, female")),
        ("latin.csv", f"id,registry,gl\nD3,Zürich,{GL}\nD4,,{GL}".encode("latin1"), ("2 D3 reg",)),
        ("fields.csv", f"id,gl\nD3,{GL},x\nD4,{GL}\n", ("2 D3 ", "3 fields where", "has 2")),
        ("line.csv", f"id,gl\nD3,{'A*01:01/' * 1_300_000}\nD4,{GL}\n", ("2 ", "field limit")),
        ("quote.csv", f'id,gl\nD3,"{"x" * 10_000_000}\nD4,{GL}\n', ("2 ", "field limit")),
        ("line.txt", f"D3%{'A*01:01/' * 1_300_000}\nD4%{GL}\n", ("1 D3 ", "longer than")),
        ("twice.csv", f"id,gl\nD3,{GL}\nD3,A*01:01+A*01:01\n", ("3 D3 ", "record 2 of this")),
        ("no_id.csv", f"id,gl\n,{GL}\nD4,{GL}\n", ("2  id: ''", "needs an identifier")),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value[:12] else "",
)
def test_records_that_are_rejected(
    files: Files, name: str, content: str | bytes, parts: tuple[str, ...]
) -> None:
    files.rejected(name, content, *parts)


@contextmanager
def unprivileged(folder: Path) -> Iterator[None]:
    """As somebody who is not root, for whom no permission is ever missing."""
    if os.getuid():
        yield
        return
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o755)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_places_that_may_not_be_read_or_written(files: Files, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text(CSV)
    secret.chmod(0)
    with unprivileged(tmp_path):
        code, _, error = files(
            "secret.csv", None, "--validate-only", "--registry", tmp_path / "none"
        )
    assert code == 1 and "Permission denied; give the path" in error and error.count("\n") == 1
    file = tmp_path / "two.csv"
    one_bad = f"id,gl\nD3,{GL}\nD4,nonsense\n"
    for options, parts in (
        (("--rejects", file / "r.csv"), ("cannot write", "two.csv/r.csv", "choose another")),
        (("--registry", file), ("cannot create", "name another folder")),
        (("--registry", file / "x"), ("cannot create", "name another folder")),
        (("--registry", "mysql://u:hidden@h/d"), ("not in 'mysql'", "postgresql://USER")),
        (
            ("--registry", "postgresql://u:hidden@127.0.0.1:1/d"),
            ("postgresql://u:***@127.0.0.1:1/d", "check the address, and that the server runs"),
        ),
    ):
        code, printed, error = files("bad.csv", one_bad, *options)
        assert (code, printed) == (1, "") and error.count("\n") == 1 and "hidden" not in error
        for part in parts:
            assert part in error
        files.check(2)
    store = tmp_path / "home/registry/donors.sqlite"
    whole = store.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"no database at all" * 99):
        store.write_bytes(damaged)
        code, _, error = files("bad.csv", one_bad)
        assert code == 1 and error.count("\n") == 1
        assert "the store is damaged" in error and "import the donors again" in error
    store.write_bytes(whole)
    files.check(2)


def test_a_file_that_changes_while_it_is_read(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    streamed = PeopleFile._streamed

    def growing(self: PeopleFile, file: object) -> Iterator[object]:
        for batch in streamed(self, file):  # type: ignore[arg-type]
            with self.path.open("a") as more:
                more.write(f"L,{GL}\n")
            yield batch

    monkeypatch.setattr(PeopleFile, "_streamed", growing)
    files.refused("grows.csv", f"id,gl\nD3,{GL}\n", "was changed while it was read", "run it again")
    monkeypatch.undo()
    monkeypatch.setenv("GRAFTMATCH_HOME", str(tmp_path / "home"))
    code, printed, _ = files("grows.csv", None)
    assert code == 0 and "new 2" in printed
    assert Registry(tmp_path / "home/registry").typings(["L"]) == {"L": GL}
