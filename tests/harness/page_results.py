"""Small tables and a small bench of them, for tests of reports; nothing of it is a result.

python -m tests.harness.page_results FOLDER
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from agents import TaskCard
from harness.bench import run_bench
from simulator import Ask, Configuration, LookupTable, Task, Trial
from simulator.table_io import save

EVIL = "<script>evil()</script>"
"""A name that is a script, which would fail if it ran; `</script>` would end embedded data."""

HERE = "tests.harness.page_results"

WHY = "It asks </script><script>window.evil=2</script> & <!-- \u2028 what is next door."


class Neighbours:
    """Changes one sample count or model of the best configuration so far: an agent for tests."""

    def __init__(self, card: TaskCard, rng: np.random.Generator, step: int = 3) -> None:
        self.card, self.rng, self.step = card, rng, step
        self.best: Trial | None = None

    def ask(self) -> Ask:
        cells = self.card.feasible_cells
        start = self.best
        if start is None or start.answered is None:
            return Ask(self.card.space.configuration(int(self.rng.choice(cells))), why="It begins.")
        options = self.card.space.options(np.array([self.card.space.cell(start.answered)]))[0]
        stage = int(self.rng.integers(len(options)))
        options[stage] += self.rng.integers(-self.step, self.step + 1)
        options %= self.card.space.n_options
        return Ask(self.card.space.configuration(int(options @ self.card.space.strides)), why=WHY)

    def tell(self, trial: Trial) -> None:
        if trial.score is not None and (
            self.best is None or self.best.score is None or trial.score > self.best.score
        ):
            self.best = trial


class Walk(Neighbours):
    """The same with longer steps."""

    def __init__(self, card: TaskCard, rng: np.random.Generator) -> None:
        super().__init__(card, rng, step=12)


def _stage(name: str, sizes: dict[str, float], samples: list[int], prompt: int = 256) -> dict:
    return {
        "name": name,
        "prompt_tokens": prompt,
        "generated_tokens": 128,
        "samples": samples,
        "models": [
            {
                "name": model, "parameters": size,
                "dollars_per_million_prompt": size / 1e10,
                "dollars_per_million_generated": size / 3e9,
            }
            for model, size in sizes.items()
        ],
    }  # fmt: skip


GRID = [1, 2, 3, 5, 8, 12, 20, 30, 50]


def _task(name: str, kind: str, stages: list[dict], budget: float, metric: str, title: str) -> Task:
    return Task.from_mapping({
        "name": name, "title": title, "kind": kind, "metric": metric, "metrics": [metric],
        "default_budget": budget, "stages": stages,
    })  # fmt: skip


def _curve(samples: int, peak: float, height: float) -> float:
    return height * math.exp(-(math.log(samples / peak) ** 2) / 6)


def tables() -> list[LookupTable]:
    """A table of each kind, of one, two and three stages; one has outcomes, one has holes."""
    small, large = "Llama-3.2-3B", "Qwen2.5-72B"
    two = _task(
        "2wiki", "modelled",
        [
            _stage("retrieve", {small: 3e9, "Qwen2.5-7B": 7e9, large: 72e9}, GRID, 512),
            _stage("answer", {small: 3e9, EVIL: 8e9, large: 72e9}, GRID),
        ],
        1000, "exact_match", "Two stages <script>window.evil=1</script>",
    )  # fmt: skip
    quality = {small: 0.55, "Qwen2.5-7B": 0.62, EVIL: 0.6, large: 0.72}

    def joint(c: Configuration) -> float:
        first, second = c.choices
        retrieved = _curve(first.samples, 3, quality[first.model])
        return 0.1 + 0.5 * retrieved + 0.5 * _curve(second.samples, 25, quality[second.model])

    def hole(c: Configuration) -> float | None:
        return None if sum(x.samples for x in c.choices) % 7 == 0 else joint(c) * 0.9

    def seconds(c: Configuration) -> float:
        return sum(20 + 3 * x.samples * (4 if x.model == large else 1) for x in c.choices)

    one = _task("math", "published", [_stage("solve", {small: 3e9, "Llama-3.1-8B": 8e9}, GRID)],
                300, "accuracy", "Best of N")  # fmt: skip
    three = _task(
        "kgqa", "measured",
        [_stage(s, {small: 3e9, large: 72e9}, [1, 2, 4, 8]) for s in ("find", "rank", "answer")],
        1500, "exact_match", "Three stages, with outcomes",
    )  # fmt: skip
    rng = np.random.default_rng(7)

    def chained(c: Configuration) -> float:
        return sum(
            _curve(x.samples, 2 + i * 2, quality[x.model]) / 3 for i, x in enumerate(c.choices)
        )

    space = LookupTable.from_function(three, chained).space
    p = np.array([chained(space.configuration(i)) for i in range(space.n_cells)])
    outcomes = {
        split: {"exact_match": (rng.random((len(p), n)) < p[:, None]).astype(float)}
        for split, n in (("train", 60), ("test", 120))
    }
    measured = LookupTable.from_arrays(
        three,
        {split: {m: o.mean(axis=1) for m, o in by.items()} for split, by in outcomes.items()},
        seconds=40.0, examples={"train": 60, "test": 120}, outcomes=outcomes,
    )  # fmt: skip
    holes = two.model_copy(update={"name": "hotpotqa", "title": "Two stages with holes"})
    card = (
        "# Where it comes from\n\nMade for *tests*. <script>window.evil=3</script> "
        "![pixel](https://example.org/pixel.png) [a link](https://example.org/)\n\n"
        "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
    )
    return [
        replace(table, card=card)
        for table in (
            LookupTable.from_function(two, joint, test=lambda c: joint(c) - 0.03, seconds=seconds),
            LookupTable.from_function(holes, hole, test=hole, seconds=seconds),
            LookupTable.from_function(
                one,
                lambda c: _curve(c.choices[0].samples, 20, quality.get(c.choices[0].model, 0.7)),
            ),
            measured,
        )
    ]


AGENTS = (
    "random",
    {"name": f"{HERE}:Neighbours", "label": "neighbours"},
    {"name": f"{HERE}:Neighbours", "label": EVIL, "settings": {"step": 6}},
    {"name": f"{HERE}:Walk", "label": "walk"},
)


def make_results(folder: Path, *, seeds: int = 6, trials: int = 25, agents=AGENTS, **more) -> Path:
    """Save the tables under `folder/tables`, bench them into `folder/out`, and return that."""
    saved = []
    for table in tables():
        path = folder / "tables" / table.name
        if not path.exists():
            save(table, path)
        saved.append(str(path))
    out = folder / "out"
    run_bench(
        out=out, agents=list(agents), tables=saved, jobs=1, seeds=seeds, trials=trials,
        command="agenttts bench --out out", **more,
    )  # fmt: skip
    return out


if __name__ == "__main__":
    print(make_results(Path(sys.argv[1]), seeds=10, trials=50, budgets=[200, 500, 1000, 3000]))
