"""JSON out of a model's text: bare, fenced, after a line of thought, or among prose."""

from __future__ import annotations

import json
import re
from typing import Any

from agents.llm.port import Reply
from agents.llm.scrub import one_line

_THOUGHT = re.compile(r"<(think|thinking|reasoning)>.*?(</\1>|\Z)", re.DOTALL | re.IGNORECASE)
# Possessive: a fence that is never closed must not be tried from each of its spaces anew.
_FENCE = re.compile(r"```[A-Za-z0-9_-]*+\s*+(.*?)```", re.DOTALL)
_MAX_STARTS = 200


def find_object(text: str) -> tuple[dict[str, Any] | None, str]:
    """The last JSON object of the outermost level in a text, and what is wrong where there is none.

    Thoughts between tags are left out; fenced blocks come before prose, later before earlier.

    >>> find_object('Sure! ```json\\n{"n": 1}\\n```')
    ({'n': 1}, '')
    >>> find_object("I would rather not.")
    (None, 'the reply holds no JSON object')
    """
    text = _THOUGHT.sub(" ", text).strip()
    if not text:
        return None, "the reply is empty"
    for part in (*reversed(_FENCE.findall(text)), text):
        found = _objects(part)
        if found:
            return found[-1], ""
    if "{" not in text:
        return None, "the reply holds no JSON object"
    try:
        json.loads(text[text.index("{") :])
    except ValueError as error:
        return None, f"the reply's JSON is malformed: {one_line(str(error), 120)}"
    except RecursionError:
        return None, "the reply's JSON is nested too deeply"
    return None, "the reply holds no JSON object"


def _objects(text: str) -> list[dict[str, Any]]:
    decoder, found, at = json.JSONDecoder(), [], 0
    for _ in range(_MAX_STARTS):
        at = text.find("{", at)
        if at < 0:
            break
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        if isinstance(value, dict):
            found.append(value)
        at = end
    return found


def read_reply(reply: Reply) -> tuple[dict[str, Any] | None, str]:
    """The object of a reply, and in words what is wrong where it holds none."""
    if reply.refusal:
        return None, f"the model refused: {one_line(reply.refusal, 160)}"
    found, problem = find_object(reply.text)
    if found is None and reply.finish == "length":
        return None, (
            f"the reply was cut off after {reply.tokens_out} tokens before its JSON was complete; "
            "be shorter"
        )
    if found is None and reply.finish == "content_filter":
        return None, "the reply was withheld by a content filter"
    return found, problem
