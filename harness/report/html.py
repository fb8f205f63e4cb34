"""`index.html`: one file that needs no server and no network; all text in it is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.leaderboard import KIND_MEANS, KINDS, Board, boards
from harness.report import assets, paper
from harness.report.content import Content
from harness.suite import suite_text

if TYPE_CHECKING:
    from harness.report.page import Results


def page(results: Results, content: Content, *, plots: bool | None = None) -> str:
    """The page. `plots` false leaves out what the extra `report` draws, as where it is missing."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("harness.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    about: dict[str, Any] = {"date": "", "command": "", "cells": 0} | results.about
    packed = assets.plotly() if plots is None or plots else None
    lacking = packed is None
    if not content.agents:
        packed = None
    script = assets.scripts(plots=packed is not None)
    hashes = [assets.script_hash(str(script))]
    if packed is not None:
        hashes.append(packed[1])
    made = results.boards
    compared = content.data["paper"]
    data = content.data if packed is not None else _without_plots(content.data)
    return environment.get_template("index.html.j2").render(
        policy=assets.policy(hashes),
        styles=assets.styles(),
        script=script,
        data=assets.embedded(data),
        plots=packed is not None,
        lacking=lacking,
        plotly=packed[0] if packed is not None else "",
        about=about,
        counts=_counts(results, content),
        kinds=_kinds(content),
        overall=made[0] if made else None,
        failed=about.get("failed", []),
        verdicts=content.data["verdicts"],
        kind_means={kind: KIND_MEANS[kind] for kind in _kinds(content)},
        suite=suite_text(about["suite"]) if about.get("suite") else "",
        by_budget=content.data["by_budget"],
        fronts=content.data["fronts"],
        paper=compared,
        paper_boards=list(zip(compared["tasks"], paper.boards(compared), strict=True))
        if compared
        else [],
        paper_kinds={task["task"]: task["kind"] for task in compared["tasks"]} if compared else {},
        tables=_tables(results, content),
        agents=content.data["agents"],
        notes=[note for note in results.notes if not note.startswith("Again: ")],
    )


def _without_plots(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: data[name] for name in ("agents", "problems", "rows", "level")}


def _counts(results: Results, content: Content) -> str:
    suite = results.about.get("suite", {})
    numbers = [
        (len(content.agents), "agent"),
        (len({problem["table"] for problem in content.data["problems"]}), "table"),
        (len(suite.get("seeds", ())), "seed"),
    ]
    text = ", ".join(f"{n} {noun}{'' if n == 1 else 's'}" for n, noun in numbers)
    return f"{text} of {suite['trials']} trials" if suite.get("trials") else text


def _kinds(content: Content) -> dict[str, int]:
    kinds = {problem["table"]: problem["kind"] for problem in content.data["problems"]}
    found = list(kinds.values())
    return {kind: found.count(kind) for kind in KINDS if kind in found}


def _tables(results: Results, content: Content) -> list[dict[str, Any]]:
    """One entry a table with its boards, one a budget."""
    entries: dict[str, dict[str, Any]] = {}
    for problem in content.data["problems"]:
        name = problem["table"]
        board = _board(results, problem)
        table = content.tables.get(name)
        entry = entries.setdefault(name, {
            "name": name,
            "kind": problem["kind"],
            "title": problem["title"],
            "metric": problem["metric"],
            "stages": content.data["tables"].get(name, {}).get("stages", []),
            "missing": content.missing.get(name, ""),
            "card": assets.card(table.card) if table is not None and table.card else "",
            "boards": [],
        })  # fmt: skip
        if board is None:
            continue
        heading = f"Budget {problem['budget']:.6g} {problem['cost']}"
        entry["boards"].append({"heading": heading, "board": board})
    return list(entries.values())


def _board(results: Results, problem: Mapping[str, Any]) -> Board | None:
    import polars as pl

    part = results.summary.filter(
        (pl.col("table") == problem["table"])
        & (pl.col("budget") == problem["budget"])
        & (pl.col("cost_model") == problem["cost"])
    )
    made = boards(part, results.about)
    return made[1] if len(made) > 1 else None
