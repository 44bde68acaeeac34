"""Files of haplotype frequencies."""

from __future__ import annotations

import datetime
import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.frequencies import read_frequencies, read_sources
from data.frequency_store import FrequencyFolder, choose_population
from matching.errors import InputFileError
from matching.haplotypes import FrequencySet, Populations
from matching.loci import Locus, parse_loci
from matching.nomenclature import Nomenclature

DAY = datetime.date(2026, 1, 2)


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "set.csv"
    path.write_text(text)
    return str(path)


def test_the_embedded_set() -> None:
    (demo,) = read_frequencies("demo")
    assert demo.population == "synthetic" and len(demo.loci) == 6
    assert demo.frequencies.sum() == pytest.approx(1)


def test_short_columns_and_several_populations(tmp_path: Path) -> None:
    text = "hap,pop,freq\nA*01:01~B*08:01,X,0.25\nA*02:01~B*07:02,X,0.5\nA*01:01~B*08:01,Y,1\n"
    x, y = read_frequencies(write(tmp_path, text))
    assert (x.population, y.population) == ("X", "Y")
    assert x.loci == (Locus.A, Locus.B) and x.names == (
        ("A*01:01", "A*02:01"),
        ("B*08:01", "B*07:02"),
    )
    assert x.frequencies.tolist() == [0.25, 0.5] and x.haplotypes.tolist() == [[0, 0], [1, 1]]


def test_genes_that_are_not_matched_on_are_added_up(tmp_path: Path) -> None:
    path = tmp_path / "POP.parquet"
    pd.DataFrame(
        {
            "A": pd.Categorical(["A*01:01", "A*01:01", "A*02:01"]),
            "MICA": pd.Categorical(["MICA*001", "MICA*002", "MICA*001"]),
            "frequency": [0.25, 0.25, 0.5],
        }
    ).to_parquet(path)
    (only,) = read_frequencies(str(path))
    assert only.population == "POP" and only.loci == (Locus.A,)
    assert dict(zip(only.names[0], only.frequencies, strict=True)) == {
        "A*01:01": 0.5,
        "A*02:01": 0.5,
    }


