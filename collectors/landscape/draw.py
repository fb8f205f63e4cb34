"""Drawing a table from a landscape: examples, their luck, and the outcome of every configuration.

Examples of a split share nothing but the population. One example has one set of latent difficulties
and one set of luck, used for every configuration: a stage's outcome is the number of levels k with
luck < log-odds of P(outcome >= k). So configurations are compared on common random numbers, the
noise of a score is the noise of its examples, a better input never makes an example worse, and
along the samples an example seldom changes its outcome, as with prefixes of one list of samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from collectors.landscape.model import (
    Floats,
    Landscape,
    Noise,
    correlate,
    logit_of,
    qualities,
    stage_success,
)

Levels = NDArray[np.uint8]


@dataclass(frozen=True)
class Drawn:
    """The stages of one split, drawn.

    `levels[i]` is uint8 (options, examples, levels handed over + 1): the outcome's level of stage i
    for each option (model * samples) and each level that it could be handed.
    """

    landscape: Landscape
    levels: tuple[Levels, ...]

    @property
    def examples(self) -> int:
        return int(self.levels[0].shape[1])


def draw(landscape: Landscape, examples: int, seed: Sequence[int]) -> Drawn:
    """Draw `examples` examples with every option's outcome; the seed alone decides."""
    rng = np.random.default_rng(seed)
    k = len(landscape.stages)
    d = correlate(rng.standard_normal((k, examples)), landscape.correlation)
    out = []
    handed = None
    for i, (stage, spec) in enumerate(zip(landscape.stages, landscape.task.stages, strict=True)):
        f = stage_success(stage, spec.generated_tokens, spec.samples, d[i], qualities(handed))
        luck = _luck(rng, landscape.noise, len(spec.models), np.array(spec.samples), examples)
        margin = logit_of(f) - luck[..., None]
        levels = np.zeros(margin.shape, dtype=np.uint8)
        for offset in stage.offsets:
            levels += margin + offset > 0
        out.append(levels.reshape(len(luck) * luck.shape[1], examples, -1))
        handed = stage
    return Drawn(landscape, tuple(out))


def _luck(
    rng: np.random.Generator, noise: Noise, models: int, samples: NDArray[np.int64], examples: int
) -> Floats:
    """Log-odds of uniform luck, shape (models, samples, examples); low is lucky.

    A standard normal is a sum of the four shares of `Noise`; the drift is an Ornstein-Uhlenbeck
    process over log(samples).
    """
    common = rng.standard_normal(examples)
    own = rng.standard_normal((models, 1, examples))
    steps = rng.standard_normal((models, len(samples), examples))
    rerun = rng.standard_normal((models, len(samples), examples))
    keep = np.exp(-np.diff(np.log(samples)) / noise.length)
    drift = steps
    for j, share in enumerate(keep, start=1):
        drift[:, j] = share * drift[:, j - 1] + np.sqrt(1.0 - share**2) * steps[:, j]
    z = (
        np.sqrt(noise.example) * common
        + np.sqrt(noise.model) * own
        + np.sqrt(noise.drift) * drift
        + np.sqrt(noise.rerun) * rerun
    )
    return np.asarray(log_ndtr(z) - log_ndtr(-z))


def outcome_levels(drawn: Drawn) -> list[Levels]:
    """Levels of every stage, entry i of shape (cells of the stages up to i, examples)."""
    out = [drawn.levels[0][:, :, 0]]
    for levels in drawn.levels[1:]:
        out.append(_follow(out[-1], levels))
    return out


def _follow(before: Levels, levels: Levels) -> Levels:
    """The next stage's outcome in every cell: before (cells, e), levels (options, e, q)."""
    options, examples, q = levels.shape
    at = before.astype(np.int32) + q * np.arange(examples, dtype=np.int32)
    out = np.empty((len(before), options, examples), dtype=np.uint8)
    flat = levels.reshape(options, examples * q)
    for option in range(options):
        out[:, option] = flat[option].take(at)
    return out.reshape(-1, examples)


def mean_levels(drawn: Drawn) -> list[Floats]:
    """Mean level over the examples, entry i of shape (cells of the stages up to i,).

    Equal to the means of `outcome_levels`, quicker: sums of small whole numbers as one matrix
    product, exact in single precision.
    """
    before = drawn.levels[0][:, :, 0]
    means = [before.mean(axis=1)]
    for i, levels in enumerate(drawn.levels[1:], start=1):
        options, examples, q = levels.shape
        table = levels.reshape(options, examples * q).T.astype(np.float32)
        sums = np.empty((len(before), options), dtype=np.float32)
        for at in range(0, len(before), 4096):
            part = before[at : at + 4096]
            handed = (part[:, :, None] == np.arange(q, dtype=np.uint8)).astype(np.float32)
            sums[at : at + 4096] = handed.reshape(len(part), -1) @ table
        means.append(sums.astype(np.float64).ravel() / examples)
        if i + 1 < len(drawn.levels):
            before = _follow(before, levels)
    return means
