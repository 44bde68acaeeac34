"""Seeded registries with known truth, in a stated mix of typing resolutions."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from data.donor_files import LOCUS_COLUMNS
from data.files import replacing_folder
from matching.errors import InputFileError, TypingError
from matching.haplotypes import FrequencySet
from matching.loci import LOCI, Locus
from matching.nomenclature import NO_P_GROUP, Nomenclature, split_name
from matching.reduction import Level, reduce_name
from matching.typings import ABSENT_GENE

CHUNK = 100_000
MAX_STRING = 6
_ALL = frozenset(LOCI)
_WITHOUT_DPB1 = _ALL - {Locus.DPB1}
_THREE = frozenset({Locus.A, Locus.B, Locus.DRB1})

FORMS = ("two-field", "full", "G", "P", "string", "XX", "code", "serology")


@dataclass(frozen=True)
class Profile:
    """How a share of the donors is typed: which loci, and the odds of each of `FORMS`."""

    name: str
    share: float
    loci: frozenset[Locus]
    odds: tuple[float, float, float, float, float, float, float, float]


MIX = (
    Profile("high", 0.55, _ALL, (0.55, 0.20, 0.15, 0.10, 0, 0, 0, 0)),
    Profile("intermediate", 0.30, _WITHOUT_DPB1, (0.30, 0, 0.20, 0, 0.30, 0, 0.20, 0)),
    Profile("low", 0.15, _THREE, (0, 0, 0, 0, 0.25, 0.40, 0.25, 0.10)),
)
# Patients are typed for a search: every locus, two fields or better.
PATIENT_MIX = (Profile("high", 1.0, _ALL, (0.8, 0.2, 0, 0, 0, 0, 0, 0)),)


@dataclass(frozen=True)
class Population:
    """A frequency set with the texts in which each of its names can be written."""

    frequencies: FrequencySet
    cumulative: npt.NDArray[np.float64]
    haplotype_texts: pa.StringArray
    # One array a locus: the texts of a name one after another, in the order of `FORMS`.
    texts: tuple[pa.StringArray, ...]
    n_unreadable: int


def simulate(
    folder: Path,
    frequency_sets: Sequence[FrequencySet],
    nomenclature: Nomenclature,
    n_donors: int,
    n_patients: int,
    seed: int,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, object]:
    """Write `donors.csv`, `patients.csv`, the truth of both and `manifest.json` into a folder.

    Each person has a population, drawn with equal odds, and two haplotypes drawn from its
    frequencies; the truth files hold them. Typings are the truth written in the forms of `MIX`;
    a name that has no code or antigen is written as a string instead.
    Names of a frequency set that the release cannot read are left out with their haplotypes, and
    counted in the manifest, which is returned. Under an incomplete (demo) release no `XX` is
    written. Raises `InputFileError` if nothing is left to draw from, and `OutputError`.
    """
    populations = [population_of(frequencies, nomenclature) for frequencies in frequency_sets]
    manifest: dict[str, object] = {
        "what": "simulated people, no one's typing",
        "release": nomenclature.release,
        "seed": seed,
        "donors": n_donors,
        "patients": n_patients,
        "populations": [
            {
                "population": p.frequencies.population,
                "haplotypes": len(p.cumulative),
                "haplotypes_left_out": p.n_unreadable,
            }
            for p in populations
        ],
        "mix": [
            {
                "profile": profile.name,
                "share": profile.share,
                "loci": [locus.value for locus in LOCI if locus in profile.loci],
                "forms": dict(zip(FORMS, profile.odds, strict=True)),
            }
            for profile in MIX
        ],
    }
    with replacing_folder(folder) as temporary:
        groups = (("donors", "D", n_donors, MIX, 0), ("patients", "P", n_patients, PATIENT_MIX, 1))
        for name, letter, count, mix, stream in groups:
            _write_people(
                temporary, name, letter, count, mix, populations, (seed, stream), progress
            )
        manifest["sha256"] = {path.name: _sha256(path) for path in sorted(temporary.iterdir())}
        (temporary / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return manifest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_people(
    folder: Path,
    name: str,
    letter: str,
    count: int,
    mix: Sequence[Profile],
    populations: Sequence[Population],
    seed: tuple[int, int],
    progress: Callable[[int], None],
) -> None:
    with (
        pa_csv.CSVWriter(folder / f"{name}.csv", PEOPLE) as people,
        pq.ParquetWriter(folder / f"{name}_truth.parquet", _TRUTH) as truths,
    ):
        for start in range(0, count, CHUNK):
            size = min(CHUNK, count - start)
            rng = np.random.default_rng([*seed, start])
            ids = [f"{letter}{number:08d}" for number in range(start + 1, start + size + 1)]
            person, truth = draw_people(rng, ids, mix, populations)
            people.write_batch(person)
            truths.write_batch(truth)
            progress(start + size)


PEOPLE = pa.schema(
    [
        (name, pa.string())
        for name in (
            *("id", "type", "age_years", "sex", "cmv", "abo", "rh", "weight_kg", "ancestry"),
            *("registry", *LOCUS_COLUMNS),
        )
    ]
)
_TRUTH = pa.schema(
    [(name, pa.string()) for name in ("id", "population", "profile", "haplotype_1", "haplotype_2")]
)


def draw_people(
    rng: np.random.Generator,
    ids: list[str],
    mix: Sequence[Profile],
    populations: Sequence[Population],
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """A chunk of people with the schema `PEOPLE`, and their truth; what is unknown is null."""
    n = len(ids)
    population = rng.integers(len(populations), size=n)
    profile = rng.choice(len(mix), size=n, p=[p.share for p in mix])
    draws = rng.random((n, 2))
    form_draws = rng.random((n, len(LOCI), 2))
    chosen = np.empty((n, 2), dtype=np.int64)
    for p, source in enumerate(populations):
        rows = population == p
        chosen[rows] = np.searchsorted(source.cumulative, draws[rows], side="right")
    cord = rng.random(n) < 0.05
    age = np.clip(rng.normal(34, 9, n), 18, 60).astype(int)
    weight = np.clip(rng.normal(76, 14, n), 45, 140).round().astype(int)
    of_population = [p.frequencies.population for p in populations]
    people = {
        "id": pa.array(ids),
        "type": _pick(["adult", "cord"], cord.astype(int)),
        "age_years": pa.array(age, mask=cord).cast(pa.string()),
        "sex": _pick(["male", "female"], rng.choice(2, n)),
        "cmv": _pick(["positive", "negative", None], rng.choice(3, n, p=[0.5, 0.4, 0.1])),
        "abo": _pick(["O", "A", "B", "AB"], rng.choice(4, n, p=[0.44, 0.41, 0.11, 0.04])),
        "rh": _pick(["positive", "negative"], rng.choice(2, n, p=[0.85, 0.15])),
        "weight_kg": pa.array(weight, mask=cord).cast(pa.string()),
        "ancestry": _pick(of_population, population),
        "registry": _pick(["SIMULATED"], np.zeros(n, dtype=int)),
    }
    for column, locus in LOCUS_COLUMNS.items():
        forms = _drawn_forms(form_draws[:, locus.position], profile, mix)
        typed = np.array([locus in p.loci for p in mix], dtype=bool)[profile]
        people[column] = _written_locus(locus, populations, population, chosen, forms, typed)
    haplotypes = pa.chunked_array([p.haplotype_texts for p in populations]).combine_chunks()
    firsts = np.cumsum([0, *(len(p.haplotype_texts) for p in populations[:-1])])
    places = firsts[population][:, None] + chosen
    known = {
        "id": people["id"],
        "population": people["ancestry"],
        "profile": _pick([p.name for p in mix], profile),
        "haplotype_1": haplotypes.take(pa.array(places[:, 0])),
        "haplotype_2": haplotypes.take(pa.array(places[:, 1])),
    }
    return pa.record_batch(people, PEOPLE), pa.record_batch(known, _TRUTH)


def _pick(values: Sequence[str | None], places: npt.NDArray[np.int64]) -> pa.Array:
    return pa.array(values, pa.string()).take(pa.array(places))


def _drawn_forms(
    draws: npt.NDArray[np.float64], profile: npt.NDArray[np.int64], mix: Sequence[Profile]
) -> npt.NDArray[np.int64]:
    """The form of each position, (n, 2), positions in `FORMS`."""
    forms = np.empty(draws.shape, dtype=np.int64)
    for k, of_profile in enumerate(mix):
        rows = profile == k
        forms[rows] = np.searchsorted(np.cumsum(of_profile.odds), draws[rows], side="right")
    return forms.clip(max=len(FORMS) - 1)


def _written_locus(
    locus: Locus,
    populations: Sequence[Population],
    population: npt.NDArray[np.int64],
    chosen: npt.NDArray[np.int64],
    forms: npt.NDArray[np.int64],
    typed: npt.NDArray[np.bool_],
) -> pa.Array:
    """The text of a locus of each person, null where it is untyped."""
    places = np.full(chosen.shape, -1, dtype=np.int64)
    pools: list[pa.StringArray] = []
    n_before = 0
    for p, source in enumerate(populations):
        if locus in source.frequencies.loci:
            column = source.frequencies.loci.index(locus)
            rows = population == p
            names = source.frequencies.haplotypes[chosen[rows], column]
            places[rows] = n_before + names * len(FORMS) + forms[rows]
            pools.append(source.texts[column])
            n_before += len(source.texts[column])
    if not pools:
        return pa.nulls(len(typed), pa.string())
    pool = pa.chunked_array(pools).combine_chunks()
    unwritten = ~typed | (places[:, 0] < 0)
    first, second = (pool.take(pa.array(places[:, i], mask=unwritten)) for i in range(2))
    return pc.binary_join_element_wise(first, second, "+")


def population_of(frequencies: FrequencySet, nomenclature: Nomenclature) -> Population:
    """A frequency set made ready for `draw_people`. Raises `InputFileError`."""
    readable = []
    for names in frequencies.names:
        readable.append(np.array([_is_readable(name, nomenclature) for name in names], dtype=bool))
    kept = np.all(
        [readable[i][frequencies.haplotypes[:, i]] for i in range(len(frequencies.loci))], axis=0
    )
    if not kept.any():
        raise InputFileError(
            f"population {frequencies.population}: release {nomenclature.release} reads none of "
            "its haplotypes; use frequencies that fit the release"
        )
    haplotypes, weights = frequencies.haplotypes[kept], frequencies.frequencies[kept]
    texts = [
        np.array(names, dtype=object)[haplotypes[:, i]] for i, names in enumerate(frequencies.names)
    ]
    cumulative = np.cumsum(weights / weights.sum())
    cumulative[-1] = 1.0
    joined = texts[0]
    for text in texts[1:]:
        joined = joined + "~" + text
    return Population(
        FrequencySet(
            frequencies.population, frequencies.loci, frequencies.names, haplotypes, weights
        ),
        cumulative,
        pa.array(joined, pa.string()),
        tuple(
            pa.array(
                _written_forms(
                    [n for n, ok in zip(names, readable[i], strict=True) if ok], names, nomenclature
                ).ravel(),
                pa.string(),
            )
            for i, names in enumerate(frequencies.names)
        ),
        int((~kept).sum()),
    )


def _is_readable(name: str, nomenclature: Nomenclature) -> bool:
    if name == ABSENT_GENE:
        return True
    try:
        nomenclature.read(name)
    except TypingError:
        return False
    return True


def _stem(name: str) -> str:
    """The first two fields of an allele or group name."""
    gene, fields, _ = split_name(name.rstrip("GP"))
    return f"{gene}*{':'.join(fields[:2])}"


def _written_forms(
    pool: list[str], names: Sequence[str], nomenclature: Nomenclature
) -> npt.NDArray[np.object_]:
    """Text of every name in every form, (n_names, n_forms); itself where a form has none.

    Whoever a text may stand for is written by it in that form, so that a typing tells no more of
    the truth than what it says (antigens overlap, so they may). `pool`: the readable names.
    """
    genes = {name.partition("*")[0] for name in names}
    longer: defaultdict[str, list[str]] = defaultdict(list)
    g_groups: defaultdict[str, list[str]] = defaultdict(list)
    p_groups: defaultdict[str, list[str]] = defaultdict(list)
    for allele in nomenclature.alleles:
        if allele.name.partition("*")[0] in genes and allele.p_group is not None:
            stem = _stem(allele.name)
            if allele.name[-1] not in "GP" and allele.name.count(":") > 1:
                longer[stem].append(allele.name)
            g_groups[stem].append(allele.g_group or "")
            p_groups[stem].append(allele.p_group)
    # A null inside a string is not read as an explanation (rule R4), so it stands alone.
    expressed = sorted(name for name in pool if not name.endswith("N"))
    strings = _strings_of(expressed, nomenclature)
    g_names = {name: [g for g in g_groups[name] if g.endswith("G")] for name in expressed}
    p_names = {name: [p for p in p_groups[name] if p.endswith("P")] for name in expressed}
    of_g, of_p, of_code = (
        _texts_of(texts, nomenclature)
        for texts in (g_names, p_names, _codes_of(expressed, nomenclature))
    )
    antigens = {name: _antigen_of(name, nomenclature) for name in expressed}
    uncoded, unsorted = (
        _strings_of([name for name in expressed if not found.get(name)], nomenclature)
        for found in (of_code, antigens)
    )
    out = np.empty((len(names), len(FORMS)), dtype=object)
    for i, name in enumerate(names):
        if name not in strings:
            out[i] = name
            continue
        out[i] = (
            name,
            (longer[name] or [name])[0],
            of_g.get(name, name),
            of_p.get(name, name),
            strings[name],
            f"{name.partition(':')[0]}:XX" if nomenclature.complete else strings[name],
            of_code.get(name) or uncoded[name],
            antigens[name] or unsorted[name],
        )
    return out


def _strings_of(names: Sequence[str], nomenclature: Nomenclature) -> dict[str, str]:
    """Every name as a string of at most `MAX_STRING` names of its first field.

    A sample holds few alleles of a first field: those that are alone in it go together in twos.
    """
    families: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        families[name.partition(":")[0]].append(name)
    groups = [(group, MAX_STRING) for group in families.values()]
    if not nomenclature.complete:
        alone = [group[0] for group, _ in groups if len(group) == 1]
        groups = [(group, size) for group, size in groups if len(group) > 1] + [(alone, 2)]
    found: dict[str, str] = {}
    for group, size in groups:
        for block in np.array_split(np.array(group, dtype=object), max(1, -(-len(group) // size))):
            found |= dict.fromkeys(block.tolist(), "/".join(block.tolist()))
    return found


def _texts_of(
    candidates: Mapping[str, Sequence[str]], nomenclature: Nomenclature
) -> dict[str, str]:
    """One of its candidate texts for each name, where all whom a text admits can be written by it.

    A text admits a name if they share an allele.
    """
    alleles = {name: nomenclature.read(name).alleles for name in candidates}
    holders: defaultdict[int, list[str]] = defaultdict(list)
    for name, held in alleles.items():
        for allele in held:
            holders[allele].append(name)
    found: dict[str, str] = {}
    for name, texts in candidates.items():
        for text in texts if name not in found else ():
            if not _is_readable(text, nomenclature):
                continue
            read = nomenclature.read(text).alleles
            admitted = {other for allele in read for other in holders[allele]}
            if name in admitted and not admitted & found.keys():
                found |= dict.fromkeys(admitted, text)
                break
    return found


def _codes_of(pool: Sequence[str], nomenclature: Nomenclature) -> dict[str, list[str]]:
    """Multiple allele codes of every two-field name, of those that are installed."""
    holding: defaultdict[str, list[str]] = defaultdict(list)
    for code, members in nomenclature.codes.items():
        for member in members:
            holding[member].append(code)
    found = {}
    for number, name in enumerate(pool):
        gene, _, rest = name.partition("*")
        family, _, second = rest.partition(":")
        codes = [f"{gene}*{family}:{code}" for code in (*holding[second], *holding[rest])[:20]]
        # Codes spread over names, as they do in a registry.
        first = number % max(1, len(codes))
        found[name] = codes[first:] + codes[:first]
    return found


def _antigen_of(name: str, nomenclature: Nomenclature) -> str | None:
    if not nomenclature.complete:
        return None
    antigens = reduce_name(name, Level.S, nomenclature)
    return next((a for a in antigens if _reads_as(a, name, nomenclature)), None)


def _reads_as(text: str, name: str, nomenclature: Nomenclature) -> bool:
    """True if what `text` stands for holds every P group of `name`."""
    if not _is_readable(text, nomenclature):
        return False
    held, wanted = (
        set(nomenclature.p_group_codes[list(nomenclature.read(n).alleles)].tolist())
        for n in (text, name)
    )
    return wanted <= held | {NO_P_GROUP}
