"""Smooth landscapes of the shape of 2WikiMultiHopQA, in which the three insights hold exactly."""

from __future__ import annotations

import math

import numpy as np

from simulator import Configuration, LookupTable, Model, Stage, Task

GRID = (1, 2, 3, 4, 5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100)

COARSE = (1, 2, 3, 4, 5, 10, 30, 100)


def task(grid: tuple[int, ...] = GRID) -> Task:
    """The stages and models of 2WikiMultiHopQA."""
    return Task(
        name="like-2wiki",
        kind="modelled",
        metric="exact_match",
        metrics=("exact_match",),
        default_budget=1000,
        stages=(
            Stage(
                name="retrieve",
                prompt_tokens=2048,
                generated_tokens=128,
                samples=grid,
                models=tuple(Model(name=f"Qwen-{p}B", parameters=p * 1e9) for p in (7, 32, 72)),
            ),
            Stage(
                name="answer",
                prompt_tokens=256,
                generated_tokens=64,
                samples=grid,
                models=tuple(Model(name=f"Llama-{p}B", parameters=p * 1e9) for p in (3, 8, 70)),
            ),
        ),
    )


def like_2wiki(seed: int, grid: tuple[int, ...] = GRID) -> LookupTable:
    """Retrieval wants the largest model and few samples; answering the smallest and many, fewer
    the better the retrieval; the seed moves every peak."""
    rng = np.random.default_rng(seed)
    recall = dict(zip(("Qwen-7B", "Qwen-32B", "Qwen-72B"), (0.50, 0.62, 0.80), strict=True))
    skill = dict(zip(("Llama-3B", "Llama-8B", "Llama-70B"), (0.90, 0.86, 0.80), strict=True))
    recall = {m: v + rng.normal(0, 0.02) for m, v in recall.items()}
    skill = {m: v + rng.normal(0, 0.01) for m, v in skill.items()}
    lift, few = rng.uniform(0.05, 0.08), rng.uniform(80, 100)
    relief, width = rng.uniform(14, 20), rng.uniform(0.05, 0.08)

    def score(c: Configuration) -> float:
        retrieve, answer = c.choices
        found = (
            recall[retrieve.model]
            + lift * math.log(retrieve.samples)
            - 0.012 * (math.log(retrieve.samples) ** 2)
        )
        peak = few * math.exp(-relief * (found - 0.80))
        peak = min(max(peak, 2.0), 100.0)
        read = skill[answer.model] * math.exp(-width * math.log(answer.samples / peak) ** 2)
        return round(found * read, 6)

    def seconds(c: Configuration) -> float:
        return float(sum(0.5 + choice.samples * 0.1 for choice in c.choices))

    return LookupTable.from_function(task(grid), score, seconds=seconds)
