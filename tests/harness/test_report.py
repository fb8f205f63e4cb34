"""The report of a bench: what it holds, that it is escaped, whole, and asks for nothing."""

from __future__ import annotations

import html
import json
import re
import shutil
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from harness import statistics
from harness.leaderboard import boards
from harness.report import assets, deployment, read_results, write_report
from harness.report.content import Content, make_content
from harness.report.html import page
from harness.report.landscapes import HOLE, OVER_BUDGET, landscape
from harness.summary import overall
from lookup_tables import load
from simulator import Configuration, Simulator
from simulator.errors import RunError, UsageError
from tests.harness.page_results import EVIL, WHY, make_results, tables

VOID = {"meta", "input", "br", "hr", "link", "img"}


class Page(HTMLParser):
    """Checks nesting as it reads; keeps tags, ids, headings and the texts of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[int] = []
        self.scripts: dict[str, str] = {}
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            name = self.tags[-1][1].get("id") or "page"
            self.scripts[name] = self.scripts.get(name, "") + data
        else:
            self.text.append(data)

    def ids(self) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get("id"))]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    return make_results(folder, seeds=4, trials=12, budgets=[400, 1000])


@pytest.fixture(scope="module")
def content(out: Path) -> Content:
    return make_content(read_results(out))


@pytest.fixture(scope="module")
def read(out: Path) -> Page:
    return Page((out / "index.html").read_text(encoding="utf-8"))


def test_the_page_is_well_formed(read: Page) -> None:
    assert read.open == []
    assert [tag for tag, _ in read.tags].count("h1") == 1
    for before, after in pairwise(read.headings):
        assert after <= before + 1, "a heading skips a level"
    ids = read.ids()
    assert len(ids) == len(set(ids))
    references = [
        a[name] for _, a in read.tags for name in ("aria-labelledby", "for") if a.get(name)
    ]
    anchors = [a["href"][1:] for t, a in read.tags if t == "a" and (a.get("href") or "")[:1] == "#"]
    assert set(references) | set(anchors) <= set(ids)


def test_every_control_has_a_name(read: Page) -> None:
    labelled = 0
    for tag, attributes in read.tags:
        if tag == "button":
            labelled += 1
        if tag in ("section", "article"):
            assert attributes.get("aria-labelledby")
        if attributes.get("role") == "region":
            assert attributes.get("aria-label")
            assert attributes.get("tabindex") == "0"
    assert labelled
    assert ("html", {"lang": "en"}) in read.tags


def test_nothing_is_asked_of_the_network(out: Path, read: Page) -> None:
    for tag, attributes in read.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base")
        assert "src" not in attributes
        if tag == "a" and not (attributes.get("href") or "").startswith("#"):
            assert attributes["rel"] == "noopener noreferrer"
    policy = next(a["content"] for t, a in read.tags if a.get("http-equiv"))
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    styles = (out / "index.html").read_text(encoding="utf-8").split("<style>")[1].split("</style>")
    assert "url(" not in styles[0]
    assert "@import" not in styles[0]


def test_the_policy_allows_the_scripts_of_the_page_alone(read: Page) -> None:
    policy = next(a["content"] for t, a in read.tags if a.get("http-equiv"))
    assert policy is not None
    allowed = re.findall(r"'sha256-[^']+'", policy)
    assert assets.script_hash(read.scripts["page"]) in allowed
    packed = assets.plotly()
    assert packed is not None
    assert packed[1] in allowed
    assert len(allowed) == 2
    kinds = [a.get("type") for t, a in read.tags if t == "script"]
    assert kinds == ["application/json", "text/plain", None]


def test_names_and_sentences_that_are_scripts_stay_text(out: Path, read: Page) -> None:
    raw = (out / "index.html").read_text(encoding="utf-8")
    assert "<script>evil" not in raw
    assert "<script>window.evil" not in raw
    assert html.escape(EVIL) in raw
    assert EVIL in "".join(read.text)
    data = json.loads(read.scripts["data"])
    assert EVIL in [agent["label"] for agent in data["agents"]]
    assert any(WHY in path["texts"] for path in data["paths"])
    assert "\u2028" not in read.scripts["data"]
    assert "<!--" not in read.scripts["data"]
    summary = (out / "summary.md").read_text(encoding="utf-8")
    assert "<script>" not in summary.replace("\\<script\\>", "")


@pytest.mark.parametrize("text", ["</script>", "<!--", "]]>", "\u2028\u2029", "&lt;", "\\u003c"])
def test_embedded_data_is_read_as_it_was(text: str) -> None:
    written = assets.embedded({text: [text]})
    assert json.loads(str(written)) == {text: [text]}
    assert not re.search("[<>&\u2028\u2029]", written)


def test_numbers_that_json_lacks_are_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        assets.embedded([float("nan")])


def test_cards_are_markdown_without_markup_of_their_own() -> None:
    made = str(assets.card(
        "# Title\n\n<script>x</script> <b>b</b> ![i](https://example.org/a.png) [l](javascript:x) "
        "[ok](https://example.org)\n\n| a |\n| - |\n| 1 |\n"
    ))  # fmt: skip
    assert "<h4>Title</h4>" in made
    assert "<table>" in made
    assert "<img" not in made
    assert "<script" not in made
    assert "<b>" not in made
    assert 'href="javascript' not in made
    assert made.count("rel=") == 2  # an image is but a link


def test_every_table_and_agent_is_shown_with_its_kind(read: Page, content: Content) -> None:
    text = " ".join("".join(read.text).split())
    for problem in content.data["problems"]:
        assert f"{problem['table']} {problem['kind']}" in text
    assert content.data["agents"][0]["command"].startswith("agenttts search ")
    assert {agent["label"] for agent in content.data["agents"]} == {
        "random", "neighbours", EVIL, "walk",
    }  # fmt: skip


def test_agents_come_by_rank_and_curves_end_at_the_summary(out: Path, content: Content) -> None:
    results = read_results(out)
    ranked = overall(results.summary)
    assert content.agents == ranked["agent"].to_list()
    assert content.data["across"][0]["problems"] == 8
    np.testing.assert_allclose(content.data["across"][0]["ranks"], ranked["rank"], rtol=1e-4)
    for problem, curves in zip(content.data["problems"], content.data["curves"], strict=True):
        for agent, (mean, low, high) in curves["by_trial"].items():
            row = results.summary.filter(
                (pl.col("agent") == content.agents[agent])
                & (pl.col("table") == problem["table"])
                & (pl.col("budget") == problem["budget"])
            ).row(0, named=True)
            span = problem["optimum"] - problem["worst"]
            regret = (problem["optimum"] - mean[-1]) / span if span else 0
            assert regret == pytest.approx(row["regret"], abs=1e-3)
            assert all(a <= b + 1e-9 for a, b in pairwise(mean))
            assert all(a <= b <= c for a, b, c in zip(low, mean, high, strict=True))


def test_a_landscape_holds_the_tables_scores() -> None:
    table = tables()[0]
    made = landscape(table, 1000.0, "units", 1)
    simulator = Simulator(table, 1000.0)
    assert made["shape"] == [27, 27]
    z = np.array(made["z"]).reshape(27, 27)
    costs = simulator.cell_costs.reshape(27, 27)
    scores = table.scores().reshape(27, 27)
    assert ((z == OVER_BUDGET) == (costs > 1000)).all()
    inside = z >= 0
    shown = made["low"] + (made["high"] - made["low"]) * z[inside] / 999
    np.testing.assert_allclose(shown, scores[inside], atol=2e-3)
    assert made["optimum"] == str(simulator.optimum.configuration)


def test_landscapes_of_other_shapes() -> None:
    two, holes, one, three = tables()
    assert HOLE in landscape(holes, 1000.0, "units", 1)["z"]
    assert landscape(one, 300.0, "units", 1)["shape"] == [1, 18]
    made = landscape(three, 1500.0, "units", 1)
    assert made["shape"] == [8, 8]
    assert made["others"] == ["answer"]
    simulator = Simulator(three, 1500.0)
    within = np.where(simulator.cell_costs <= 1500, three.scores(), -1).reshape(8, 8, 8)
    best = within.max(axis=2)
    z = np.array(made["z"]).reshape(8, 8)
    shown = np.where(z < 0, -1, made["low"] + (made["high"] - made["low"]) * z / 999)
    np.testing.assert_allclose(shown, best, atol=2e-3)
    thinned = landscape(two, 1000.0, "units", 1000)
    assert np.prod(thinned["shape"]) <= 200
    assert thinned["stages"][0]["samples"][0] == 1
    assert thinned["stages"][0]["samples"][-1] == 50


def test_paths_are_the_runs_of_the_bench(out: Path, content: Content) -> None:
    trials = read_results(out).trials
    problem, paths = content.data["problems"][0], content.data["paths"][0]
    assert {path["what"] for path in paths["runs"]} == {"typical", "best", "worst"}
    path = next(p for p in paths["runs"] if content.agents[p["agent"]] == "walk")
    mine = trials.filter(
        (pl.col("agent") == "walk")
        & (pl.col("seed") == path["seed"])
        & (pl.col("table") == problem["table"])
        & (pl.col("budget") == problem["budget"])
    )
    assert [paths["texts"][i] for i in path["asked"]] == mine["asked"].to_list()
    assert [bool(flag & 1) for flag in path["flags"]] == mine["feasible"].to_list()
    assert [paths["texts"][i] for i in path["why"]] == mine["why"].to_list()


def test_payback_by_hand(out: Path, content: Content) -> None:
    index = next(i for i, p in enumerate(content.data["problems"]) if p["table"] == "kgqa")
    entry, problem = content.data["payback"][index], content.data["problems"][index]
    results = read_results(out)
    here = (pl.col("table") == "kgqa") & (pl.col("budget") == problem["budget"])
    mine = here & (pl.col("agent") == "random")
    run = results.runs.filter(mine).row(0, named=True)
    table = load(results.about["tables"][-1]["source"])
    simulator = Simulator(table, problem["budget"])
    spent = results.trials.filter(mine & (pl.col("seed") == run["seed"]) & pl.col("feasible"))
    agent = content.agents.index("random")
    assert entry["examples"] == 60
    assert entry["agents"][agent]["spent"][0] == pytest.approx(60 * spent["cost"].sum(), rel=1e-5)
    found = Configuration.parse(run["incumbent"])
    assert entry["agents"][agent]["cost"][0] == pytest.approx(simulator.cost(found), rel=1e-5)
    default = entry["defaults"]["largest models, most samples"]
    configuration = Configuration.parse(default["configuration"])
    assert simulator.cost(configuration) == pytest.approx(default["cost"])
    assert default["cost"] <= problem["budget"]
    executions = [
        float(statistics.payback(s, default["cost"], c, default["score"], t, 500))
        for s, c, t in zip(*(entry["agents"][agent][k] for k in ("spent", "cost", "score")),
                           strict=True)
    ]  # fmt: skip
    median = deployment.median_payback(entry, "largest models, most samples", agent, 500)
    low, high = sorted(executions)[1:3]
    assert median == (np.inf if np.isinf(high) else pytest.approx((low + high) / 2))


def test_a_given_default_is_reckoned_against(out: Path) -> None:
    given = Configuration.parse("find=Qwen2.5-72B:2,rank=Llama-3.2-3B:1,answer=Llama-3.2-3B:1")
    made = make_content(read_results(out), {"kgqa": given})
    entry = made.data["payback"][-1]
    assert next(iter(entry["defaults"])) == "the given default"
    assert entry["defaults"]["the given default"]["configuration"] == str(given)


def test_defaults_that_cannot_be(out: Path) -> None:
    results = read_results(out)
    given = Configuration.parse("find=Qwen2.5-72B:2,rank=Llama-3.2-3B:1,answer=Llama-3.2-3B:1")
    with pytest.raises(UsageError, match="no table in this bench named 'kgq'"):
        make_content(results, {"kgq": given})
    with pytest.raises(UsageError, match="no stage of 'math' named 'find'"):
        make_content(results, {"math": given})


def test_fronts_know_every_cost_model(content: Content) -> None:
    fronts = content.data["fronts"]["2wiki"]
    assert set(fronts) == {"units", "flops", "tokens", "dollars", "seconds"}
    for front in fronts.values():
        assert front["costs"] == sorted(front["costs"])
        assert front["scores"] == sorted(front["scores"])


def test_fewer_examples_need_outcomes(content: Content) -> None:
    by_table = {
        p["table"]: fewer
        for p, fewer in zip(content.data["problems"], content.data["fewer"], strict=True)
    }
    assert by_table["2wiki"] is None
    held = by_table["kgqa"]
    assert held["sizes"] == [10, 20, 50, 60]
    assert held["seen"][0][0] > held["train"][0][0]
    assert held["seen"][-1] == held["train"][-1]


def test_the_summary_says_the_same_as_the_page(out: Path) -> None:
    text = (out / "summary.md").read_text(encoding="utf-8")
    for heading in ("# Leaderboard", "## Overall", "## Across tables", "## Payback", "## Notes"):
        assert f"\n{heading}\n" in f"\n{text}"
    assert "Friedman's test" in text
    assert text.index("## Across tables") < text.index("## 2wiki (modelled)")
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")


def test_without_the_extra_there_are_tables_and_word_of_it(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("plotly", "plotly.offline", "scikit_posthocs"):
        monkeypatch.setitem(sys.modules, name, None)
    results = read_results(out)
    content = make_content(results)
    assert content.data["across"][0]["nemenyi"] is None
    assert content.data["across"][0]["critical_difference"] > 0
    text = page(results, content)
    made = Page(text)
    assert made.open == []
    assert "pip install 'agenttts[report]'" in html.unescape(text)
    assert "plotly" not in made.scripts
    assert len(text) < 200_000
    assert "leaderboard" in made.ids()
    assert set(json.loads(made.scripts["data"])) == {"agents", "problems", "rows", "level"}


def test_tables_that_are_gone_or_changed_are_said_to_be(out: Path, tmp_path: Path) -> None:
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    about = json.loads((copy / "bench.json").read_text())
    for entry in about["tables"]:
        if entry["name"] == "2wiki":
            entry["hash"] = "0" * 20
        if entry["name"] == "math":
            entry["source"] = str(tmp_path / "gone")
        if entry["name"] == "kgqa":
            entry["source"] = None
    (copy / "bench.json").write_text(json.dumps(about))
    content = make_content(read_results(copy))
    assert "has changed" in content.missing["2wiki"]
    assert "cannot be opened" in content.missing["math"]
    assert "in memory" in content.missing["kgqa"]
    assert set(content.tables) == {"hotpotqa"}
    assert content.data["landscapes"][0] is None
    write_report(copy)
    text = (copy / "index.html").read_text(encoding="utf-8")
    assert "only its results" in text
    assert Page(text).open == []


def test_an_empty_bench_has_a_page(out: Path, tmp_path: Path) -> None:
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    for name in ("trials", "runs", "summary"):
        path = copy / f"{name}.parquet"
        pl.read_parquet(path).clear().write_parquet(path)
    write_report(copy)
    text = (copy / "index.html").read_text(encoding="utf-8")
    assert "No cell of this bench has finished" in text
    assert Page(text).open == []


def test_what_language_models_took_is_told(out: Path, tmp_path: Path) -> None:
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    frame = pl.read_parquet(copy / "summary.parquet")
    used = pl.when(pl.col("agent") == "walk").then(pl.lit('{"calls": 7, "tokens_in": 1500}'))
    frame.with_columns(used.otherwise(pl.col("usage")).alias("usage")).write_parquet(
        copy / "summary.parquet"
    )
    results = write_report(copy)
    problems = results.summary.filter(pl.col("agent") == "walk").height
    assert f"calls {7 * problems}, tokens in {1500 * problems:,}" in (
        (copy / "index.html").read_text(encoding="utf-8")
    )
    assert "## What the agents' models took" in (copy / "summary.md").read_text(encoding="utf-8")


def test_what_is_no_bench_is_refused(out: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"trials\.parquet is missing"):
        write_report(tmp_path)
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    (copy / "summary.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(RunError, match=r"summary\.parquet cannot be read"):
        write_report(copy)


def test_a_report_leaves_a_whole_page_or_the_old_one(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    before = (copy / "index.html").read_bytes()
    monkeypatch.setattr(assets, "styles", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(copy)
    assert (copy / "index.html").read_bytes() == before


def test_boards_of_tables_are_those_of_their_problem(out: Path, content: Content) -> None:
    results = read_results(out)
    made: Any = boards(results.summary, results.about)
    text = (out / "index.html").read_text(encoding="utf-8")
    assert all(html.escape(board.about, quote=False) in html.unescape(text) for board in made)
