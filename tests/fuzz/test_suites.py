"""What a person writes: suites, settings, configurations."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from harness.suite import Suite, load_suite, make_suite, parse_settings
from simulator import Configuration, Simulator
from tests.fuzz.guard import fuzz, survive
from tests.fuzz.mutate import HUGE, NASTY, garbled, twisted
from tests.simulator import disk

SUITE = """
trials = 50
seeds = 20
tables = ["2wiki-temperature", "path/to/a/table"]
budgets = [500, 1000.5]
cost = "units"
workers = 2
match = "nearest"
noise = "bootstrap"
duplicates = "free"

[[agents]]
name = "random"

[[agents]]
name = "tpe"
label = "tpe, 20 startup trials"
settings = { n_startup_trials = 20, names = ["a", 1] }
"""
ASKED = "retrieve=Small-3B:1,answer=Large-70B:10"
TABLE = disk.small_table()
SIMULATOR = Simulator(TABLE, 500)


@fuzz
@given(garbled(SUITE))
@example(f"trials = {HUGE}")
@example(f"trials = {'[' * 3000}")
def test_the_text_of_a_suite(text: str) -> None:
    def target(text: str) -> Suite:
        Path("suite.toml").write_text(text, encoding="utf-8", errors="surrogateescape")
        return load_suite(Path("suite.toml"), seeds=[3])

    found = survive(target, text)
    if isinstance(found, Suite):
        assert found.seeds == (3,)


@fuzz
@given(twisted(tomllib.loads(SUITE)))
@example({"seeds": 2**31})
@example({"seeds": list(range(50_000))})
def test_the_structure_of_a_suite(data: Any) -> None:
    found = survive(make_suite, data)
    if isinstance(found, Suite):
        assert found.trials >= 1
        assert found.seeds


@fuzz
@given(st.lists(garbled("n_startup_trials=20"), max_size=3))
@example([f"x={HUGE}"])
@example(["x=" + "[" * 3000])
def test_settings_on_the_command_line(words: list[str]) -> None:
    survive(parse_settings, words)


@fuzz
@given(garbled(ASKED))
@example(" " * 20_000)
@example("a" + " " * 20_000)
@example("a=b" + " " * 20_000 + "c")
@example("a=" + ":" * 20_000)
def test_the_text_of_a_configuration(text: str) -> None:
    def target(text: str) -> Configuration:
        asked = Configuration.parse(text)
        assert Configuration.parse(str(asked)) == asked
        trial = SIMULATOR.evaluate(asked)
        assert trial.feasible == (trial.score is not None)
        return asked

    survive(target, text)


def _choice(draw: st.DrawFn, stage: str) -> str:
    models = st.sampled_from(("Small-3B", "Large-70B"))
    samples = st.sampled_from([1, 2, 3, 10, *(n for n in NASTY if isinstance(n, int | float))])
    return f"{stage}={draw(models)}:{draw(samples)}"


@fuzz
@given(st.data())
def test_configurations_with_wrong_stages_models_and_samples(data: st.DataObject) -> None:
    stages = data.draw(st.lists(st.sampled_from(("retrieve", "answer", "x")), max_size=4))
    text = ",".join(_choice(data.draw, stage) for stage in stages)
    match = data.draw(st.sampled_from(("nearest", "exact", "paper", "interpolate")))

    def target(text: str) -> Any:
        asked = Configuration.parse(text)
        return Simulator(TABLE, 500, match=match).evaluate(asked)  # type: ignore[arg-type]

    survive(target, text)
