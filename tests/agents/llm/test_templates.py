"""Prompts: every one has a version, belongs to an agent, is complete, and is named by its hash."""

from __future__ import annotations

import re

import jinja2
import pytest

from agents import agent_class, available
from agents.llm import templates
from simulator.errors import RunError

PARTS = {"task", "history", "form", "agenttts/analysis", "mlcopilot/experience"}
SHARED = {"system", "repair"}


def test_every_prompt_has_a_version_and_belongs_to_an_agent():
    owned = {p for name, i in available().items() if i.llm for p in agent_class(name).prompts}
    assert set(templates.names()) == owned | PARTS | SHARED
    for name in templates.names():
        assert re.fullmatch(rf"{re.escape(name)}@[1-9]\d*:[0-9a-f]{{8}}", templates.label(name))


def test_a_missing_value_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="problems"):
        templates.render("repair", {})


@pytest.fixture
def own_templates(monkeypatch):
    sources = {}
    environment = jinja2.Environment(loader=jinja2.DictLoader(sources), autoescape=False)  # noqa: S701
    monkeypatch.setattr(templates, "_environment", lambda: environment)

    def label(name, **given):
        sources.update({f"{key.replace('_', '/')}.j2": text for key, text in given.items()})
        environment.cache.clear()
        templates.label.cache_clear()
        return templates.label(name)

    yield label
    templates.label.cache_clear()


def test_the_hash_covers_what_a_prompt_includes(own_templates):
    whole = '{# version 3: x #}\na {% include "part.j2" %}'
    first = own_templates("whole", whole=whole, part="{# version 1: y #}b{% include 'deep.j2' %}",
                          deep="c")  # fmt: skip
    assert first.startswith("whole@3:")
    assert own_templates("whole", deep="d") != first
    assert own_templates("whole", deep="c") == first
    assert own_templates("whole", whole=whole + "!") != first


def test_a_prompt_without_a_version_is_refused(own_templates):
    with pytest.raises(RunError, match="has no version"):
        own_templates("whole", whole="no version here")
