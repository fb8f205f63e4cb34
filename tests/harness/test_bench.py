"""The bench: resuming, parallel runs, failures, and what it leaves on disk."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from harness import run_bench
from harness.bench import Progress
from harness.files import locked, write_text
from harness.plan import make_plan
from harness.suite import make_suite
from simulator import LookupTable
from simulator.errors import (
    AgentTTSError,
    BudgetTooSmall,
    MissingExtra,
    RunError,
    UnknownName,
    UsageError,
)  # fmt: skip
from tests.harness.helpers import cells_of, same_results, toy_table

SMALL = {"agents": ["random"], "seeds": 4, "trials": 8}


def test_what_a_bench_leaves(tmp_path: Path, table: LookupTable) -> None:
    bench = run_bench(out=tmp_path, tables=[table], **SMALL)
    assert (bench.total, bench.done, bench.resumed, bench.failed) == (4, 4, 0, ())
    for name in ("trials.parquet", "runs.parquet", "summary.parquet", "summary.md", "index.html"):
        assert (tmp_path / name).stat().st_size > 0
    trials = bench.trials
    assert trials.height == 4 * 8
    assert trials["index"].to_list() == list(range(8)) * 4
    # The incumbent's score never decreases, and its regret is the optimum less that score.
    optimum = bench.runs["optimum"][0]
    for _, run in trials.group_by("seed"):
        scores = run["incumbent_score"].to_list()
        assert scores == sorted(scores)
        assert scores == [max(run["score"][: i + 1]) for i in range(8)]
        assert run["regret"].to_list() == pytest.approx([optimum - score for score in scores])
    row = bench.summary.row(0, named=True)
    assert row["seeds"] == 4
    assert row["kind"] == "modelled"
    reached = bench.runs["trials_to_optimum"].is_not_null()
    assert row["success_rate"] == reached.mean()
    assert row["hours_missed"] == (~reached).sum()
    assert not list(tmp_path.rglob(".tmp-*"))


def test_a_bench_agrees_with_single_searches(tmp_path: Path, table: LookupTable) -> None:
    from harness import run_search

    bench = run_bench(out=tmp_path, tables=[table], **SMALL)
    for seed in range(4):
        alone = run_search(table, "random", seed=seed, trials=8)
        run = bench.trials.filter(pl.col("seed") == seed)
        assert run["asked"].to_list() == [str(trial.asked) for trial in alone.trials]
        assert run["clock"].to_list() == [trial.clock for trial in alone.trials]
        row = bench.runs.row(seed, named=True)
        assert row["test_score"] == alone.test_score
        assert row["search_hours"] == alone.search_hours
        assert row["trials_to_optimum"] == alone.trials_to_optimum


def test_resuming_runs_only_what_is_missing(tmp_path: Path, table: LookupTable) -> None:
    run_bench(out=tmp_path / "a", tables=[table], **SMALL)
    first = run_bench(out=tmp_path / "b", tables=[table], **{**SMALL, "seeds": 2})
    before = cells_of(tmp_path / "b")
    second = run_bench(out=tmp_path / "b", tables=[table], **SMALL)
    assert (first.done, second.done, second.resumed) == (2, 4, 2)
    after = cells_of(tmp_path / "b")
    assert {name: after[name] for name in before} == before
    same_results(tmp_path / "a", tmp_path / "b")
    again = run_bench(out=tmp_path / "b", tables=[table], **SMALL)
    assert (again.resumed, cells_of(tmp_path / "b")) == (4, after)
    assert not list(tmp_path.rglob(".tmp-*"))


def test_a_damaged_cell_is_run_again(tmp_path: Path, table: LookupTable) -> None:
    run_bench(out=tmp_path / "a", tables=[table], **SMALL)
    run_bench(out=tmp_path / "b", tables=[table], **SMALL)
    first, second, *_ = sorted((tmp_path / "b" / "cells").iterdir())
    first.write_text(first.read_text()[:200])
    second.write_text(json.dumps({"format": 1, "cell": {}}))
    (tmp_path / "b" / "cells" / ".tmp-1-dead-cell").write_text("half")
    assert run_bench(out=tmp_path / "b", tables=[table], **SMALL).resumed == 2
    same_results(tmp_path / "a", tmp_path / "b")
    assert not list((tmp_path / "b" / "cells").glob(".tmp-*"))


def test_changed_settings_table_or_code_make_other_cells(
    tmp_path: Path, table: LookupTable, own_agents: Path
) -> None:
    keys = set()

    def cells(**changes: object) -> None:
        settings = {"agents": ["own_agents:Sweep"], "seeds": 1, "trials": 8, **changes}
        tables = settings.pop("tables", [table])
        plan = make_plan(make_suite(settings), tables)  # type: ignore[arg-type]
        keys.update(cell.key for cell in plan.cells)

    cells()
    cells()
    assert len(keys) == 1
    changes: tuple[dict[str, object], ...] = (
        {"trials": 9}, {"workers": 2}, {"match": "paper"}, {"duplicates": "free"},
        {"budgets": [500]}, {"cost": "tokens", "budgets": [9000]}, {"tables": [toy_table(seed=2)]},
        {"agents": [{"name": "own_agents:Sweep", "settings": {"step": 3}}]},
    )  # fmt: skip
    for n, change in enumerate(changes, start=2):
        cells(**change)
        assert len(keys) == n, change
    module = own_agents / "own_agents.py"
    module.write_text(module.read_text() + "\n# changed\n")
    cells()
    assert len(keys) == len(changes) + 2


def test_a_label_does_not_run_a_cell_again(tmp_path: Path, table: LookupTable) -> None:
    run_bench(out=tmp_path, tables=[table], **SMALL)
    agents = [{"name": "random", "label": "chance"}]
    renamed = run_bench(out=tmp_path, tables=[table], **{**SMALL, "agents": agents})
    assert renamed.resumed == 4
    assert renamed.summary["agent"].to_list() == ["chance"]


def test_jobs_do_not_change_results(tmp_path: Path) -> None:
    tables = [toy_table("one", 1, outcomes=True), toy_table("two", 2)]
    settings = {"agents": ["random"], "seeds": 6, "trials": 10, "workers": 3}
    for jobs in (1, 2):
        run_bench(out=tmp_path / str(jobs), tables=tables, jobs=jobs, **settings)
    same_results(tmp_path / "1", tmp_path / "2")
    summary = pl.read_parquet(tmp_path / "1" / "summary.parquet")
    over = dict(zip(summary["table"], summary["interval_over"], strict=True))
    assert over == {"one": "seeds and examples", "two": "seeds"}
    assert (summary["test_low"] <= summary["test_score"]).all()
    assert (summary["test_score"] <= summary["test_high"]).all()


def test_noise_is_measured_by_the_tables_own_scores(tmp_path: Path) -> None:
    table = toy_table(outcomes=True)
    bench = run_bench(out=tmp_path, tables=[table], noise="bootstrap", agents=["random"], seeds=3,
                      trials=64)  # fmt: skip
    trials = bench.trials
    assert (trials["score"] != trials["table_score"]).any()
    # All 64 cells are asked, so every run meets the optimum, whatever the noise said.
    assert bench.summary["success_rate"].to_list() == [1.0]
    assert bench.summary["within_rate"].to_list() == [1.0]
    assert (trials["regret"].drop_nulls() >= 0).all()


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failing_agent_fails_its_cells_alone(
    tmp_path: Path, table: LookupTable, own_agents: Path, jobs: int
) -> None:
    agents = ["own_agents:Fails", "own_agents:Aborts", "own_agents:Exits", "random"]
    settings = {"agents": agents, "seeds": 6, "trials": 8}
    bench = run_bench(out=tmp_path, tables=[table], jobs=jobs, **settings)
    by_agent = bench.runs.group_by("agent").len().sort("agent").rows()
    failed = 24 - bench.done
    assert dict(by_agent)["random"] == 6
    assert "own_agents:Aborts" not in dict(by_agent)
    assert 12 < failed < 18
    assert len(bench.failed) == failed == len(list((tmp_path / "failed").iterdir()))
    assert any(
        line.startswith("own_agents:Fails on toy, seed") and "broke in the agent" in line
        for line in bench.failed
    )
    kept = "".join(path.read_text() for path in (tmp_path / "failed").iterdir())
    assert "Traceback" in kept
    assert 'raise ValueError("something broke' in kept
    assert f"{failed} cells failed" in (tmp_path / "summary.md").read_text()
    # Mended, the failed cells run and their tracebacks go.
    module = own_agents / "own_agents.py"
    mended = run_bench(out=tmp_path, tables=[table], **{**settings, "agents": ["random"]})
    assert mended.failed == ()
    assert module.exists()


def test_an_agent_that_asks_nothing(tmp_path: Path, table: LookupTable, own_agents: Path) -> None:
    bench = run_bench(out=tmp_path, tables=[table], agents=["own_agents:Idle", "random"], seeds=2,
                      trials=4)  # fmt: skip
    row = bench.summary.filter(pl.col("agent") == "own_agents:Idle").row(0, named=True)
    assert row["success_rate"] == 0
    assert row["test_score"] is None
    assert row["regret_area"] == 1.0


def test_progress_adds_up(tmp_path: Path, table: LookupTable) -> None:
    seen: list[Progress] = []
    run_bench(out=tmp_path, tables=[table], on_progress=seen.append, **SMALL)
    assert (seen[0].done, seen[0].left, seen[-1].done, seen[-1].left) == (0, 4, 4, 0)
    assert any(now.running == ("random on toy",) for now in seen)
    assert seen[-1].running == ()


def test_one_bench_at_a_time(tmp_path: Path, table: LookupTable) -> None:
    hold = (
        "import sys; from pathlib import Path; from harness.files import locked\n"
        f"with locked(Path({str(tmp_path)!r})): print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(RunError, match=rf"in use by another bench \(process {holder.pid} on "):
        run_bench(out=tmp_path, tables=[table], **SMALL)
    holder.kill()
    holder.communicate()
    # The lock file of a killed bench is still there, and locks nothing.
    assert str(holder.pid) in (tmp_path / ".lock").read_text()
    assert run_bench(out=tmp_path, tables=[table], **SMALL).done == 4
    with locked(tmp_path):
        pass


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"agents": ["randm"]}, UnknownName, "no agent named 'randm'; did you mean random"),
        ({"agents": ["nowhere.module:A"]}, UsageError, "no module named 'nowhere'"),
        ({"agents": ["own_agents:Nope"]}, UnknownName, "no class in module"),
        ({"agents": ["own_agents:NoAgent"]}, UsageError, "needs ask"),
        (
            {"agents": [{"name": "own_agents:Sweep", "settings": {"stepp": 1}}]},
            UnknownName, "no setting of agent 'own_agents:Sweep' named 'stepp'; did you mean step",
        ),
        ({"agents": ["random", "random"]}, UsageError, "two agents are called 'random'"),
        ({"budgets": -3}, BudgetTooSmall, "costs 2 units"),
        ({"budgets": [float("nan")]}, UsageError, "budgets.0: .*finite"),
        ({"trials": 0}, UsageError, "trials: .*greater than or equal to 1"),
        ({"seeds": 0}, UsageError, "at least 1 seed"),
        ({"seeds": [1, 1]}, UsageError, "1 is given twice"),
        ({"workers": 0}, UsageError, "workers"),
        ({"jobs": 0}, UsageError, "jobs must be at least 1"),
        ({"backend": "slurm"}, UnknownName, "no backend named 'slurm'"),
        ({"cost": "euros"}, UnknownName, "no cost model named 'euros'"),
        ({"cost": "flops"}, UsageError, "a budget in FLOPs must be given"),
        ({"match": "closest"}, UnknownName, "no match named 'closest'"),
        ({"noise": "bootstrap"}, UsageError, "holds no per-example outcomes"),
        ({"nois": "mean"}, UnknownName, "did you mean noise"),
        ({"tables": []}, UsageError, "no tables to run"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_before_any_work(
    tmp_path: Path,
    table: LookupTable,
    own_agents: Path,
    changes: dict[str, object],
    error: type[AgentTTSError],
    message: str,
) -> None:
    out = tmp_path / "out"
    with pytest.raises(error, match=message) as caught:
        run_bench(out=out, **{**SMALL, "tables": [table], **changes})  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert not out.exists()


def test_the_ray_backend_says_what_installs_it(tmp_path: Path, table: LookupTable) -> None:
    pytest.importorskip("joblib")
    try:
        import ray  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtra, match=r"agenttts\[ray\]"):
            run_bench(out=tmp_path, tables=[table], backend="ray", **SMALL)
    else:
        pytest.skip("ray is installed")


@pytest.mark.parametrize("where", ["/proc/nowhere/out", "file/out"])
def test_an_unwritable_folder_is_one_line(tmp_path: Path, table: LookupTable, where: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write to"):
        run_bench(out=tmp_path / where, tables=[table], **SMALL)


def test_two_tables_of_one_name_are_refused(
    tmp_path: Path, table: LookupTable, table_folder: Path
) -> None:
    with pytest.raises(UsageError, match="two of the tables are called 'toy'"):
        run_bench(out=tmp_path / "out", tables=[table, table_folder], **SMALL)
    with pytest.raises(UsageError, match="'toy' is given twice"):
        run_bench(out=tmp_path / "out", tables=[table, toy_table(seed=4)], **SMALL)


def test_write_text_leaves_the_old_file_where_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def full(self: Path, *args: object, **kwargs: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
