"""Shipped tables are sound, found by name, and honest about where they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lookup_tables
from simulator import Simulator
from simulator.errors import TableError, UnknownName
from simulator.verify import verify

PUBLISHED = ("2wiki-temperature", "math", "textvqa-reason", "textvqa-summarise")


def test_the_published_tables_are_shipped() -> None:
    assert set(PUBLISHED) <= set(lookup_tables.names())
    assert lookup_tables.names() == sorted(lookup_tables.names())


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_table_is_sound(name: str) -> None:
    folder = lookup_tables.find(name)
    table = lookup_tables.load(name)
    assert verify(folder) == []
    assert (table.name, table.kind) == (folder.name, folder.parent.name) == (name, "published")
    assert set(table.splits) == {"train"}, "no second split was published"
    assert "## What was not published" in table.card
    assert "Roofline model" in table.card
    assert table.provenance["source"].startswith("AgentTTS, arXiv 2508.00890")
    seconds = table.splits["train"].seconds
    assert (seconds[table.present()] > 0).all()


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_optimum_is_the_best_published_score_within_the_budget(name: str) -> None:
    simulator = Simulator(lookup_tables.load(name))
    scores = np.where(simulator.cell_costs <= simulator.budget, simulator.table.scores(), -np.inf)
    assert simulator.optimum.score == np.nanmax(scores)


@pytest.mark.parametrize(
    ("name", "configuration", "score"),
    [
        ("textvqa-summarise", "summarise=Llama-3.2-11B-Vision-Instruct:25", 0.8423),
        ("textvqa-reason", "reason=Llama-3.1-70B-Instruct:10", 0.8285),
        ("math", "solve=Qwen2.5-72B:5", 0.738),
        ("2wiki-temperature", "answer=Llama-3.2-3B-Instruct@T0.9:60", 0.80),
    ],
)
def test_the_published_optima(name: str, configuration: str, score: float) -> None:
    """Read off the published figures by hand."""
    optimum = Simulator(lookup_tables.load(name)).optimum
    assert (str(optimum.configuration), optimum.score) == (configuration, score)


def test_an_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(UnknownName, match="no table named 'maht'; did you mean math"):
        lookup_tables.load("maht")


def test_a_path_is_a_table_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = lookup_tables.find("math")
    assert lookup_tables.load(folder).name == "math"
    assert lookup_tables.load(str(folder)).name == "math"
    monkeypatch.chdir(folder.parent)
    assert lookup_tables.find(Path("math")) == Path("math")
    assert lookup_tables.load("./math").name == "math"
    with pytest.raises(TableError, match="no such folder"):
        lookup_tables.load(tmp_path / "nowhere")
    with pytest.raises(TableError, match="no such folder"):
        lookup_tables.load("./nowhere")
