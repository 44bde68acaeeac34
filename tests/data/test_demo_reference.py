"""The embedded demo reference: its own consistency, and its facts against the release."""

import csv
import hashlib
import json
import os
import random
from decimal import Decimal
from pathlib import Path

import pytest

from data.reference import invent_haplotypes

REFERENCE = Path(invent_haplotypes.__file__).parent
LOCI = ["A", "C", "B", "DRB1", "DQB1", "DPB1"]

Rows = list[dict[str, str]]


def read_rows(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def read_groups(path: Path) -> dict[str, str]:
    """Allele -> group; an allele on a line without a group name is its own group."""
    groups = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        locus, members, group = line.split(";")
        for member in members.split("/"):
            groups[locus + member] = locus + (group or member)
    return groups


@pytest.fixture(scope="module")
def alleles() -> Rows:
    return read_rows(REFERENCE / "alleles.csv")


@pytest.fixture(scope="module")
def haplotypes() -> Rows:
    return read_rows(REFERENCE / "haplotypes.csv")


@pytest.fixture
def release(shared: Path) -> Path:
    return Path(os.environ.get("GRAFTMATCH_RELEASE_3580", shared / "imgt" / "3580"))


def test_alleles_are_few_and_distinct(alleles: Rows) -> None:
    names = [row["name"] for row in alleles]
    assert 0 < len(names) <= 120
    assert len(set(names)) == len(names)
    assert {name.split("*")[0] for name in names} == set(LOCI)


def test_haplotypes_are_distinct_and_frequencies_sum_to_one(haplotypes: Rows) -> None:
    assert 100 <= len(haplotypes) <= 200
    assert len({row["haplotype"] for row in haplotypes}) == len(haplotypes)
    assert {row["population"] for row in haplotypes} == {"synthetic"}
    frequencies = [Decimal(row["frequency"]) for row in haplotypes]
    assert min(frequencies) > 0
    assert sum(frequencies) == 1


def test_haplotypes_use_two_field_entries_only(alleles: Rows, haplotypes: Rows) -> None:
    two_field = {row["name"] for row in alleles if row["name"].count(":") == 1}
    for row in haplotypes:
        names = row["haplotype"].split("~")
        assert [name.split("*")[0] for name in names] == LOCI
        assert set(names) <= two_field


def test_checksums_match_the_manifest() -> None:
    manifest = json.loads((REFERENCE / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["sha256"] == {
        name: hashlib.sha256((REFERENCE / name).read_bytes()).hexdigest()
        for name in ("alleles.csv", "haplotypes.csv")
    }
    assert manifest["frequencies"].endswith(f"seed {invent_haplotypes.SEED}")


def test_script_reproduces_the_haplotypes() -> None:
    text = invent_haplotypes.invent_haplotypes(random.Random(invent_haplotypes.SEED))
    assert text.encode() == (REFERENCE / "haplotypes.csv").read_bytes()


def test_facts_agree_with_the_release(alleles: Rows, release: Path) -> None:
    p_groups = read_groups(release / "wmda" / "hla_nom_p.txt")
    g_groups = read_groups(release / "wmda" / "hla_nom_g.txt")
    tce = {
        row["Allele"]: row["V2_Assignment"] for row in read_rows(release / "tce" / "dpb_tce.csv")
    }

    def expressed_members(name: str) -> set[str]:
        """The expressed alleles that the name stands for; hla_nom_p lists no others."""
        if name in p_groups:
            return {name}
        if name.endswith("P"):
            return {allele for allele, group in p_groups.items() if group == name}
        if name.endswith("G"):
            return {
                allele
                for allele, group in g_groups.items()
                if group == name and not allele.endswith("N")
            }
        return {allele for allele in p_groups if allele.split(":")[:2] == name.split(":")}

    for row in alleles:
        name = row["name"]
        if name.endswith("N"):
            assert name in g_groups, name
            assert name not in p_groups, name
            assert row["p_group"] == "", name
        else:
            members = expressed_members(name)
            assert {p_groups[allele] for allele in members} == {row["p_group"]}, name
            # A blank or "0" is a member without an assignment.
            digits = {tce.get(allele, "")[:1] for allele in members} - {"", "0"}
            assert digits == ({row["tce"]} - {""}), name

        g_group = name if name.endswith("G") else g_groups.get(name, "")
        assert row["g_group"] == g_group, name
