"""The port over the `openai` client, against a fake server."""

from __future__ import annotations

import json
import traceback

import pytest

from agents.llm import Endpoint, Message, ModelError, Request, Sampling
from simulator.errors import MissingExtra, UnknownName, UsageError

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def request(schema=None, **sampling) -> Request:
    settings = Sampling(run_seed=7, **sampling)
    return Request((Message("system", "be brief"), Message("user", "hi")), settings, schema or {})


def endpoint(server, **settings) -> tuple[Endpoint, list[float]]:
    waits: list[float] = []
    return Endpoint("fake", server.url, sleep=waits.append, **settings), waits


def test_one_call_sends_what_was_asked_and_reads_what_came(server, key):
    model, waits = endpoint(server)
    server.script = ['{"n": 1}']
    sampling = {"temperature": 0.3, "reasoning_effort": "low", "max_output_tokens": 99}
    reply = model.reply(request(SCHEMA, **sampling))
    assert (reply.text, reply.tokens_in, reply.tokens_out, reply.finish) == (
        '{"n": 1}', 100, 20, "stop",
    )  # fmt: skip
    assert reply.seconds > 0
    assert not reply.estimated
    assert waits == []
    body = server.bodies[0]
    assert body["model"] == "fake"
    assert body["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hi"},
    ]
    assert (body["temperature"], body["reasoning_effort"], body["seed"]) == (0.3, "low", 7)
    assert body["max_completion_tokens"] == 99
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    assert server.headers[0]["authorization"] == f"Bearer {key}"


def test_what_is_not_set_is_not_sent(server):
    model, _ = endpoint(server)
    model.reply(request(send_seed=False))
    assert set(server.bodies[0]) == {"model", "messages", "max_completion_tokens"}


@pytest.mark.parametrize(
    "trouble",
    [
        (429, {"error": {"message": "slow down"}}),
        (500, {"error": {"message": "oops"}}),
        (503, "<html>gateway</html>"),
        (408, {"error": {"message": "timed out"}}),
        "<cut>",
        "<drop>",
        (200, "<html>a proxy's page</html>", {"content-type": "text/html"}),
        (200, '{"id": "x", "choices": [', {"content-type": "application/json"}),
        {"error": {"message": "upstream is busy", "code": 502}},
    ],
    ids=["429", "500", "503", "408", "cut", "drop", "html", "half-json", "error-in-200"],
)
def test_trouble_twice_then_success(server, trouble):
    model, waits = endpoint(server)
    server.script = [trouble, trouble, "well"]
    assert model.reply(request()).text == "well"
    assert len(server.bodies) == 3
    assert len(waits) == 2
    assert all(0 <= wait <= 60 for wait in waits)


def test_a_timeout_is_tried_again_and_named_where_it_stays(server):
    model, _ = endpoint(server, timeout=0.15)
    server.script = ["<slow>", "well"]
    assert model.reply(request()).text == "well"
    model, _ = endpoint(server, timeout=0.15, retries=1)
    server.script = ["<slow>"]
    with pytest.raises(ModelError, match=r"no answer in time, 2 attempts"):
        model.reply(request())


def test_retry_after_is_kept_to(server):
    model, waits = endpoint(server)
    server.script = [(429, {"error": {"message": "slow"}}, {"retry-after": "7"}), "well"]
    model.reply(request())
    assert waits == [7.0]


def test_retries_are_bounded(server):
    model, waits = endpoint(server, retries=3)
    server.script = [(500, {"error": {"message": "broken"}})]
    with pytest.raises(ModelError, match=r"model 'fake', call 0: status 500: .*broken"):
        model.reply(request())
    assert len(server.bodies) == 4
    assert len(waits) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_the_callers_mistakes_are_not_tried_again(server, status):
    model, waits = endpoint(server)
    server.script = [(status, {"error": {"message": "no such thing"}})]
    with pytest.raises(ModelError, match=f"status {status}"):
        model.reply(request())
    assert len(server.bodies) == 1
    assert waits == []


def test_an_empty_account_is_not_tried_again(server):
    model, waits = endpoint(server)
    error = {"message": "You have no credit", "code": "insufficient_quota"}
    server.script = [(429, {"error": error})]
    with pytest.raises(ModelError, match="no credit"):
        model.reply(request())
    assert waits == []


def test_a_context_that_is_too_short_says_what_to_lower(server):
    model, _ = endpoint(server)
    message = "This model's maximum context length is 2048 tokens"
    server.script = [(400, {"error": {"message": message}})]
    with pytest.raises(
        ModelError, match=r"2048 tokens.*; set max_output_tokens, or max_history, lower"
    ):
        model.reply(request())


def test_no_connection_at_all():
    waits: list[float] = []
    model = Endpoint("fake", "http://127.0.0.1:9/v1", retries=1, sleep=waits.append)
    with pytest.raises(ModelError, match=r"no connection to http://127\.0\.0\.1:9/v1/, 2 attempts"):
        model.reply(request())


# What servers lack --------------------------------------------------------------------------------


