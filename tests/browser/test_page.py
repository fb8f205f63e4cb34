"""The page in a real Chromium, as a person uses it."""

from __future__ import annotations

import re
import time
from pathlib import Path

import polars as pl
import pytest

from harness.bench import run_bench
from harness.report import read_results
from harness.report.content import make_content
from harness.report.deployment import median_payback
from harness.report.html import page
from simulator import LookupTable
from tests.browser.driver import Browser
from tests.harness.page_results import EVIL, WHY

pytestmark = pytest.mark.browser

TWO_STAGES = "2wiki (modelled), budget 1000"


def test_nothing_is_requested_and_nothing_is_wrong(chromium: Browser, out: Path) -> None:
    chromium.open(out / "index.html")
    for figure in chromium.js("return AT.figures.map((figure) => figure.id)"):
        chromium.show(f"#{figure}")
        time.sleep(0.1)
    requested = [url for url in chromium.requests() if not url.startswith(("data:", "blob:"))]
    assert requested == [(out / "index.html").absolute().as_uri()]
    assert chromium.console() == []
    undrawn = chromium.js(
        "return AT.figures.filter((f) => !f.node.hidden && f.node.offsetParent &&"
        " !f.node.querySelector('svg')).map((f) => f.id)"
    )
    assert undrawn == []


def test_agents_on_fewer_examples_and_with_noise(browser: Browser, out: Path) -> None:
    browser.choose("#curves-problem", "2wiki (modelled), budget 1000")
    assert not browser.one("#varied-part").is_displayed()  # it holds no outcomes
    browser.choose("#curves-problem", "kgqa (measured), budget 1000")
    browser.drawn("varied-figure")
    figure = "const f = document.getElementById('varied-figure'); return "
    assert browser.js(figure + "f.layout.xaxis.ticktext") == ["10", "all 60", "bootstrap noise"]
    varied = read_results(out).varied
    assert varied is not None
    rows = varied.filter((pl.col("table") == "kgqa") & (pl.col("budget") == 1000))
    random = rows.filter(pl.col("agent") == "random").sort("noise", "examples", nulls_last=True)
    expected = dict(zip(random["noise"] + random["examples"].cast(str).fill_null(""),
                        random.select("test_score", "regret").rows(), strict=True))  # fmt: skip
    order = ["mean10", "mean", "bootstrap"]
    for view, at, label in (("test", 0, "test"), ("regret", 1, "regret")):
        browser.js(f"document.querySelector('input[name=varied][value={view}]').click()")
        shown = browser.js(figure + "f.data.find((t) => t.name === 'random').y")
        assert [v for v in shown if v is not None] == pytest.approx(
            [expected[term][at] for term in order], rel=1e-3, abs=1e-4
        )
        assert label in browser.js(figure + "f.layout.yaxis.title.text")
    table = browser.table("#varied-table table")
    assert table[0][:3] == ["agent", "10: test", "10: regret"]
    assert len(table) == 5


def test_curves_are_hovered(browser: Browser) -> None:
    browser.drawn("curves-figure")
    browser.hover("#curves-figure .nsewdrag", 0.5, 0.5)
    told = browser.wait(lambda: browser.texts("#curves-figure .hoverlayer text"))
    text = " ".join(told)
    assert "random" in text
    assert EVIL in text
    assert re.search(r"0\.\d{4} \(0\.\d{4}–0\.\d{4}\)", text)


