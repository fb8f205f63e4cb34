"""The sweeps that ship for the paper's tasks: of the published grid, and many times cheaper."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collectors.accounting import plan
from collectors.engines.vllm_offline import VllmEngine
from collectors.errors import SweepError
from collectors.sweep import SWEEPS, Sweep, SweepFile
from lookup_tables import load
from simulator import Task
from tests.collectors.test_tasks import PIXEL, ROWS

PAPER = sorted(file.stem for file in (SWEEPS / "paper").glob("*.toml"))
MODELLED = [name for name in PAPER if name != "math"]


def test_every_task_of_the_paper_has_one() -> None:
    assert set(PAPER) == set(ROWS) - {"synthetic"}


def opened(name: str, folder: Path) -> Sweep:
    (folder / "rows.json").write_text(json.dumps(ROWS[name]))
    (folder / "pixel.png").write_bytes(PIXEL)
    wanted = 2 if name == "chatdev" else len(ROWS[name])
    changes = [f"data.path={folder / 'rows.json'}", f"data.train_examples={wanted}"]
    return Sweep.of(SweepFile.read(f"paper/{name}", [*changes, "data.test_examples=0"]))


@pytest.mark.parametrize("name", PAPER)
def test_its_plan_saves_at_least_twenty_times_the_tokens(name: str, tmp_path: Path) -> None:
    sweep = opened(name, tmp_path)
    VllmEngine.Settings.model_validate(sweep.file.engine.settings)
    if len(sweep.stages) > 1:
        assert plan(sweep).saving >= 20
    else:
        # One stage shares nothing upstream: every smaller count comes from the largest one's pool.
        grid = sweep.stages[0].grid
        assert plan(sweep).saving == pytest.approx(sum(grid) / grid[-1], rel=0.01)


@pytest.mark.parametrize("name", MODELLED)
def test_its_grid_is_the_modelled_tables(name: str, tmp_path: Path) -> None:
    sweep, task = opened(name, tmp_path), load(name).task
    assert sweep.file.table.metric == task.metric
    assert sweep.file.table.default_budget == task.default_budget
    for ours, theirs in zip(sweep.stages, task.stages, strict=True):
        assert ours.name == theirs.name
        assert ours.grid == tuple(theirs.samples)
        assert [(m.name, m.parameters) for m in ours.models] == [
            (m.name, m.parameters) for m in theirs.models
        ]
        nominal = (ours.entry.prompt_tokens, ours.entry.generated_tokens)
        assert nominal == (theirs.prompt_tokens, theirs.generated_tokens)


def test_math_has_the_published_models() -> None:
    file, task = SweepFile.read("paper/math"), load("math").task
    assert isinstance(task, Task)
    assert {m.name for m in file.models} == {m.name for m in task.stages[0].models}


def test_a_name_that_is_none_lists_those_that_ship() -> None:
    with pytest.raises(SweepError, match="nor one that ships: 2wiki-cpu, paper/2wiki"):
        SweepFile.read("paper/nothing")
