"""Simulated registries: the truth explains every typing, and the seed decides everything."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from data.frequencies import read_frequencies
from data.registry import Registry
from data.synthetic import MIX, simulate
from matching.errors import InputFileError
from matching.genotypes import encode_locus
from matching.loci import LOCI, LOCUS_OF_GENE, Locus
from matching.nomenclature import Nomenclature
from matching.typings import parse_locus


def explained(release: Nomenclature, locus: Locus, text: str, truth: list[str]) -> bool:
    """True if the written typing admits the two true names."""
    written, real = parse_locus(locus, text), parse_locus(locus, "+".join(truth))
    assert written is not None and real is not None
    read, _ = encode_locus(locus, written, release)
    true, _ = encode_locus(locus, real, release)
    return set(true.first) <= set(read.first) and set(true.second) <= set(read.second)


def check_truth(folder: Path, release: Nomenclature) -> pd.DataFrame:
    people = pd.read_csv(folder / "donors.csv", dtype=str, keep_default_na=False)
    truth = pd.read_parquet(folder / "donors_truth.parquet")
    assert people["id"].tolist() == truth["id"].tolist()
    for person, real in zip(
        people.to_dict(orient="records"), truth.to_dict(orient="records"), strict=True
    ):
        haplotypes = [
            {LOCUS_OF_GENE[name.partition("*")[0]]: name for name in str(real[key]).split("~")}
            for key in ("haplotype_1", "haplotype_2")
        ]
        for locus in LOCI:
            text = str(person[locus.value.lower()])
            if text:
                names = [haplotype[locus] for haplotype in haplotypes]
                assert explained(release, locus, text, names), (person["id"], text, names)
    return people


def test_the_truth_explains_the_demo(demo: Nomenclature, tmp_path: Path) -> None:
    manifest = simulate(tmp_path / "one", read_frequencies("demo"), demo, 2000, 20, 7)
    people = check_truth(tmp_path / "one", demo)
    assert "XX" not in people.to_string()
    assert people["a"].ne("").all() and people["drb1"].ne("").all()
    # Three profiles: DPB1 only where typing is high, C and DQB1 missing where it is low.
    assert people["dpb1"].ne("").mean() == pytest.approx(MIX[0].share, abs=0.05)
    assert people["c"].eq("").mean() == pytest.approx(MIX[2].share, abs=0.05)
    assert people["a"].str.contains("/").mean() > 0.05
    assert len(pd.read_csv(tmp_path / "one/patients.csv")) == 20
    assert json.loads((tmp_path / "one/manifest.json").read_text()) == manifest


def test_the_seed_decides(demo: Nomenclature, tmp_path: Path) -> None:
    sets = read_frequencies("demo")
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        simulate(tmp_path / name, sets, demo, 100, 5, seed)
    for file in ("donors.csv", "donors_truth.parquet", "patients.csv", "manifest.json"):
        one = (tmp_path / "one" / file).read_bytes()
        assert one == (tmp_path / "again" / file).read_bytes()
        assert one != (tmp_path / "other" / file).read_bytes()


def test_everything_simulated_can_be_imported(demo: Nomenclature, tmp_path: Path) -> None:
    simulate(tmp_path / "people", read_frequencies("demo"), demo, 500, 0, 3)
    summary = Registry(tmp_path / "registry").import_file(
        tmp_path / "people/donors.csv", demo, tmp_path / "rejects.csv"
    )
    assert (summary.new, summary.rejected) == (500, 0)


def test_populations_under_a_release(
    nomenclature: Nomenclature, shared: Path, tmp_path: Path
) -> None:
    sets = [
        population
        for name in ("NAM", "API")
        for population in read_frequencies(str(shared / f"populations/{name}.parquet"))
    ]
    manifest = simulate(tmp_path / "mixed", sets, nomenclature, 600, 0, 5)
    people = check_truth(tmp_path / "mixed", nomenclature)
    assert set(people["ancestry"]) == {"NAM", "API"}
    assert people["a"].str.contains(":XX").any() and people["a"].str.contains("G").any()
    assert isinstance(manifest["populations"], list)


def test_frequencies_that_do_not_fit_the_release(demo: Nomenclature, tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    path.write_text("haplotype,population,frequency\nA*99:99,X,1\n")
    with pytest.raises(InputFileError, match="reads none of its haplotypes"):
        simulate(tmp_path / "out", read_frequencies(str(path)), demo, 1, 0, 1)
    assert not (tmp_path / "out").exists()