def test_curves_are_toggled_and_shown_in_other_ways(browser: Browser) -> None:
    browser.drawn("curves-figure")

    def lines() -> int:
        return int(browser.js("return document.getElementById('curves-figure').data.length"))

    before = lines()
    browser.click("#agents-shown label:first-child input")
    assert lines() == before - 2
    browser.press("#agents-shown label:first-child input", " ")
    assert lines() == before
    browser.click("#agents-buttons button:nth-child(3)")
    assert lines() == 0
    browser.click("#agents-buttons button:nth-child(2)")
    assert lines() == before

    def title(axis: str) -> str:
        code = "return document.getElementById('curves-figure').layout[arguments[0]].title.text"
        return str(browser.js(code, axis))

    browser.js("document.querySelector('input[value=regret]').click()")
    assert title("yaxis") == "regret"
    browser.js("document.querySelector('input[value=hours]').click()")
    assert title("xaxis") == "simulated search hours"
    browser.js("document.querySelector('input[value=reached]').click()")
    assert "optimum" in title("yaxis")
    values = browser.js("return document.getElementById('curves-figure').data[0].y")
    assert all(0 <= value <= 1 for value in values)


def test_one_choice_of_problem_holds_for_all_sections(browser: Browser) -> None:
    browser.choose("#curves-problem", "math (published), budget 400")
    chosen = browser.js(
        "return ['landscape-problem', 'gap-problem', 'front-problem', 'payback-problem']"
        ".map((id) => document.getElementById(id).selectedOptions[0].text)"
    )
    assert set(chosen) == {"math (published), budget 400 units"}
    assert browser.texts("#landscape-kind .kind") == ["published"]
    browser.show("#landscape-figure")
    kind = "return document.getElementById('landscape-figure').data[0].type"
    assert browser.wait(lambda: browser.js(kind) == "scatter")


def test_a_path_step_by_step(browser: Browser, out: Path) -> None:
    browser.choose("#landscape-problem", TWO_STAGES)
    browser.choose("#path-agent", "walk")
    browser.drawn("landscape-figure")
    seed = int(browser.js(
        "return document.getElementById('path-run').selectedOptions[0].text"
    ).rpartition(" ")[2])  # fmt: skip
    trials = read_results(out).trials.filter(
        (pl.col("agent") == "walk") & (pl.col("seed") == seed)
        & (pl.col("table") == "2wiki") & (pl.col("budget") == 1000)
    )  # fmt: skip

    def told() -> str:
        return " ".join(browser.one("#path-text").text.split())

    def now() -> list[float] | None:
        code = (
            "const t = document.getElementById('landscape-figure').data"
            ".find((d) => d.name === 'now'); return t ? [t.x[0], t.y[0]] : null"
        )
        return browser.js(code)  # type: ignore[no-any-return]

    browser.click("#path-first")
    assert told().startswith("Trial 1 of 20")
    first = now()
    browser.click("#path-next")
    browser.click("#path-next")
    assert told().startswith("Trial 3 of 20")
    browser.click("#path-back")
    assert told().startswith("Trial 2 of 20")
    browser.press("#path-step", "\ue014", "\ue014")  # the arrow to the right
    assert told().startswith("Trial 4 of 20")
    assert now() != first
    row = trials.row(3, named=True)
    assert WHY.split("\u2028")[0].strip() in told()
    assert f"cost {row['cost']:.4g}" in told()
    if row["feasible"]:
        assert f"score {row['score']:.4g}" in told()
    else:
        assert row["reason"] in told()
    browser.click("#path-last")
    assert told().startswith("Trial 20 of 20")
    browser.click("#path-first")
    browser.click("#path-play")
    browser.wait(lambda: not told().startswith("Trial 1 of"), 5)
    browser.click("#path-play")
    stopped = told()
    time.sleep(0.9)
    assert told() == stopped


def test_a_landscape_is_hovered(browser: Browser) -> None:
    browser.choose("#landscape-problem", TWO_STAGES)
    browser.drawn("landscape-figure")
    browser.hover("#landscape-figure .nsewdrag", 0.06, 0.94)
    told = browser.wait(lambda: browser.texts("#landscape-figure .hoverlayer text"))
    assert any("retrieve: Llama-3.2-3B" in text for text in told)


