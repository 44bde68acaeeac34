"""Files of haplotype frequencies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.frequencies import read_frequencies
from matching.errors import InputFileError
from matching.loci import Locus


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
        ("haplotype,population,frequency\nA*01:01~B*07:02,X,1\nB*07:02,X,0\n", "record 2"),
        (
            "haplotype,population,frequency\nA*01:01,X,1\nA*02:01~B*07:02,X,0\n",
            r"record 1: haplotype .* does not hold the genes",
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