def refuse(*words: str):
    """A server that refuses requests whose body holds one of the words."""

    def line(body):
        for word in words:
            if f'"{word}"' in json.dumps(body):
                return 400, {"error": {"message": f"unsupported: {word}", "param": word}}
        return "well"

    return line


def test_structured_output_steps_down_and_stays_down(server):
    model, _ = endpoint(server)
    server.script = [refuse("json_schema", "json_object")]
    assert model.reply(request(SCHEMA)).text == "well"
    forms = [b.get("response_format", {}).get("type") for b in server.bodies]
    assert forms == ["json_schema", "json_object", None]
    model.reply(request(SCHEMA))
    assert "response_format" not in server.bodies[-1]


def test_structured_output_named_by_the_user_is_not_given_up(server):
    model, _ = endpoint(server, structured="schema")
    server.script = [refuse("json_schema")]
    with pytest.raises(ModelError, match="json_schema"):
        model.reply(request(SCHEMA))
    assert len(server.bodies) == 1


def test_the_older_name_of_the_token_limit(server):
    model, _ = endpoint(server)
    server.script = [refuse("max_completion_tokens")]
    assert model.reply(request(max_output_tokens=50)).text == "well"
    assert server.bodies[-1]["max_tokens"] == 50


def test_a_refused_seed_is_left_out_a_refused_temperature_is_an_error(server):
    model, _ = endpoint(server)
    server.script = [refuse("seed")]
    assert model.reply(request()).text == "well"
    assert "seed" not in server.bodies[-1]
    server.script = [refuse("temperature")]
    with pytest.raises(ModelError, match="temperature"):
        model.reply(request(temperature=0.5))


def test_everything_refused_ends(server):
    model, _ = endpoint(server)
    words = ("json_schema", "json_object", "max_completion_tokens", "max_tokens", "seed")
    server.script = [refuse(*words)]
    with pytest.raises(ModelError, match="max_tokens"):
        model.reply(request(SCHEMA))
    assert len(server.bodies) <= 6


def test_tokens_that_the_server_does_not_count_are_estimated(server):
    model, _ = endpoint(server)
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "x" * 40}}]}
    server.script = [body]
    reply = model.reply(request())
    assert reply.estimated
    assert (reply.tokens_in, reply.tokens_out) == (3, 10)


def test_a_refusal_and_an_empty_answer_are_replies(server):
    model, _ = endpoint(server)
    completion = server.completion
    server.script = [completion(None, refusal="I will not"), completion(None, finish="length")]
    assert model.reply(request()).refusal == "I will not"
    reply = model.reply(request())
    assert (reply.text, reply.finish) == ("", "length")


# Keys ---------------------------------------------------------------------------------------------


def test_a_key_in_an_error_message_is_scrubbed(server, key):
    model, _ = endpoint(server, retries=0)
    for status, body in (
        (401, {"error": {"message": f"Incorrect API key provided: {key}"}}),
        (500, f"trace: Authorization: Bearer {key}"),
        (200, f"<html>{key}</html>"),
    ):
        server.script = [(status, body, {"content-type": "text/html"})]
        with pytest.raises(ModelError) as caught:
            model.reply(request())
        shown = str(caught.value) + "".join(traceback.format_exception(caught.value))
        assert key not in shown
        assert "0123456789abcdef" not in shown
        assert "[key]" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_key_in_a_reply_or_an_address_is_scrubbed(server, key):
    model, _ = endpoint(server)
    server.script = [f"your key is {key}"]
    assert model.reply(request()).text == "your key is [key]"
    url = server.url.replace("http://", "http://user:hunter2secret@").replace("/v1", "/nowhere")
    model = Endpoint("fake", url, retries=0)
    server.script = ["<drop>"]
    with pytest.raises(ModelError) as caught:
        model.reply(request())
    assert "hunter2secret" not in str(caught.value)


# Settings -----------------------------------------------------------------------------------------


def test_settings_come_from_the_environment(server):
    environment = {
        "AGENTTTS_MODEL": "m", "AGENTTTS_BASE_URL": server.url, "AGENTTTS_API_KEY": "other-key",
        "OPENAI_API_KEY": "not this one",
    }  # fmt: skip
    model = Endpoint(environment=environment)
    model.reply(request())
    assert (model.name, server.bodies[0]["model"]) == ("m", "m")
    assert server.headers[0]["authorization"] == "Bearer other-key"


def test_missing_settings_are_named():
    with pytest.raises(UsageError, match="set AGENTTTS_MODEL"):
        Endpoint(environment={})
    with pytest.raises(UsageError, match=r"no endpoint is set.*OPENAI_API_KEY"):
        Endpoint("m", environment={})
    with pytest.raises(UsageError, match="must begin with http"):
        Endpoint("m", "localhost:8000", environment={})
    with pytest.raises(UnknownName, match="structured"):
        Endpoint("m", "http://x", structured="jsno")
    with pytest.raises(UsageError, match="retries"):
        Endpoint("m", "http://x", retries=-1)
    with pytest.raises(UsageError, match="timeout"):
        Endpoint("m", "http://x", timeout=0)


def test_a_missing_package_names_its_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtra, match=r"agenttts\[llm\]"):
        Endpoint("m", "http://127.0.0.1:9/v1")
