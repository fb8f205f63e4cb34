"""Sweep files: what is read, and one clear line for what is wrong."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collectors.accounting import plan
from collectors.engines import ENGINES
from collectors.engines.vllm_offline import VllmEngine
from collectors.errors import SweepError
from collectors.sweep import Sweep, SweepFile
from collectors.tasks import TASKS
from simulator.errors import UnknownName

TOML = """
task = "synthetic"
seed = 4
[data]
train_examples = 3
test_examples = 1
[engine]
kind = "scripted"
function = "script:answer"
[[models]]
name = "a"
source = "org/a"
parameters = 1e9
temperature = 0.2
[[models]]
name = "a hot"
source = "org/a"
parameters = 1e9
temperature = 1.1
[[stages]]
name = "solve"
models = ["a", "a hot"]
samples = [1, 4]
fuser = "best_of_n"
top_k = 30
"""


def test_a_sweep_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(TOML)
    sweep = Sweep.of(SweepFile.read(path))
    (stage,) = sweep.stages
    cold, hot = stage.models
    assert (stage.sampling(cold).temperature, stage.sampling(hot).temperature) == (0.2, 1.1)
    assert stage.sampling(cold).top_k == 30
    assert stage.sampling(cold).max_tokens == stage.spec.max_tokens
    assert cold.weights == hot.weights
    assert stage.fuser is stage.spec.fusers["best_of_n"]
    assert len(sweep.task.examples) == 4


def test_temperature_comes_from_model_then_stage_then_task(
    settings: dict[str, Any], make_sweep: Callable[[dict[str, Any]], Sweep]
) -> None:
    settings["stages"][0]["temperature"] = 0.4
    settings["models"][0]["temperature"] = 0.1
    sweep = make_sweep(settings)
    first, second = sweep.stages
    assert [first.sampling(m).temperature for m in first.models] == [0.1, 0.4]
    assert [second.sampling(m).temperature for m in second.models] == [0.1, 0.7]


def test_a_relative_path_is_taken_from_the_files_folder(rows_file: Path) -> None:
    path = rows_file.with_name("s.toml")
    path.write_text(TOML.replace("[data]", '[data]\npath = "rows.json"'))
    assert SweepFile.read(path).data.path == rows_file.resolve()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("engine"), "sweep: engine: Field required"),
        (lambda s: s.update(sed=1), "sweep: sed: Extra inputs"),
        (lambda s: s.update(seed=-1), "seed: Input should be greater than or equal to 0"),
        (lambda s: s["stages"][0].update(samples=[4, 2]), "stages.0.samples: sample counts must"),
        (lambda s: s["stages"][0].update(samples=[0, 2]), "stages.0.samples.0: Input should be"),
        (lambda s: s["stages"][0].update(models=["tiny"]), "names the model 'tiny', but .* small"),
        (lambda s: s["stages"][0].update(models=["small"] * 2), "names a model twice"),
        (lambda s: s["models"].append(s["models"][0]), "two models have the same name"),
        (lambda s: s["models"][0].update(parameters=0), "models.0.parameters: Input should be"),
        (lambda s: s["models"][0].update(name="a,b"), "models.0.name: String should match"),
        (lambda s: s["stages"].pop(), r"stages of '2wiki' are \['retrieve', 'answer'\], in this"),
        (lambda s: s["stages"].reverse(), "in this order, not"),
        (lambda s: s["stages"][0].update(name="retreive"), "did you mean retrieve"),
        (lambda s: s["stages"][1].update(fuser="majorty"), "no fuser of stage 'answer'"),
        (lambda s: s["table"].update(metric="f1"), "no metric of task '2wiki'"),
        (lambda s: s["data"].update(train_examples=99), "6 usable examples of 6 rows"),
        (lambda s: s["data"].update(path="/nowhere.json"), "no file /nowhere.json"),
    ],
)
def test_what_is_wrong_gets_one_line(
    change: Callable[[dict[str, Any]], None],
    message: str,
    settings: dict[str, Any],
    make_sweep: Callable[[dict[str, Any]], Sweep],
) -> None:
    broken = copy.deepcopy(settings)
    change(broken)
    with pytest.raises((SweepError, UnknownName), match=message) as caught:
        make_sweep(broken)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), ("task = ", "Invalid value"), ("\x80", "s.toml")],
)
def test_an_unreadable_file_is_named(content: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    with pytest.raises(SweepError, match=message) as caught:
        SweepFile.read(path)
    assert str(path) in str(caught.value)


def test_the_servers_address_is_not_part_of_the_identity(
    settings: dict[str, Any], make_sweep: Callable[[dict[str, Any]], Sweep]
) -> None:
    found = set()
    for address in ("http://a/v1", "http://b/v1"):
        settings["engine"] = {"kind": "openai", "base_url": address, "concurrency": len(address)}
        found.add(make_sweep(settings).identity)
    settings["engine"]["send_seed"] = False
    found.add(make_sweep(settings).identity)
    assert len(found) == 2


def test_settings_can_be_changed_from_outside(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(TOML)
    file = SweepFile.read(
        path, ["seed=9", "data.train_examples=7", "engine.function=other:f", "plan.subsets=3"]
    )
    assert (file.seed, file.data.train_examples, file.plan.subsets) == (9, 7, 3)
    assert file.engine.settings == {"function": "other:f"}
    for wrong in ("seed", "=4", "a.=4"):
        with pytest.raises(SweepError, match="is not key=value"):
            SweepFile.read(path, [wrong])
    with pytest.raises(SweepError, match="'seed' is not a table"):
        SweepFile.read(path, ["seed.x=1"])


SWEEPS = Path(__file__).parents[2] / "collectors" / "sweeps"


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.toml")), ids=lambda p: p.stem)
def test_the_sweeps_that_come_along_are_sound(path: Path) -> None:
    file = SweepFile.read(path)
    assert file.task in TASKS
    assert file.engine.kind in ENGINES
    if file.engine.kind == "vllm":
        VllmEngine.Settings(**file.engine.settings)
    if file.task == "synthetic":
        sweep = Sweep.of(file)
        assert plan(sweep).saving > 1
