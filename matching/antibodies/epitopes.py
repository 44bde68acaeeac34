"""Bw4 and Bw6, read from the residues of HLA-A and HLA-B."""

from __future__ import annotations

from matching.loci import Locus
from matching.sequences import UNKNOWN, Domains

FIRST, LAST = 77, 83


class PublicEpitopes:
    """Which P groups carry Bw4 or Bw6, each worked out when it is first asked for.

    Bw4 has isoleucine or threonine at residue 80 and LR at 82-83, also where an HLA-A molecule has
    these; Bw6 has N at 80 and RG at 82-83, of HLA-B only. Sources: Müller 1989, Immunogenetics
    30:200, and the list of the antigens that carry them in Marsh 2010, Tissue Antigens 75:291.
    """

    def __init__(self, domains: Domains) -> None:
        self._domains = domains
        self._known: dict[int, tuple[bool | None, bool | None]] = {}

    def of(self, locus: Locus, group: int) -> tuple[bool | None, bool | None]:
        """Whether a P group carries Bw4, and Bw6; None where its residues do not tell."""
        known = self._known.get(group)
        if known is None:
            known = self._known[group] = self._read(locus, group)
        return known

    def _read(self, locus: Locus, group: int) -> tuple[bool | None, bool | None]:
        motif = self._domains.window(group, FIRST, LAST)
        if not motif or UNKNOWN in motif:
            return None, None if locus is Locus.B else False
        at_80, end = motif[80 - FIRST], "".join(motif[82 - FIRST :])
        bw4 = at_80 in ("I", "T") and end == "LR"
        if locus is Locus.A:
            return bw4, False
        bw6 = at_80 == "N" and end == "RG"
        # A molecule of HLA-B with a motif between both may carry either.
        return (bw4, bw6) if bw4 or bw6 else (None, None)
