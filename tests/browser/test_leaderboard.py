"""The leaderboard of the page in a real Chromium: what it says, sorting and filtering."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from harness.leaderboard import percent
from harness.report import read_results
from harness.report.content import make_content
from harness.summary import overall
from tests.browser.driver import Browser

pytestmark = pytest.mark.browser


def ranks(rows: list[list[str]]) -> list[float]:
    """The ranks of a leaderboard; a sign after one says that the tests do not tell it apart."""
    return [float(row[1].removesuffix("≈")) for row in rows[1:]]


def test_the_page_says_first_who_is_ahead(browser: Browser, out: Path) -> None:
    content = make_content(read_results(out))
    told = [" ".join(text.split()) for text in browser.texts(".verdicts li")]
    verdicts = content.data["verdicts"]
    assert [one["what"] for one in verdicts] == ["all", "measured", "published", "modelled"]
    assert told[0] == f"All 4 tables: {content.agents[0]} {verdicts[0]['text']}"
    assert browser.one(".verdicts").location["y"] < 500
    rows = browser.table("#leaderboard")
    heads = rows[0]
    assert heads[2:5] == ["measured (1)", "published (1)", "modelled (2)"]
    within = read_results(out).summary.filter(pl.col("kind") == "modelled")
    for row in rows[1:]:
        share = within.filter(pl.col("agent") == row[0])["within_rate"].mean()
        assert row[4] == percent(share)
    marked = [row[0] for row in rows[1:] if row[1].endswith("≈")]
    level = [content.agents[i] for i in content.data["level"]["all"]]
    assert marked == (level if 1 < len(level) < len(content.agents) else [])
    meant = browser.texts("#legend dt")
    assert {"rank", "optimum", "area", "regret", "infeasible", "repeated", "s/ask"} <= set(meant)
    assert all(browser.texts("#legend dd"))


def test_the_leaderboard_begins_with_all_problems_by_rank(browser: Browser, out: Path) -> None:
    ranked = overall(read_results(out).summary)
    rows = browser.table("#leaderboard")
    assert rows[0][:2] == ["agent", "rank"]
    assert [row[0] for row in rows[1:]] == ranked["agent"].to_list()
    assert ranks(rows) == pytest.approx(ranked["rank"].to_list(), abs=0.006)
    about = browser.one("#leaderboard-about").text
    assert all(kind in about for kind in ("modelled", "published", "measured"))


def test_sorting_by_mouse_and_by_keyboard(browser: Browser) -> None:
    def column(name: str) -> list[float]:
        rows = browser.table("#leaderboard")
        return [float(row[rows[0].index(name)]) for row in rows[1:]]

    def sort(name: str) -> str:
        heads = browser.table("#leaderboard")[0]
        return f"#leaderboard thead th:nth-child({heads.index(name) + 1}) button"

    browser.click(sort("area"))
    assert column("area") == sorted(column("area"))
    browser.click(sort("area"))
    assert column("area") == sorted(column("area"), reverse=True)
    assert browser.js(
        "return document.querySelectorAll('#leaderboard th[aria-sort]').length"
    ) == 1  # fmt: skip
    browser.press(sort("regret"), "\ue007")
    assert column("regret") == sorted(column("regret"))
    browser.press(sort("agent"), " ")
    names = [row[0] for row in browser.table("#leaderboard")[1:]]
    assert names == sorted(names, key=str.lower)


def test_missing_values_stay_last_either_way(browser: Browser) -> None:
    browser.choose("#by-table", "2wiki")
    browser.choose("#by-budget", "1000")
    heads = browser.table("#leaderboard")[0]
    at = heads.index("ERT")
    for _ in range(2):
        browser.click(f"#leaderboard thead th:nth-child({at + 1}) button")
        values = [row[at] for row in browser.table("#leaderboard")[1:]]
        known = [value for value in values if value != "–"]
        assert values == known + ["–"] * (len(values) - len(known))


def test_filtering_by_kind_table_and_budget(browser: Browser, out: Path) -> None:
    summary = read_results(out).summary
    browser.choose("#by-kind", "published")
    offered = browser.texts("#by-table option")
    assert offered == ["all tables", "math (published)"]
    part = overall(summary.filter(pl.col("kind") == "published"))
    rows = browser.table("#leaderboard")
    assert ranks(rows) == pytest.approx(part["rank"].to_list(), abs=0.006)
    browser.choose("#by-kind", "all kinds")
    browser.choose("#by-table", "2wiki")
    browser.choose("#by-budget", "400")
    rows = browser.table("#leaderboard")
    assert "test score" in rows[0]
    assert "modelled" in browser.one("#leaderboard-about").text
    known = {
        row["agent"]: row
        for row in summary.filter(
            (pl.col("table") == "2wiki") & (pl.col("budget") == 400)
        ).iter_rows(named=True)
    }
    assert len(rows) == 1 + len(known)
    for row in rows[1:]:
        expected = known[row[0]]
        assert row[rows[0].index("test score")] == f"{expected['test_score']:.4f}"
        assert row[rows[0].index("hours")].endswith("*") == bool(expected["hours_missed"])
