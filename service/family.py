"""A family on the screen, as a table and as JSON."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from data.donor_files import age_on
from matching.family import (
    SOURCES,
    DonorFacts,
    FamilyAnalysis,
    HaploidenticalRule,
    Relative,
    RelativeClass,
    Weighting,
    donor_facts,
    rank_relatives,
    reasons,
)
from matching.nomenclature import Nomenclature
from matching.rank import Ranking

# A probability that is not written down beside what it is of.
CERTAIN = 0.9995


@dataclass(frozen=True)
class FamilyResult:
    """An analysis with its relatives in order. `provenance`: what the answer depends on."""

    analysis: FamilyAnalysis
    facts: tuple[DonorFacts, ...]
    ranking: Ranking
    rule: HaploidenticalRule
    provenance: Mapping[str, str]

    @property
    def ranked(self) -> list[tuple[DonorFacts, str]]:
        """Relatives best first, and why each stands below the one before."""
        return [
            (self.facts[i], why)
            for i, why in zip(self.ranking.order.tolist(), reasons(self.ranking), strict=True)
        ]

    def of(self, facts: Sequence[DonorFacts], rule: HaploidenticalRule) -> FamilyResult:
        """Some of the relatives, in the order of another rule."""
        return _ranked(self.analysis, facts, rule, self.provenance)

    @property
    def frequency_set(self) -> str:
        """The set that the open phase is weighted by, "" for equal weights."""
        used = self.analysis.weighting is Weighting.FREQUENCIES
        return self.provenance["frequency_set"] if used else ""


def family_result(
    analysis: FamilyAnalysis,
    rule: HaploidenticalRule,
    nomenclature: Nomenclature,
    proteins: Mapping[str, str],
    as_of: datetime.date,
    frequency_set: str,
) -> FamilyResult:
    """The relatives of an analysis in the order of a rule, with ages on a day."""
    members = analysis.pedigree.members
    ages = {name: _age(member.birth_date, as_of) for name, member in members.items()}
    facts = donor_facts(analysis, ages, nomenclature, proteins)
    provenance = {
        "release": nomenclature.release,
        "as_of": as_of.isoformat(),
        "frequency_set": frequency_set,
    }
    return _ranked(analysis, facts, rule, provenance)


def _ranked(
    analysis: FamilyAnalysis,
    facts: Sequence[DonorFacts],
    rule: HaploidenticalRule,
    provenance: Mapping[str, str],
) -> FamilyResult:
    sex = analysis.pedigree.members[analysis.patient].sex
    return FamilyResult(analysis, tuple(facts), rank_relatives(facts, sex, rule), rule, provenance)


def _age(birth_date: str | None, as_of: datetime.date) -> float | None:
    """Whole years on a day; None where unknown or where the day is before the birth."""
    years = -1 if birth_date is None else age_on(birth_date, as_of)
    return float(years) if years >= 0 else None


def haplotype_text(analysis: FamilyAnalysis, name: str) -> str:
    """The letters of both haplotypes of a member, as `a / c`, or `a-b / c` at a recombination."""
    chromosomes = analysis.chromosomes[name]
    return " / ".join("-".join(letter for letter, _ in groupby(one)) for one in chromosomes)


def mismatch_text(relative: Relative, n_loci: int) -> str:
    """The likeliest number of matches, with its probability unless it is certain, and the loci at
    which descent alone tells."""
    most = _likeliest(relative.mismatches)
    p = relative.mismatches[most]
    descent = ", ".join(locus.value for locus in relative.by_descent)
    return (
        f"{2 * n_loci - most}/{2 * n_loci}"
        + ("" if p > CERTAIN else f" ({percent(p)})")
        + (f"; untyped: {descent}" if descent else "")
    )


def class_text(relative: Relative) -> str:
    """The likeliest class with its probability, and the others that reach 0.1 %."""
    ordered = sorted(relative.classes.items(), key=lambda one: -one[1])
    return ", ".join(
        one.value if p > CERTAIN else f"{one.value} {percent(p)}"
        for one, p in ordered
        if p >= 0.001
    )


def through_text(relative: Relative) -> str:
    """Which of the patient's haplotypes are shared, with probabilities unless certain."""
    found = [("a", relative.shares_a, "paternal"), ("c", relative.shares_c, "maternal")]
    return ", ".join(
        f"{letter} ({side})" if p > CERTAIN else f"{letter} ({side}) {percent(p)}"
        for letter, p, side in found
        if p >= 0.001
    )


