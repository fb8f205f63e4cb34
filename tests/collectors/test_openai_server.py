"""The client for OpenAI-compatible servers, against a server that misbehaves on order."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from collectors.engines import Reply, Request, fault, make_engine
from collectors.engines.base import Chunk
from collectors.engines.openai_server import OpenAIEngine
from collectors.errors import EngineError, StoreError, SweepError
from collectors.merge import merge
from collectors.pipeline import Prompt
from collectors.runner import run
from collectors.store import Store
from collectors.sweep import ModelEntry, Sampling, Sweep

pytest.importorskip("openai")

MODEL = ModelEntry(name="m", source="org/model", parameters=1e9)
Behaviour = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]


class Server:
    """Keeps what it was asked; `behave` answers, by default as `vllm serve` does."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.behave: Behaviour = well
        self.models = ["org/model"]
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *details: object) -> None:
                pass

            def do_GET(self) -> None:
                if self.path == "/version":
                    self.reply(200, {"version": "0.99"})
                else:
                    self.reply(200, {"object": "list", "data": [_model(m) for m in server.models]})

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                asked = json.loads(self.rfile.read(length)) | {"path": self.path}
                server.asked.append(asked)
                self.reply(*server.behave(asked))

            def reply(self, status: int, body: dict[str, Any]) -> None:
                content = json.dumps(body).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:
                    pass  # the client did not wait

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "test"}


def choices(asked: dict[str, Any], texts: list[str], **extra: Any) -> dict[str, Any]:
    chat = asked["path"].endswith("chat/completions")
    listed = []
    for index, text in enumerate(texts):
        said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        listed.append(
            {
                "index": index,
                "finish_reason": "stop",
                "token_ids": list(range(len(text.split()))),
                **said,
                **extra,
            }
        )
    tokens = sum(len(text.split()) for text in texts)
    usage = {"prompt_tokens": 7, "completion_tokens": tokens, "total_tokens": 7 + tokens}
    head = {"id": "x", "object": "chat.completion", "created": 0, "model": asked["model"]}
    return {**head, "choices": listed[::-1], "usage": usage}


