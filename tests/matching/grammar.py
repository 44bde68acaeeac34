"""Random GL strings of every form, right and wrong, drawn from a release and a table of codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from random import Random

from matching.loci import CARRIED_GENES, LOCI, Locus
from matching.nomenclature import Nomenclature
from matching.serology import PREFIX_OF_GENE

# What a slip of the hand or of a program puts into a typing.
_CHARACTERS = (
    "ABCDEGHLNPQRSUXZacgpwx0123456789:*/+^|~-#?,;. \t\n\r\0\x1b\x85\xa0\u0660\u00b2\u212a\udc80"
)


@dataclass(frozen=True)
class Grammar:
    """Draws texts. `draw` of every method decides everything, so a seed repeats them."""

    nomenclature: Nomenclature
    codes: Mapping[str, tuple[str, ...]]

    @cached_property
    def _alleles(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for row in self.nomenclature.alleles:
            gene, _, fields = row.name.partition("*")
            found.setdefault(gene, []).append(fields)
        return found

    @cached_property
    def _nulls(self) -> Mapping[str, list[str]]:
        return {
            gene: [fields for fields in names if fields.endswith("N")] or names
            for gene, names in self._alleles.items()
        }

    @cached_property
    def _deleted(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self.nomenclature.deleted:
            gene, star, fields = name.partition("*")
            found.setdefault(gene if star else "", []).append(fields or name)
        return found

    @cached_property
    def _code_names(self) -> list[str]:
        return sorted(self.codes)

    def text(self, draw: Random) -> str:
        """A GL string or a single position, one in three of them damaged, one in ten raw bytes."""
        if draw.random() < 0.1:
            raw = bytes(draw.randrange(256) for _ in range(draw.randrange(60)))
            if draw.random() < 0.5:
                return raw.decode("latin-1")
            return raw.decode("utf-8", "surrogateescape")
        text = self.position_of_any_gene(draw) if draw.random() < 0.2 else self.gl(draw)
        return self.damaged(draw, text) if draw.random() < 0.35 else text

    def position_of_any_gene(self, draw: Random) -> str:
        """One written position."""
        if draw.random() < 0.1:
            return self._carried(draw)
        return self.position(draw, self._gene(draw, draw.choice(LOCI)))

    def gl(self, draw: Random) -> str:
        """Loci in any order, sometimes in phase, sometimes with a release in front."""
        loci = draw.sample(LOCI, draw.choice((1, 1, 2, 2, 3, 9)))
        parts = []
        if len(loci) > 1 and draw.random() < 0.2:
            phased, loci = loci[:2], loci[2:]
            parts.append(
                self._list(draw, lambda: "+".join(self._haplotype(draw, phased) for _ in "12"))
            )
        for locus in loci:
            if locus is Locus.DRB345 and draw.random() < 0.6:
                parts += self._drb345(draw)
            else:
                parts.append(self.locus(draw, locus))
        if draw.random() < 0.1:
            parts.append("+".join(self._carried(draw) for _ in "12"))
        text = draw.choice(("^", "^", "^", " ^ ")).join(parts)
        return text if draw.random() < 0.9 else f"hla#{self._release(draw)}#{text}"

    def locus(self, draw: Random, locus: Locus) -> str:
        """Both positions of a locus, or a list of such genotypes."""
        return self._list(
            draw,
            lambda: "+".join(self.position(draw, self._gene(draw, locus)) for _ in "12"),
        )

    def position(self, draw: Random, gene: str) -> str:
        """One position of a gene, in any form."""
        forms: tuple[Callable[[Random, str], str], ...] = (
            *(self._allele,) * 4,
            self._shorter,
            self._group,
            self._xx,
            self._code,
            self._string,
            self._second_fields,
            self._antigen,
            self._old,
            self._former,
            self._made_up,
            self._word,
        )
        text = draw.choice(forms)(draw, gene)
        if (text.endswith("*NNNN") or gene not in PREFIX_OF_GENE) and draw.random() < 0.5:
            text = self._allele(draw, gene)
        if draw.random() < 0.05:
            text = f"HLA-{text}"
        return f" {text} " if draw.random() < 0.03 else text

    @staticmethod
    def _gene(draw: Random, locus: Locus) -> str:
        if locus is Locus.C and draw.random() < 0.2:
            return "Cw"
        return draw.choice(locus.genes)

    def _of(self, names: Mapping[str, list[str]], draw: Random, gene: str) -> str:
        known = names.get("C" if gene == "Cw" else gene)
        return draw.choice(known) if known else "01:01"

    def _allele(self, draw: Random, gene: str) -> str:
        names = self._nulls if draw.random() < 0.15 else self._alleles
        return f"{gene}*{self._of(names, draw, gene)}"

    def _fields(self, draw: Random, gene: str) -> list[str]:
        return self._of(self._alleles, draw, gene).rstrip("NLSQCA").split(":")

    def _shorter(self, draw: Random, gene: str) -> str:
        fields = self._fields(draw, gene)[: draw.choice((2, 2, 3))]
        return f"{gene}*{':'.join(fields)}{draw.choice(('', '', '', *'NLSQCA'))}"

    def _group(self, draw: Random, gene: str) -> str:
        letter = draw.choice("GPg")
        fields = (*self._fields(draw, gene), "01")[: 3 if letter == "G" else 2]
        return f"{gene}*{':'.join(fields)}{letter}"

    def _xx(self, draw: Random, gene: str) -> str:
        first = self._fields(draw, gene)[0]
        return f"{gene}*{draw.choice((first, '09', '10', '99'))}:XX"

    def _code(self, draw: Random, gene: str) -> str:
        code = draw.choice(self._code_names) if draw.random() < 0.7 else self._letters(draw)
        return f"{gene}*{self._fields(draw, gene)[0]}{draw.choice((':', ':', ''))}{code}"

    @staticmethod
    def _letters(draw: Random) -> str:
        return "".join(draw.choice("ABNXGUP") for _ in range(draw.randrange(2, 6)))

    def _string(self, draw: Random, gene: str) -> str:
        part = draw.choice((self._allele, self._shorter, self._group, self._old))
        return "/".join(part(draw, gene) for _ in range(draw.randrange(2, 6)))

    def _second_fields(self, draw: Random, gene: str) -> str:
        first = self._fields(draw, gene)[0]
        fields = [f"{draw.randrange(1, 130):02}" for _ in range(draw.randrange(2, 8))]
        spelled = fields if draw.random() < 0.5 else [f"{first}:{field}" for field in fields]
        return f"{gene}*{first}:{'/'.join([fields[0], *spelled[1:]])}"

    def _antigen(self, draw: Random, gene: str) -> str:
        prefix = PREFIX_OF_GENE.get("C" if gene == "Cw" else gene)
        if prefix is None and draw.random() < 0.8:
            return {"DRB3": "DR52", "DRB4": "DR53", "DRB5": "DR51"}.get(gene, f"{gene}*01:01")
        prefix = prefix or "DR"
        known = [row.antigen for row in self.nomenclature.antigens if row.gene == prefix]
        return f"{prefix}{draw.choice((*known, '51', '52', str(draw.randrange(9999))))}"

    def _old(self, draw: Random, gene: str) -> str:
        fields = self._fields(draw, gene)[: draw.choice((2, 2, 3, 4))]
        return f"{gene}*{''.join(field[-2:] for field in fields)}{draw.choice(('', '', 'N'))}"

    def _former(self, draw: Random, gene: str) -> str:
        if draw.random() < 0.1 and "" in self._deleted:
            return draw.choice(self._deleted[""])
        return f"{gene}*{self._of(self._deleted, draw, gene)}"

    @staticmethod
    def _made_up(draw: Random, gene: str) -> str:
        if draw.random() < 0.7:
            fields = [f"{draw.randrange(130):02}" for _ in range(draw.randrange(2, 5))]
        else:
            digits = draw.randrange(1, 7)
            fields = [str(draw.randrange(10**digits)) for _ in range(draw.randrange(6))]
        return f"{gene}*{':'.join(fields)}{draw.choice(('', *'NLSQCAGPg'))}"

    @staticmethod
    def _word(draw: Random, gene: str) -> str:
        return f"{gene}*{draw.choice(('NEW', 'UUUU', 'NNNN'))}"

    @staticmethod
    def _list(draw: Random, one: Callable[[], str]) -> str:
        return "|".join(one() for _ in range(draw.choice((1,) * 9 + (2, 2, 5))))

    def _haplotype(self, draw: Random, loci: list[Locus]) -> str:
        return "~".join(self.position(draw, self._gene(draw, locus)) for locus in loci)

    def _drb345(self, draw: Random) -> list[str]:
        """One part a gene, as some registries write it; or absent genes."""
        parts = []
        for gene in draw.sample(("DRB3", "DRB4", "DRB5", "DRBX", "DRB345"), draw.choice((1, 2, 3))):
            copies = [
                f"{gene}*NNNN" if draw.random() < 0.4 else self.position(draw, gene)
                for _ in range(draw.choice((1, 2, 2)))
            ]
            parts.append("+".join(copies * 2 if draw.random() < 0.1 else copies))
        return parts

    def _carried(self, draw: Random) -> str:
        gene = draw.choice(sorted(CARRIED_GENES))
        return self._allele(draw, gene) if draw.random() < 0.9 else f"{gene}{self._letters(draw)}"

    def _release(self, draw: Random) -> str:
        return draw.choice((self.nomenclature.release, "3.44.0", "9.9.9", "3.58"))

    @staticmethod
    def damaged(draw: Random, text: str) -> str:
        """A few characters or pieces of a text left out, doubled, replaced or moved."""
        for _ in range(draw.choice((1, 1, 1, 2, 5))):
            i = draw.randrange(len(text) + 1)
            j = min(len(text), i + draw.choice((1, 1, 2, 8)))
            text = draw.choice(
                (
                    text[:i] + text[j:],
                    text[:j] + text[i:],
                    text[:i] + draw.choice(_CHARACTERS) + text[j:],
                    text[:i] + draw.choice(_CHARACTERS) + text[i:],
                    text[i:] + text[:i],
                    text[:i] + text[i:].swapcase(),
                    text[:i],
                )
            )
        return text
