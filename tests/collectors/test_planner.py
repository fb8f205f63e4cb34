"""A planned sweep gives what a naive sweep gives, for fewer tokens."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.accounting import Totals
from collectors.engines.base import Chunk, Reply, Request
from collectors.engines.scripted import ScriptedEngine
from collectors.fusers import BestOfN, MajorityVote, ModelFusion, SetVote
from collectors.merge import merge
from collectors.pipeline import (
    Context,
    Example,
    ModelFuser,
    Prompt,
    StageSpec,
    TaskSpec,
    key_of,
)
from collectors.planner import chunks, first_upstreams, fuse_prefix, model_order, sample_jobs
from collectors.runner import run
from collectors.store import Pool, Store
from collectors.sweep import ModelEntry, Sampling, Sweep, SweepFile, SweepStage

WORDS = ("ant", "bee", "cat", "dog bite", "")


def parse(context: Context, text: str) -> str | None:
    return text.split()[0] if text else None


def ask(context: Context) -> str:
    return f"merge for {context.example.id}"


FUSERS = {
    "majority": MajorityVote(parse),
    "sets": SetVote(lambda c, t: tuple(t) or None, lambda c, chosen: "".join(map(str, chosen))),
    "best": BestOfN(parse, lambda c, answer: len(answer)),
    "model": ModelFusion(parse, ask, max_tokens=5),
}


def score(context: Context, result: str) -> Mapping[str, float]:
    """Depends on example, upstream result and result."""
    rng = random.Random(f"{context.example.id}|{context.upstream}|{result}")
    return {"points": rng.random()}


def script(model: str, prompt: str, n: int, seed: int) -> list[str]:
    return [random.Random(f"{model}|{prompt}|{seed + k}").choice(WORDS) for k in range(n)]


def pipeline(n_stages: int, fusers: Sequence[str], n_examples: int) -> TaskSpec:
    def prompt_of(number: int) -> Prompt:
        return lambda c: Prompt(f"stage {number} of {c.example.id} after {c.upstream!r}")  # type: ignore[return-value]

    stages = tuple(
        StageSpec(
            name=f"s{i}",
            prompt=prompt_of(i),  # type: ignore[arg-type]
            fusers={fusers[i]: FUSERS[fusers[i]]},
            score=score if i in (0, n_stages - 1) else lambda c, r: {},
            metrics=("points",) if i in (0, n_stages - 1) else (),
            prompt_tokens=10,
            generated_tokens=5,
            max_tokens=8,
        )
        for i in range(n_stages)
    )
    examples = tuple(
        Example(f"e{i}", "train" if i % 2 == 0 else "test", {}) for i in range(n_examples)
    )
    return TaskSpec("toy", "Toy", "points", stages, examples)


def sweep_of(task: TaskSpec, models: Sequence[int], grids: Sequence[Sequence[int]]) -> Sweep:
    names = ["small", "medium", "large"]
    entry = {
        "task": "toy",
        "engine": {"kind": "scripted", "function": "x:y"},
        "plan": {"chunk_samples": 7},
        "models": [
            {"name": n, "source": n, "parameters": 10.0**9 * (i + 1)} for i, n in enumerate(names)
        ],
        "stages": [
            {"name": s.name, "models": names[:m], "samples": list(g)}
            for s, m, g in zip(task.stages, models, grids, strict=True)
        ],
    }
    return Sweep.of(SweepFile.from_mapping(entry), task)


@dataclass
class Naive:
    """Every configuration from scratch."""

    scores: dict[tuple[int, str], float]
    totals: Totals


def ask_engine(engine: ScriptedEngine, model: ModelEntry, request: Request) -> Reply:
    return next(engine.draw(model, [Chunk(0, (request,))]))[1].replies[0]


def naive_sweep(sweep: Sweep, cells: Mapping[int, Sequence[tuple[str, int]]]) -> Naive:
    engine = ScriptedEngine.of(script)
    by_name = {model.name: model for model in sweep.file.models}
    out = Naive({}, Totals())
    for cell, choices in cells.items():
        for example in sweep.task.examples:
            upstream, points = "", float("nan")
            for stage, (name, samples) in zip(sweep.stages, choices, strict=True):
                model, context = by_name[name], Context(example, upstream)
                where = (stage.name, name, example.id, key_of(upstream))
                request = Request(
                    stage.spec.prompt(context),
                    samples,
                    sweep.seed(*where, 0),
                    stage.sampling(model),
                )
                reply = ask_engine(engine, model, request)
                out.totals += count(reply)
                texts = [draw.text for draw in reply.draws]
                fusion = None
                if isinstance(stage.fuser, ModelFuser) and samples > 1:
                    sampling = Sampling(stage.fuser.temperature, 1.0, None, 5)
                    asked = stage.fuser.prompt(context, texts)
                    seed = sweep.seed(*where, samples)
                    answer = ask_engine(engine, model, Request(asked, 1, seed, sampling))
                    out.totals += count(answer) + Totals(requests=-1)
                    fusion = Pool((answer.draws[0].text,), np.array([1]), ("stop",), 1)
                result = fuse_prefix(stage.fuser, context, texts, fusion)
                assert result is not None
                points = dict(stage.spec.score(context, result)).get("points", points)
                upstream = result
            out.scores[cell, example.id] = points
    return out


def count(reply: Reply) -> Totals:
    return Totals(1, reply.prompt_tokens, sum(draw.tokens for draw in reply.draws))


grids = st.lists(st.integers(1, 6), min_size=1, max_size=3, unique=True).map(sorted)


@settings(max_examples=15)
@given(st.data())
def test_a_planned_sweep_gives_what_a_naive_sweep_gives(data: st.DataObject) -> None:
    n_stages = data.draw(st.integers(1, 3))
    fusers = [data.draw(st.sampled_from(sorted(FUSERS))) for _ in range(n_stages)]
    models = [data.draw(st.integers(1, 3 if n_stages < 3 else 2)) for _ in range(n_stages)]
    grid = [data.draw(grids) for _ in range(n_stages)]
    task = pipeline(n_stages, fusers, data.draw(st.integers(2, 4)))
    sweep = sweep_of(task, models, grid)
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "out", sweep)
        report = run(sweep, store, ScriptedEngine.of(script))
        merged = merge(sweep, store)
    table = merged.table
    cells = {
        cell: [(c.model, c.samples) for c in table.space.configuration(cell).choices]
        for cell in range(table.space.n_cells)
    }
    naive = naive_sweep(sweep, cells)
    for split, rows in table.splits.items():
        ids = [e.id for e in task.examples if e.split == split]
        assert rows.outcomes is not None
        found = rows.outcomes.metrics["points"].decode(slice(None), len(ids))
        expected = [[naive.scores[cell, name] for name in ids] for cell in cells]
        np.testing.assert_allclose(found, np.float32(expected), rtol=1e-6)
        np.testing.assert_allclose(rows.metrics["points"], np.mean(expected, axis=1), rtol=1e-6)
    assert merged.naive.requests == naive.totals.requests
    assert merged.naive.prompt_tokens == naive.totals.prompt_tokens
    assert merged.naive.generated_tokens == naive.totals.generated_tokens
    # The script takes a fixed time a token, so measured seconds must add up as tokens do.
    assert merged.drawn.tokens <= merged.naive.tokens
    assert merged.drawn.requests == report.drawn_requests
    assert report.drawn.tokens == merged.drawn.tokens


def test_each_pool_is_drawn_once_however_many_configurations_need_it() -> None:
    task = pipeline(2, ["majority", "majority"], 2)
    sweep = sweep_of(task, [2, 2], [[1, 2, 4], [1, 4]])
    engine = ScriptedEngine.of(script)
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "out", sweep)
        report = run(sweep, store, engine)
    distinct = sum(len(outputs) for outputs in report.tables[0].outputs)
    assert engine.requests == 2 * 2 + 2 * distinct
    assert distinct <= 2 * 4


def test_a_model_is_not_loaded_again_between_stages() -> None:
    task = pipeline(3, ["majority"] * 3, 2)
    sweep = sweep_of(task, [2, 2, 2], [[1]] * 3)
    engine = ScriptedEngine.of(script)
    with tempfile.TemporaryDirectory() as folder:
        run(sweep, Store.open(Path(folder) / "out", sweep), engine)
    assert engine.loads == ["small", "medium", "small", "medium"]


def test_models_of_the_same_weights_follow_each_other(sweep: Sweep) -> None:
    hot = ModelEntry(name="small hot", source="a/small", parameters=3e9, temperature=1.2)
    stage = sweep.stages[0]
    small, large = stage.models
    mixed = SweepStage(stage.spec, stage.entry, (small, large, hot))
    order = model_order(mixed, large.weights)
    assert [[m.name for m in group] for group in order] == [["large"], ["small", "small hot"]]


def test_prompts_of_a_common_prefix_follow_each_other() -> None:
    task = pipeline(2, ["majority", "majority"], 4)
    sweep = sweep_of(task, [1, 1], [[2], [2]])
    upstreams = [["bee", "ant"], ["cat"], ["ant", "bee", "cat"], ["ant"]]
    jobs = sample_jobs(sweep, sweep.stages[1], sweep.stages[1].models[0], upstreams)
    prompts = [job.request.prompt.text for job in jobs]
    assert prompts == sorted(prompts)
    assert len(prompts) == 7


def test_seeds_of_requests_are_spaced_by_the_largest_sample_count(sweep: Sweep) -> None:
    jobs = sample_jobs(sweep, sweep.stages[0], sweep.stages[0].models[0], first_upstreams(sweep))
    seeds = [job.request.seed for job in jobs]
    assert len(set(seeds)) == len(jobs)
    assert all(seed % sweep.seed_spacing == 0 for seed in seeds)
    assert all(0 <= seed < 2**31 - sweep.seed_spacing for seed in seeds)
    assert sweep.seed_spacing == 4


def test_chunks_do_not_depend_on_what_is_done(sweep: Sweep) -> None:
    jobs = sample_jobs(sweep, sweep.stages[0], sweep.stages[0].models[0], first_upstreams(sweep))
    whole = {chunk.number: missing for chunk, missing in chunks(jobs, {}, 8)}
    assert [len(missing) for missing in whole.values()] == [2, 2, 1]
    done = {jobs[0].key: None, jobs[2].key: None, jobs[3].key: None}
    rest = {chunk.number: missing for chunk, missing in chunks(jobs, done, 8)}  # type: ignore[arg-type]
    assert rest == {0: [jobs[1]], 2: whole[2]}


def test_a_chunk_holds_at_least_one_request(sweep: Sweep) -> None:
    jobs = sample_jobs(sweep, sweep.stages[0], sweep.stages[0].models[0], first_upstreams(sweep))
    assert [len(missing) for _, missing in chunks(jobs, {}, 1)] == [1] * len(jobs)


@pytest.mark.parametrize("limit", [1, 5, 1000])
def test_the_table_does_not_depend_on_the_size_of_chunks(limit: int, tmp_path: Path) -> None:
    task = pipeline(2, ["majority", "model"], 3)
    base = sweep_of(task, [2, 1], [[1, 3], [1, 2]])
    plan = base.file.plan.model_copy(update={"chunk_samples": limit})
    sweep = Sweep(base.file.model_copy(update={"plan": plan}), task, base.stages)
    assert sweep.identity == base.identity
    scores = []
    for number, each in enumerate((base, sweep)):
        store = Store.open(tmp_path / str(number), each)
        run(each, store, ScriptedEngine.of(script))
        scores.append(merge(each, store).table.scores().tolist())
    assert scores[0] == scores[1]