def well(asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return 200, choices(asked, [f"sample {asked['seed'] + k}" for k in range(asked["n"])])


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def engine_of(server: Server, **settings: Any) -> OpenAIEngine:
    given = {"base_url": server.url, "wait": 0.0, "timeout": 5.0, "attempts": 3, **settings}
    made = make_engine("openai", given)
    assert isinstance(made, OpenAIEngine)
    return made


def ask(engine: OpenAIEngine, n: int = 3, model: ModelEntry = MODEL, **sampling: Any) -> Reply:
    prompt = Prompt("Say it.", system="Be short.", lead="It:", stop=("\n",))
    request = Request(prompt, n, 40, Sampling(0.7, 0.9, None, 16, **sampling))
    return next(engine.draw(model, [Chunk(0, (request,))]))[1].replies[0]


def test_samples_come_in_order_with_tokens_and_seeds(server: Server) -> None:
    reply = ask(engine_of(server))
    assert [d.text for d in reply.draws] == ["sample 40", "sample 41", "sample 42"]
    assert [d.seed for d in reply.draws] == [40, 41, 42]
    assert [d.tokens for d in reply.draws] == [2, 2, 2]
    assert reply.prompt_tokens == 7
    asked = server.asked[0]
    assert asked["messages"][0] == {"role": "system", "content": "Be short."}
    assert (asked["n"], asked["seed"], asked["stop"]) == (3, 40, ["\n"])
    assert (asked["temperature"], asked["top_p"], asked["max_tokens"]) == (0.7, 0.9, 16)


def test_a_base_model_gets_running_text(server: Server) -> None:
    model = MODEL.model_copy(update={"mode": "complete"})
    reply = ask(engine_of(server), model=model)
    assert server.asked[0]["prompt"] == "Be short.\n\nSay it.\nIt:"
    assert server.asked[0]["path"] == "/v1/completions"
    assert len(reply.draws) == 3


def test_fewer_samples_are_made_up_with_the_seeds_they_would_have_had(server: Server) -> None:
    server.behave = lambda asked: well({**asked, "n": min(asked["n"], 2)})
    reply = ask(engine_of(server), n=5)
    assert [d.text for d in reply.draws] == [f"sample {k}" for k in range(40, 45)]
    assert [(a["n"], a["seed"]) for a in server.asked] == [(5, 40), (3, 42), (1, 44)]


def test_no_samples_at_all_is_a_failure(server: Server) -> None:
    server.behave = lambda asked: (200, choices(asked, []))
    assert ask(engine_of(server)).error == "0 of 3 samples came back"


def test_an_error_500_is_tried_again_and_then_told(server: Server) -> None:
    server.behave = lambda a: (
        (500, {"error": {"message": "out of memory"}}) if len(server.asked) < 3 else well(a)
    )
    assert len(ask(engine_of(server)).draws) == 3
    server.behave = lambda asked: (500, {"error": {"message": "out of memory"}})
    server.asked.clear()
    reply = ask(engine_of(server))
    assert "the server failed" in reply.error
    assert "out of memory" in reply.error
    assert len(server.asked) == 3


def test_a_server_that_does_not_answer_is_told(server: Server) -> None:
    def sleep(asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        time.sleep(0.5)
        return well(asked)

    server.behave = sleep
    reply = ask(engine_of(server, timeout=0.1, attempts=2))
    assert "did not answer in time" in reply.error


def test_an_empty_text_without_a_token_is_asked_for_again(server: Server) -> None:
    server.behave = lambda asked: (
        (200, choices(asked, ["", "b", "c"])) if len(server.asked) == 1 else well(asked)
    )
    assert ask(engine_of(server)).draws[0].text == "sample 40"
    server.behave = lambda asked: (200, choices(asked, ["", "", ""]))
    assert "an empty text without a token" in ask(engine_of(server)).error


def test_an_empty_text_of_one_token_is_an_answer(server: Server) -> None:
    server.behave = lambda asked: (200, choices(asked, [""], token_ids=[2]))
    reply = ask(engine_of(server), n=1)
    assert fault(reply, 1) == ""
    assert reply.draws[0].tokens == 1


def test_tokens_are_counted_by_logprobs_or_usage_of_one(server: Server) -> None:
    def plain(asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        status, body = well(asked)
        for choice in body["choices"]:
            del choice["token_ids"]
            if asked.get("logprobs"):
                token = {"token": "a", "bytes": None, "logprob": -1.0, "top_logprobs": []}
                choice["logprobs"] = {"content": [token] * 4}
        return status, body

    server.behave = plain
    assert [d.tokens for d in ask(engine_of(server)).draws] == [4, 4, 4]
    single = ask(engine_of(server, samples_per_request=1))
    assert [d.tokens for d in single.draws] == [2, 2, 2]
    server.behave = lambda asked: plain({**asked, "logprobs": None})
    with pytest.raises(EngineError, match="samples_per_request = 1"):
        ask(engine_of(server))


def test_a_missing_model_is_named_with_what_is_served(server: Server) -> None:
    engine = engine_of(server)
    missing = MODEL.model_copy(update={"source": "org/other"})
    with pytest.raises(EngineError, match="does not serve 'org/other'; it serves org/model"):
        engine.load(missing, 0)
    engine.load(MODEL, 0)
    server.behave = lambda asked: (404, {"error": {"message": "model gone"}})
    with pytest.raises(EngineError, match=r"does not know the model or path .*model gone"):
        ask(engine)


def test_a_server_that_is_not_there_stops_the_run(server: Server) -> None:
    server.close()
    with pytest.raises(EngineError, match="cannot be reached"):
        engine_of(server).load(MODEL, 0)


def test_a_wrong_address_is_told() -> None:
    with pytest.raises(SweepError, match=r"base_url: must be an http .* not 'file:///etc'"):
        make_engine("openai", {"base_url": "file:///etc"})


def test_describe_holds_no_key_and_no_address(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    about = engine_of(server).describe()
    assert about["version"] == "vllm 0.99"
    assert "secret" not in json.dumps(about)
    assert "127.0.0.1" not in json.dumps(about)


def test_a_key_that_the_server_echoes_is_not_kept(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "oddly-named-0123456789"
    monkeypatch.setenv("MY_SERVER", key)

    server.behave = lambda asked: (401, {"error": {"message": "x" * 190 + f" wrong: {key}"}})
    engine = engine_of(server, api_key_env="MY_SERVER", extra_body={"user": key})
    with pytest.raises(EngineError) as caught:
        ask(engine)
    assert key[:6] not in str(caught.value)
    assert "refused the key" in str(caught.value)

    server.behave = lambda asked: (500, {"error": {"message": f"Bearer {key}"}})
    reply = ask(engine)
    assert "[key]" in reply.error
    assert key not in reply.error

    server.behave = lambda asked: (200, choices(asked, [f"your key is {key}"] * asked["n"]))
    reply = ask(engine)
    assert reply.draws[0].text == "your key is [key]"
    assert key not in json.dumps(engine.describe())


def town(asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    prompt = asked["messages"][-1]["content"]
    texts = [f"{(asked['seed'] + k) % 6 + 1}" for k in range(asked["n"])]
    if "Passages:" not in prompt:
        texts = [f"Town {text}" for text in texts]
    return 200, choices(asked, texts)


def test_failures_leave_cells_incomplete_never_zero_and_a_rerun_mends_them(
    sweep: Sweep, store: Store, server: Server
) -> None:
    server.models = ["a/small", "a/large"]
    broken = {"n": 0}

    def flaky(asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if "bridge 1" in asked["messages"][-1]["content"] and asked["model"] == "a/small":
            broken["n"] += 1
            return 500, {"error": {"message": "worker died"}}
        return town(asked)

    server.behave = flaky
    report = run(sweep, store, engine_of(server, attempts=1))
    assert report.failed == broken["n"] > 0
    assert "worker died" in report.first_failure
    assert {e["why"] for e in store.errors()} == {report.first_failure}
    with pytest.raises(StoreError, match=r"is incomplete: .* requests are missing"):
        merge(sweep, store)
    whole = merge(sweep, store, allow_holes=True)
    assert sum(whole.holes.values()) > 0
    dropped = merge(sweep, store, drop_incomplete=True)
    assert len(dropped.dropped) == 1
    assert sum(dropped.holes.values()) == 0
    server.behave = town
    mended = run(sweep, store, engine_of(server))
    assert mended.failed == 0
    fresh = Store.open(store.path.with_name("fresh"), sweep)
    run(sweep, fresh, engine_of(server))
    tables = [merge(sweep, s).table for s in (store, fresh)]
    assert tables[0].scores().tolist() == tables[1].scores().tolist()


def test_a_chunk_that_fails_whole_stops_the_run_with_the_reason(
    sweep: Sweep, store: Store, server: Server
) -> None:
    server.models = ["a/small", "a/large"]
    server.behave = lambda asked: (
        town(asked) if len(server.asked) <= 4 else (500, {"error": {"message": "gone"}})
    )
    with pytest.raises(EngineError, match=r"every request of a chunk failed .*gone.* run again"):
        run(sweep, store, engine_of(server, attempts=1, concurrency=1))
    assert len(list((store.path / "shards").rglob("[0-9]*.parquet"))) == 1
    server.behave = town
    assert run(sweep, store, engine_of(server)).failed == 0