def test_a_name_that_is_a_script_stays_text(browser: Browser) -> None:
    for figure in browser.js("return AT.figures.map((figure) => figure.id)"):
        browser.show(f"#{figure}")
        time.sleep(0.1)
    assert browser.js("return typeof window.evil") == "undefined"
    assert EVIL in browser.texts("#agents-shown label")
    assert EVIL in browser.texts("article h3")
    inside = "return document.querySelectorAll('main script, svg script, main img').length"
    assert browser.js(inside) == 0


def test_the_policy_stops_a_script_that_was_let_in(chromium: Browser, out: Path) -> None:
    chromium.open(out / "index.html")
    chromium.js(
        "const s = document.createElement('script'); s.textContent = 'window.evil = 1';"
        "document.body.append(s)"
    )
    assert chromium.js("return typeof window.evil") == "undefined"
    assert any("Content Security Policy" in line for line in chromium.console())


@pytest.mark.parametrize(
    ("button", "begins", "holds"),
    [
        (1, "| agent | rank |", r"\<script\>evil()\</script\>"),
        (2, "\\begin{tabular}{lrrr", r"\textless{}script\textgreater{}"),
        (3, "agent,rank,", EVIL),
    ],
)
def test_tables_are_copied(browser: Browser, button: int, begins: str, holds: str) -> None:
    browser.click(f".scroll:has(#leaderboard) + .tools button:nth-of-type({button})")
    copied = browser.wait(lambda: browser.js("return AT.copied"))
    assert copied.startswith(begins)
    assert holds in copied
    assert browser.wait(lambda: browser.one("#said").text.startswith("Copied"))


@pytest.mark.parametrize("figure", ["curves-figure", "landscape-figure", "differences-figure"])
def test_figures_are_saved(browser: Browser, tmp_path: Path, figure: str) -> None:
    browser.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    browser.drawn(figure)
    for number, ending in ((1, "svg"), (2, "png")):
        path = tmp_path / f"{figure}.{ending}"
        browser.click(f"#{figure} + .tools button:nth-of-type({number})")
        browser.wait(lambda path=path: path.is_file() and path.stat().st_size)
        data = path.read_bytes()
        assert data.startswith(b"<svg" if ending == "svg" else b"\x89PNG")
        assert len(data) > 3000


def test_payback_follows_the_worth_of_an_answer(browser: Browser, out: Path) -> None:
    content = make_content(read_results(out))
    index = next(
        i for i, p in enumerate(content.data["problems"])
        if (p["table"], p["budget"]) == ("2wiki", 1000)
    )  # fmt: skip
    entry = content.data["payback"][index]
    browser.choose("#payback-problem", TWO_STAGES)
    default = "largest models, most samples"
    for worth in ("0", "2000"):
        browser.one("#payback-worth").clear()
        browser.one("#payback-worth").send_keys(worth)
        rows = {row[0]: row[-1] for row in browser.table("#payback")[1:]}
        for agent in entry["agents"]:
            runs = median_payback(entry, default, agent, float(worth))
            told = rows[content.agents[agent]]
            if runs == float("inf"):
                assert told == "never"
            else:
                assert abs(int(re.sub(r"\D", "", told)) - runs) <= 1


def test_every_control_has_a_name(browser: Browser) -> None:
    unnamed = [
        element.get_attribute("outerHTML")[:120]
        for element in browser.all("select, button, input, [role=img], summary")
        if element.is_displayed() and not element.accessible_name
    ]
    assert unnamed == []


def test_the_keyboard_reaches_everything_in_order(browser: Browser) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    seen = []
    for _ in range(25):
        ActionChains(browser.driver).send_keys("\ue004").perform()
        seen.append(browser.js(
            "const e = document.activeElement; return e.id || e.textContent.trim().slice(0, 20)"
        ))  # fmt: skip
    assert seen[0] == "To the leaderboard"
    order = [seen.index(name) for name in ("theme", "Curves", "by-kind", "by-table", "by-budget")]
    assert order == sorted(order)


