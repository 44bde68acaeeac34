"""Explanations of typings, differences of releases, and DRB3/4/5 beside DRB1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from matching.errors import HalfTypedError, TypingError, UnknownNameError
from matching.explain import ResolutionCategory, explain, release_differences
from matching.linkage import drb345_disagreement
from matching.nomenclature import Nomenclature
from matching.reduction import Level
from matching.typings import Form, parse_typing


@pytest.mark.parametrize(
    ("text", "form", "resolution"),
    [
        ("A*01:01:01:01", Form.ALLELE, ResolutionCategory.ALLELIC),
        ("HLA-A*01:01", Form.ALLELE, ResolutionCategory.HIGH),
        ("A*01:01:01G", Form.G_GROUP, ResolutionCategory.HIGH),
        ("A*01:01g", Form.SMALL_G, ResolutionCategory.HIGH),
        ("A*01:01/01:02", Form.STRING, ResolutionCategory.INTERMEDIATE),
        ("A*01:XX", Form.XX, ResolutionCategory.LOW),
        ("A*0101", Form.OLD_NAME, ResolutionCategory.HIGH),
        ("A9", Form.SEROLOGY, ResolutionCategory.SEROLOGICAL),
        ("A*NEW", Form.NEW, ResolutionCategory.NOTHING),
        ("DRBX*NNNN", Form.ABSENT, ResolutionCategory.NOTHING),
    ],
)
def test_form_and_resolution(
    nomenclature: Nomenclature, text: str, form: Form, resolution: ResolutionCategory
) -> None:
    (locus,) = explain(text, nomenclature).loci
    ((position,),) = locus.genotypes
    assert (position.form, position.resolution) == (form, resolution)


def test_a_typing_is_explained(nomenclature: Nomenclature) -> None:
    found = explain("A*01:01+A*02:01:01:02L^B39+B*15:271", nomenclature, Level.LGX)
    assert found.canonical == "A*01:01+A*02:01:01:02L^B39+B*15:271"
    a, b = found.loci
    first, second = a.genotypes[0]
    assert first.p_groups == ("A*01:01P",) and first.reduced == ("A*01:01",)
    assert first.n_nulls > 0 and any("null and left out" in note for note in first.notes)
    assert second.alleles == ("A*02:01:01:02L",) and a.n_genotypes == 1
    reported, molecular = b.genotypes[0]
    sources = {antigen.name: antigen.source for antigen in reported.antigens}
    assert sources["B39"] == "reported" and sources["B16"] == "Broad, matches B39"
    # R8: rel_dna_ser assumes 15 or 70 of B*15:271.
    assert {antigen.name: antigen.source for antigen in molecular.antigens} == {
        "B15": "assumed of 1 of 1 alleles",
        "B70": "assumed of 1 of 1 alleles",
    }
    assert b.n_genotypes == len(reported.p_groups)


def test_warnings_name_what_was_followed(nomenclature: Nomenclature) -> None:
    (locus,) = explain("A*11:53", nomenclature).loci
    assert locus.genotypes[0][0].notes == (
        "A*11:53 is deleted in 3.58.0, identical to A*11:02:01:01",
    )
    with pytest.raises(UnknownNameError, match=r"lenient|identical"):
        explain("A*11:53", replace(nomenclature, strict=True))
    text = "hla#3.44.0#DRB1*03:01+DRB1*15:01^DRB3*01:01+DRB4*01:01^MICA*001+MICA*002"
    assert explain(text, nomenclature).warnings == (
        "typed under 3.44.0, read under 3.58.0",
        "DRB1 lets expect DRB3+DRB5, reported is DRB3+DRB4",
        "kept and not matched on: MICA*001+MICA*002",
    )


def test_genotype_lists_and_nulls_count_pairs(nomenclature: Nomenclature) -> None:
    (locus,) = explain("A*01:01+A*02:01|A*01:02+A*02:05", nomenclature).loci
    assert len(locus.genotypes) == 2 and locus.n_genotypes == 2
    (null,) = explain("A*01:01+A*01:11N", nomenclature).loci
    assert null.n_genotypes == 1 and null.genotypes[0][1].p_groups == ()


def test_what_cannot_be_explained(nomenclature: Nomenclature) -> None:
    with pytest.raises(HalfTypedError):
        explain("A*01:01+", nomenclature)
    for text in ("", "nonsense", "A*99:99", "A*01:01~B*08:01"):
        with pytest.raises(TypingError):
            explain(text, nomenclature)


def test_releases_read_differently(nomenclatures: Mapping[str, Nomenclature]) -> None:
    if "3.44.0" not in nomenclatures:
        pytest.skip("no files of release 3.44.0")
    old, new = nomenclatures["3.44.0"], nomenclatures["3.58.0"]
    # R14: 548:01 gained TCE group 2 between the two.
    tce = [d for d in release_differences("DPB1*13:01/548:01", old, new) if d.what == "TCE groups"]
    assert [(d.before, d.after) for d in tce] == [("3", "2/3")]
    # R6: A*43:XX holds A*43:03 since.
    groups = [d for d in release_differences("A*43:XX", old, new) if d.what == "P groups"]
    assert [(d.before, d.after) for d in groups] == [("A*43:01", "A*43:01/A*43:03")]
    assert release_differences("A*43:XX+A*01:01", new, new) == ()
    # A name of the newer release alone.
    newest = next(a.name for a in new.alleles if a.name not in old.by_name and "A*" in a.name)
    found = {d.what for d in release_differences(f"{newest}+{newest}", old, new)}
    assert "readable" in found


@pytest.mark.parametrize(
    ("text", "disagreement"),
    [
        ("DRB1*03:01+DRB1*15:01^DRB3*01:01+DRB5*01:01", ""),
        ("DRB1*03:01+DRB1*01:01^DRB3*01:01", ""),
        ("DRB1*01:01+DRB1*08:01^DRBX*NNNN+DRBX*NNNN", ""),
        ("DRB1*NEW+DRB1*08:01^DRB4*01:01+DRBX*NNNN", ""),
        ("DRB1*03:XX+DR4^DR52+DR53", ""),
        (
            "DRB1*03:01+DRB1*01:01^DRB3*01:01+DRB3*02:02",
            "DRB1 lets expect none+DRB3, reported is DRB3+DRB3",
        ),
        (
            "DRB1*03:01+DRB1*04:01|DRB1*03:02+DRB1*04:02^DRB5*01:01+DRBX*NNNN",
            "DRB1 lets expect DRB3+DRB4, reported is none+DRB5",
        ),
    ],
)
def test_drb345_beside_drb1(nomenclature: Nomenclature, text: str, disagreement: str) -> None:
    assert drb345_disagreement(parse_typing(text), nomenclature) == disagreement


@pytest.mark.parametrize(
    ("text", "n_genotypes"),
    [
        ("A*01:01+A*02:01", 1),
        ("A*01:01/A*02:01+A*01:01/A*02:01", 3),
        ("A*01:01+A*02:01|A*02:01+A*01:01|A*01:01+A*03:01", 2),
        ("A*01:04N+A*02:01/A*03:01", 2),
        ("A*01:04N+A*01:04N", 0),
    ],
)
def test_pairs_are_counted_in_no_order_and_once(
    nomenclature: Nomenclature, text: str, n_genotypes: int
) -> None:
    assert explain(text, nomenclature).loci[0].n_genotypes == n_genotypes
