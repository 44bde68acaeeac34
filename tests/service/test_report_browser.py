"""The report in a headless Chromium; skipped where there is none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from service.report import read_results, report_content, report_page
from tests.service.browser import Browser, Page, chromium
from tests.service.report_results import HOSTILE, candidates, write_batch, write_parquet

FIRST = "#/patient/0001"
VIEWS = ("#/patients", FIRST, "#/patient/NA", "#/allocation", "#/plan", "#/open")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    command = chromium()
    if command is None:
        pytest.skip("no Chromium: install Debian's package chromium")
    with Browser(command, tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with everything in it."""
    folder = write_batch(tmp_path_factory.mktemp("results") / "batch")
    content = report_content(read_results(folder, plan=folder / "requests.csv"), 100)
    (folder / "report.html").write_text(report_page(content))
    (folder / "plain.html").write_text(report_page(content, plain=True))
    return folder / "report.html"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of the least that candidates may be."""
    folder = tmp_path_factory.mktemp("bare")
    columns = ["patient", "rank", "donor", "mismatches_best", "mismatches_worst"]
    candidates()[columns].to_csv(folder / "few.csv", index=False)
    file = folder / "report.html"
    file.write_text(report_page(report_content(read_results(folder / "few.csv"), 100)))
    return file


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that must neither ask for anything but its file nor complain."""
    opened = browser.page()
    opened.size(1366, 768)
    opened.dark(False)
    yield opened
    assert opened.errors == []
    assert {url for url in opened.requests if not url.endswith(".html")} <= {"about:blank"}
    assert all(url.startswith(("file://", "about:blank")) for url in opened.requests)
    opened.close()


def donors(page: Page) -> list[str]:
    found: list[str] = page.js(
        "[...document.querySelectorAll('main button[data-row] .id')].map((e) => e.textContent)"
    )
    return found


def patients(page: Page) -> list[str]:
    found: list[str] = page.js(
        "[...document.querySelectorAll('main a[data-row] .id')].map((e) => e.textContent)"
    )
    return found


def press_head(page: Page, head: str) -> str | None:
    """Press the heading of a column; how it is sorted then."""
    sort: str | None = page.js(
        f"""(() => {{
          const head = [...document.querySelectorAll('main table.main > thead th')].find(
            (th) => th.textContent === {json.dumps(head)});
          head.querySelector('button').click();
          return head.getAttribute('aria-sort');
        }})()"""
    )
    return sort


def put(page: Page, name: str, value: str | bool) -> None:
    """Set a field of the filters as a person would."""
    attribute = "checked" if isinstance(value, bool) else "value"
    page.js(
        f"""(() => {{
          const field = document.querySelector('main form [name={name}]');
          field.{attribute} = {json.dumps(value)};
          field.dispatchEvent(new Event('input', {{ bubbles: true }}));
        }})()"""
    )


def count(page: Page) -> str:
    text: str = page.js("document.querySelector('main [role=status]').textContent")
    return text


def focused(page: Page) -> str:
    text: str = page.js("document.activeElement.textContent")
    return text


def of_first() -> pd.DataFrame:
    table = candidates()
    return table[table["patient"] == "0001"]


def test_every_view_opens(page: Page, report: Path, bare: Path) -> None:
    for file in (report, report.with_name("plain.html"), bare):
        for view in VIEWS:
            page.open(file, view)
            page.js("document.querySelectorAll('main [aria-expanded]').forEach((e) => e.click())")
            assert page.js("document.querySelector('main h2').textContent.length") > 0
            assert page.js("document.title").endswith("Donor search report")
            wide = page.js("document.scrollingElement.scrollWidth")
            assert wide <= 1366, (file.name, view)