def test_the_colours_can_be_changed(browser: Browser) -> None:
    browser.drawn("curves-figure")

    def colours() -> tuple[str, str]:
        page_colour = browser.js("return getComputedStyle(document.body).backgroundColor")
        plot = "return document.getElementById('curves-figure').layout.paper_bgcolor"
        return page_colour, browser.js(plot)

    light = colours()
    browser.click("#theme")
    browser.show("#curves-figure")
    dark = browser.wait(lambda: colours() if colours()[1] != light[1] else None)
    assert dark[0] != light[0]
    assert browser.one("#theme").accessible_name == "Use light colours"


CONTRAST = """
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
  .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (node) => {
  for (let n = node; n; n = n.parentElement) {
    const colour = parse(getComputedStyle(n).backgroundColor);
    if (colour.length < 4 || colour[3] > 0) return colour;
  }
  return [255, 255, 255];
};
return [...document.querySelectorAll(
  'p, h1, h2, h3, th, td, .kind, .soft, a, button, label, legend, summary, .best, dt, dd')]
  .filter((node) => node.offsetParent && node.textContent.trim() && node.id !== 'said')
  .map((node) => {
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(behind(node))];
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), node.outerHTML.slice(0, 90)];
  })
  .filter(([ratio]) => ratio < 4.5);
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), (390, 844)], ids=["desktop", "phone"])
def test_it_is_readable_at_every_size(
    chromium: Browser, out: Path, screenshots: Path, size: tuple[int, int], dark: bool
) -> None:
    phone = size[0] < 600
    chromium.open(out / "index.html", *size, dark=dark, phone=phone)
    name = f"{'phone' if phone else 'desktop'}-{'dark' if dark else 'light'}.png"
    chromium.screenshot(screenshots / name)
    assert chromium.js("return document.documentElement.scrollWidth") <= size[0]
    assert chromium.js(CONTRAST) == []
    if phone:
        small = chromium.js(
            "return [...document.querySelectorAll('main button:not(.sort):not(.small), select')]"
            ".filter((e) => e.offsetParent && e.getBoundingClientRect().height < 32).length"
        )
        assert small == 0
    assert (screenshots / name).stat().st_size > 50_000
    assert chromium.console() == []


def test_without_scripts_there_is_still_the_leaderboard(chromium: Browser, out: Path) -> None:
    chromium.command("Emulation.setScriptExecutionDisabled", value=True)
    try:
        chromium.open(out / "index.html", plots=False)
        text = chromium.one("#leaderboard").text
    finally:
        chromium.command("Emulation.setScriptExecutionDisabled", value=False)
    assert "random" in text
    assert "rank" in text


def test_a_bench_of_one_agent_and_one_table(chromium: Browser, tmp_path: Path) -> None:
    table = LookupTable.from_function({"a": [1, 2, 4]}, lambda c: c.choices[0].samples / 4)
    run_bench(out=tmp_path, agents=["random"], tables=[table], seeds=1, trials=4, jobs=1)
    chromium.open(tmp_path / "index.html")
    for figure in chromium.js("return AT.figures.map((figure) => figure.id)"):
        chromium.show(f"#{figure}")
        time.sleep(0.1)
    assert chromium.table("#leaderboard")[1][0] == "random"
    assert "not at hand" in chromium.one("#landscape-note").text
    assert "too little" in chromium.one("#across-sentence").text
    assert chromium.console() == []


def test_the_page_without_plots_works(chromium: Browser, out: Path, tmp_path: Path) -> None:
    results = read_results(out)
    path = tmp_path / "plain.html"
    path.write_text(page(results, make_content(results), plots=False), encoding="utf-8")
    chromium.open(path, plots=False)
    chromium.choose("#by-kind", "measured")
    assert "measured" in chromium.one("#leaderboard-about").text
    assert "agenttts[report]" in chromium.one(".notice").text
    assert chromium.console() == []
    assert [url for url in chromium.requests() if not url.startswith("file:")] == []
