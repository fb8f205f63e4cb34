"""Fit the insight planner's prior to generated landscapes: `python tools/fit_insight_prior.py`.

Maximises the marginal likelihood (Rasmussen, Williams, chapter 5) of the two hypotheses that grant
all insights over trials drawn from the development landscapes, and writes
`agents/insight/prior.toml`. The fitted numbers are then made somewhat wider (`widened`), and the
hypotheses that deny an insight are made from the first by the rules in `DENIALS`. Tables that ship
are never read.

It lies outside the packages because it needs both sides that must not know each other: landscapes
and an agent.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.optimize import minimize

from agents import TaskCard
from agents.insight.belief import Posterior
from agents.insight.prior import Hypothesis, StageFeatures
from simulator import LookupTable, Simulator
from simulator.cost import cost_model

Array = NDArray[np.float64]

POSITIVE = (
    "model", "slope", "curve", "own_curve", "option", "reading", "pair", "local", "noise",
    "curve_length", "own_length", "local_length", "scale",
)  # fmt: skip
REAL = (
    "mean_size", "mean_linear", "mean_square", "mean_cube", "mean_both", "mean_load",
    "mean_load_size",
)  # fmt: skip
BOUNDS = {"curve_length": (0.8, 6.0), "own_length": (0.8, 6.0), "local_length": (0.3, 3.0)}

START = Hypothesis(
    name="insights", weight=0.6, gives_up="", model=0.01, slope=0.03, curve=0.06, own_curve=0.02,
    option=0.005, reading=0.35, pair=0.1, local=0.005, noise=0.01, curve_length=2.0,
    own_length=0.85, local_length=2.5, local_other=0.0, scale=0.06, stage_spread=0.7, mean_size=0.2,
    mean_linear=1.0, mean_square=-0.15, mean_cube=-0.25, mean_both=0.2, mean_load=-1.5,
    mean_load_size=-0.2,
)  # fmt: skip

NO_MEAN: Mapping[str, float] = dict.fromkeys(REAL, 0.0)
DENIALS: Sequence[Callable[[Hypothesis], Hypothesis]] = (
    lambda h: replace(
        h, name="rough", weight=0.15, gives_up="curves over samples have one peak",
        own_length=0.6, own_curve=11.0 * h.model, local=28.0 * h.noise, local_length=0.7,
    ),
    lambda h: replace(
        h, name="flat", weight=0.15, gives_up="larger models and more samples help at first",
        **NO_MEAN,
    ),
    lambda h: replace(
        h, name="joint", weight=0.1, gives_up="stages can be judged one at a time", model=0.0,
        slope=0.0, curve=0.0, own_curve=0.0, reading=0.0, pair=0.0, local=1.0, local_length=3.0,
        local_other=0.7, stage_spread=0.0, **NO_MEAN,
    ),
)  # fmt: skip


def widened(h: Hypothesis) -> Hypothesis:
    """A fitted hypothesis that is surprised less by a landscape unlike those it was fitted to.

    What a search meets late are the few landscapes that its prior foretells badly. Chosen by
    searching development landscapes: with it fewer searches there ended without the optimum.
    """
    return replace(
        h, scale=1.5 * h.scale, stage_spread=1.0, model=2.0 * h.model, own_curve=2.0 * h.own_curve
    )


@dataclass(frozen=True)
class Archive:
    """Some trials of one landscape: options (n, stages) and scores (n,)."""

    features: tuple[StageFeatures, ...]
    options: NDArray[np.int64]
    scores: Array


def draw_archive(table: LookupTable, rng: np.random.Generator, n: int = 40) -> Archive | None:
    """Trials all over the affordable cells, and some near the best, at a budget drawn by `rng`."""
    costs = cost_model("units").stage_costs(table.task, table, "train")
    grids = table.space.grids
    low = sum(float(np.nanmin(c[:, g])) for c, g in zip(costs, grids, strict=True))
    high = sum(float(np.nanmax(c[:, g])) for c, g in zip(costs, grids, strict=True))
    budget = float(np.exp(rng.uniform(np.log(low + 0.01 * (high - low)), np.log(high))))
    simulator = Simulator(table, budget)
    cells = simulator.feasible_cells
    if len(cells) < 12:
        return None
    options = table.space.options(cells)
    scores = simulator.scores[cells]
    away = np.abs(options - options[np.argmax(scores)]).sum(axis=1) + rng.uniform(0, 8, len(cells))
    chosen = np.union1d(rng.permutation(len(cells))[: 5 * n // 8], np.argsort(away)[: 3 * n // 8])
    features = StageFeatures.of(TaskCard.of(simulator))
    return Archive(features, options[chosen], np.asarray(scores[chosen]))


def log_likelihood(h: Hypothesis, archive: Archive, amplitudes: Array) -> float:
    """Log marginal likelihood of an archive, up to a constant."""
    posterior = Posterior(h, archive.features, archive.options[:1])
    posterior.condition(archive.options, amplitudes)
    return posterior.log_evidence(archive.scores)


def stage_amplitudes(h: Hypothesis, archive: Archive) -> Array:
    """How much each stage matters in an archive: maximum a posteriori."""
    posterior = Posterior(h, archive.features, archive.options[:1])
    posterior.condition(archive.options)
    posterior.adapt(archive.scores)
    return posterior.amplitudes


def unpack(values: Array) -> Hypothesis:
    """A vector of logs of the positive fields, then the real ones, as a hypothesis."""
    positive = dict(zip(POSITIVE, np.exp(values[: len(POSITIVE)]).tolist(), strict=True))
    real = dict(zip(REAL, values[len(POSITIVE) :].tolist(), strict=True))
    return replace(START, **positive, **real)


def pack(h: Hypothesis) -> Array:
    """The inverse of `unpack`."""
    fields = asdict(h)
    return np.array([np.log(fields[k]) for k in POSITIVE] + [fields[k] for k in REAL])


def fit(archives: Sequence[Archive], rounds: int, iterations: int) -> Hypothesis:
    """Alternate between each archive's stage amplitudes and the shared numbers.

    The shared numbers by L-BFGS on the mean log marginal likelihood, with a weak pull to `START`.
    """
    start = pack(START)
    bounds = [
        tuple(np.log(BOUNDS[k])) if k in BOUNDS else (np.log(1e-4), np.log(50.0)) for k in POSITIVE
    ] + [(-10.0, 10.0)] * len(REAL)
    values = start
    with Parallel(n_jobs=os.cpu_count()) as workers:
        for _ in range(rounds):
            h = unpack(values)
            amplitudes = workers(delayed(stage_amplitudes)(h, archive) for archive in archives)

            def loss(point: Array, amplitudes: Sequence[Array] = amplitudes) -> float:
                h = unpack(point)
                pairs = zip(archives, amplitudes, strict=True)
                total = sum(log_likelihood(h, archive, a) for archive, a in pairs)
                return -total / len(archives) + 0.01 * float(np.sum((point - start) ** 2))

            def with_gradient(
                point: Array, loss: Callable[[Array], float] = loss
            ) -> tuple[float, Array]:
                step = 1e-4
                points = [point, *(point + step * row for row in np.eye(len(point)))]
                found = workers(delayed(loss)(p) for p in points)
                return found[0], (np.array(found[1:]) - found[0]) / step

            found = minimize(
                with_gradient, values, jac=True, method="L-BFGS-B", bounds=bounds,
                options={"maxiter": iterations},
            )  # fmt: skip
            values = found.x
            print(f"loss {found.fun:.3f}", flush=True)
    return unpack(values)


def write(path: Path, all_of_them: Sequence[Hypothesis], note: str) -> None:
    """Hypotheses as TOML."""
    lines = ["# Written by tools/fit_insight_prior.py; prior.py says what each number means.", note]
    for h in all_of_them:
        lines += ["", "[[hypotheses]]"]
        for key, value in asdict(h).items():
            lines.append(f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value:.4g}")
    text = "\n".join(lines) + "\n"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def development_archives(likes: Sequence[str | None], each: int) -> list[Archive]:
    """Archives of development landscapes: wholly random (`None`), or like a modelled task."""
    from collectors.landscape import DEVELOPMENT_SEEDS, make

    archives = []
    for like in likes:
        for seed in list(DEVELOPMENT_SEEDS)[:each]:
            table = make(like=like, seed=seed, outcomes=False)
            archive = draw_archive(table, np.random.default_rng(seed))
            if archive is not None:
                archives.append(archive)
    return archives


def main() -> None:
    from collectors.landscape import task_names

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--random", type=int, default=100, help="wholly random landscapes")
    parser.add_argument("--per-task", type=int, default=12, help="landscapes like each task")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path("agents/insight/prior.toml"))
    options = parser.parse_args()
    random = development_archives([None], options.random)
    tasks = development_archives(list(task_names()), options.per_task)
    strong, mild = (fit(some, options.rounds, options.iterations) for some in (random, tasks))
    note = (
        f"# Fitted to {len(random)} random development landscapes and {len(tasks)} like the "
        f"modelled tasks:\n# --random {options.random} --per-task {options.per_task} "
        f"--rounds {options.rounds} --iterations {options.iterations}"
    )
    half = START.weight / 2
    fitted = [replace(strong, weight=half), replace(mild, name="insights, mildly", weight=half)]
    write(options.out, [*map(widened, fitted), *(deny(fitted[0]) for deny in DENIALS)], note)


if __name__ == "__main__":
    main()
