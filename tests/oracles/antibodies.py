"""Slow, obvious definition of the virtual crossmatch: every allele, every pair, every choice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from matching.antibodies import Answer, Bead, CutOffs, Profile, System, crossmatch
from matching.haplotypes import Imputer
from matching.loci import Locus
from matching.nomenclature import NO_P_GROUP, Nomenclature, two_fields
from matching.sequences import FRAMES, Domains
from matching.serology import PREFIX_OF_CARRIER, assigned_antigens, reported_antigens
from matching.typings import Form, Position, Typing, parse_typing

# An allele by its place in the release, or None for one that is not there.
Copy = int | None
ALLELE, DOMAIN, ANTIGEN, WHOLE, NEIGHBOUR, POSSIBLE, FAR = range(7)


@dataclass
class Plain:
    """A report of beads by allele names and by antigens of the release."""

    nomenclature: Nomenclature
    proteins: Mapping[str, str]
    beads: Sequence[Bead]
    cut_offs: CutOffs

    domains: Domains = field(init=False)
    _near: dict[tuple[str, int], int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.domains = Domains(self.nomenclature, self.proteins)

    def results(self, beads: Sequence[Bead]) -> list[Answer]:
        return [self.cut_offs.result(bead) for bead in beads]

    def gene(self, allele: int) -> str:
        return self.nomenclature.alleles[allele].name.partition("*")[0]

    def antigens(self, allele: int) -> set[str]:
        row = self.nomenclature.alleles[allele]
        gene = self.gene(allele)
        first = row.name.partition("*")[2].partition(":")[0]
        if gene in ("DQA1", "DPA1"):
            return {f"{gene}*{first}"}
        if gene == "DPB1":
            hand = {
                "DPB1*01:01": "DP1",
                "DPB1*02:01": "DP2",
                "DPB1*02:02": "DP2",
                "DPB1*03:01": "DP3",
                "DPB1*04:01": "DP4",
                "DPB1*04:02": "DP4",
                "DPB1*05:01": "DP5",
                "DPB1*06:01": "DP6",
            }
            own = hand.get(two_fields(row.name), "" if int(first) < 7 else f"DP{int(first)}")
            return {own} - {""}
        found = {PREFIX_OF_CARRIER[gene] + n for n in assigned_antigens(row.serology)}
        if gene == "C" and not found and int(first) > 11:
            return {f"Cw{int(first)}"}
        return found

    def carries(self, antigen: str, allele: int) -> str:
        """yes, maybe or no."""
        own = self.antigens(allele)
        serology = self.nomenclature.serology
        covered = {antigen, *serology.splits(antigen)}
        if own and own <= covered:
            return "yes"
        row = self.nomenclature.alleles[allele]
        prefix = PREFIX_OF_CARRIER.get(self.gene(allele))
        reported = {prefix + n for n in reported_antigens(row.serology)} if prefix else set()
        related = covered | set(serology.matching(antigen))
        return "maybe" if related & (own | reported) else "no"

    def near(self, name: str, allele: int) -> int:
        """How close a name of the report is to an allele."""
        if (name, allele) not in self._near:
            self._near[name, allele] = self._near_of(name, allele)
        return self._near[name, allele]

    def _near_of(self, name: str, allele: int) -> int:
        gene = self.gene(allele)
        row = self.nomenclature.alleles[allele]
        if name in ("Bw4", "Bw6"):
            group = int(self.nomenclature.p_group_codes[allele])
            first = FRAMES[gene].first
            residues = self.domains.residues(group)
            motif = residues[77 - first : 84 - first]
            if name == "Bw6" and gene == "A":
                return FAR
            if "" in motif:
                return POSSIBLE
            bw4 = motif[3] in "IT" and motif[5] + motif[6] == "LR"
            bw6 = motif[3] == "N" and motif[5] + motif[6] == "RG"
            if gene == "B" and not bw4 and not bw6:
                return POSSIBLE
            return ANTIGEN if (bw4 if name == "Bw4" else bw6) else FAR
        if "*" not in name:
            return {"yes": ANTIGEN, "maybe": POSSIBLE, "no": FAR}[self.carries(name, allele)]
        bead = self.nomenclature.read(name).alleles[0]
        if two_fields(self.nomenclature.alleles[bead].name) == two_fields(row.name):
            return ALLELE
        codes = self.nomenclature.p_group_codes
        if codes[bead] == codes[allele] != NO_P_GROUP:
            return DOMAIN
        if self.antigens(bead) & self.antigens(allele):
            return NEIGHBOUR
        maybe = any(self.carries(antigen, allele) != "no" for antigen in self.antigens(bead))
        return POSSIBLE if maybe else FAR

    def of(self, gene: str, bead: Bead) -> str | None:
        """What a bead names at a gene."""
        for name in filter(None, (bead.target, bead.partner)):
            if "*" in name:
                own = name.partition("*")[0]
            elif name == "Bw4":
                own = gene if gene in ("A", "B") else ""
            else:
                digits = {"DR51": "DRB5", "DR52": "DRB3", "DR53": "DRB4"}
                prefixes = {"A": "A", "B": "B", "Bw": "B", "Cw": "C", "DR": "DRB1"}
                prefixes |= {"DQ": "DQB1", "DP": "DPB1"}
                own = digits.get(name) or prefixes[name.rstrip("0123456789")]
            drb = ("DRB3", "DRB4", "DRB5")
            if own == gene or (own in drb and gene in drb):
                return name
        return None

    def single(self, allele: int) -> tuple[Answer, Answer]:
        """Best and worst answer for an expressed allele of A, B, C or DRB."""
        named = [(bead, self.of(self.gene(allele), bead)) for bead in self.beads]
        near = [(bead, self.near(name, allele)) for bead, name in named if name is not None]
        for level in (ALLELE, DOMAIN):
            at = [bead for bead, place in near if place == level]
            if at:
                return (max(self.results(at)),) * 2
        antigen = [bead for bead, place in near if place == ANTIGEN]
        neighbours = [bead for bead, place in near if place == NEIGHBOUR]
        possible = [bead for bead, place in near if place == POSSIBLE]
        if Answer.POSITIVE in self.results([*antigen, *neighbours]):
            return (Answer.POSITIVE,) * 2
        if Answer.POSITIVE in self.results(possible):
            return Answer.NOT_ASSESSABLE, Answer.POSITIVE
        whole = [bead for bead in antigen if bead.target not in ("Bw4", "Bw6")]
        return (max(self.results(whole)) if whole else Answer.NOT_ASSESSABLE,) * 2

    def pair(self, alpha: int, beta: int) -> tuple[Answer, Answer] | None:
        """The same of a pair, None where the chains do not join."""
        genes = self.gene(alpha), self.gene(beta)
        near: list[tuple[Bead, int, int]] = []
        for bead in self.beads:
            names = [self.of(gene, bead) for gene in genes]
            if any(name is not None for name in names):
                first, second = (
                    WHOLE if name is None else self.near(name, chain)
                    for name, chain in zip(names, (alpha, beta), strict=True)
                )
                near.append((bead, first, second))
        for level in (ALLELE, DOMAIN, ANTIGEN):
            at = [bead for bead, a, b in near if max(a, b) == level]
            if at:
                return (max(self.results(at)),) * 2
        fields = [self.nomenclature.alleles[c].name.partition("*")[2][:2] for c in (alpha, beta)]
        if genes[0] == "DQA1" and (fields[0] == "01") != (fields[1] in ("05", "06")):
            return None
        if Answer.POSITIVE in self.results([bead for bead, a, b in near if max(a, b) == WHOLE]):
            return (Answer.POSITIVE,) * 2
        mixed = False
        sides = [[(bead, b) for bead, _, b in near], [(bead, a) for bead, a, _ in near]]
        for side in sides:
            own = [bead for bead, place in side if place <= ANTIGEN]
            own = own or [bead for bead, place in side if place == NEIGHBOUR]
            answers = self.results(own)
            if answers and set(answers) == {Answer.POSITIVE}:
                return (Answer.POSITIVE,) * 2
            mixed |= Answer.POSITIVE in answers
        possible = self.results([bead for bead, a, b in near if max(a, b) == POSSIBLE])
        if mixed or Answer.POSITIVE in possible:
            return Answer.NOT_ASSESSABLE, Answer.POSITIVE
        return (Answer.NOT_ASSESSABLE,) * 2

    def copies(self, position: Position) -> list[Copy | str]:
        """Alleles that a position may be, one of each protein; None: not expressed, a text: cannot
        be assessed."""
        if position.form is Form.ABSENT:
            return [None]
        if position.form is Form.NEW:
            return ["new"]
        read = [i for name in position.names for i in self.nomenclature.read(name).alleles]
        plain = [i for i in read if self.nomenclature.alleles[i].name[-1].isdigit()]
        if plain:
            alleles = self.nomenclature.alleles
            return list(
                {(two_fields(alleles[i].name), alleles[i].serology): i for i in plain}.values()
            )
        nulls = all(self.nomenclature.alleles[i].name.endswith("N") for i in read)
        return [None] if nulls else ["altered"]

    def choices(self, typing: Typing, locus: Locus) -> Iterator[tuple[Copy | str, ...]]:
        typed = typing.loci[locus]
        assert typed is not None
        for pair in typed.alternatives:
            yield from product(*(self.copies(position) for position in pair))

    def worst(self, system: System, chosen: Sequence[tuple[Copy | str, ...]]) -> tuple[int, int]:
        """Best and worst answer of one choice of all alleles of a system."""
        found: list[tuple[int, int]] = []
        if not system.is_pair:
            for copy in chosen[0]:
                if copy is None:
                    found.append((Answer.NEGATIVE,) * 2)
                elif isinstance(copy, str):
                    found.append((Answer.NOT_ASSESSABLE,) * 2)
                else:
                    found.append(self.single(copy))
        else:
            for alpha, beta in product(*chosen):
                if alpha is None or beta is None:
                    found.append((Answer.NEGATIVE,) * 2)
                elif isinstance(alpha, str) or isinstance(beta, str):
                    found.append((Answer.NOT_ASSESSABLE,) * 2)
                elif (answer := self.pair(alpha, beta)) is not None:
                    found.append(answer)
        found = found or [(Answer.NOT_ASSESSABLE,) * 2]
        return max(low for low, _ in found), max(high for _, high in found)

    def range(self, typing: Typing, system: System) -> tuple[int, int]:
        """Best and worst answer over every choice; all loci of the system are typed."""
        choices = product(*(self.choices(typing, locus) for locus in system.loci))
        found = [self.worst(system, chosen) for chosen in choices]
        return min(low for low, _ in found), max(high for _, high in found)


def imputed_shares(
    imputer: Imputer, typing: Typing, profile: Profile, nulls: Mapping[Locus, str]
) -> tuple[float, float]:
    """P(positive) and P(negative) for certain: each imputed genotype crossmatched as a typing.

    `nulls`: a null allele of each locus of the imputer, for genotypes that express nothing there.
    """
    loci = imputer.frequencies.loci
    known = {one.system: one for one in crossmatch(typing, profile).systems}
    typed = {locus: found.text for locus, found in typing.loci.items() if found is not None}
    codes, weights, _ = imputer.impute_one(typing)
    positive = negative = 0.0
    for row, weight in zip(codes.tolist(), weights.tolist(), strict=True):
        texts = {locus: text for locus, text in typed.items() if locus not in loci}
        for column, (locus, code) in enumerate(zip(loci, row, strict=True)):
            tokens = imputer.genotypes(column)[code].tolist()
            names = [imputer.token_names(column)[token] for token in tokens]
            texts[locus] = "+".join(name or nulls[locus] for name in names)
        result = crossmatch(parse_typing("^".join(texts.values())), profile)
        lows, highs = [], []
        for one in result.systems:
            own = known[one.system]
            lows.append(max(one.low, own.low))
            # What the typing says for certain holds.
            highs.append(own.high if own.low is own.high else min(one.high, own.high))
        low, high = max(lows), max(highs)
        positive += weight * (low is Answer.POSITIVE)
        negative += weight * (high is Answer.NEGATIVE)
    return positive, negative
