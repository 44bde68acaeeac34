"""The report of one list: strata, relatives, crossmatches, doses, pedigrees, and in a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from matching.errors import InputFileError
from service.report import read_results, report_content, report_page
from tests.service.browser import Browser, Page, chromium
from tests.service.conftest import Run
from tests.service.report_results import HOSTILE, candidates, write_batch

STRATA = ("related", "adult", "cord")
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 30" width="40" '
    'onload="window.hit=3"><script>window.hit=4</script><text>P</text></svg>'
)
SYSTEMS = ("a", "b", "c", "drb1", "drb345", "dq", "dp")


def listed() -> pd.DataFrame:
    """The candidates of the report's other tests, four in each stratum of "0001"."""
    table = candidates()
    first = (table["patient"] == "0001").to_numpy()
    k = table["rank"].to_numpy() - 1
    stratum = np.where(first, np.array(STRATA, dtype=object)[k // 4 % 3], "adult")
    place = k + 1
    rank = np.where(first, k % 4 + 1, k + 1)
    related = stratum == "related"
    told = ~related
    answers = np.array(["negative", "not assessable", "positive"], dtype=object)[k % 3]
    more: dict[str, Any] = {
        "stratum": stratum,
        "place": place,
        "rank": rank,
        "type": np.where(related, "related", np.where(stratum == "cord", "cord", "adult")),
        "risk_not_told": np.where(told, "", "agvhd_3_4: the model has no effect of relatives"),
        "relationship": np.where(related, "sibling", ""),
        "class": np.where(related, np.where(k == 0, "HLA-identical", "haploidentical"), ""),
        "haplotypes": np.where(related, "a / c", ""),
        "p_identical": np.where(related, (k == 0).astype(float), np.nan),
        "p_haploidentical": np.where(related, (k > 0).astype(float), np.nan),
        "shares_a": np.where(related, 1.0, np.nan),
        "shares_c": np.where(related, (k == 0).astype(float), np.nan),
        "rank_tnc": np.where(stratum == "cord", "at least 2.5", ""),
        "rank_cd34": np.where(stratum == "cord", "unknown", ""),
        "antibody_answer": np.where(first, answers, "no report"),
        "antibody_worst": np.where(first, np.where(k % 3 == 1, "positive", answers), ""),
        "antibody_p_positive": np.where(first & (k % 3 == 1), 0.25, np.nan),
        "antibody_p_positive_worst": np.where(first & (k % 3 == 1), 0.5, np.nan),
        "antibody_evidence": np.where(first & (k % 3 == 2), f"A A*02:01 positive {HOSTILE}", ""),
        "antibody_override": np.where(first & (k == 2), "desensitised", ""),
        **{f"antibody_{one}_answer": np.where(first, "not tested", "") for one in SYSTEMS},
        "antibody_a_answer": np.where(first, answers, ""),
    }
    table = table.drop(columns=[name for name in more if name in table])
    table = pd.concat([table, pd.DataFrame(more)], axis="columns")
    risks = [name for name in table if str(name).startswith("risk_agvhd")]
    table.loc[related, risks] = np.nan
    return table


def write_list(folder: Path) -> Path:
    """A folder of batch with all of it."""
    write_batch(folder, listed())
    summary = json.loads((folder / "summary.json").read_text())
    summary["strata"] = {
        "related": {"rank_keys": ["class", "age"]},
        "adult": {"rank_keys": ["p10", "age"]},
        "cord": {"rank_keys": ["tnc"]},
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "antibodies.csv").write_text(
        "patient,donors_of_registry,negative,not_assessable,open,positive,left_out,own_type\n"
        "0001,200,100,40,10,50,3,antibody against the patient's own type: A; check | another\n"
    )
    family = {
        "svg": SVG,
        "explanation": "Squares are men.",
        "warnings": [f"RECOMBINATION {HOSTILE}"],
    }
    (folder / "families.json").write_text(json.dumps({"0001": family}))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_list(tmp_path_factory.mktemp("results") / "batch")


def column(content: dict[str, Any], name: str) -> list[Any]:
    given = content["rows"][name]
    return [None if code < 0 else given["levels"][code] for code in given["codes"]]


def test_the_list_is_embedded_as_it_is(folder: Path) -> None:
    content = report_content(read_results(folder), 100)
    table = listed()
    first = table[table["patient"] == "0001"]
    start, end = content["patients"]["starts"][:2]
    assert content["patients"]["id"][0] == "0001"
    for name in ("stratum", "place", "rank", "donor"):
        assert column(content, name)[start:end] == first[name].tolist()
    found = column(content, "antibody")[start:end]
    assert [one[0] for one in found] == first["antibody_answer"].tolist()
    assert found[1][1:] == ["positive", 0.25, 0.5]
    assert column(content, "class")[start : start + 5] == [
        *("HLA-identical", "haploidentical", "haploidentical", "haploidentical", None),
    ]
    assert [one["name"] for one in content["strata"]] == list(STRATA)
    assert content["strata"][0]["ordered"].startswith("less favourable class; then older by a step")
    assert content["strata"][2]["ordered"] == "fewer nucleated cells a kg, or unknown"
    tested = content["antibodies"]["0001"]
    assert tested["virtual_pra"] == [0.25, 0.3] and tested["left_out"] == 3
    assert tested["own_type"] == [
        *("antibody against the patient's own type: A; check", "another"),
    ]
    # Acute GVHD is told in two strata, chronic in three.
    assert content["outcome"] == "cgvhd"
    assert [key["name"] for key in content["keys"]][:3] == ["age", "p10", "tnc"]


def test_the_best_of_each_stratum_are_kept(folder: Path) -> None:
    content = report_content(read_results(folder), 2)
    start, end = content["patients"]["starts"][:2]
    table = listed()
    first = table[table["patient"] == "0001"]
    allocated = {"D401", "D400", "D402", "D411"}
    kept = first[(first["rank"] <= 2) | first["donor"].isin(allocated)]
    assert column(content, "donor")[start:end] == kept["donor"].tolist()
    # The chance of a match is shown as far as nobody is left out.
    assert content["patients"]["first_ranks"][0] == 2


def test_what_a_list_may_not_hold(tmp_path: Path) -> None:
    table = listed()
    table.loc[table["stratum"] == "cord", "rank"] = 1
    folder = write_batch(tmp_path / "ranks", table)
    with pytest.raises(InputFileError, match="the same rank comes twice"):
        read_results(folder)
    folder = write_list(tmp_path / "families")
    (folder / "families.json").write_text('{"0001": {"svg": "<img>"}}')
    with pytest.raises(InputFileError, match="has no picture"):
        read_results(folder)
    folder = write_list(tmp_path / "antibodies")
    text = (folder / "antibodies.csv").read_text()
    (folder / "antibodies.csv").write_text(text.replace("200", "many"))
    with pytest.raises(InputFileError, match="patient '0001'"):
        read_results(folder)


def test_a_report_of_match(run: Run, registry: Path, tmp_path: Path) -> None:
    from tests.service.test_strata import FAMILY, PATIENT

    report, out, page = (tmp_path / name for name in ("a.csv", "list.parquet", "report.html"))
    report.write_text("antigen_or_allele,mfi\nA*24:02,9000\nA*01:01,100\nA*03:01,50\n")
    code, _, error = run(
        *("match", *PATIENT, "--release", "demo", "--strata", "related,adult", "--family", FAMILY),
        *("--antibodies", report, "--max-mismatches", 3, "--out", out),
    )
    assert code == 0, error
    found = read_results(out)
    content = report_content(found, 100)
    assert set(content["families"]) == {"P"} and content["antibodies"]["P"]["positive"] > 0
    assert column(content, "place") == list(range(1, len(found.candidates) + 1))
    code, _, error = run("report", out, "--out", page)
    assert code == 0 and "Criteria of the search" not in error


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    command = chromium()
    if command is None:
        pytest.skip("no Chromium: install Debian's package chromium")
    with Browser(command, tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def page(browser: Browser, folder: Path) -> Iterator[Page]:
    file = folder / "report.html"
    file.write_text(report_page(report_content(read_results(folder), 100)))
    opened = browser.page()
    opened.size(1366, 900)
    opened.open(file, "#/patient/0001")
    yield opened
    assert opened.errors == [] and opened.js("window.hit === undefined")
    assert all(url.startswith(("file://", "about:blank", "data:")) for url in opened.requests)
    opened.close()


def texts(page: Page, selector: str) -> list[str]:
    found: list[str] = page.js(
        f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.textContent)"
    )
    return found


def test_strata_have_headings_until_they_are_sorted(page: Page) -> None:
    headings = texts(page, "main tr.group th")
    assert [one.split(": ")[0] for one in headings] == [f"Stratum {n} of 3" for n in (1, 2, 3)]
    assert "below another for: less favourable class" in headings[0]
    donors = texts(page, "main button[data-row] .id")
    press = (
        "[...document.querySelectorAll('main thead button')]"
        ".find((b) => b.textContent === '{}').click()"
    )
    page.js(press.format("Age"))
    assert texts(page, "main tr.group th") == []
    page.js(press.format("Rank"))
    assert texts(page, "main button[data-row] .id") == donors
    page.js(
        "(() => { const s = document.querySelector('main form [name=stratum]'); s.value = 'cord';"
        "s.dispatchEvent(new Event('input', { bubbles: true })) })()"
    )
    assert texts(page, "main button[data-row] .id") == donors[8:]
    assert set(texts(page, "main td.dose")) == {"TNC at least 2.5CD34+ unknown"}


def test_three_answers_and_their_evidence(page: Page) -> None:
    rows = texts(page, "main table.main > tbody > tr:not(.group)")
    for k, row in enumerate(rows):
        words = ("tested negative", "not assessable", "positive")[k % 3]
        assert words in row and ("may be positive" in row) == (k % 3 == 1)
    assert "kept all the same" in rows[2]
    assert "HLA-identical" in rows[0] and "haploidentical" in rows[1]
    summary = " ".join(texts(page, "main dl.summary"))
    assert "100 tested negative, 40 not assessable, 10 may be positive, 50 positive" in summary
    assert "25.0 to 30.0 %" in summary and "own type: A; check" in summary
    page.js("document.querySelectorAll('main button[data-row]')[2].click()")
    (opened,) = texts(page, "main tr.details")
    assert "A A*02:01 positive </script>" in opened and "Kept fordesensitised" in opened
    assert "DRB3/4/5not tested" in opened and "Shares a (paternal)100 %" in opened
    assert "no effect of relatives" in opened
    page.js(
        "(() => { const s = document.querySelector('main select[name=outcome]');"
        "s.value = 'agvhd_3_4'; s.dispatchEvent(new Event('change', { bubbles: true })) })()"
    )
    risks = texts(page, "main td.risk")
    assert all("not told" in risk for risk in risks[:4])
    assert not any("not told" in risk for risk in risks[4:])


def test_the_pedigree_is_an_image_and_is_printed(page: Page) -> None:
    page.wait("document.querySelector('figure.family img').complete")
    assert page.js("document.querySelector('figure.family img').naturalWidth") > 0
    assert "RECOMBINATION </script>" in " ".join(texts(page, "figure.family .warning"))
    page.js("window.dispatchEvent(new Event('beforeprint'))")
    assert len(texts(page, "#paper tr.group th")) > 3
    assert page.js("document.querySelectorAll('#paper figure.family img').length") == 1