def test_all_loci_and_long_identifiers_fit_a_laptop(page: Page, tmp_path: Path) -> None:
    table = candidates().assign(registry="DKMS Germany")
    table["donor"] = [f"DKMS01234567890{i:04d}" for i in range(len(table))]
    for name in ("drb345_position_1", "drb345_position_2", "dqa1_position_1", "dqa1_position_2"):
        table[name] = "P"
    results = read_results(write_parquet(table, tmp_path / "wide.parquet"))
    (tmp_path / "wide.html").write_text(report_page(report_content(results, 100)))
    for width in (1366, 900):
        page.size(width, 768)
        page.open(tmp_path / "wide.html", FIRST)
        assert page.js("document.querySelectorAll('main thead .locus').length") == 9
        assert page.js("document.scrollingElement.scrollWidth") <= width


def test_donors_are_sorted_by_every_heading(page: Page, report: Path) -> None:
    page.open(report, FIRST)
    table = of_first()
    assert donors(page) == table["donor"].tolist()
    assert press_head(page, "above lowest") == "ascending"
    by_risk = table.sort_values("risk_agvhd_3_4", kind="stable")
    assert donors(page) == by_risk["donor"].tolist()
    # D401 has 7 points more than the lowest, with the interval beside.
    of_d401 = page.js(
        "[...document.querySelectorAll('main tr')].find((e) => "
        "e.querySelector('.id')?.textContent === 'D401').textContent"
    )
    assert "+7.0+5.0 to +10.3" in of_d401
    for head, name in (("P(10/10)", "p10"), ("Age", "age_years")):
        first = press_head(page, head)
        ascending = first == "ascending"
        assert ascending == (name != "p10")
        for way in (ascending, not ascending):
            # What is unknown is last either way.
            expected = table.sort_values(name, ascending=way, kind="stable", na_position="last")
            assert donors(page) == expected["donor"].tolist()
            press_head(page, head)
    sorted_heads = page.js("document.querySelectorAll('main thead [aria-sort]').length")
    assert sorted_heads == 1
    heads = page.js(
        "[...document.querySelectorAll('main table.main > thead th')].map((e) => e.textContent)"
    )
    for head in heads:
        assert press_head(page, head) in ("ascending", "descending")
        assert sorted(donors(page)) == sorted(table["donor"])
    assert {"A", "DRB1", "DPB1", "P(9/10)", "DPB1 TCE", "B leader", "CMV", "ABO"} <= set(heads)


def test_donors_are_filtered_and_searched(page: Page, report: Path) -> None:
    page.open(report, FIRST)
    table = of_first()
    assert count(page) == "12 donors"
    cases: list[tuple[str, str, Any]] = [
        ("mismatches", "1", table["mismatches_best"] <= 1),
        ("p10", "82", table["p10"] >= 0.82 - 1e-9),
        ("from", "30", ~(table["age_years"] < 30)),
        ("to", "30", ~(table["age_years"] > 30)),
        ("sex", "female", table["sex"].isna() | (table["sex"] == "female")),
        ("type", "cord", table["type"] == "cord"),
        ("abo", "O", table["abo"] == "O"),
        ("text", "d40", table["donor"].str.startswith("D40")),
        ("text", "cord r1", table["type"] == "cord"),
        ("text", "allocated", table["donor"] == "D401"),
        ("text", "nothing like it", table["donor"].isna()),
    ]
    for name, value, kept in cases:
        put(page, name, value)
        assert donors(page) == table["donor"][kept].tolist(), (name, value)
        if not kept.all():
            assert count(page) == f"{kept.sum()} of 12 donors"
        page.js("[...document.querySelectorAll('main form button')].at(-1).click()")
        assert count(page) == "12 donors"
    put(page, "dpb1_tce", "permissive")
    unclear = table["dpb1_tce"].isin(["unknown", "untyped"])
    permissive = table["dpb1_tce"] == "permissive"
    assert donors(page) == table["donor"][permissive | unclear].tolist()
    put(page, "unknown", False)
    assert donors(page) == table["donor"][permissive].tolist()
    put(page, "to", "40")
    assert donors(page) == table["donor"][permissive & (table["age_years"] <= 40)].tolist()


