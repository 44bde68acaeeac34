"""A family as one self-contained page: the pedigree, with a letter and a colour a haplotype."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from data.files import replacing
from matching.family import FamilyAnalysis, Member, Pedigree
from service.family import (
    FamilyResult,
    class_text,
    haplotype_text,
    mismatch_text,
    percent,
    through_text,
    warnings_of,
)

# Okabe and Ito 2008; told apart by most colour-blind people. Every colour stands beside its letter.
_COLOURS = ("#0072B2", "#56B4E9", "#D55E00", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#999999")
_WIDTH, _GAP, _ROW, _HEAD, _BELOW, _BETWEEN = 236, 44, 17, 58, 38, 64
_STYLE = """
body { font: 14px/1.4 sans-serif; margin: 1.5em; color: #111; }
svg { max-width: 100%; height: auto; }
svg text { font: 12px sans-serif; fill: #111; }
svg .id { font-weight: bold; font-size: 14px; }
svg .letter { font-weight: bold; }
svg .small { font-size: 11px; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { border: 1px solid #888; padding: 2px 7px; text-align: left; vertical-align: top; }
th { background: #eee; }
.warning { border-left: 6px solid #111; padding: 3px 9px; font-weight: bold; }
@media print { @page { size: A4 landscape; margin: 10mm; } body { margin: 0; font-size: 11px; }
  svg { max-height: 140mm; } tr, svg { break-inside: avoid; } }
"""


EXPLANATION = (
    "Squares are men, circles women, diamonds of unknown sex; a thick frame is the patient. Each "
    "column is a chromosome, the paternal one first: the letter is the haplotype, beside it what "
    "it carries. a and b are the father's haplotypes, c and d the mother's, the others those of "
    "further members. ? is an allele that nothing tells of; | stands between possible ones."
)
# Beside results: what a report shows of families.
FAMILIES = "families.json"


def family_picture(result: FamilyResult) -> dict[str, Any]:
    """A pedigree as one image of SVG with what must be known of it, as values of JSON."""
    style = "text{font:12px sans-serif;fill:#111}.id{font-weight:bold;font-size:14px}"
    style += ".letter{font-weight:bold}.small{font-size:11px}"
    svg = _svg(result.analysis)
    head, separator, rest = svg.partition(">")
    return {
        "warnings": warnings_of(result.analysis),
        "explanation": EXPLANATION,
        "svg": f"{head}{separator}<style>{style}</style>{rest}",
    }


def write_families(families: Mapping[str, Any], path: Path) -> None:
    """`family_picture` of each patient. Raises `OutputError`."""
    with replacing(path) as temporary:
        text = json.dumps(dict(families), indent=1, ensure_ascii=False)
        temporary.write_text(f"{text}\n", encoding="utf-8")


def family_page(result: FamilyResult) -> str:
    """The whole page; it has no script and asks for nothing."""
    analysis = result.analysis
    warnings = "".join(f'<p class="warning">{escape(line)}</p>' for line in warnings_of(analysis))
    provenance = (
        f"Release {result.provenance['release']}, {result.provenance['as_of']}; compared: "
        f"{', '.join(locus.value for locus in analysis.compared)}; what the family leaves open is "
        f"weighted by {analysis.weighting.value} {result.frequency_set}".rstrip()
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Family of {escape(analysis.patient)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>Family of {escape(analysis.patient)}</h1>{warnings}{_svg(analysis)}"
        f"<p>{escape(EXPLANATION)}</p>"
        f"{_table(result)}<p>{escape(provenance)}.</p>"
        "<p>Decision support, not a medical device. A person qualified to choose a donor must "
        "check every result against the laboratory's reports.</p></body></html>\n"
    )


def generations(pedigree: Pedigree) -> dict[str, int]:
    """The generation of every member, 0 the oldest: below both parents, beside a partner."""
    found = dict.fromkeys(pedigree.members, 0)
    couples = {m.parents for m in pedigree.members.values() if all(m.parents)}
    for _ in range(2 * len(found) + 1):
        for name, member in pedigree.members.items():
            above = [found[parent] for parent in member.parents if parent]
            found[name] = max([found[name], *(one + 1 for one in above)])
        for couple in couples:
            # Partners of unlike generations, such as a niece and her uncle, stay where they are.
            if not set(couple) & set().union(*map(pedigree.ancestors, couple)):
                lower = max(found[one] for one in couple)
                for one in couple:
                    if not any(pedigree.members[one].parents):
                        found[one] = lower
    return found


def places(pedigree: Pedigree) -> dict[str, tuple[float, int]]:
    """Slot and generation of every member: siblings side by side, partners next to each other."""
    levels: defaultdict[int, list[str]] = defaultdict(list)
    of = generations(pedigree)
    for name in pedigree.members:
        levels[of[name]].append(name)
    partners: defaultdict[str, list[str]] = defaultdict(list)
    for member in pedigree.members.values():
        if all(member.parents):
            for one, other in (member.parents, member.parents[::-1]):
                if other not in partners[one]:
                    partners[one].append(other)
    slots: dict[str, float] = {}
    widest = max(map(len, levels.values()))
    for level in sorted(levels):
        row: list[str] = []
        members = pedigree.members

        def above(name: str, members: Mapping[str, Member] = members) -> float:
            known = [slots[parent] for parent in members[name].parents if parent in slots]
            return sum(known) / len(known) if known else float("inf")

        for name in sorted(levels[level], key=above):
            if name in row:
                continue
            row.append(name)
            for partner in partners[name]:
                if (
                    partner in levels[level]
                    and partner not in row
                    and above(partner) == float("inf")
                ):
                    row.append(partner)
        known = [one for one in map(above, row) if one != float("inf")]
        start = sum(known) / len(known) - (len(row) - 1) / 2 if known else widest / 2
        start = min(max(start, 0.0), float(widest - len(row)))
        slots.update((name, start + i) for i, name in enumerate(row))
    return {name: (slots[name], of[name]) for name in pedigree.members}


def _svg(analysis: FamilyAnalysis) -> str:
    at = places(analysis.pedigree)
    height = _HEAD + _ROW * (len(analysis.loci) + 1) + _BELOW
    x = {name: _GAP / 2 + slot * (_WIDTH + _GAP) for name, (slot, _) in at.items()}
    y = {name: 10.0 + level * (height + _BETWEEN) for name, (_, level) in at.items()}
    wide = max(x.values()) + _WIDTH + _GAP / 2
    high = max(y.values()) + height + 10
    relatives = {one.id: one for one in analysis.relatives}
    boxes = []
    for name in analysis.pedigree.members:
        relative = relatives.get(name)
        below = ["patient"] if relative is None else [
            relative.relationship,
            class_text(relative),
        ]  # fmt: skip
        boxes.append(_box(analysis, name, x[name], y[name], height, below))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:.0f} {high:.0f}" '
        f'width="{wide:.0f}" role="img" aria-label="Pedigree with haplotypes">'
        f"{_lines(analysis.pedigree, x, y, height)}{''.join(boxes)}</svg>"
    )


def _lines(
    pedigree: Pedigree, x: Mapping[str, float], y: Mapping[str, float], height: float
) -> str:
    """Between partners, and from parents to children."""
    families: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, member in pedigree.members.items():
        parents = tuple(parent for parent in member.parents if parent)
        if parents:
            families[parents].append(name)
    found = []

    def line(*points: tuple[float, float]) -> None:
        text = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        found.append(f'<polyline points="{text}" fill="none" stroke="#333" stroke-width="1.6"/>')

    for number, (parents, children) in enumerate(families.items()):
        middles = [x[parent] + _WIDTH / 2 for parent in parents]
        bottom = max(y[parent] for parent in parents) + height
        top = min(y[child] for child in children)
        joint = bottom + 12 + 7 * (number % 3)
        bar = max(top - 14 - 7 * (number % 3), joint)
        for parent, middle in zip(parents, middles, strict=True):
            line((middle, y[parent] + height), (middle, joint))
        line((min(middles), joint), (max(middles), joint))
        centre = sum(middles) / len(middles)
        ends = [x[child] + _WIDTH / 2 for child in children]
        line((centre, joint), (centre, bar))
        line((min([*ends, centre]), bar), (max([*ends, centre]), bar))
        for child, end in zip(children, ends, strict=True):
            line((end, bar), (end, y[child]))
    return "".join(found)


def _box(
    analysis: FamilyAnalysis, name: str, x: float, y: float, height: float, below: list[str]
) -> str:
    is_patient = name == analysis.patient
    parts = [
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{height}" rx="6" fill="#fff" '
        f'stroke="#111" stroke-width="{4 if is_patient else 1}"/>',
        _symbol(analysis.pedigree.members[name].sex, x + 22, y + 24),
        f'<text class="id" x="{x + 44}" y="{y + 22}">{_fit(name, 24)}</text>',
        f'<text x="{x + 44}" y="{y + 39}">{escape(haplotype_text(analysis, name))}</text>',
    ]
    half = (_WIDTH - 52) / 2
    for i, locus in enumerate(analysis.loci):
        middle = y + _HEAD + _ROW * i
        parts.append(
            f'<text class="small" x="{x + 5}" y="{middle + 13}">{escape(locus.value)}</text>'
        )
        for side, chromosome in enumerate(analysis.chromosomes[name]):
            letter = chromosome[i]
            left = x + 50 + side * half
            colour = _colour(analysis, letter)
            parts.append(
                f'<rect x="{left}" y="{middle}" width="9" height="{_ROW}" fill="{colour}"/>'
                f'<text class="letter" x="{left + 17}" y="{middle + 13}" text-anchor="middle">'
                f"{escape(letter)}</text>"
                f'<text class="small" x="{left + 26}" y="{middle + 13}">'
                f"{_fit(_short(analysis.alleles[letter][i]), 10)}</text>"
            )
    last = y + _HEAD + _ROW * len(analysis.loci) + 20
    for i, text in enumerate(below):
        parts.append(f'<text class="small" x="{x + 5}" y="{last + 16 * i}">{_fit(text, 40)}</text>')
    return "".join(parts)


def _symbol(sex: str | None, x: float, y: float) -> str:
    style = 'fill="#fff" stroke="#111" stroke-width="2"'
    if sex == "male":
        return f'<rect x="{x - 12}" y="{y - 12}" width="24" height="24" {style}/>'
    if sex == "female":
        return f'<circle cx="{x}" cy="{y}" r="13" {style}/>'
    return f'<path d="M{x} {y - 15} L{x + 15} {y} L{x} {y + 15} L{x - 15} {y} Z" {style}/>'


def _colour(analysis: FamilyAnalysis, letter: str) -> str:
    return _COLOURS[list(analysis.labels).index(letter) % len(_COLOURS)]


def _short(alleles: str) -> str:
    """Alleles of DRB3, DRB4 and DRB5 by the number of the gene, as the row names the rest."""
    return alleles.replace("DRBX*NNNN", "absent").replace("DRB", "")


def _fit(text: str, most: int) -> str:
    """A text of at most so many characters, the whole one as a tooltip."""
    if len(text) <= most:
        return escape(text)
    return f"{escape(text[: most - 1])}…<title>{escape(text)}</title>"


def _table(result: FamilyResult) -> str:
    analysis = result.analysis
    words = {True: "favourable", False: "no", None: "unknown"}
    head = (
        *("", "relative", "is", "haplotypes", "class", "shares", "matches", "NIMA", "age"),
        *("DRB1 GvH", "B leader", "DPB1", "below the one before for"),
    )
    rows = []
    for place, (facts, why) in enumerate(result.ranked, 1):
        one = facts.relative
        cells = (
            *(str(place), one.id, one.relationship, haplotype_text(analysis, one.id)),
            *(class_text(one), through_text(one), mismatch_text(one, len(analysis.compared))),
            "" if one.nima is None else percent(one.nima),
            "" if facts.age_years is None else f"{facts.age_years:.0f}",
            *(words[facts.drb1_favourable], words[facts.leader_matched], facts.dpb1.value, why),
        )
        rows.append("".join(f"<td>{escape(cell)}</td>" for cell in cells))
    header = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>"
