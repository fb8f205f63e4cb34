"""Shards on disk: whole or not at all, checked, of one sweep, by one writer."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collectors import store as store_module
from collectors.engines.base import Draw, Reply
from collectors.engines.scripted import ScriptedEngine
from collectors.errors import StoreError
from collectors.merge import merge
from collectors.pipeline import Prompt
from collectors.runner import collected, run
from collectors.store import Key, Store, read_head, slug
from collectors.sweep import Sweep

KEY = Key("1", "abc", 0)
REPLY = Reply((Draw("one", 3, "stop", 8), Draw("two\ud800", 4, "length", 9)), 12)


def shards(store: Store) -> list[Path]:
    return sorted((store.path / "shards").rglob("[0-9]*.parquet"))


def test_samples_come_back_as_they_were_stored(store: Store) -> None:
    store.append("retrieve", "small", "samples", 0, [(KEY, REPLY)], 1.5)
    pools, costs = store.pools("retrieve", "small", "samples")
    assert pools[KEY].texts == ("one", "two?")
    assert pools[KEY].tokens.tolist() == [3, 4]
    assert pools[KEY].finishes == ("stop", "length")
    assert pools[KEY].prompt_tokens == 12
    assert [(c.prompt_tokens, c.generated_tokens, c.seconds) for c in costs] == [(12, 7, 1.5)]


def test_the_same_samples_give_the_same_bytes(store: Store) -> None:
    first = store.append("retrieve", "small", "samples", 0, [(KEY, REPLY)], 1.5)
    content, name = first.read_bytes(), first.name
    first.unlink()
    again = store.append("retrieve", "small", "samples", 0, [(KEY, REPLY)], 1.5)
    assert (again.read_bytes(), again.name) == (content, name)


def test_a_repeated_sample_is_refused(store: Store) -> None:
    store.append("retrieve", "small", "samples", 0, [(KEY, REPLY)], 1.0)
    store.append("retrieve", "small", "samples", 1, [(KEY, REPLY)], 1.0)
    with pytest.raises(StoreError, match="repeats samples"):
        store.pools("retrieve", "small", "samples")


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_shard_is_told_then_drawn_again(
    damage: str, sweep: Sweep, store: Store, engine: ScriptedEngine
) -> None:
    run(sweep, store, engine)
    before = {path: path.read_bytes() for path in shards(store)}
    expected = merge(sweep, store).table.scores().tolist()
    hurt = shards(store)[1]
    content = bytearray(hurt.read_bytes())
    content[len(content) // 2] ^= 1
    hurt.write_bytes({"flip": bytes(content), "cut": content[:-40], "empty": b""}[damage])
    with pytest.raises(StoreError, match=rf"{hurt.name} is damaged .*collect run"):
        merge(sweep, store)
    asked = engine.requests
    report = run(sweep, store, engine)
    assert report.quarantined == [str(hurt.relative_to(store.path))]
    assert 0 < engine.requests - asked <= 4  # a chunk of 16 samples in pools of 4
    assert {path: path.read_bytes() for path in shards(store)} == before
    assert merge(sweep, store).table.scores().tolist() == expected
    assert len(list((store.path / "damaged").iterdir())) == 1


def test_a_full_disk_costs_the_chunk_in_flight_and_no_more(
    sweep: Sweep, store: Store, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, writes = store_module.write_atomic, 0

    def full(path: Path, content: bytes) -> None:
        nonlocal writes
        writes += 1
        if writes == 3:
            path.with_name(f".writing-{os.getpid()}-{path.name}").write_bytes(content[:100])
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, content)

    monkeypatch.setattr(store_module, "write_atomic", full)
    with pytest.raises(StoreError, match=r"no space left .* only the chunk in flight is lost"):
        run(sweep, store, engine)
    assert len(shards(store)) == 2
    monkeypatch.setattr(store_module, "write_atomic", real)
    run(sweep, store, engine)
    whole = sum(d for d, _ in collected(sweep, store).known.values())
    assert engine.requests == whole + 4, "only the lost chunk was drawn twice"
    assert not list(store.path.rglob(".writing-*"))


def test_a_write_that_fails_leaves_no_trace(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StoreError, match="cannot write: Input/output error"):
        store.append("retrieve", "small", "samples", 0, [(KEY, REPLY)], 1.0)
    assert not [p for p in (store.path / "shards").rglob("*") if p.is_file()]


def test_another_setting_is_another_sweep(
    store: Store, settings: dict[str, Any], make_sweep: Callable[[dict[str, Any]], Sweep]
) -> None:
    settings["stages"][1]["temperature"] = 0.3
    with pytest.raises(StoreError, match=r"holds another sweep \(stages is .* never mixed"):
        Store.open(store.path, make_sweep(settings))


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [("plan", "chunk_samples", 3), ("plan", "subsets", 4), ("table", "default_budget", 7.0)],
)
def test_what_changes_no_sample_is_the_same_sweep(
    part: str,
    key: str,
    value: object,
    store: Store,
    settings: dict[str, Any],
    make_sweep: Callable[[dict[str, Any]], Sweep],
) -> None:
    settings[part][key] = value
    assert Store.open(store.path, make_sweep(settings)).identity == store.identity


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.update(seed=6),
        lambda s: s["data"].update(test_examples=1),
        lambda s: s["options"].update(candidates=7),
        lambda s: s["models"][0].update(revision="f" * 40),
        lambda s: s["models"][0].update(mode="complete"),
        lambda s: s["stages"][0].update(samples=[1, 2]),
        lambda s: s["engine"].update(seconds_per_token=2.0),
    ],
)
def test_what_changes_a_sample_is_another_sweep(
    change: Callable[[dict[str, Any]], None],
    store: Store,
    settings: dict[str, Any],
    make_sweep: Callable[[dict[str, Any]], Sweep],
) -> None:
    change(settings)
    assert make_sweep(settings).identity != store.identity


def test_a_shard_of_another_stage_is_refused(store: Store) -> None:
    path = store.append("retrieve", "small", "samples", 0, [(KEY, REPLY)], 1.0)
    other = store.folder("retrieve", "large", "samples")
    other.mkdir(parents=True)
    path.rename(other / path.name)
    with pytest.raises(StoreError, match="belongs to model 'small', not to 'large'"):
        store.pools("retrieve", "large", "samples")


def test_two_runs_do_not_write_at_once(sweep: Sweep, store: Store, engine: ScriptedEngine) -> None:
    with store.lock(), pytest.raises(StoreError, match="in use by another run"):
        run(sweep, Store.open(store.path, sweep), engine)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, sweep: Sweep) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(StoreError, match="not empty and holds no sweep"):
        Store.open(tmp_path, sweep)
    with pytest.raises(StoreError, match="holds no sweep"):
        read_head(tmp_path)
    (tmp_path / "sweep.json").write_text("{")
    with pytest.raises(StoreError, match="damaged"):
        read_head(tmp_path)


def test_half_a_line_of_a_killed_writer_does_no_harm(store: Store) -> None:
    store.start_session({"engine": "a"})
    with (store.path / "sessions.jsonl").open("a") as handle:
        handle.write('{"session": 1, "sta')
    assert store.start_session({"engine": "b"}) == 1
    assert [s["engine"]["engine"] for s in store.sessions()] == ["a", "b"]


def test_names_of_models_become_folders() -> None:
    assert slug("Qwen2.5-7B") == "Qwen2.5-7B"
    odd = slug("org/model:0.7")
    assert odd.startswith("org_model_0.7-")
    assert odd != slug("org_model:0.7")
    assert not slug("../..").startswith(".")


def test_another_prompt_is_another_sweep(sweep: Sweep) -> None:
    first = sweep.stages[0]
    spec = replace(first.spec, prompt=lambda context: Prompt("Say it differently."))
    changed = Sweep(sweep.file, sweep.task, (replace(first, spec=spec), sweep.stages[1]))
    assert changed.identity != sweep.identity


def test_other_weights_of_the_same_name_are_refused(store: Store) -> None:
    store.start_session({}, {"tiny": "sha256:aa"})
    assert store.start_session({}, {"tiny": "sha256:aa", "large": "sha256:bb"}) == 1
    assert store.weights() == {"tiny": "sha256:aa", "large": "sha256:bb"}
    with pytest.raises(StoreError, match="other weights of 'tiny'"):
        store.start_session({}, {"tiny": "sha256:cc"})
    assert len(store.sessions()) == 2