def test_patients_are_searched_and_filtered(page: Page, report: Path) -> None:
    page.open(report)
    assert patients(page) == ["0001", "NA", HOSTILE, "nobody"]
    for text, found in (
        ("000", ["0001"]),
        ("D200", ["0001", "NA"][1:]),
        ("d40", ["0001"]),
        ("no donor found", ["nobody"]),
        ("window.hit", ["0001", HOSTILE]),
        ("xyz", []),
    ):
        put(page, "text", text)
        assert patients(page) == found, text
        assert count(page) == f"{len(found)} of 4 patients"
    put(page, "text", "")
    for value, found in (
        ("none", ["nobody"]),
        ("unknown", ["NA"]),
        ("unserved", ["NA", "nobody"]),
        ("second", ["0001", "NA", HOSTILE, "nobody"]),
        ("asked", ["0001"]),
    ):
        put(page, "show", value)
        assert patients(page) == found, value
    put(page, "show", "")
    assert press_head(page, "Donors") == "descending"
    assert patients(page) == ["NA", "0001", HOSTILE, "nobody"]
    press_head(page, "Donors")
    assert patients(page) == ["nobody", HOSTILE, "0001", "NA"]
    # Search and order are kept while a patient is looked at.
    page.js("location.hash = '#/patient/NA'")
    page.wait("document.querySelector('main h2').textContent === 'Patient NA'")
    page.js("history.back()")
    page.wait("document.querySelector('main h2').textContent === 'Patients'")
    assert patients(page) == ["nobody", HOSTILE, "0001", "NA"]


