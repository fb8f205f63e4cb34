"""What `tools/judge_insight.py` makes false, and how it counts."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from agents.testing import small_table
from tools.judge_insight import AGENTS, DENIALS, Found, Place, figures, main, page, shuffled


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
    assert row == "| wholly random | 4 | 100% | 6 | 6.0 | `gp` | 11 | 11.0 | **0.55** | 12.0 |"
    assert "`the command`" in text


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
