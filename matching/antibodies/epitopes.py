"""Bw4 and Bw6, read from the residues of HLA-A and HLA-B."""

from __future__ import annotations

from collections.abc import Mapping

from matching.antibodies.names import BW4, BW6
from matching.loci import Locus
from matching.sequences import FRAMES, UNKNOWN, Domains

FIRST, LAST = 77, 83


class PublicEpitopes:
    """Which P groups carry Bw4 or Bw6, each worked out when it is first asked for.

    Bw4 has isoleucine or threonine at residue 80 and LR at 82-83, also where an HLA-A molecule has
    these; Bw6 has N at 80 and RG at 82-83, of HLA-B only. Sources: Müller 1989, Immunogenetics
    30:200, and the list of the antigens that carry them in Marsh 2010, Tissue Antigens 75:291.
    """

    def __init__(self, domains: Domains) -> None:
        self._domains = domains
        self._known: dict[int, Mapping[str, bool | None]] = {}

    def of(self, locus: Locus, group: int) -> Mapping[str, bool | None]:
        """Whether a P group carries each of both; None where its residues do not tell."""
        known = self._known.get(group)
        if known is None:
            known = self._known[group] = self._read(locus, group)
        return known

    def _read(self, locus: Locus, group: int) -> Mapping[str, bool | None]:
        if locus not in (Locus.A, Locus.B):
            return {BW4: False, BW6: False}
        residues = self._domains.residues(group)
        first = FRAMES[locus.value].first
        motif = residues[FIRST - first : LAST + 1 - first]
        end = "".join(motif[-2:])
        if not motif or UNKNOWN in motif:
            return {BW4: None, BW6: None if locus is Locus.B else False}
        bw4 = motif[3] in ("I", "T") and end == "LR"
        if locus is Locus.A:
            return {BW4: bw4, BW6: False}
        bw6 = motif[3] == "N" and end == "RG"
        # A molecule of HLA-B with a motif between both may carry either.
        return {BW4: bw4, BW6: bw6} if bw4 or bw6 else {BW4: None, BW6: None}