def test_everything_is_reached_by_keyboard(page: Page, report: Path) -> None:
    page.open(report)
    page.press("Tab")
    assert focused(page) == "Skip to the content"
    stops = []
    for _ in range(40):
        stops.append(focused(page))
        outline = page.js("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", stops[-1]
        if stops[-1] == "0001":
            break
        page.press("Tab")
    expected = ["Skip to the content", "Patients", "Allocation", "Typing plan"]
    assert stops[:4] == expected and stops[-1] == "0001"
    # One stop for all rows; arrows move between them.
    page.press("ArrowDown", "ArrowDown")
    assert focused(page) == HOSTILE
    page.press("End")
    assert focused(page) == "nobody"
    page.press("Home", "Enter")
    page.wait("document.querySelector('main h2').textContent === 'Patient 0001'")
    assert focused(page) == "Patient 0001"
    page.js("document.querySelector('main table.main thead button').focus()")
    page.press("ArrowRight", "Enter", "ArrowDown")
    assert focused(page) == "D400"
    page.press("ArrowDown", "Enter")
    assert page.js("document.activeElement.getAttribute('aria-expanded')") == "true"
    assert page.js("document.activeElement.closest('tr').nextSibling.className") == "details"
    page.press("ArrowDown")
    assert focused(page) == "D402"
    page.press("ArrowUp", "Escape")
    assert page.js("document.querySelectorAll('tr.details').length") == 0
    assert focused(page) == "D401"
    page.js("document.querySelector('.tools button').focus()")
    page.press("Enter")
    assert page.js("document.querySelector('dialog').open")
    page.press("Escape")
    assert not page.js("document.querySelector('dialog').open")
    page.open(report)
    page.press("Tab", "Enter")
    assert page.js("document.activeElement.tagName") == "MAIN"


def test_the_grid_is_told_apart_without_colour(page: Page, report: Path) -> None:
    page.open(report, FIRST)
    rows = page.js(
        """[...document.querySelectorAll('main tbody tr')].map((tr) =>
          [...tr.querySelectorAll('td.locus')].map((td) => td.innerText.replace(/\\s/g, '')))"""
    )
    spoken = {"A": "matches", "P": "maymatch", "M": "mismatch", "-": "untyped"}
    loci = ("a", "c", "b", "drb1", "dqb1", "dpa1", "dpb1")
    for shown, (_, row) in zip(rows, of_first().iterrows(), strict=True):
        letters = [row[f"{locus}_position_1"] + row[f"{locus}_position_2"] for locus in loci]
        words = [f"{a}{b}{spoken[a]},{spoken[b]}" for a, b in letters]
        assert shown == words
    looks = page.js(
        """['A', 'P', 'M', 'none'].map((name) => {
          const style = getComputedStyle(document.querySelector(`.legend .position-${name}`));
          const [r, g, b, a] = style.backgroundColor.match(/[\\d.]+/g).map(Number);
          return [style.borderStyle, a === 0 ? 'none' : (r + g + b) / 3 > 160 ? 'pale' : 'dark'];
        })"""
    )
    assert looks == [["solid", "pale"], ["dashed", "pale"], ["solid", "dark"], ["dotted", "none"]]


def test_what_a_row_opens_to(page: Page, report: Path) -> None:
    page.open(report, FIRST)
    page.js("document.querySelectorAll('main [data-row]')[1].click()")
    text = page.js("document.querySelector('tr.details').innerText")
    for said in (
        "DRB345 not searched",
        "Below the rank above for: older, or age unknown",
        "◂ decides",
        "17.0 %",
        "5.0\N{EN DASH}40.0 %",
        "+7.0",
        "50.0 %",
    ):
        assert said in text, said
    lines = page.js("document.querySelector('main .summary').innerText").split("\n")
    assert "12 found" in lines and f"D400: given to {HOSTILE}; a swap costs 1,234" in lines
    assert "D401 (rank 2), D411 (rank 12)" in lines and lines[-1].startswith("A*99:01")
    page.js("[...document.querySelectorAll('button.link')].at(-1).click()")
    assert focused(page) == "D411"


def test_the_plots(page: Page, report: Path) -> None:
    page.open(report, FIRST)
    content = report_content(read_results(report.parent, plan=report.parent / "requests.csv"), 100)
    given = content["rows"]["availability"]
    fails, after = 1.0, []
    for p, code in zip(of_first()["p10"], given["codes"], strict=False):
        fails *= 1 - p * given["levels"][code]
        after.append(1 - fails)
    labels = page.js("[...document.querySelectorAll('main svg.plot')].map((e) => e.ariaLabel)")
    for k in (1, 2, 3, 5, 10):
        assert f"{100 * after[k - 1]:.1f} % after {k}" in labels[0]
    steps = page.js("document.querySelector('svg.plot .line').getAttribute('d').split('V').length")
    assert steps - 1 == 10
    assert page.js("document.querySelectorAll('svg.plot .mark').length") == 1
    assert page.js("document.querySelectorAll('svg.plot .dot').length") == 12
    assert page.js("document.querySelector('svg.plot .ring + .dot, .ring') !== null")
    page.open(report, "#/patient/NA")
    shown = page.js("document.querySelector('.plots').textContent")
    assert "P(10/10) is unknown for every donor" in shown and "unknown0 %" in shown
    page.open(report, "#/plan")
    assert page.js("document.querySelector('svg.plot').ariaLabel") == (
        "Expected value of the plan: 0.46 after all 2 requests."
    )


def test_allocation_plan_and_what_is_open(page: Page, report: Path) -> None:
    page.open(report, "#/allocation")
    assert patients(page) == ["0001", "NA", HOSTILE, "nobody"]
    row = page.js(
        "[...document.querySelector('main .scrolled tbody tr').cells].map((e) => e.innerText)"
    )
    assert row == [
        *("0001", "D401", "2", "3,000", "D400", "given to another patient", "D400"),
        *("given to another patient", HOSTILE, "\N{EN DASH}", "1,234", "D402, D411"),
    ]
    put(page, "only", True)
    assert patients(page) == ["0001", "NA", "nobody"]
    put(page, "text", "d200")
    assert patients(page) == ["NA"]
    page.open(report, "#/plan")
    assert patients(page) == ["0001", "0001"]
    page.open(report, "#/open")
    text = page.js("document.querySelector('main').innerText")
    assert "Patients without donors or with unknown probabilities: 2" in text
    assert "Rejected records: 1" in text and "Typings of donors: batch does not write them" in text
    footer = page.js("document.querySelector('footer').innerText")
    for said in ("3.58.0", "abc-1", "CAU", "literature-2", "2026-01-01", "not a medical device"):
        assert said in footer


def test_texts_of_a_file_stay_texts(page: Page, report: Path) -> None:
    for file in (report, report.with_name("plain.html")):
        page.open(file)
        page.js("document.querySelectorAll('main a[data-row]')[2].click()")
        page.wait(
            f"document.querySelector('main h2').textContent === {json.dumps('Patient ' + HOSTILE)}"
        )
        page.js("document.querySelector('main [data-row]').click()")
        shown = page.js("document.querySelector('tr.details').textContent")
        # Characters that would reorder what stands beside them are shown.
        assert "</SCRIPT><!--<script> & \u2028 [U+202e]evil[U+202c] 'quoted'" in shown
        page.js("window.dispatchEvent(new Event('beforeprint'))")
        assert page.js("document.getElementById('paper').textContent").count(HOSTILE) > 5
        assert page.js("[window.hit, document.images.length, document.scripts.length]") == [
            None,
            0,
            2,
        ]


CONTRASTS = """(() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [x, y, z] = [r, g, b].map((v) => linear(v / 255));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const low = [];
  const texts = document.createTreeWalker(document.getElementById('screen'), NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const ink = light(parts(element.closest('svg') ? style.fill : style.color));
    const paper = light(behind(element));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    seen += 1;
    if (ratio < 4.5) low.push([ratio.toFixed(2), element.className, texts.currentNode.textContent]);
  }
  return [seen, low];
})()"""

RULES = """(() => {
  const wrong = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const ids = all('[id]').map((e) => e.id);
  if (new Set(ids).size !== ids.length) wrong.push('an id comes twice');
  if (document.documentElement.lang !== 'en') wrong.push('no language');
  for (const part of ['header', 'nav', 'main', 'footer', 'h1']) {
    if (all(`#screen ${part}`).length !== 1) wrong.push(`not one ${part}`);
  }
  let level = 0;
  for (const heading of all('h1, h2, h3, h4, h5, h6').filter((e) => e.getClientRects().length)) {
    const now = Number(heading.tagName[1]);
    if (now > level + 1) wrong.push(`${heading.tagName} after H${level}`);
    level = now;
  }
  for (const table of all('#screen table')) {
    if (!table.caption?.textContent) wrong.push('a table without caption');
    if (table.querySelector('th:not([scope])')) wrong.push('a heading without scope');
  }
  for (const control of all('#screen [aria-controls]')) {
    const controlled = control.getAttribute('aria-controls');
    if (!document.getElementById(controlled)) wrong.push('controls nothing');
  }
  if (all('[tabindex]').some((e) => e.tabIndex > 0)) wrong.push('a tab order of its own');
  return wrong;
})()"""


def nameless(page: Page) -> Sequence[str]:
    """Roles of what can be operated or is a picture and has no name that is read out."""
    wanted = {
        "button",
        "link",
        "searchbox",
        "spinbutton",
        "combobox",
        "checkbox",
        "image",
        "dialog",
    }
    nodes = page.send("Accessibility.getFullAXTree")["nodes"]
    named = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"] and node["role"]["value"] in wanted
    ]
    assert len(named) > 5
    return [role for role, name in named if not name.strip()]


