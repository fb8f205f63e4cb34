"""New landscapes by seed: deterministic, in range, costed by the formula, quick to make."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.landscape import DEVELOPMENT_SEEDS, JUDGING_SEEDS, make, supply, task_names
from collectors.landscape.cli import write_made
from harness.cli import cli
from simulator import LookupTable, Simulator
from simulator.errors import UnknownName, UsageError
from simulator.verify import verify

LIKES = st.sampled_from([*task_names(), None])


def same(a: LookupTable, b: LookupTable) -> bool:
    return a.task == b.task and all(
        np.array_equal(a.split(split).metrics[metric], b.split(split).metrics[metric])
        and np.array_equal(a.split(split).seconds, b.split(split).seconds)
        for split in ("train", "test")
        for metric in a.task.metrics
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(LIKES, st.integers(0, 2**40))
def test_any_landscape_is_sound(like: str | None, seed: int) -> None:
    table = make(like, seed, outcomes=False)
    task = table.task
    assert table.kind == "modelled"
    assert 1 <= len(task.stages) <= 6
    assert all(1 <= len(stage.models) <= 5 for stage in task.stages)
    assert table.space.n_cells <= supply.MAX_CELLS
    for split in ("train", "test"):
        for values in table.split(split).metrics.values():
            assert np.all((values >= 0) & (values <= 1))
        assert np.all(table.split(split).seconds > 0)
    simulator = Simulator(table)
    assert len(simulator.feasible_cells) > 0
    rows = table.space.asked_of_cells(np.array([0, table.space.n_cells // 2]))
    for row, cost in zip(rows, simulator.cell_costs[[0, table.space.n_cells // 2]], strict=True):
        expected = 0.0
        for stage, (m, s) in zip(task.stages, row.tolist(), strict=True):
            tokens = stage.prompt_tokens + s * stage.generated_tokens
            expected += max(0.0, 2 * (stage.models[m].parameters / 3e9 * tokens / 128 - 1))
        assert cost == pytest.approx(expected)


@pytest.mark.parametrize(("like", "seed"), [("2wiki", 7), ("chatdev", 1), (None, 11)])
def test_the_same_seed_makes_the_same_table(like: str | None, seed: int) -> None:
    first = make(like, seed, outcomes=False)
    assert same(first, make(like, seed, outcomes=False))
    assert not np.array_equal(first.scores(), make(like, seed + 1, outcomes=False).scores())


@pytest.mark.parametrize("like", ["cwq", "taskbench"])
def test_outcomes_leave_the_scores_as_they_are(like: str) -> None:
    with_outcomes, without = make(like, 3), make(like, 3, outcomes=False)
    assert same(with_outcomes, without)
    for name, split in with_outcomes.splits.items():
        assert split.outcomes is not None
        rows = np.flatnonzero(split.outcomes.row_of_cell >= 0)
        coded = split.outcomes.metrics[with_outcomes.task.metric]
        values = coded.decode(split.outcomes.rows(rows), split.outcomes.n_examples)
        np.testing.assert_allclose(values.mean(axis=1), with_outcomes.scores(name)[rows])
        within = supply.cell_units(with_outcomes.task) <= with_outcomes.task.default_budget
        assert np.array_equal(rows, np.flatnonzero(within))
    Simulator(with_outcomes, noise="bootstrap").evaluate(
        with_outcomes.space.configuration(int(rows[0]))
    )


def test_two_tasks_at_one_seed_share_nothing() -> None:
    a, b = make("2wiki", 5, outcomes=False).scores(), make("hotpotqa", 5, outcomes=False).scores()
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.999
    assert not np.array_equal(a, b)


def test_random_tasks_are_diverse() -> None:
    frames = [supply.random_frame(np.random.default_rng(seed), "x") for seed in range(200)]
    assert {len(f.task.stages) for f in frames} == {1, 2, 3, 4, 5, 6}
    assert {len(s.models) for f in frames for s in f.task.stages} == {1, 2, 3, 4, 5}
    assert {f.train_examples for f in frames} == {50, 100}
    assert any(m.name.endswith("@0.2") for f in frames for s in f.task.stages for m in s.models)
    grids = [np.prod([len(s.models) * len(s.samples) for s in f.task.stages]) for f in frames]
    assert max(grids) <= supply.MAX_CELLS


def test_landscapes_like_one_differ_in_what_wins() -> None:
    best = set()
    for seed in range(12):
        table = make("2wiki", seed, outcomes=False)
        optimum = Simulator(table).optimum.configuration
        best.add(tuple(choice.model for choice in optimum.choices))
    assert len(best) >= 3


def test_seeds_to_judge_on_are_not_seeds_to_develop_on() -> None:
    assert set(DEVELOPMENT_SEEDS).isdisjoint(JUDGING_SEEDS)
    assert len(DEVELOPMENT_SEEDS) >= 50


def test_two_stages_are_made_in_under_a_second() -> None:
    make("2wiki", 0, outcomes=False)
    begin = time.process_time()
    for seed in range(3):
        make("2wiki", seed)
    assert (time.process_time() - begin) / 3 < 1.0


@pytest.mark.parametrize("seed", [-1, True, 1.5, "7"])
def test_a_seed_must_be_a_whole_number(seed: object) -> None:
    with pytest.raises(UsageError, match="seed must be a whole number from 0"):
        make("2wiki", seed)  # type: ignore[arg-type]


def test_an_unknown_task_is_told_the_nearest() -> None:
    with pytest.raises(UnknownName, match="2wiki"):
        make("2wikki", 0)
    with pytest.raises(UsageError, match="spread"):
        make("2wiki", 0, spread=-1)


def test_the_command_makes_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        line = write_made("cwq", 7, tmp_path / folder)
        assert "cwq-7 (modelled)" in line
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    assert not list(verify(tmp_path / "a"))
    card = (tmp_path / "a" / "CARD.md").read_text(encoding="utf-8")
    assert card.startswith("# Modelled, not measured")
    loaded = LookupTable.load(tmp_path / "a")
    assert same(loaded, make("cwq", 7))


def test_the_command_line(tmp_path: Path) -> None:
    run = CliRunner().invoke
    done = run(cli, ["tables", "make", "--seed", "11", "--out", str(tmp_path / "r")])
    assert done.exit_code == 0, done.output
    assert "random-11 (modelled)" in done.output
    again = run(cli, ["tables", "make", "--seed", "11", "--out", str(tmp_path / "r")])
    assert again.exit_code != 0
    wrong = run(cli, ["tables", "make", "--like", "nothing", "--out", str(tmp_path / "n")])
    assert wrong.exit_code == 2
    assert not (tmp_path / "n").exists()
