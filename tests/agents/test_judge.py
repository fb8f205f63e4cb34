"""What `tools/judge_insight.py` makes false, and how it counts."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from agents.testing import small_table
from tools.judge_insight import (
    AGENTS,
    DENIALS,
    Found,
    Place,
    figures,
    interval,
    main,
    page,
    shuffled,
)


@pytest.mark.parametrize("denied", DENIALS)
def test_scores_are_moved_and_none_is_lost(denied: str) -> None:
    table = small_table()
    other = shuffled(table, denied, np.random.default_rng(3))
    assert sorted(other.scores("train")) == sorted(table.scores("train"))
    assert not np.array_equal(other.scores("train"), table.scores("train"))
    assert other.task == table.task


def test_models_keep_their_curves_and_sample_counts_their_models() -> None:
    """Shuffling one thing leaves the other: curves stay curves, models stay models."""
    table = small_table(1)
    n = len(table.space.grids[0])
    before = table.scores("train").reshape(-1, n)
    models = shuffled(table, "models", np.random.default_rng(1)).scores("train").reshape(-1, n)
    assert {tuple(row) for row in models} == {tuple(row) for row in before}
    samples = shuffled(table, "samples", np.random.default_rng(1)).scores("train").reshape(-1, n)
    np.testing.assert_array_equal(np.sort(samples, axis=1), np.sort(before, axis=1))


def test_a_run_that_is_the_same_in_every_seed_counts_as_often_as_the_others() -> None:
    place = Place(None, 0)
    found = [
        Found(place, 2, {"insight": [4.0], "tpe": [10.0, math.nan]}),
        Found(place, 2, {"insight": [math.nan], "tpe": [20.0, 30.0]}),
    ]
    assert figures(found, "insight", 50) == (0.5, math.inf, (4 + 4 + 50 + 50) / 2)
    assert figures(found, "tpe", 50) == (0.75, 25.0, (10 + 50 + 20 + 30) / 3)


def test_the_page_names_the_best_other_agent_and_says_modelled() -> None:
    trials_to = {agent: [12.0] for agent in AGENTS} | {"insight": [6.0], "gp": [11.0]}
    found = [Found(Place(None, seed), 3, trials_to) for seed in range(4)]
    text = page(found, AGENTS, 50, "the command")
    assert "**modelled**" in text
    row = next(line for line in text.splitlines() if line.startswith("| wholly random"))
    shown = "100% | 6 | 6.0 | `gp` | 11 | 11.0 | **0.55** | 0.55 to 0.55 | 12.0 |"
    assert row == f"| wholly random | 4 | {shown}"
    assert "`the command`" in text
    assert "of 1 stage |" not in text


def test_landscapes_of_one_stage_are_in_no_row_but_their_own() -> None:
    good, bad = ({agent: [to] for agent in AGENTS} for to in (6.0, 40.0))
    found = [Found(Place(None, 1), 1, bad), Found(Place(None, 2), 3, good)]
    text = page(found, AGENTS, 50, "the command")
    rows = {
        line.split("|")[1].strip(): line.split("|")[2] for line in text.splitlines() if "|" in line
    }
    assert {rows["of 1 stage"], rows["wholly random"], rows["at their own budget"]} == {" 1 "}
    assert "| `insight` | 100% | 6 | 6.0 |" in text


def test_the_interval_of_a_ratio_is_over_landscapes() -> None:
    """Against the same bootstrap drawn plainly, with searches that never got there."""
    rng = np.random.default_rng(5)
    found = [
        Found(Place(None, i), 3, {
            "insight": np.where(rng.random(1) < 0.1, np.nan, rng.integers(1, 30, 1)).tolist(),
            "gp": np.where(rng.random(2) < 0.2, np.nan, rng.integers(1, 50, 2)).tolist(),
        })
        for i in range(20)
    ]  # fmt: skip
    ratios = []
    for _ in range(3000):
        drawn = [found[i] for i in rng.integers(0, 20, 20)]
        ratios.append(figures(drawn, "insight", 50)[2] / figures(drawn, "gp", 50)[2])
    assert interval(found, "gp", 50) == pytest.approx(np.quantile(ratios, (0.05, 0.95)), rel=0.05)


def test_other_seeds_make_another_page(tmp_path: Path) -> None:
    words = ["--first-seed", "204", "--random", "1", "--per-task", "0", "--denied", "0"]
    words += ["--agents", "insight,random", "--trials", "4", "--seeds", "1", "--jobs", "1"]
    refused = CliRunner().invoke(main, words)
    assert refused.exit_code == 2
    assert "--out" in refused.output
    made = CliRunner().invoke(main, [*words, "--out", str(tmp_path / "tried.md")])
    assert made.exit_code == 0, made.output
    text = (tmp_path / "tried.md").read_text(encoding="utf-8")
    assert "**not** kept for judging" in text
    assert "--agents insight,random --first-seed 204`" in text


def test_landscapes_of_one_stage_alone_make_no_page(tmp_path: Path) -> None:
    words = ["--first-seed", "200", "--random", "1", "--per-task", "0", "--denied", "0"]
    words += ["--agents", "insight,random", "--trials", "2", "--seeds", "1", "--jobs", "1"]
    refused = CliRunner().invoke(main, [*words, "--out", str(tmp_path / "none.md")])
    assert refused.exit_code == 1
    assert "no intact landscape of two stages or more affords 100" in refused.output
    assert not (tmp_path / "none.md").exists()