@pytest.mark.parametrize("dark", [False, True])
def test_accessibility_rules(page: Page, report: Path, dark: bool) -> None:
    page.dark(dark)
    for view in VIEWS:
        page.open(report, view)
        page.js("document.querySelectorAll('main [aria-expanded]').forEach((e) => e.click())")
        seen, low = page.js(CONTRASTS)
        assert seen > 30 and low == [], (view, low[:5])
        assert page.js(RULES) == [], view
        assert nameless(page) == [], view


def test_axe_has_no_complaint(page: Page, report: Path) -> None:
    if not (axe := os.environ.get("GRAFTMATCH_AXE")):
        pytest.skip("GRAFTMATCH_AXE names no axe.min.js")
    for view in VIEWS:
        page.open(report, view)
        page.js("document.querySelector('main [aria-expanded]')?.click()")
        page.js(Path(axe).read_text() + "; 0")
        found = page.js("axe.run().then((result) => result.violations.map((v) => v.help))")
        assert found == [], view


def paper(page: Page) -> str:
    page.js("window.dispatchEvent(new Event('beforeprint'))")
    text: str = page.js("document.getElementById('paper').textContent")
    page.js("window.dispatchEvent(new Event('afterprint'))")
    return text


def test_paper_holds_all_patients_and_no_controls(page: Page, report: Path, tmp_path: Path) -> None:
    page.open(report, FIRST)
    page.js("window.dispatchEvent(new Event('beforeprint'))")
    headings = page.js("[...document.querySelectorAll('#paper h2')].map((e) => e.textContent)")
    assert headings == [
        *("Patients", "Patient 0001", "Patient NA", f"Patient {HOSTILE}", "Patient nobody"),
        *("Allocation", "Typing plan", "Rejects and unknowns", "What this rests on"),
    ]
    controls = "button, input, select, a, form, [tabindex], dialog"
    assert page.js("document.querySelectorAll('#paper').length") == 1
    assert page.js(f"document.querySelectorAll('#paper :is({controls})').length") == 0
    # The best ten, and the one of rank 12 that is to be typed.
    printed = page.js(
        "document.querySelectorAll('#paper .patient')[0].querySelectorAll('tbody tr').length"
    )
    assert printed == 11
    page.js("window.dispatchEvent(new Event('afterprint'))")
    assert page.js("document.getElementById('paper').childElementCount") == 0
    pdf = tmp_path / "paper.pdf"
    pdf.write_bytes(page.pdf())
    assert pdf.read_bytes().startswith(b"%PDF")
    if shutil.which("pdftotext"):
        command = ["pdftotext", "-layout", str(pdf), "-"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for said in ("Patient 0001", "Patient nobody", "D411", "Typing plan"):
            assert said in text, said
        assert text.count("not a medical device") >= text.count("\f")
        assert "Print" not in text and "Search" not in text


def test_what_is_printed_can_be_chosen(page: Page, report: Path) -> None:
    page.open(report, FIRST)
    page.js("window.print = () => window.dispatchEvent(new Event('beforeprint'))")
    page.js("document.querySelector('.tools button').click()")
    page.js("document.querySelector('dialog [name=patients]').value = 'open'")
    page.js("document.querySelector('dialog [name=donors]').value = 'all'")
    page.js("document.querySelector('dialog .buttons button').click()")
    assert page.js("document.querySelectorAll('#paper .patient').length") == 1
    assert page.js("document.querySelectorAll('#paper .patient tbody tr').length") == 12
    page.js("window.dispatchEvent(new Event('afterprint'))")
    assert "Patient nobody" in paper(page)


def test_a_browser_that_cannot_decompress_is_told(page: Page, report: Path) -> None:
    page.send("Page.addScriptToEvaluateOnNewDocument", source="delete window.DecompressionStream")
    page.open(report, ready="[role=alert]")
    assert "from before 2023" in page.js("document.body.innerText")
    page.open(report.with_name("plain.html"))
    assert patients(page) == ["0001", "NA", HOSTILE, "nobody"]


def test_an_unknown_address_shows_the_patients(page: Page, report: Path) -> None:
    for fragment in ("#/patient/nothere", "#/patient/%", "#/x", "#main"):
        page.open(report, fragment)
        assert page.js("document.querySelector('main h2').textContent") == "Patients"
