"""Where haplotypes are cut to be put together anew, for typings that none of a set explains."""

from __future__ import annotations

from collections.abc import Sequence

from matching.loci import Locus

# Where haplotypes are cut for recombination, fewest cuts first: between the classes, then beside A,
# then between DRB1 and DQA1, then everywhere.
_CUTS = (
    "A C B|DRB345 DRB1 DQA1 DQB1|DPA1 DPB1",
    "A|C B|DRB345 DRB1 DQA1 DQB1|DPA1 DPB1",
    "A|C B|DRB345 DRB1|DQA1 DQB1|DPA1 DPB1",
    "A|C|B|DRB345|DRB1|DQA1|DQB1|DPA1|DPB1",
)


def recombinations(loci: Sequence[Locus]) -> tuple[tuple[tuple[Locus, ...], ...], ...]:
    """The ways to cut haplotypes over some loci into blocks, fewest cuts first.

    >>> [len(blocks) for blocks in recombinations([Locus.A, Locus.B, Locus.DRB1])]
    [2, 3]
    """
    found = []
    for cuts in _CUTS:
        named = (tuple(map(Locus, block.split())) for block in cuts.split("|"))
        kept = (tuple(locus for locus in block if locus in loci) for block in named)
        found.append(tuple(block for block in kept if block))
    return tuple(dict.fromkeys(blocks for blocks in found if len(blocks) > 1))
