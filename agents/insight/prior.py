"""What the insight planner believes of any pipeline before its first trial.

The score of a configuration is a constant plus a sum over stages plus a little interaction:

    f(c) = constant + s * (mean(c) + g(c)),     g ~ Gaussian process

- Each stage's mean depends on x = log(samples) / log(100), on z = log10(P / P of the stage's
  largest model) and on l = log(1 + tokens / 60,000), where tokens are those of all samples but the
  first, which is what a fuser has to read besides: size * z + linear * x + square * x^2 +
  cube * x^3 + both * z * x + load * l + load_size * l * z. Fitted, it rises, saturates and falls
  (insight 2), the larger model first (insight 1), and sooner where samples are long.
- Each stage's covariance is  model * [same model] + slope * z z' + curve * k(x) +
  own_curve * [same model] * k(x) + reading * l l' + option * [same option]: stages prefer different
  models, every model has a curve of its own, and an option keeps its luck, good or bad, whatever
  the other stages do: where they matter little, the same examples come out right. k is the Matern
  kernel of smoothness 5/2 over log(samples).
- `pair` weighs products of two stages' covariances: what a stage needs depends on what it is
  handed (insight 3).
- `local` weighs the product of all stages' k over `local_length`, times `local_other` for each
  stage whose models differ: what no sum over stages explains. Short, it is the wiggles that
  neighbours on the grid share because they were scored on the same examples.
- s, the scale of differences, is log-normal around `scale`. How much a stage matters, a factor of
  its mean and of its covariance's square root, is log-normal around 1 with the deviation
  `stage_spread`.

The numbers of the hypothesis `insights` maximise the marginal likelihood of trials drawn from
generated landscapes (`tools/fit_insight_prior.py`), none of which is a table that ships. The
other hypotheses each give up one insight; the archive decides between them (`belief.py`).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from agents.card import TaskCard

CONSTANT_SD = 3.0
"""Standard deviation of the constant, in units of s."""

SCALE_SD = 0.8
"""Standard deviation of log s."""

CONSTANT_MEAN = 0.6
"""Mean of the constant; scores are brought to [0, 1] first."""

LOAD_TOKENS = 60_000
"""Tokens of samples that count as one unit of reading; a scale, which the fit makes up for."""


@dataclass(frozen=True)
class Hypothesis:
    """One set of numbers; fields as at the top of this module.

    `weight` is the hypothesis' probability before any trial, `gives_up` what it denies, in words.
    Lengths are in units of log(samples).
    """

    name: str
    weight: float
    gives_up: str
    model: float
    slope: float
    curve: float
    own_curve: float
    option: float
    reading: float
    pair: float
    local: float
    noise: float
    curve_length: float
    own_length: float
    local_length: float
    local_other: float
    scale: float
    stage_spread: float
    mean_size: float
    mean_linear: float
    mean_square: float
    mean_cube: float
    mean_both: float
    mean_load: float
    mean_load_size: float


@cache
def hypotheses() -> tuple[Hypothesis, ...]:
    """The shipped hypotheses, the one in which all insights hold first."""
    text = files("agents.insight").joinpath("prior.toml").read_text(encoding="utf-8")
    return tuple(Hypothesis(**entry) for entry in tomllib.loads(text)["hypotheses"])


@dataclass(frozen=True)
class StageFeatures:
    """One stage's options: model index (int64), log(samples), z, l; each of shape (options,)."""

    model: NDArray[np.int64]
    log_samples: NDArray[np.float64]
    z: NDArray[np.float64]
    load: NDArray[np.float64]

    @classmethod
    def of(cls, card: TaskCard) -> tuple[StageFeatures, ...]:
        """Features of every stage of a card, options numbered as in `simulator.space`."""
        out = []
        for stage, grid in zip(card.stages, card.space.grids, strict=True):
            model = np.repeat(np.arange(len(stage.models)), len(grid))
            samples = np.tile(grid.astype(float), len(stage.models))
            load = np.log1p((samples - 1.0) * stage.generated_tokens / LOAD_TOKENS)
            sizes = np.array([m.parameters for m in stage.models])
            z = np.log10(sizes / sizes.max())[model]
            out.append(cls(model, np.log(samples), z, load))
        return tuple(out)


def matern(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matern covariance, smoothness 5/2, of distances in lengths (Rasmussen, Williams, 4.17)."""
    d = np.sqrt(5.0) * np.abs(distance)
    return np.asarray((1.0 + d + d * d / 3.0) * np.exp(-d))


def stage_mean(h: Hypothesis, stage: StageFeatures) -> NDArray[np.float64]:
    """Mean of one stage's options in units of s, shape (options,)."""
    x, z = stage.log_samples / np.log(100.0), stage.z
    curve = h.mean_linear * x + h.mean_square * x**2 + h.mean_cube * x**3
    load = h.mean_load * stage.load + h.mean_load_size * stage.load * z
    return np.asarray(h.mean_size * z + curve + h.mean_both * z * x + load)


def stage_covariances(
    h: Hypothesis, stage: StageFeatures
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Covariance of one stage's options, shape (options, options): its own part, the local part."""
    same = (stage.model[:, None] == stage.model[None, :]).astype(float)
    away = stage.log_samples[:, None] - stage.log_samples[None, :]
    own = (
        h.model * same
        + h.slope * stage.z[:, None] * stage.z[None, :]
        + h.curve * matern(away / h.curve_length)
        + h.own_curve * same * matern(away / h.own_length)
        + h.option * np.eye(len(same))
        + h.reading * stage.load[:, None] * stage.load[None, :]
    )
    alike = same + h.local_other * (1.0 - same)
    return own, alike * matern(away / h.local_length)


def join_stages(
    h: Hypothesis, own: list[NDArray[np.float64]], local: list[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Covariance of configurations from those of their stages, all of one shape."""
    total, squares = own[0].copy(), own[0] ** 2
    for part in own[1:]:
        total += part
        squares += part**2
    wiggles = local[0].copy()
    for part in local[1:]:
        wiggles *= part
    return CONSTANT_SD**2 + total + h.pair * (total**2 - squares) / 2.0 + h.local * wiggles
