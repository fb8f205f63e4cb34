"""Sweep files and what a sweep's folder holds: its head, its shards, its journals."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collectors.engines.scripted import ScriptedEngine
from collectors.runner import collected, run
from collectors.store import Store, read_head
from collectors.sweep import Sweep, SweepFile
from tests.collectors.conftest import ROWS, town_script
from tests.fuzz.guard import fuzz, survive
from tests.fuzz.mutate import HUGE, damaged, garbled, twisted
from tests.fuzz.test_tables import change_frame

SETTINGS = {
    "task": "2wiki",
    "seed": 5,
    "data": {"path": "rows.json", "train_examples": 1, "test_examples": 1},
    "options": {"candidates": 6},
    "engine": {"kind": "scripted", "function": "script:answer"},
    "plan": {"chunk_samples": 16},
    "table": {"metric": "token_f1", "default_budget": 100.0},
    "models": [{"name": "small", "source": "a/small", "parameters": 3e9}],
    "stages": [
        {"name": "retrieve", "models": ["small"], "samples": [1, 2]},
        {"name": "answer", "models": ["small"], "samples": [1, 3]},
    ],
}
TOML = """
task = "2wiki"
seed = 5
[data]
path = "rows.json"
train_examples = 1
test_examples = 1
[engine]
kind = "scripted"
[[models]]
name = "small"
source = "a/small"
parameters = 3e9
[[stages]]
name = "retrieve"
models = ["small"]
samples = [1, 2]
[[stages]]
name = "answer"
models = ["small"]
samples = [1, 3]
"""


def opened(file: SweepFile) -> Sweep:
    Path("rows.json").write_text(json.dumps(ROWS[:3]))
    sweep = Sweep.of(file)
    assert len(sweep.identity) == 64
    return sweep


@fuzz
@given(garbled(TOML), st.lists(garbled("engine.delay=0.5"), max_size=2))
@example("x = " + "[" * 5000, [])
@example(TOML, [f"seed={HUGE}"])
@example(TOML, ["seed=" + "[" * 5000])
def test_the_text_of_a_sweep_file(text: str, changes: list[str]) -> None:
    def target(text: str, changes: list[str]) -> Sweep:
        Path("sweep.toml").write_text(text, encoding="utf-8", errors="surrogateescape")
        return opened(SweepFile.read("sweep.toml", changes))

    survive(target, text, changes)


@fuzz
@given(twisted(SETTINGS, keep_top=False))
def test_the_structure_of_a_sweep_file(data: Any) -> None:
    survive(lambda: opened(SweepFile.from_mapping(data)))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished sweep."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        sweep = opened(SweepFile.from_mapping(SETTINGS))
        run(sweep, Store.open("out", sweep), ScriptedEngine.of(town_script))
    return folder / "out"


def read(finished: Path, changed: dict[str, bytes]) -> Any:
    """Open the folder with some files replaced, as `collect status` does."""
    shutil.rmtree("out", ignore_errors=True)
    shutil.copytree(finished, "out")
    for name, content in changed.items():
        path = Path("out") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    Path("rows.json").write_text(json.dumps(ROWS[:3]))
    sweep = Sweep.of(SweepFile.from_mapping(read_head("out")["file"], "sweep.json"))
    store = Store.open("out", sweep)
    store.errors()
    store.weights()
    for session in store.sessions():
        session.get("engine")
    return collected(sweep, store).complete


@fuzz
@given(st.data())
def test_the_files_beside_the_shards(finished: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(("sweep.json", "sessions.jsonl", "errors.jsonl")))
    error = {"stage": "answer", "model": "small", "example": "1", "why": "x"}
    held = (finished / name).read_bytes() if name != "errors.jsonl" else json.dumps(error).encode()
    if data.draw(st.booleans()):
        content = data.draw(damaged(held))
    else:
        content = json.dumps(data.draw(twisted(json.loads(held), keep_top=False))).encode()
    survive(read, finished, {name: content})


@fuzz
@given(st.data())
def test_shards_whose_names_hold_their_checksum(finished: Path, data: st.DataObject) -> None:
    shards = sorted((finished / "shards").rglob("*.parquet"))
    shard = data.draw(st.sampled_from(shards))
    if data.draw(st.booleans()):
        content = data.draw(damaged(shard.read_bytes()))
    else:
        frame = change_frame(data.draw, pl.read_parquet(shard))
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        content = buffer.getvalue()
    digest = hashlib.sha256(content).hexdigest()[:16]
    number = "000000-000" if data.draw(st.booleans()) else "000000-001"
    place = shard.parent.relative_to(finished)
    if data.draw(st.booleans()):
        place = data.draw(st.sampled_from(shards)).parent.relative_to(finished)

    survive(read, finished, {str(place / f"{number}.{digest}.parquet"): content})
