"""Pages of a search: together the whole list, and bound to what its order depends on."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pages import ListPage, page_of, page_start, page_token
from service.pb.graftmatch.v1.registry_pb2 import ListDonorsRequest
from service.status import RequestError
from tests.service.conftest import Run

PATIENT = (
    "A*01:01+A*02:01^B*08:01+B*44:02^C*07:01+C*05:01^DRB1*03:01+DRB1*04:01^DQB1*02:01+DQB1*03:01"
)
SEARCH = ("match", "--patient", PATIENT, "--release", "demo", "--max-mismatches", 3)
STATE = {"the patient": "A", "the day": "2026-01-01", "the index": "ab-7"}


def next_page(error: str) -> str:
    found = re.search(r"next page: --page (\S+)", error)
    return found.group(1) if found else ""


def test_pages_together_are_the_whole_list(run: Run, registry: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.csv"
    assert run(*SEARCH, "--out", whole)[0] == 0
    pages: list[pd.DataFrame] = []
    token, out = "", tmp_path / "page.csv"
    while not pages or token:
        options = ("--page", token) if token else ()
        code, _, error = run(*SEARCH, "--page-size", 20, *options, "--out", out)
        assert code == 0
        pages.append(pd.read_csv(out))
        token = next_page(error)
    expected = pd.read_csv(whole)
    assert len(pages) == -(-len(expected) // 20) > 2
    joined = pd.concat(pages, ignore_index=True)
    columns = ["rank", "donor", "p10", "ranked_below_previous_for", "risk_agvhd_3_4"]
    pd.testing.assert_frame_equal(joined[columns], expected[columns])
    # JSON holds the token, a table prints it on the screen.
    document = json.loads(run(*SEARCH, "--page-size", 20, "--format", "json")[1])
    assert document["patients"][0]["found"] == len(expected)
    assert len(document["patients"][0]["donors"]) == 20
    printed = run(*SEARCH, "--page-size", 20, "--page", document["next_page_token"])[1]
    assert f"{len(expected)} donors within 3" in printed and " 21 " in printed


def test_a_page_of_another_state_is_refused(run: Run, registry: Path, tmp_path: Path) -> None:
    paged = (*SEARCH, "--page-size", 10, "--format", "csv")
    token = next_page(run(*paged)[2])
    assert run(*paged, "--page", token)[0] == 0
    other = PATIENT.replace("A*01:01", "A*03:01")
    for arguments, reason in (
        ((*paged, "--loci", "A,B"), "the criteria changed"),
        ((*paged, "--max-mismatches", 2), "the criteria changed"),
        ((*paged, "--rank", "age"), "the ranking changed"),
        ((*paged, "--as-of", "2020-01-01"), "the day changed"),
        ((*paged, "--patient", other), "the patient changed"),
    ):
        code, _, error = run(*arguments, "--page", token)
        assert code == 1 and reason in error and "first page again" in error
    donors = (registry / "donors.csv").read_text().splitlines()
    fewer = tmp_path / "fewer.csv"
    fewer.write_text("\n".join([donors[0], "NEW1" + donors[1][donors[1].index(",") :]]) + "\n")
    code, printed, _ = run("registry", "import", fewer, "--release", "demo")
    assert code == 0 and "new 1" in printed
    code, _, error = run(*paged, "--page", token)
    assert code == 1 and "the index changed" in error
    for options, reason in (
        (("--page", token), "give --page-size with --page"),
        (("--page", token, "--page-size", 0), "greater than or equal to 1"),
    ):
        code, _, error = run(*SEARCH, *options)
        assert code == 2 and reason in error
    patients = ("--patients", registry / "patients.csv", "--page-size", 5)
    code, _, error = run("match", "--release", "demo", *patients)
    assert code == 2 and "one patient, not 4" in error


def refusal(token: str) -> str:
    """The field that a refusal names, "" where the token is taken."""
    try:
        page_start(token, STATE)
    except RequestError as error:
        return error.violations[0].field
    return ""


@given(st.integers(0, 10**7), st.integers(0, 200), st.characters(max_codepoint=126))
def test_a_damaged_token_is_refused(start: int, place: int, character: str) -> None:
    token = page_token(start, STATE)
    assert page_start(token, STATE) == start
    place %= len(token)
    damaged = token[:place] + character + token[place + 1 :]
    assert refusal(damaged) == ("" if damaged == token else "page_token")
    for text in ("", "x", token[:-3], "é"):
        with pytest.raises(RequestError, match="no token of a page"):
            page_start(text, STATE)


@pytest.mark.parametrize(
    "payload",
    [
        *("1", "null", "[1]", "{}", "[" * 100_000, "[1,0,null]", '[1,0,{"a":1}]', "[1,-1,[]]"),
        *(f"[1,{10**30},[]]", "[1,true,[]]", "[1,1.5,[]]", '[1,"x",[]]'),
    ],
)
def test_a_token_that_somebody_made_up_is_refused(payload: str) -> None:
    with pytest.raises(RequestError, match="no token of a page"):
        page_start(sealed(payload), STATE)


@pytest.mark.parametrize("start", ['"\\ud800"', '"D\\u0000"', '""', "5", "[]", "null"])
def test_an_identifier_that_somebody_made_up_is_refused(start: str) -> None:
    request = ListDonorsRequest(page_token=sealed(f"[1,{start},[]]"))
    with pytest.raises(RequestError, match="no token of a page"):
        ListPage.of(request, {}, "")


def sealed(payload: str) -> str:
    """A token as anyone can make one."""
    digest = hashlib.blake2b(payload.encode(), digest_size=6).hexdigest()
    return base64.urlsafe_b64encode((digest + payload).encode()).decode().rstrip("=")


@given(
    st.text(st.characters(exclude_characters="\0"), min_size=1),
    st.integers(0, 1000),
    st.integers(0, 1000),
)
def test_a_list_goes_on_where_its_token_says(after: str, size: int, other: int) -> None:
    """From an identifier; a token of a list by positions is none of it."""
    state = {"the registry": "x"}
    first = ListPage.of(ListDonorsRequest(page_size=size), state, "")
    assert (first.start, first.size) == ("", size or 100)
    token = first.token(after.encode(errors="replace").decode())
    request = ListDonorsRequest(page_size=other, page_token=token)
    assert ListPage.of(request, state, "").start == after.encode(errors="replace").decode()
    with pytest.raises(RequestError, match="no token of a page"):
        ListPage.of(ListDonorsRequest(page_token=page_token(other, state)), state, "")
    with pytest.raises(RequestError, match="no token of a page"):
        ListPage.of(ListDonorsRequest(page_token=token), state, 0)


@given(st.integers(0, 30), st.integers(1, 10))
def test_the_pages_of_a_list_are_the_list(n: int, size: int) -> None:
    items, token = list(range(n)), ""
    found: list[Sequence[int]] = []
    while not found or token:
        request = ListDonorsRequest(page_size=size, page_token=token)
        page, token = page_of(request, items, "the list", "x")
        found.append(page)
    assert [item for page in found for item in page] == items
    assert all(len(page) == size for page in found[:-1]) and len(found) == max(-(-n // size), 1)


def test_a_refusal_names_what_changed() -> None:
    token = page_token(5, STATE)
    with pytest.raises(RequestError, match="another list: the day, the index changed since"):
        page_start(token, {**STATE, "the day": "2026-01-02", "the index": "ab-8"})
    with pytest.raises(RequestError, match="another version"):
        page_start(token, {"the patient": "A"})
