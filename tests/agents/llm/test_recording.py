"""Recordings: written as calls are answered, replayed without a model, exact about misses."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from agents.llm import (
    Message,
    ModelError,
    Recorder,
    Recording,
    RecordingError,
    Replay,
    Reply,
    Request,
    Sampling,
    ScriptedModel,
)
from agents.llm.recording import key_of

REQUEST = Request((Message("user", "hi"),), Sampling(run_seed=3), {"type": "object"}, 0, "test/hi")


def recorded(path, *lines, requests=(REQUEST,)):
    recorder = Recorder(ScriptedModel(lines, name="m"), path)
    return [recorder.reply(request) for request in requests]


def test_a_recorded_call_is_replayed(tmp_path):
    path = tmp_path / "deep" / "run.jsonl"
    first = recorded(path, Reply("hello", 5, 2, 1.5))[0]
    assert Replay(Recording.load(path)).reply(REQUEST) == first == Reply("hello", 5, 2, 1.5)


def test_the_format_of_a_line_is_version_1(tmp_path):
    path = tmp_path / "run.jsonl"
    recorded(path, Reply("hällo", 5, 2, 1.5))
    golden = {
        "version": 1,
        "key": "08b01a0b",
        "index": 0,
        "purpose": "test/hi",
        "model": "m",
        "settings": {
            "temperature": None,
            "reasoning_effort": None,
            "max_output_tokens": 4096,
            "run_seed": 3,
            "send_seed": True,
        },
        "schema_hash": "a2c79926",
        "messages": [{"role": "user", "content": "hi"}],
        "reply": {
            "text": "hällo",
            "tokens_in": 5,
            "tokens_out": 2,
            "seconds": 1.5,
            "refusal": "",
            "finish": "stop",
            "estimated": False,
        },
    }
    line = path.read_text(encoding="utf-8")
    assert line.endswith("\n")
    assert line.count("\n") == 1
    assert "hällo" in line
    data = json.loads(line)
    data["key"], data["schema_hash"] = data["key"][:8], data["schema_hash"][:8]
    assert data == golden


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, messages=(Message("user", "ho"),)),
        replace(REQUEST, messages=(Message("system", "hi"),)),
        replace(REQUEST, sampling=Sampling(run_seed=4)),
        replace(REQUEST, sampling=Sampling(run_seed=3, temperature=0.5)),
        replace(REQUEST, schema={"type": "array"}),
        replace(REQUEST, index=1),
    ],
)
def test_every_part_of_a_call_is_in_its_key(other):
    assert key_of("m", other) != key_of("m", REQUEST)
    assert key_of("n", REQUEST) != key_of("m", REQUEST)
    assert key_of("m", replace(REQUEST, purpose="other")) == key_of("m", REQUEST)


def test_a_miss_says_which_call_and_what_differs(tmp_path):
    path = tmp_path / "run.jsonl"
    second = replace(REQUEST, index=1, messages=(Message("user", "the score was 0.71, go on"),))
    recorded(path, "a", "b", requests=(REQUEST, second))
    replay = Replay(Recording.load(path))
    with pytest.raises(RecordingError) as caught:
        replay.reply(replace(second, messages=(Message("user", "the score was 0.72, go on"),)))
    assert str(caught.value) == (
        f"{path} does not hold call 1 (test/hi) of this run; the nearest recorded call differs in "
        "message 0 (user) at character 17: '2, go on', recorded '1, go on'"
    )
    with pytest.raises(RecordingError, match=r"the setting temperature: 0\.9, recorded None"):
        replay.reply(replace(REQUEST, sampling=Sampling(run_seed=3, temperature=0.9)))
    with pytest.raises(RecordingError, match="the schema of the reply"):
        replay.reply(replace(REQUEST, schema={}))
    with pytest.raises(RecordingError, match="2 messages, recorded 1"):
        replay.reply(replace(REQUEST, messages=(*REQUEST.messages, Message("user", "x"))))
    with pytest.raises(RecordingError, match="its last call is 1"):
        replay.reply(replace(REQUEST, index=9))
    with pytest.raises(RecordingError, match="the model: 'other', recorded 'm'"):
        Replay(Recording.load(path), "other").reply(REQUEST)


def test_keys_are_never_written(tmp_path, key):
    class Leaky(ScriptedModel):
        secrets = (key, "a-key-of-no-known-form")

    path = tmp_path / "run.jsonl"
    text = f"say {key} and a-key-of-no-known-form and Bearer abcdefgh12345"
    request = replace(REQUEST, messages=(Message("user", text),))
    recorder = Recorder(Leaky([f"well: {text}"], name="m"), path)
    reply = recorder.reply(request)
    content = path.read_text()
    for part in (key, "a-key-of-no-known-form", "abcdefgh12345"):
        assert part not in content
        assert part not in reply.text
    assert Replay(Recording.load(path)).reply(request) == reply


def test_a_recorder_goes_on_where_it_stopped(tmp_path):
    path = tmp_path / "run.jsonl"
    second = replace(REQUEST, index=1)
    recorded(path, "a")
    model = ScriptedModel(["b"], name="m")
    recorder = Recorder(model, path)
    assert [recorder.reply(r).text for r in (REQUEST, second)] == ["a", "b"]
    assert [r.index for r in model.requests] == [1]
    assert len(path.read_text().splitlines()) == 2


def test_a_line_cut_off_by_a_kill_is_left_out_and_written_anew(tmp_path):
    path = tmp_path / "run.jsonl"
    second = replace(REQUEST, index=1)
    recorded(path, "a", "b", requests=(REQUEST, second))
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    Recorder(ScriptedModel([]), path)
    assert path.read_bytes() == content
    for cut in (2, 30, len(content) // 4):
        path.write_bytes(content[:-cut])
        assert len(Recording.load(path).calls) == 1
    recorder = Recorder(ScriptedModel(["again"], name="m"), path)
    assert recorder.reply(second).text == "again"
    texts = {call.reply.text for call in Recording.load(path).calls.values()}
    assert texts == {"a", "again"}


def test_damage_elsewhere_is_named_by_line(tmp_path):
    path = tmp_path / "run.jsonl"
    recorded(path, "a", "b", requests=(REQUEST, replace(REQUEST, index=1)))
    first, second = path.read_text().splitlines()
    path.write_text(first[:-9] + "\n" + second + "\n")
    with pytest.raises(RecordingError, match=r"run\.jsonl, line 1: "):
        Recording.load(path)
    path.write_text(first + "\n" + second.replace('"version": 1', '"version": 2') + "\n")
    with pytest.raises(RecordingError, match="line 2: version 2, this program reads 1"):
        Recording.load(path)
    path.write_text(first.replace('"text": "a"', '"text": 5') + "\n")
    with pytest.raises(RecordingError, match=r"line 1: reply\.text: "):
        Recording.load(path)


def test_folders_files_and_models_of_recordings(tmp_path):
    with pytest.raises(RecordingError, match="no such recording"):
        Recording.load(tmp_path / "none.jsonl")
    with pytest.raises(RecordingError, match="holds no recording"):
        Recording.load(tmp_path)
    recorded(tmp_path / "a.jsonl", "a")
    other = Recorder(ScriptedModel(["b"], name="n"), tmp_path / "b.jsonl")
    other.reply(REQUEST)
    both = Recording.load(tmp_path)
    assert both.models == ("m", "n")
    with pytest.raises(RecordingError, match="calls of 2 models: m, n; name one"):
        Replay(both)
    assert [Replay(both, name).reply(REQUEST).text for name in ("m", "n")] == ["a", "b"]
    with pytest.raises(RecordingError, match="not a folder"):
        Recorder(ScriptedModel([]), tmp_path)


def test_a_recording_that_cannot_be_written_is_an_error(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ModelError, match="cannot write the recording"):
        recorded(blocked / "run.jsonl", "a")


def test_several_processes_append_whole_lines(tmp_path):
    path = tmp_path / "run.jsonl"
    children = []
    for child in range(3):
        pid = os.fork()
        if pid == 0:
            requests = [replace(REQUEST, index=10 * child + n) for n in range(10)]
            recorded(path, *(["x" * 20_000] * 10), requests=requests)
            os._exit(0)
        children.append(pid)
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    assert len(Recording.load(path).calls) == 30
