"""Text to typings: every form, every refusal, and back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.errors import HalfTypedError, TypingError, TypingSyntaxError
from matching.loci import LOCI, Locus, PerLocus, parse_loci
from matching.typings import Form, Written, parse_locus, parse_position, parse_typing, typing_of


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("*01:01:01", Form.ALLELE),
        ("01:01:01:01S", Form.ALLELE),
        ("*01:01N", Form.ALLELE),
        ("*01:01:01C", Form.ALLELE),
        ("A*01:01:01G", Form.G_GROUP),
        ("999:999P", Form.P_GROUP),
        ("HLA-A*01:XX", Form.XX),
        ("*01:01/01:02", Form.STRING),
        ("90:91/92L/93/94N/95", Form.STRING),
        ("A*01:01/A*01:02:01:03N", Form.STRING),
        ("01:BMMP", Form.CODE),
        ("1", Form.SEROLOGY),
    ],
)
def test_forms(text: str, form: Form) -> None:
    assert parse_position("A", text).form is form


@pytest.mark.parametrize(
    "text",
    [
        *("01:XX1", "ABC:01", "01:ABC:DEF", "01:G", "01:01:01:01G", "01", "01:01/", "01:01/02:XX"),
        *("01:01:01/02", ":", "01:", "01:01X", "", "B*01:01", "01:01:01:01:01", "01:01 02:01"),
        *("\u0660\u0661:\u0660\u0661", "01:01\n02", "A*", "*", "/", "01:01//02", "1:1"),
    ],
)
def test_what_is_no_hla_name(text: str) -> None:
    with pytest.raises(TypingSyntaxError):
        parse_position("A", text)


def test_second_fields_take_the_first_field() -> None:
    position = parse_position("A", "90:91/92L/93")
    assert position.names == ("A*90:91", "A*90:92L", "A*90:93")
    assert parse_position("A", "01:01/01:01").form is Form.ALLELE


@pytest.mark.parametrize("text", ["A*01:01", "A*01:01+", "+A*01:01", " + "])
def test_a_half_typed_locus_is_an_error(text: str) -> None:
    with pytest.raises(HalfTypedError, match="only one of two positions"):
        parse_locus(Locus.A, text)


@pytest.mark.parametrize("text", ["", " ", "-", "?"])
def test_untyped_is_none(text: str) -> None:
    assert parse_locus(Locus.A, text) is None


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "no locus"),
        ("A*01:01+A*02:01^A*01:01+A*02:01", "given twice"),
        ("A*01:01+B*07:02", "belongs to B"),
        ("TAP1*01:01+TAP1*01:01", "no locus"),
        ("A*01:01+A*02:01+A*03:01", "3 positions"),
        ("A*01:01~C*01:02+A*02:01", "two haplotypes over the same loci"),
        ("A*01:01~A*02:01+A*01:01~A*02:01", "at most once"),
        ("A*01:01~C*01:02+A*02:01~C*07:01^A*01:01+A*02:01", "given twice"),
        ("MICA*001+MICA*002", "no locus is typed"),
        ("DRB3*01:01+DRB3*02:02^DRB4*01:03+DRB4*01:01", "more than the two copies"),
        ("DRB3*01:01+DRB3*01:02|DRB3*01:01+DRB3*02:02^DRB4*01:03", "write them in one part"),
        ("DRB345*01:01+DRB3*01:01", "write the gene"),
        # Ends as an absent gene does, and is none.
        ("DRB5*01?X*NNNN", "not an HLA name"),
        ("A*NNNN+A*01:01", "not an HLA name"),
        ("DRBX*01:01/DRBX*01:02+DRBX*NNNN", "write the gene"),
        ("A*01:01+B\x1b*01:01", r"no gene is called 'B\\x1b'"),
        # Second fields stand without a gene, and of an old name they have two digits.
        ("A*01:01/A*02+A*02:01", "second fields after one"),
        ("A*0101/0102N/03+A*02:01", "second fields after one"),
        ("A*0101/102+A*02:01", "second fields after one"),
    ],
)
def test_refused_gl_strings(text: str, match: str) -> None:
    with pytest.raises(TypingError, match=match):
        parse_typing(text)


def test_loci_that_are_not_matched_are_carried() -> None:
    typing = parse_typing("A*01:01+A*02:01^E*01:01+E*01:03^MICA*001+MICA*002")
    assert typing.carried == ("E*01:01+E*01:03", "MICA*001+MICA*002")
    assert parse_typing(typing.text) == typing


def test_a_code_that_is_called_like_an_absent_gene_is_no_absent_gene() -> None:
    typing = parse_typing("DRB3*01:NNNN+DRB3*02:02^DRB4*NNNN+DRB4*NNNN")
    assert typing.text == "DRB3*01:NNNN+DRB3*02:02"


def test_untyped_everywhere_is_refused() -> None:
    with pytest.raises(TypingSyntaxError, match="no locus is typed"):
        typing_of(Written({Locus.A: "", Locus.B: "-"}))


FIELD = st.from_regex(r"[0-9]{2,3}", fullmatch=True)
ALLELE = st.lists(FIELD, min_size=2, max_size=4).map(":".join)
POSITION = st.one_of(
    st.lists(ALLELE, min_size=1, max_size=4).map("/".join),
    ALLELE.map(lambda name: name + "N"),
    FIELD.map(lambda field: field + ":XX"),
)
LOCUS_TEXT = st.tuples(POSITION, POSITION).map("+".join)
NAMED = [locus for locus in LOCI if locus is not Locus.DRB345]
TYPINGS = st.dictionaries(st.sampled_from(NAMED), LOCUS_TEXT, min_size=1)


@settings(max_examples=200, deadline=None)
@given(TYPINGS)
def test_parsing_is_idempotent(loci: dict[Locus, str]) -> None:
    typing = typing_of(Written(loci))
    assert parse_typing(typing.text) == typing


@settings(max_examples=1000, deadline=None)
@given(st.one_of(st.text(max_size=40), st.text("A*B01:/+^|~GPNX HL-", max_size=40)))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        typing = parse_typing(text)
    except TypingError:
        return
    assert parse_typing(typing.text) == typing


def test_loci_are_parsed_in_order_and_refused_by_name() -> None:
    assert parse_loci("DQB1, a") == (Locus.A, Locus.DQB1)
    for text, match in (("A,X", "'X' is not"), ("A,A", "twice"), ("", "''")):
        with pytest.raises(ValueError, match=match):
            parse_loci(text)


def test_per_locus_maps_and_zips() -> None:
    one = PerLocus.of({Locus.B: 3}, 0)
    assert one[Locus.B] == 3 and sum(one) == 3
    assert one.map(lambda v: v + 1).zip(one)[Locus.B] == (4, 3)
    with pytest.raises(ValueError, match="holds 9 values"):
        PerLocus((1, 2))
