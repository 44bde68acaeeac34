"""Slow, obvious search: rules R1 to R5 straight from the release's text files, no shared code."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from pathlib import Path

from tests.oracles.pairs import match_count

Positions = tuple[set[str], set[str]]


class TextRelease:
    """P groups and names of a release, read line by line."""

    def __init__(self, folder: Path) -> None:
        self.p_group: dict[str, str] = {}
        for line in (folder / "wmda/hla_nom_p.txt").read_text().splitlines():
            if not line.startswith("#"):
                gene, members, name = line.split(";")
                for member in members.split("/"):
                    self.p_group[gene + member] = gene + (name or member)
        self.by_prefix: dict[str, set[str]] = defaultdict(set)
        for line in (folder / "Allelelist.txt").read_text().splitlines():
            if line.startswith("HLA"):
                name = line.split(",")[1]
                gene, fields = name.rstrip("NLSQCA").split("*")
                parts = fields.split(":")
                self.by_prefix[name].add(name)
                for n in range(2, len(parts)):
                    self.by_prefix[f"{gene}*{':'.join(parts[:n])}"].add(name)

    def alleles(self, text: str) -> set[str]:
        """All alleles of one position; nulls only if nothing else is left (R4)."""
        found: set[str] = set()
        for name in text.split("/"):
            found |= self.by_prefix[name]
        assert found, text
        return {name for name in found if not name.endswith("N")} or found

    @cache  # noqa: B019 (lives as long as a test)
    def locus(self, text: str) -> tuple[frozenset[str], frozenset[str]]:
        """P groups of both positions; a null takes its partner's (R3)."""
        first, second = (
            frozenset(self.p_group[a] for a in self.alleles(part) if a in self.p_group)
            for part in text.split("+")
        )
        return first or second, second or first

    @cache  # noqa: B019
    def mismatches(self, patient: str, donor: str) -> int:
        """2 minus the R2 count of one locus."""
        p1, p2 = self.locus(patient)
        d1, d2 = self.locus(donor)
        return 2 - match_count(p1, p2, d1, d2)


def loci_of(gl: str) -> dict[str, str]:
    """Text of each locus of a GL string."""
    return {part.split("*")[0]: part for part in gl.strip().split("^")}


def search(
    release: TextRelease,
    patient: str,
    donors: dict[str, dict[str, str]],
    loci: tuple[str, ...],
    max_mismatches: int,
) -> dict[str, int]:
    """Best-case mismatches of every donor within the limit; an untyped locus counts none."""
    wanted = loci_of(patient)
    found = {}
    for identifier, typed in donors.items():
        total = sum(
            release.mismatches(wanted[locus], typed[locus])
            for locus in loci
            if locus in wanted and locus in typed
        )
        if total <= max_mismatches:
            found[identifier] = total
    return found