@pytest.mark.parametrize("value", ["-0.1", "nan", "1.5", "", "many", "inf"])
def test_a_frequency_that_is_none(tmp_path: Path, value: str) -> None:
    text = f"haplotype,population,frequency\nA*01:01,X,0.5\nA*02:01,X,{value}\n"
    with pytest.raises(InputFileError, match="record 2: frequency"):
        read_frequencies(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "cannot read frequencies"),
        ("haplotype,population,frequency\n", "holds no haplotypes"),
        ("haplotype,population\nA*01:01,X\n", "column 'frequency' is missing"),
        ("haplotype,population,frequency\nA*01:01,X,1\nA*02:01,X,0.5\n", "sum to 1.5"),
        ("haplotype,population,frequency\nA*01:01,X,0\n", "all frequencies are 0"),
        ("population,frequency\nX,1\n", "neither a column 'haplotype'"),
        ("hap,freq\nA*01:01,0.5\nA*01:01,0.5\n", "record 2: the haplotype is that of record 1"),
        ("hap,freq,frequency\nA*01:01,0.5,1\n", "column 'frequency' comes twice"),
        ("A,frequency\nA*01:XX,0.5\n", r"record 1: A 'A\*01:XX' is XX; a haplotype holds"),
        ("A,frequency\n01:01/01:02,0.5\n", "is allele string; a haplotype holds"),
        ("A,frequency\n,0.5\n", "record 1: A '' not an HLA name"),
        ("A,frequency\nB*07:02,0.5\n", "belongs to B, not to A"),
        ("haplotype,population,frequency\nA*01:01~B*07:02,X,1\nB*07:02,X,0\n", "record 2"),
        (
            "haplotype,population,frequency\nA*01:01,X,1\nA*02:01~B*07:02,X,0\n",
            r"record 2: haplotype .* does not hold the genes",
        ),
    ],
)
def test_files_that_are_refused(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(InputFileError, match=match):
        read_frequencies(write(tmp_path, text))


def test_a_sum_below_one_is_valid_and_kept(tmp_path: Path) -> None:
    text = "haplotype,population,frequency\nA*01:01,X,0.3\nA*02:01,X,0.2\n"
    assert read_frequencies(write(tmp_path, text))[0].frequencies.sum() == 0.5


def test_the_exercise_and_the_populations(shared: Path) -> None:
    (exercise,) = read_frequencies(str(shared / "mvt3/haplotype_frequencies.csv"))
    assert exercise.population == "CAU" and len(exercise.frequencies) == 3380
    (nam,) = read_frequencies(str(shared / "populations/NAM.parquet"))
    assert nam.population == "NAM" and len(nam.loci) == 6
    assert np.isclose(nam.frequencies.sum(), 1, atol=1e-4)


def texts(found: FrequencySet) -> dict[str, float]:
    """Frequencies by haplotype text."""
    rows = ("~".join(n[i] for n, i in zip(found.names, h, strict=True)) for h in found.haplotypes)
    return dict(zip(rows, found.frequencies.tolist(), strict=True))


def test_every_format_gives_the_same_set(tmp_path: Path) -> None:
    expected = {"A*01:01g~DRB3*01:01~DRB1*03:01": 0.75, "A*02:01g~DRBX*NNNN~DRB1*01:01": 0.25}
    rows = [h.split("~") for h in expected]
    grim = "Haplo,Count,Freq\n" + "".join(f"{h},{9 * f},{f}\n" for h, f in expected.items())
    (tmp_path / "POP.csv").write_text(grim)
    with gzip.open(tmp_path / "POP.freqs.gz", "wt") as file:
        file.write(grim)
    plain = [
        (*(f"HLA-{name}" for name in row), f) for row, f in zip(rows, (0.75, 0.25), strict=True)
    ]
    table = pd.DataFrame(plain, columns=["A", "DRB345", "DRB1", "frequency"])
    (tmp_path / "a").mkdir()
    table.to_csv(tmp_path / "a/POP.csv", index=False)
    table.to_parquet(tmp_path / "a/POP.parquet")
    for path in ("POP.csv", "POP.freqs.gz", "a/POP.csv", "a/POP.parquet"):
        (found,) = read_frequencies(str(tmp_path / path))
        assert found.population == "POP" and found.registry == ""
        assert found.loci == (Locus.A, Locus.DRB345, Locus.DRB1)
        assert texts(found) == expected


def test_the_json_of_atlas(tmp_path: Path) -> None:
    records = [
        {"a": "01:01:01G", "b": "*08:01:01G", "c": "07:01g", "drb1": "03:01:01G", "frequency": 0.5},
        {"a": "02:01:01G", "b": "07:02:01G", "c": "07:02g", "drb1": "15:01:01G", "frequency": 0.25},
    ]
    path = tmp_path / "set.json"
    path.write_text(json.dumps({"nomenclatureVersion": 3410, "donPool": [6939, "AB"],
                                "ethn": ["CAU"], "frequencies": records}))  # fmt: skip
    first, second = read_frequencies(str(path))
    assert (first.population, first.registry, second.registry) == ("CAU", "6939", "AB")
    assert texts(first) == {
        "A*01:01:01G~C*07:01g~B*08:01:01G~DRB1*03:01:01G": 0.5,
        "A*02:01:01G~C*07:02g~B*07:02:01G~DRB1*15:01:01G": 0.25,
    }
    assert choose_population(path, (first, second), "CAU@AB") is second
    with pytest.raises(InputFileError, match="holds CAU@6939, CAU@AB; choose one"):
        choose_population(path, (first, second), "CAU")
    path.write_text(json.dumps({"donPool": None, "ethn": None, "frequencies": records}))
    (everyone,) = read_frequencies(str(path))
    assert (everyone.population, everyone.registry) == ("global", "")
    for content, match in (
        ({"frequencies": []}, "holds no haplotypes"),
        ({"frequencies": {}}, "no list of records"),
        ({"frequencies": [{"a": "01:01", "frequency": float("nan")}]}, "record 1: frequency"),
        ({"frequencies": records * 2}, "record 3: the haplotype is that of record 1"),
        ({"ethn": {"x": 1}, "frequencies": records}, "'ethn' is"),
    ):
        path.write_text(json.dumps(content))
        with pytest.raises(InputFileError, match=match):
            read_frequencies(str(path))


def test_several_files_are_one_source(tmp_path: Path) -> None:
    for name in ("X", "Y"):
        (tmp_path / f"{name}.csv").write_text("hap,freq\nA*01:01,1\n")
    x, y = tmp_path / "X.csv", tmp_path / "Y.csv"
    assert [found.population for found in read_sources(f"{x}, {y}")] == ["X", "Y"]
    with pytest.raises(InputFileError, match="population X comes twice"):
        read_sources(f"{x},{x}")


def test_the_store_maps_names_and_keeps_the_order_of_fallback(
    tmp_path: Path, nomenclature: Nomenclature
) -> None:
    path = tmp_path / "sets.csv"
    path.write_text(
        "haplotype,population,registry,frequency\n"
        "A*01:01~B*08:01g~DRBX*NNNN,X,R,0.5\nA*99:99~B*08:01~DRBX*NNNN,X,R,0.25\n"
        "A*01:01~B*08:01~DRBX*NNNN,X,,1\nA*01:01~B*07:02~DRBX*NNNN,global,R,1\n"
        "A*99:99~B*08:01~DRBX*NNNN,Z,,1\n"
    )
    folder = FrequencyFolder(tmp_path / "home")
    cards = [
        folder.import_file(path, wanted, name, nomenclature, DAY, (Locus.A,))
        for wanted, name in (("X@R", "xr"), ("X", "x"), ("global@R", "r"))
    ]
    assert (cards[0].total, cards[0].coverage, cards[0].n_unmapped) == (0.75, 0.5, 1)
    assert cards[0].imported == "2026-01-02" and cards[0].release == "3.58.0"
    listed = folder.unmapped_file("xr").read_text()
    assert listed.startswith("haplotype,frequency,reason\nA*99:99~B*08:01~DRBX*NNNN,0.25,")
    assert not folder.unmapped_file("x").exists()
    assert texts(folder.open("xr"))["A*01:01~B*08:01g~DRBX*NNNN"] == 0.5
    for population, registry, name, reason in (
        ("X", "R", "xr", "population and registry"),
        ("X", "S", "x", "population, any registry"),
        ("Y", "R", "r", "registry, any population"),
        ("Y", "S", "r", "the set in use"),
        ("", "", "r", "the set in use"),
    ):
        card, why = folder.choice().best_for(population, registry)
        assert (card.name, why) == (name, reason)
    with pytest.raises(InputFileError, match="reads none of the haplotypes of Z: locus A"):
        folder.import_file(path, "Z", None, nomenclature, DAY)
    with pytest.raises(InputFileError, match="no imported set fits population 'Q'"):
        FrequencyFolder(tmp_path / "none").choice().best_for("Q", "")
    (tmp_path / "home/x.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputFileError, match="is damaged"):
        folder.cards()


def test_populations_share_their_haplotypes() -> None:
    def one(
        population: str, loci: str, names: list[list[str]], values: list[float]
    ) -> FrequencySet:
        rows = np.array([[i] * len(names) for i in range(len(values))], np.int32)
        return FrequencySet(
            population, parse_loci(loci), tuple(map(tuple, names)), rows, np.array(values)
        )

    x = one("X", "A,B", [["A*01:01", "A*02:01"], ["B*07:02", "B*08:01"]], [0.5, 0.5])
    y = one("Y", "A,B", [["A*02:01", "A*03:01"], ["B*08:01", "B*07:02"]], [0.25, 0.75])
    both = Populations.of([x, y])
    mixed = dict(zip(texts(both.shared), both.mixture({"X": 1, "Y": 3}), strict=True))
    assert mixed == {
        "A*01:01~B*07:02": 0.125,
        "A*02:01~B*08:01": 0.25 * 0.5 + 0.75 * 0.25,
        "A*03:01~B*07:02": 0.75 * 0.75,
    }
    z = one("Z", "A", [["A*03:01"]], [1.0])
    assert Populations.of([x, z]).shared.loci == (Locus.A,)
    for prior, match in (({"Q": 1.0}, "'Q' is none of X, Y"), ({"X": 0.0}, "sum to 0"),
                         ({"X": -1.0}, "not at least 0")):  # fmt: skip
        with pytest.raises(ValueError, match=match):
            both.mixture(prior)
    with pytest.raises(ValueError, match="comes twice"):
        Populations.of([x, x])


def test_the_embedded_set_is_imported_by_its_name(tmp_path: Path, demo: Nomenclature) -> None:
    folder = FrequencyFolder(tmp_path)
    card = folder.import_file(Path("demo"), None, None, demo, DAY)
    (embedded,) = read_frequencies("demo")
    assert texts(folder.open(card.name)) == texts(embedded)