def percent(p: float) -> str:
    """A probability in percent; only what is certain is written as 100 or 0.

    >>> percent(0.99996), percent(0.5)
    ('>99.9 %', '50.0 %')
    """
    if 0 < p < 0.001:
        return "<0.1 %"
    if 0.999 < p < 1 - 1e-12:
        return ">99.9 %"
    return f"{100 * p:.1f} %"


def warnings_of(analysis: FamilyAnalysis) -> list[str]:
    """What a reader has to know before anything else, one line each."""
    found = [
        f"INCONSISTENT, locus left out of inheritance: {fault.text}; correct it and run again"
        for fault in analysis.set_aside
    ]
    for one in analysis.recombinations:
        sure = one.probability > CERTAIN
        found.append(
            f"RECOMBINATION: {one.text}"
            + ("" if sure else f" ({percent(one.probability)}; other members may be the one)")
        )
    return [*found, *analysis.notes]


def relatives_table(result: FamilyResult) -> pd.DataFrame:
    """One row a relative, best first; see docs/family.md."""
    analysis = result.analysis
    rows = []
    for place, (facts, why) in enumerate(result.ranked, 1):
        one = facts.relative
        member = analysis.pedigree.members[one.id]
        rows.append(
            {
                "patient": analysis.patient,
                "rank": place,
                "relative": one.id,
                "relationship": one.relationship,
                "class": one.likeliest.value,
                **{f"p_{_column(kind)}": one.classes[kind] for kind in RelativeClass},
                "shares_a": one.shares_a,
                "shares_c": one.shares_c,
                "by_descent": ",".join(locus.value for locus in one.by_descent),
                "nima": np.nan if one.nima is None else one.nima,
                "haplotypes": haplotype_text(analysis, one.id),
                "mismatches": _likeliest(one.mismatches),
                "mismatches_expected": sum(n * p for n, p in one.mismatches.items()),
                "age_years": np.nan if facts.age_years is None else facts.age_years,
                "sex": member.sex,
                "drb1_favourable": facts.drb1_favourable,
                "leader_matched": facts.leader_matched,
                "dpb1": facts.dpb1.value,
                "ranked_below_previous_for": why,
                "typing_refined": "^".join(r.text for r in analysis.refined.get(one.id, ())),
                "loci": ",".join(locus.value for locus in analysis.compared),
                "weighting": analysis.weighting.value,
                "frequency_set": result.frequency_set,
                "release": result.provenance["release"],
            }
        )
    return pd.DataFrame(rows)


def _likeliest(mismatches: Mapping[int, float]) -> int:
    return max(mismatches, key=mismatches.__getitem__)


def _column(kind: RelativeClass) -> str:
    return kind.name.lower()


