"""Reductions: rules R5 to R8, every allele of two releases, and every allele against py-ard's."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import fields
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from data.nomenclature import ReferenceFolder
from matching.errors import (
    TooAmbiguousError,
    TypingError,
    TypingSyntaxError,
    UnknownNameError,
)
from matching.explain import explain
from matching.names import codes_by_members, encode
from matching.nomenclature import (
    NO_P_GROUP,
    Allele,
    Nomenclature,
    Reading,
    split_name,
    two_fields,
)
from matching.reduction import (
    MAX_NAMES,
    Level,
    p_group_codes_of,
    reduce_gl,
    reduce_name,
    xx_of_antigen,
)
from tests.conftest import release_folder


@pytest.fixture(scope="module")
def oldest(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Nomenclature:
    """Release 3.33.0."""
    folder = ReferenceFolder(tmp_path_factory.mktemp("oldest"))
    folder.install("3.33.0", str(release_folder(shared, "3330")))
    return folder.open("3.33.0")


@pytest.mark.parametrize(
    ("text", "level", "expected"),
    [
        ("B*07:02", "G", "B*07:02:01G/B*07:02:75G"),
        # No allele of A*01:140 is in a named G group, nor are those of the null A*01:52.
        ("A*01:140", "G", "A*01:140"),
        ("A*01:52", "G", "A*01:52:01N/A*01:52:02N"),
        ("A*01:04N", "P", "A*01:04:01:01N/A*01:04:01:02N"),
        ("A*43:XX", "P", "A*43:01/A*43:02N/A*43:03"),
        ("A*43:XX", "lgx", "A*43:01/A*43:03"),
        ("A*74:01g", "lgx", "A*74:01"),
        ("A*01:52:01N", "lgx", "A*01:52N"),
        # R7: its G group is named after another allele than its P group.
        ("C*03:404", "lgx", "C*03:04"),
        ("DRB5*01:08N", "lgx", "DRB5*01:02"),
        ("A*24:02:01:02L", "U2", "A*24:02"),
        ("B*39:01:01:02L", "U2", "B*39:01L"),
        ("B*39:01", "U2", "B*39:01"),
        ("B*39:01:01:01", "S", "B3901"),
        ("B*39:01", "S", "B16/B39/B3901"),
        ("A*02:65", "S", "A2/A19/A74"),
        ("A*01:22N", "S", "X"),
        ("E*01:01", "S", "X"),
        ("B71", "S", "B70/B71"),
        ("Bw4", "lgx", "X"),
        ("MICA*002:01", "lgx", "MICA*002:01"),
        ("DRB3*02:171", "lgx", "DRB3*03:22"),
        (
            "HLA-A*01:01/HLA-A*01:02+HLA-A*01:04N",
            "P",
            "HLA-A*01:01P/HLA-A*01:02P+HLA-A*01:04:01:01N/HLA-A*01:04:01:02N",
        ),
        ("A*02:01+A*01:01/02", "lgx", "A*01:01/A*01:02+A*02:01"),
        ("A*0101/02", "lgx", "A*01:01/A*01:02"),
        ("HLA-A*01:01:01", "lgx", "HLA-A*01:01"),
        ("HFE*002", "lgx", "HFE*002"),
        ("Dw8", "lgx", "X"),
        ("DRB4*01:03+DRB4*01:03^DRB3*01:01", "lgx", "DRB3*01:01+DRB4*01:01"),
        (
            "MICA*002:02+MICA*001:01^A*02:01+A*01:01",
            "P",
            "A*01:01P+A*02:01P^MICA*001:01+MICA*002:02",
        ),
        ("hla#3.58.0#A*02:01+A*01:01", "lgx", "A*01:01+A*02:01"),
        ("A*02:01+A*01:01/01:02", "lgx", "A*01:01/A*01:02+A*02:01"),
        (
            "A*02:01+A*01:01|A*01:01+A*02:01|A*01:01+A*01:01",
            "lgx",
            "A*01:01+A*01:01|A*01:01+A*02:01",
        ),
        ("B*08:01~C*07:01+B*07:02~C*07:02", "lgx", "B*07:02~C*07:02+B*08:01~C*07:01"),
        ("C*07:01+Cw*07:02^A*02:01+A1", "S", "A1+A2^Cw7+Cw7"),
        ("DRB4*01:03N+DRBX*NNNN", "S", "DRBX*NNNN+X"),
        ("A*NEW+A*01:01", "G", "A*01:01:01G+A*NEW"),
    ],
)
def test_worked_examples(nomenclature: Nomenclature, text: str, level: str, expected: str) -> None:
    assert reduce_gl(text, Level(level), nomenclature) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *(
            (text, "not an HLA name")
            for text in ("", "X", "A*", "01:01", "a*01:01", "MICA*002/004")
        ),
        ("A*01:01/XX", "an allele string holds"),
        # What a typing refuses, a reduction refuses.
        ("A*01:01/A*02:01/03", "an allele string holds"),
        ("A*01:01+", "only one of two positions"),
        ("A*01:01^B*07:02+B*08:01", "only one of two positions"),
        ("A*01:01+B*07:02", "belongs to B"),
        ("A*01:01~B*08:01", "two haplotypes"),
        ("A*01:01+A*02:01+A*03:01", "3 positions"),
        ("A*UUUU+A*UUUU", "no locus is typed"),
        ("MICA*002:01+MICAX", "not an HLA name"),
    ],
)
def test_what_is_no_typing_is_refused(nomenclature: Nomenclature, text: str, reason: str) -> None:
    with pytest.raises(TypingError, match=reason):
        reduce_gl(text, Level.LGX, nomenclature)


class Counting(Nomenclature):
    """A release that counts how often each name is read."""

    @cached_property
    def n_reads(self) -> Counter[str]:
        return Counter()

    def read(self, name: str) -> Reading:
        self.n_reads[name] += 1
        return super().read(name)


@pytest.fixture
def counting(nomenclature: Nomenclature) -> Counting:
    return Counting(
        **{item.name: getattr(nomenclature, item.name) for item in fields(Nomenclature)}
    )


@pytest.mark.parametrize(
    "text",
    [
        "|".join(f"A*01:{i:02}+A*02:{i:02}|A*01:01+A*02:01" for i in range(1, 4))
        + "|A9+A*01:XX" * 50,
        "+".join("~".join(("A*01:01", "B*07:02", "C*07:02")) for _ in "12"),
        "^".join(["DRB3*01:01+DRB3*01:01", "DRB4*01:03+DRB4*01:03", "MICA*002:01+MICA*002:01"]),
    ],
)
def test_a_name_that_a_text_repeats_is_read_once(counting: Counting, text: str) -> None:
    for level in (Level.G, Level.P, Level.LGX, Level.W, Level.S):
        counting.n_reads.clear()
        assert reduce_gl(text, level, counting)
        assert counting.n_reads and set(counting.n_reads.values()) == {1}
        counting.n_reads.clear()
        explain(text, counting, level)
        # Once for its alleles and once for its reduction; DRB3/4/5 beside DRB1 are not here.
        assert counting.n_reads and max(counting.n_reads.values()) == 2


def test_an_answer_too_long_to_read_is_refused(nomenclature: Nomenclature) -> None:
    names = [row.name for row in nomenclature.alleles if row.name.startswith("B*")]
    fitting, too_long = ("|".join(f"B*15:XX+{name}" for name in names[:n]) for n in (500, 1500))
    n_names = len(nomenclature.read("B*15:XX").alleles)
    assert 500 * (n_names + 1) < MAX_NAMES < 1500 * n_names
    (locus,) = explain(fitting, nomenclature).loci
    assert len(locus.genotypes) == 500
    assert reduce_gl(fitting, Level.W, nomenclature).count("/") == 500 * (n_names - 1)
    with pytest.raises(
        TooAmbiguousError, match="more than 1,000,000 names at W; type more exactly"
    ):
        reduce_gl(too_long, Level.W, nomenclature)
    with pytest.raises(TooAmbiguousError, match="more than 1,000,000 alleles in all"):
        explain(too_long, nomenclature)
    assert "B62" in reduce_gl(too_long, Level.S, nomenclature)
    # Genotypes that are written alike stand once.
    again = "|".join(["B*15:XX+B*15:XX"] * 1500)
    assert reduce_gl(again, Level.W, nomenclature).count("/") == 2 * (n_names - 1)


def test_a_refusal_is_one_line_of_text(nomenclature: Nomenclature) -> None:
    with pytest.raises(TypingSyntaxError, match=r"^locus \?: 'A.x1b\*01:01': not an HLA name$"):
        reduce_gl("A\x1b*01:01", Level.LGX, nomenclature)


def test_what_the_release_lacks_is_refused(nomenclature: Nomenclature) -> None:
    for text in ("A*01:01+A*99:99", "Z*01:01", "A*04:XX", "A101"):
        with pytest.raises(UnknownNameError, match="unknown in release"):
            reduce_gl(text, Level.LGX, nomenclature)


@pytest.mark.parametrize(
    ("antigen", "expected"),
    [
        # The family of an associated antigen is its parent's; DQ7 has none but its broad's.
        ("A203", "A*02:XX"),
        ("DR1403", "DRB1*14:XX"),
        ("DQ7", "DQB1*03:XX"),
        ("Cw9", "C*03:XX"),
        ("DR18", "DRB1*03:XX"),
        ("A28", "A*28:XX"),
        ("B22", "B*22:XX"),
        # Neither B72 nor B70 is a family: the alleles that carry them are of B*15.
        ("B72", "B*15:XX"),
        ("DR53", "DRB4*01:XX"),
    ],
)
def test_the_xx_of_an_antigen(nomenclature: Nomenclature, antigen: str, expected: str) -> None:
    assert xx_of_antigen(antigen, nomenclature) == expected
    assert nomenclature.read(expected).alleles


def test_codes_are_found_by_their_members() -> None:
    by_members = codes_by_members(
        {"AB": ("01", "02"), "ZZZ": ("02", "01"), "GNF": ("02:01", "02:09", "02:43N")}
    )
    assert encode(["A*24:02", "A*24:01", "A*24:02"], by_members) == "A*24:AB"
    assert encode(["A*02:43N", "A*02:09", "A*02:01"], by_members) == "A*02:GNF"
    assert encode(["A*02:01", "B*02:02"], by_members) is None
    assert encode(["A*02:01", "A*02:03"], by_members) is None
    assert encode(["A*02:01", "A*03:02"], by_members) is None


def test_p_group_codes_of_many_names(nomenclature: Nomenclature) -> None:
    names = [row.name for row in nomenclature.alleles]
    codes = p_group_codes_of(pa.array(names), nomenclature)
    assert np.array_equal(codes, nomenclature.p_group_codes)
    chunked = pa.chunked_array([["A*01:01", "A*01:11N"], [], ["A*11:53", "A*01:01"]])
    group = nomenclature.p_group_names.index
    expected = [group("A*01:01P"), NO_P_GROUP, group("A*11:02P"), group("A*01:01P")]
    assert p_group_codes_of(chunked, nomenclature).tolist() == expected
    assert p_group_codes_of(pa.array([], pa.string()), nomenclature).tolist() == []
    with pytest.raises(UnknownNameError, match="stands for 2 P groups"):
        p_group_codes_of(pa.array(["A*43:XX"]), nomenclature)
    with pytest.raises(UnknownNameError, match="unknown in release"):
        p_group_codes_of(pa.array(["A*99:99"]), nomenclature)
    with pytest.raises(ValueError, match="1 of 2 names are missing"):
        p_group_codes_of(pa.array(["A*01:01", None]), nomenclature)


def _reducing_is_idempotent(release: Nomenclature) -> None:
    for level in Level:
        reduced = {row.name: reduce_name(row.name, level, release) for row in release.alleles}
        again = {
            short: reduce_name(short, level, release)
            for short in {short for names in reduced.values() for short in names}
        }
        for row in release.alleles:
            if level is Level.S:
                twice = {name for short in reduced[row.name] for name in again[short]}
                assert twice == set(reduced[row.name])
                continue
            (short,) = reduced[row.name]
            if level is Level.EXON:
                # Three fields without suffix stand for alleles with suffixes too.
                assert short in again[short]
                assert {name.rstrip("NLSQCA") for name in again[short]} == {short.rstrip("NLSQCA")}
                continue
            assert again[short] == (short,)
        if level in (Level.G, Level.P):
            held = {short: set(release.read(short).alleles) for short in again}
            assert all(i in held[reduced[row.name][0]] for i, row in enumerate(release.alleles))


def test_every_reduction_of_every_allele_is_idempotent(nomenclature: Nomenclature) -> None:
    _reducing_is_idempotent(nomenclature)


def test_every_reduction_of_every_allele_of_the_oldest_release(oldest: Nomenclature) -> None:
    for i, row in enumerate(oldest.alleles):
        assert oldest.read(row.name) == ((i,), "")
    _reducing_is_idempotent(oldest)


@pytest.fixture(scope="module")
def theirs(shared: Path) -> dict[str, dict[str, str]]:
    """What py-ard 2.4.2 reduces every allele of 3.58.0 to."""
    path = Path(os.environ.get("GRAFTMATCH_PYARD_REDUX", shared / "cases/pyard_redux_3580.parquet"))
    table = pd.read_parquet(path).set_index("allele")
    return {str(level): dict(zip(table.index, table[level], strict=True)) for level in table}


def differences(
    release: Nomenclature, level: Level, theirs: dict[str, dict[str, str]]
) -> list[tuple[Allele, str, str]]:
    found = []
    assert theirs[level.value].keys() == release.by_name.keys()
    for row in release.alleles:
        own = "/".join(reduce_name(row.name, level, release))
        other = theirs[level.value][row.name]
        if own != other:
            found.append((row, own, other))
    return found


def test_every_p_group_and_exon_name_equals_pyard(
    nomenclature: Nomenclature, theirs: dict[str, dict[str, str]]
) -> None:
    assert differences(nomenclature, Level.P, theirs) == []
    assert differences(nomenclature, Level.EXON, theirs) == []


def test_every_g_group_equals_pyard_but_for_names_taken_from_the_first_member(
    nomenclature: Nomenclature, theirs: dict[str, dict[str, str]]
) -> None:
    renamed: Counter[tuple[str, str]] = Counter()
    for row, own, other in differences(nomenclature, Level.G, theirs):
        members = [nomenclature.alleles[i].name for i in nomenclature.read(own).alleles]
        assert row.g_group == own and row.name in members
        assert any(_three_fields(name) == other.removesuffix("G") for name in members)
        renamed[own, other] += 1
    assert renamed == {
        ("C*02:10:01G", "C*02:02:37G"): 34,
        ("DRB3*03:22:01G", "DRB3*02:171:01G"): 3,
        ("A*02:17:01G", "A*02:17:02G"): 2,
    }


def _three_fields(name: str) -> str:
    gene, fields, _ = split_name(name)
    return f"{gene}*{':'.join([*fields, '01'][:3])}"


def test_every_lgx_name_equals_pyard_but_for_two_reasons(
    nomenclature: Nomenclature, theirs: dict[str, dict[str, str]]
) -> None:
    """py-ard takes the G group's name where R7 has the P group's, and leaves off the N of nulls."""
    reasons: Counter[str] = Counter()
    for row, own, other in differences(nomenclature, Level.LGX, theirs):
        assert row.g_group is not None
        if row.g_group != row.name and other == two_fields(theirs["G"][row.name].rstrip("G")):
            in_group = nomenclature.read(row.g_group).alleles
            p_groups = {nomenclature.alleles[i].p_group for i in in_group} - {None}
            if p_groups:
                assert {own} == {str(p_group).removesuffix("P") for p_group in p_groups}
                reasons["named after the G group"] += 1
            else:
                assert own == two_fields(row.name) + "N"
                reasons["G group of nulls"] += 1
        else:
            assert row.p_group is None and row.name == row.g_group and own == f"{other}N"
            assert len(split_name(row.name)[1]) > 2
            reasons["N left off"] += 1
    assert reasons == {"named after the G group": 11, "G group of nulls": 22, "N left off": 77}


def test_every_antigen_equals_pyard_but_for_two_reasons(
    nomenclature: Nomenclature, theirs: dict[str, dict[str, str]]
) -> None:
    """py-ard gives nulls of two fields the antigens of their group, and other genes their name."""
    reasons: Counter[str] = Counter()
    for row, own, other in differences(nomenclature, Level.S, theirs):
        assert own == ""
        if row.g_group is None:
            assert other == row.name
            reasons["gene without groups"] += 1
        else:
            i = nomenclature.by_name[row.name]
            of_group = reduce_name(nomenclature.lgx_names[i], Level.S, nomenclature)
            assert row.p_group is None and other == "/".join(of_group)
            reasons["null"] += 1
    assert reasons == {"gene without groups": 1289, "null": 310}
