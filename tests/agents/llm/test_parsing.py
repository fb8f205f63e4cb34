"""JSON out of what models write, and keys out of what programs print."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.llm.parsing import find_object, read_reply
from agents.llm.port import Reply
from agents.llm.scrub import one_line, scrub

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "text",
    [
        '{"n": 1}',
        '  \n{"n": 1}\n',
        'Sure, here it is:\n```json\n{"n": 1}\n```\nGood luck!',
        '```\n{"n": 1}\n```',
        'First {"n": 0}, no, rather {"n": 1}',
        '<think>maybe {"n": 7}?</think>{"n": 1}',
        'A set {1, 2} is no object. {"n": 1}',
        '{"n": 1} and a stray }',
        '[{"n": 1}]',
    ],
)
def test_objects_are_found(text):
    assert find_object(text) == ({"n": 1}, "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the reply is empty"),
        ("   \n", "the reply is empty"),
        ("<think>never ends {", "the reply is empty"),
        ("I cannot help with that.", "holds no JSON object"),
        ('{"n": 1', "malformed"),
        ("{n: 1}", "malformed"),
        ("[1, 2]", "holds no JSON object"),
        ("{" * 5000, "malformed"),
        ('{"a":' * 100_000 + "1", "JSON"),
    ],
)
def test_what_is_wrong_is_said(text, problem):
    found, said = find_object(text)
    assert found is None
    assert problem in said
    assert len(said) < 200


@given(st.dictionaries(st.text(), JSON, max_size=4), st.text(alphabet="abc .,\n", max_size=20))
def test_any_object_among_prose_is_read_back(value, prose):
    assert find_object(f"{prose}\n{json.dumps(value)}\n{prose}")[0] == value


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader(text):
    found, problem = find_object(text)
    assert (found is None) == bool(problem)


def test_refusals_and_cut_replies_are_told_apart():
    assert read_reply(Reply("", refusal="no"))[1] == "the model refused: no"
    assert "cut off after 9 tokens" in read_reply(Reply('{"n":', tokens_out=9, finish="length"))[1]
    assert "content filter" in read_reply(Reply("", finish="content_filter"))[1]
    assert read_reply(Reply('{"n": 1}', finish="length")) == ({"n": 1}, "")


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdefgh12345",
        "authorization=Basic dXNlcjpwYXNz",
        "Incorrect API key provided: sk-proj-abc***************xyz.",
        "sk-0123456789abcdef",
        '{"api_key": "0123456789abcdef"}',
        "GET https://user:0123456789abcdef@example.org/v1",
        "?api-key=0123456789abcdef&x=1",
        "token hf_0123456789abcdef",
    ],
)
def test_forms_of_keys_are_scrubbed(text):
    clean = scrub(text)
    assert "[key]" in clean
    for part in ("0123456789abcdef", "abcdefgh12345", "dXNlcjpwYXNz", "abc*", "xyz"):
        assert part not in clean


def test_a_known_key_of_any_form_is_scrubbed_and_the_rest_is_kept():
    assert scrub("my-odd-key is my-odd-key!", ["my-odd-key"]) == "[key] is [key]!"
    plain = "task-specific risk-adjusted model Llama-3.2-3B-Instruct:50 at http://127.0.0.1:8000/v1"
    assert scrub(plain) == plain
    assert scrub("abc", ["", "abc"]) == "abc"


def test_one_line():
    assert one_line("a\n b\t\x1b[31mc") == "a b [31mc"
    assert len(one_line("x" * 1000)) == 300
