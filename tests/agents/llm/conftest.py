"""A fake OpenAI-compatible server on 127.0.0.1, and small tasks for agents."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from agents import TaskCard
from simulator import LookupTable, Simulator

KEY = "sk-test-0123456789abcdefSECRET"


def completion(content: str | None, *, refusal: str = "", finish: str = "stop") -> dict[str, Any]:
    message = {"role": "assistant", "content": content, "refusal": refusal or None}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "fake",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }


class FakeServer:
    """Answers each request by the next of `script`, the last one again and again.

    A line of the script is text (the reply's content), a `(status, body)` or `(status, body,
    headers)` tuple, a `dict` (the whole body), or one of `"<cut>"`, `"<drop>"`, `"<slow>"`.
    """

    completion = staticmethod(completion)

    def __init__(self) -> None:
        self.script: list[Any] = ["{}"]
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.bodies.append(json.loads(body))
                outer.headers.append({k.lower(): v for k, v in self.headers.items()})
                line = outer.script.pop(0) if len(outer.script) > 1 else outer.script[0]
                if callable(line):
                    line = line(outer.bodies[-1])
                outer.answer(self, line)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, handler: http.server.BaseHTTPRequestHandler, line: Any) -> None:
        if line == "<drop>":
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
            return
        if line == "<slow>":
            time.sleep(1.0)
            line = "too late"
        status, body, headers = 200, line, {}
        if isinstance(line, tuple):
            status, body, *rest = line
            headers = dict(rest[0]) if rest else {}
        if isinstance(body, str) and status == 200 and line != "<cut>" and not headers:
            body = completion(body)
        raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        if line == "<cut>":
            raw = json.dumps(completion("never seen whole")).encode()
        handler.send_response(status)
        handler.send_header("content-type", headers.pop("content-type", "application/json"))
        handler.send_header("content-length", str(len(raw)))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        if line == "<cut>":
            handler.wfile.write(raw[: len(raw) // 2])
            handler.wfile.flush()
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
            return
        handler.wfile.write(raw)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    for name in ("AGENTTTS_BASE_URL", "AGENTTTS_MODEL", "AGENTTTS_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    fake = FakeServer()
    yield fake
    fake.close()


@pytest.fixture
def key() -> str:
    return KEY


@pytest.fixture
def table() -> LookupTable:
    """Two stages, two models each, scores that no other figure of a prompt looks like."""

    def score(c: Any) -> float:
        retrieve, answer = c.choices
        model = 0.2 * (retrieve.model == "large") + 0.1 * (answer.model == "small")
        return float(0.4 + model - 0.003 * abs(answer.samples - 20) - 0.01 * retrieve.samples)

    return LookupTable.from_function(
        {"retrieve": [1, 2, 5, 10], "answer": [1, 5, 10, 20, 50]}, score
    )


@pytest.fixture
def card(table: LookupTable) -> TaskCard:
    return TaskCard.of(Simulator(table, 300), trials=20)
