"""The generative model of a multi-stage pipeline: what a configuration scores in expectation.

Everything below follows the theory in the public discussion of arXiv 2508.00890 (its reply on
"insights 1 to 3": single-sample success, aggregation of correlated samples, a U-shaped error of the
long-context fuser, coupling between stages). Where that text leaves a form open, the choice is ours
and the docstring says so. For one example with the latent difficulty d of a stage, a model m that
draws S samples and an input of quality q (1 is perfect, 0 worthless):

    p     = sigmoid(ability_m - difficulty * d - reliance_m * (1 - q))      one sample is right
    n     = 1 + diversity_m * (S - 1) / (1 + redundancy_m * (S - 1))        effective samples
    f     = (1 - (1 - p)^n) * exp(-(1 - relief * A) * (tokens * (S - 1) / window_m)^power)
    P(outcome >= level k) = sigmoid(logit(f) + offset_k)                    graded outcome

A = 1 - 2 p (1 - p) is the agreement of samples. The outcome's level, divided by the number of
levels, is the quality that the next stage is handed; the last stage's outcome is the score.

- Insight 1: abilities, diversities and windows differ by stage and model, so does the best choice.
- Insight 2: log of the first factor of f is concave in S (n is concave in S, log(1 - (1 - p)^n) is
  concave and rising in n) and log of the second is concave for power >= 1. So f is log-concave in
  S: it rises, saturates and declines, with one maximum.
- Insight 3: a higher q raises p, so (1 - p)^n is small at fewer samples; and where small models
  lean more on their input (larger reliance), a good input makes them good enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, ndtri

from simulator import Task

Floats = NDArray[np.float64]

_TINY = 1e-12


@dataclass(frozen=True)
class StageParameters:
    """Parameters of one stage; arrays have one entry a model, in the task's order.

    - `ability`: log-odds that one sample is right, at difficulty 0 and with a perfect input.
    - `difficulty`: log-odds lost for each standard deviation of the example's latent difficulty.
    - `reliance`: log-odds lost between a perfect and a worthless input (unused in the first stage).
    - `diversity`: new information in a further sample, 0 (all alike) to 1 (independent).
    - `redundancy`: how soon further samples repeat what is there; extra effective samples never
      exceed diversity / redundancy.
    - `window`: tokens of samples that the fuser reads before an error is likely.
    - `power`, `relief`: how suddenly that error sets in (at least 1), and how much agreement
      shields from it (0 to 1).
    - `levels`: number of levels of the outcome over 0; 1 is right or wrong.
    - `spread`: distance in log-odds between the lowest and the highest level.
    """

    ability: Floats
    difficulty: float
    reliance: Floats
    diversity: Floats
    redundancy: Floats
    window: Floats
    power: float = 1.5
    relief: float = 0.2
    levels: int = 1
    spread: float = 0.0

    @property
    def offsets(self) -> Floats:
        """Log-odds offset of each level from 1 up, descending, of mean 0: shape (levels,)."""
        if self.levels == 1:
            return np.zeros(1)
        return np.linspace(self.spread / 2, -self.spread / 2, self.levels)


@dataclass(frozen=True)
class Reported:
    """A metric of the task: the outcome of a stage on the scale low (level 0) to high (top)."""

    name: str
    stage: int
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True)
class Noise:
    """What the luck of one run is made of; shares of its variance, the rest is `example`'s.

    - `model`: luck that an example has with one model, whatever the samples.
    - `drift`: luck that changes slowly with the samples drawn, over `length` in log(samples): a
      longer prefix of the same samples mostly says the same.
    - `rerun`: luck of a single run, anew at each sample count.
    """

    model: float
    drift: float
    rerun: float
    length: float

    @property
    def example(self) -> float:
        """Luck that an example has with every model and sample count of a stage."""
        return 1.0 - self.model - self.drift - self.rerun


@dataclass(frozen=True)
class Landscape:
    """A task with the parameters of its stages, and what to report of it.

    `correlation` is that of an example's difficulties in two stages. `metrics` hold the task's
    metrics in order; the searched one belongs to the last stage.
    """

    task: Task
    stages: tuple[StageParameters, ...]
    correlation: float
    noise: Noise
    metrics: tuple[Reported, ...]
    train_examples: int
    test_examples: int

    @property
    def searched(self) -> Reported:
        """The metric that is searched for."""
        return next(metric for metric in self.metrics if metric.name == self.task.metric)


def effective_samples(diversity: ArrayLike, redundancy: ArrayLike, samples: ArrayLike) -> Floats:
    """Effective number of samples: n(S) = 1 + diversity (S - 1) / (1 + redundancy (S - 1)).

    The design effect of equally correlated draws, S / (1 + (S - 1) rho) (Kish 1965, Survey
    Sampling), has diversity = 1 - rho and redundancy = rho; two parameters let speed and ceiling
    of the gain differ. Source of the idea: "saturates with correlation" in the discussion.

    >>> effective_samples(0.5, 0.5, [1, 2, 1001]).round(2).tolist()
    [1.0, 1.33, 2.0]
    """
    extra = np.asarray(samples, dtype=np.float64) - 1.0
    return np.asarray(1.0 + np.asarray(diversity) * extra / (1.0 + np.asarray(redundancy) * extra))


def aggregated(p: Floats, effective: Floats) -> Floats:
    """A right answer is among the effective samples and is found: 1 - (1 - p)^n.

    The discussion bounds the aggregation error by an exponential in the effective samples
    (Hoeffding); here it is that exponential, exp(-n * -log(1 - p)), whose rate is the success p
    itself and not the margin over one half: a fuser with the samples before it can pick an answer
    that is in the minority.
    """
    return np.asarray(-np.expm1(effective * np.log1p(-np.minimum(p, 1.0 - _TINY))))


def kept_in_reading(p: Floats, load: Floats, power: float, relief: float) -> Floats:
    """Share of answers that survive the fuser's reading: exp(-(1 - relief A) load^power).

    `load` is tokens of samples beyond the first over the model's window; nothing is lost at one
    sample. The discussion has the fuser's error small up to a length and rising after it, by
    distraction or truncation. A = 1 - 2 p (1 - p) is the chance that two samples agree.
    """
    agreement = 1.0 - 2.0 * p * (1.0 - p)
    return np.asarray(np.exp(-(1.0 - relief * agreement) * load**power))


def stage_success(
    stage: StageParameters,
    generated_tokens: int,
    samples: ArrayLike,
    difficulty: ArrayLike,
    quality: ArrayLike,
) -> Floats:
    """f of every model, sample count, example and input quality.

    `samples` (s,), `difficulty` (e,), `quality` (q,); returns (models, s, e, q). Rises with quality
    and ability, falls with difficulty, and is log-concave in samples.
    """
    d = np.asarray(difficulty, dtype=np.float64)[None, :, None]
    q = np.asarray(quality, dtype=np.float64)[None, None, :]
    s = np.asarray(samples, dtype=np.float64)
    logit = (
        stage.ability[:, None, None]
        - stage.difficulty * d
        - stage.reliance[:, None, None] * (1.0 - q)
    )
    p = expit(logit)[:, None]
    n = effective_samples(stage.diversity[:, None], stage.redundancy[:, None], s[None, :])
    load = generated_tokens * (s[None, :] - 1.0) / stage.window[:, None]
    kept = kept_in_reading(p, load[:, :, None, None], stage.power, stage.relief)
    return aggregated(p, n[:, :, None, None]) * kept


def logit_of(f: Floats) -> Floats:
    """log(f / (1 - f)), finite at 0 and 1."""
    f = np.clip(f, _TINY, 1.0 - _TINY)
    return np.asarray(np.log(f) - np.log1p(-f))


def level_probabilities(stage: StageParameters, f: Floats) -> Floats:
    """P(level = 0), ..., P(level = levels) of the graded outcome, in a new last axis.

    The graded response model of Samejima (1969, Psychometrika monograph 17): all levels share one
    log-odds and differ by an offset.
    """
    at_least = expit(logit_of(f)[..., None] + stage.offsets)
    ones, zeros = np.ones((*f.shape, 1)), np.zeros((*f.shape, 1))
    return np.asarray(-np.diff(np.concatenate([ones, at_least, zeros], axis=-1), axis=-1))


def expected_quality(stage: StageParameters, f: Floats) -> Floats:
    """Expected level over the number of levels, from 0 to 1; shape of f."""
    logit = logit_of(f)
    total = np.zeros_like(logit)
    for offset in stage.offsets:
        total += expit(logit + offset)
    return total / stage.levels


def qualities(stage: StageParameters | None) -> Floats:
    """Quality of each level that a stage may hand over; a perfect input before the first stage."""
    if stage is None:
        return np.ones(1)
    return np.arange(stage.levels + 1) / stage.levels


def population(n_stages: int, correlation: float, size: int = 512) -> Floats:
    """A fixed population of difficulties that stands for all examples: shape (stages, size).

    Equicorrelated standard normals at the points of a Sobol sequence (Sobol 1967), moved off its
    origin by half a cell. Averages over it are smooth in every parameter.
    """
    from scipy.stats import qmc

    exponent = int(np.log2(size))
    if 2**exponent != size:
        raise ValueError(f"size must be a power of two, not {size}")
    points = qmc.Sobol(n_stages, scramble=False).random_base2(exponent) + 0.5 / size
    return correlate(np.asarray(ndtri(points.T)), correlation)


def correlate(normals: Floats, correlation: float) -> Floats:
    """Independent standard normals (stages, e) to equicorrelated ones of the same shape."""
    k = len(normals)
    matrix = np.full((k, k), correlation)
    np.fill_diagonal(matrix, 1.0)
    return np.asarray(np.linalg.cholesky(matrix) @ normals)


def expected_by_stage(
    landscape: Landscape, samples: Sequence[ArrayLike] | None = None, *, size: int = 512
) -> list[Floats]:
    """Expected outcome, from 0 to 1, of every stage.

    Entry i has one axis for each stage up to i, over options (model * samples, as in
    `simulator.space`). `samples` replaces the task's grids.
    """
    grids = [np.asarray(s) for s in samples or [stage.samples for stage in landscape.task.stages]]
    everyone = population(len(landscape.stages), landscape.correlation, size)
    chunk = size if len(landscape.stages) < 4 else 32
    parts = [
        _expected_of(landscape, grids, everyone[:, at : at + chunk]) for at in range(0, size, chunk)
    ]
    return [np.asarray(sum(stage) / len(parts)) for stage in zip(*parts, strict=True)]


def _expected_of(landscape: Landscape, grids: list[NDArray[np.int64]], d: Floats) -> list[Floats]:
    size = d.shape[1]
    before: Floats | None = None
    handed: StageParameters | None = None
    shape: tuple[int, ...] = ()
    out: list[Floats] = []
    for i, (stage, spec) in enumerate(zip(landscape.stages, landscape.task.stages, strict=True)):
        f = stage_success(stage, spec.generated_tokens, grids[i], d[i], qualities(handed))
        options = f.shape[0] * f.shape[1]
        f = f.reshape(options, size, -1)
        value = expected_quality(stage, f)
        shape = (*shape, options)
        if before is None:
            out.append(value.mean(axis=(1, 2)))
        else:
            joined = before.reshape(-1, before.shape[-2] * before.shape[-1])
            out.append((joined @ value.reshape(options, -1).T / size).reshape(shape))
        if i + 1 < len(landscape.stages):
            handed = stage
            levels = level_probabilities(stage, f)
            if before is None:
                before = levels[:, :, 0]
            else:
                # A product of matrices for each example: (e, cells, q) @ (e, q, options * k).
                ready = levels.transpose(1, 2, 0, 3).reshape(size, levels.shape[2], -1)
                flat = before.transpose(1, 0, 2) @ ready
                split = flat.reshape(size, -1, options, levels.shape[3])
                before = split.transpose(1, 2, 0, 3).reshape(-1, size, levels.shape[3])
    return out


def expected_scores(
    landscape: Landscape, samples: Sequence[ArrayLike] | None = None, *, size: int = 512
) -> Floats:
    """Expected score of every cell in the order of `Space`, flat; see `expected_by_stage`."""
    metric = landscape.searched
    last = expected_by_stage(landscape, samples, size=size)[-1].ravel()
    return np.asarray(metric.low + (metric.high - metric.low) * last)


def expected_at(
    landscape: Landscape, rows: Sequence[Sequence[tuple[int, int]]], *, size: int = 512
) -> Floats:
    """Expected score of single configurations, each a (model index, samples) pair a stage.

    Samples may be any whole number from 1.
    """
    metric = landscape.searched
    d = population(len(landscape.stages), landscape.correlation, size)
    array = np.asarray(rows, dtype=np.int64)
    before: Floats | None = None
    handed: StageParameters | None = None
    value = np.zeros(len(array))
    for i, (stage, spec) in enumerate(zip(landscape.stages, landscape.task.stages, strict=True)):
        chosen, where = np.unique(array[:, i], axis=0, return_inverse=True)
        f = np.stack(
            [
                stage_success(_one(stage, m), spec.generated_tokens, [s], d[i], qualities(handed))[
                    0, 0
                ]
                for m, s in chosen
            ]
        )[where.ravel()]
        if before is None:
            before = np.ones((len(array), size, 1))
        if i + 1 == len(landscape.stages):
            value = (before * expected_quality(stage, f)).sum(axis=2).mean(axis=1)
        else:
            before = np.einsum("neq,neqk->nek", before, level_probabilities(stage, f))
        handed = stage
    return np.asarray(metric.low + (metric.high - metric.low) * value)


def _one(stage: StageParameters, model: int) -> StageParameters:
    from dataclasses import replace

    pick = slice(model, model + 1)
    return replace(
        stage,
        ability=stage.ability[pick],
        reliance=stage.reliance[pick],
        diversity=stage.diversity[pick],
        redundancy=stage.redundancy[pick],
        window=stage.window[pick],
    )