def family_json(result: FamilyResult) -> dict[str, Any]:
    """All of a result as values of JSON."""
    analysis = result.analysis
    loci = [locus.value for locus in analysis.loci]
    return {
        "patient": analysis.patient,
        **result.provenance,
        "frequency_set": result.frequency_set,
        "weighting": analysis.weighting.value,
        "loci": loci,
        "compared": [locus.value for locus in analysis.compared],
        "warnings": warnings_of(analysis),
        "recombinations": [
            {
                "child": one.child,
                "parent": one.parent,
                "role": one.role,
                "after": one.after.value,
                "before": one.before.value,
                "probability": one.probability,
            }
            for one in analysis.recombinations
        ],
        "inconsistencies": [
            {
                "locus": fault.locus.value,
                "conflicts": [
                    {"child": child, "role": role, "parent": parent}
                    for child, role, parent in fault.conflicts
                ],
                "suspects": list(fault.suspects),
            }
            for fault in analysis.set_aside
        ],
        "haplotypes": {
            letter: {
                "founder": owner,
                "alleles": dict(zip(loci, analysis.alleles[letter], strict=True)),
            }
            for letter, owner in analysis.labels.items()
        },
        "likeliest_share": analysis.likeliest_share,
        "members": {
            name: {
                "father": member.father,
                "mother": member.mother,
                "sex": member.sex,
                "birth_date": member.birth_date,
                "paternal": list(analysis.chromosomes[name][0]),
                "maternal": list(analysis.chromosomes[name][1]),
                "refined": {
                    one.locus.value: {
                        "written": one.written,
                        "refined": one.text,
                        "genotypes": [{"text": text, "p": p} for text, p in one.genotypes],
                    }
                    for one in analysis.refined.get(name, ())
                },
            }
            for name, member in analysis.pedigree.members.items()
        },
        "rule": {
            "keys": list(result.rule.keys),
            "age_step_years": result.rule.age_step_years,
            "dpb1_order": [one.value for one in result.rule.dpb1_order],
            "sources": {key: SOURCES[key] for key in result.rule.keys},
        },
        "relatives": [
            {
                "rank": place,
                "relative": facts.relative.id,
                "relationship": facts.relative.relationship,
                "class": facts.relative.likeliest.value,
                "classes": {kind.value: p for kind, p in facts.relative.classes.items()},
                "shares_a": facts.relative.shares_a,
                "shares_c": facts.relative.shares_c,
                "mismatches": {str(n): p for n, p in facts.relative.mismatches.items()},
                "nima": facts.relative.nima,
                "by_descent": [locus.value for locus in facts.relative.by_descent],
                "age_years": facts.age_years,
                "drb1_favourable": facts.drb1_favourable,
                "leader_matched": facts.leader_matched,
                "dpb1": facts.dpb1.value,
                "ranked_below_previous_for": why,
            }
            for place, (facts, why) in enumerate(result.ranked, 1)
        ],
    }


def print_family(console: Console, result: FamilyResult) -> None:
    """Haplotypes by locus, members with theirs, relatives in order."""
    analysis = result.analysis
    for line in warnings_of(analysis):
        console.print(f"! {line}", markup=False, highlight=False)
    loci = [locus.value for locus in analysis.loci]
    haplotypes = Table("", "from", *loci, title="Haplotypes", title_justify="left")
    for letter, owner in analysis.labels.items():
        haplotypes.add_row(letter, owner, *analysis.alleles[letter])
    console.print(haplotypes, markup=False)
    members = Table("member", "is", "paternal / maternal", *loci, title_justify="left")
    members.title = f"Members, refined typings ({analysis.weighting.value})"
    relationships = {one.id: one.relationship for one in analysis.relatives}
    for name in analysis.pedigree.members:
        refined = {one.locus.value: one for one in analysis.refined.get(name, ())}
        cells = []
        for locus in loci:
            left = refined.get(locus)
            text, p = ("-", 1.0) if left is None else left.genotypes[0]
            cells.append(text if p > CERTAIN else f"{text} ({percent(p)})")
        kind = relationships.get(name, "patient")
        members.add_row(name, kind, haplotype_text(analysis, name), *cells)
    console.print(members, markup=False)
    print_relatives(console, result, {})
    console.print(
        f"release {result.provenance['release']}; compared "
        f"{', '.join(locus.value for locus in analysis.compared)}; open phase by "
        f"{analysis.weighting.value} {result.frequency_set}".rstrip()
        + "; a, b are the father's haplotypes, c, d the mother's; decision support, not a "
        "medical device",
        markup=False,
        highlight=False,
    )


def print_relatives(
    console: Console,
    result: FamilyResult,
    more: Mapping[str, Sequence[str]],
    limit: int | None = None,
) -> None:
    """The relatives in their order, with `more` columns, of which each has a text a relative."""
    table = Table(
        *("", "relative", "is", "class", "shares", "matches", *more, "NIMA", "age"),
        *("DRB1 GvH", "leader", "DPB1", "below the one before for"),
        title=f"Relatives of {result.analysis.patient}, best first",
        title_justify="left",
    )
    for place, (facts, why) in enumerate(result.ranked[:limit]):
        one = facts.relative
        table.add_row(
            str(place + 1),
            one.id,
            one.relationship,
            class_text(one),
            through_text(one),
            mismatch_text(one, len(result.analysis.compared)),
            *(texts[place] for texts in more.values()),
            "" if one.nima is None else percent(one.nima),
            "" if facts.age_years is None else f"{facts.age_years:.0f}",
            *(_WORDS[value] for value in (facts.drb1_favourable, facts.leader_matched)),
            facts.dpb1.value,
            why,
        )
    console.print(table, markup=False)


_WORDS = {True: "favourable", False: "no", None: "unknown"}
