"""Task, stage and model: what a pipeline is made of, as read from `task.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from simulator.errors import TableError

Kind = Literal["measured", "published", "modelled"]
KINDS: tuple[Kind, ...] = ("measured", "published", "modelled")

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\s,=\p{C}][^,=\p{C}]*$")]
"""Names stand in `stage=MODEL:SAMPLES,...`, so they hold no comma, no equals sign and nothing that
is not printed."""

Identifier = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][\w.-]*$")]
"""Names of tasks, stages and metrics: they name columns and folders."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class Model(_Frozen):
    """One candidate of a stage: a language model with its sampling settings.

    `parameters` is the parameter count P of the cost formula. Prices are dollars per million
    tokens, used by the `dollars` cost model alone. A model at two temperatures is two models.
    """

    name: Name
    parameters: float = Field(gt=0, allow_inf_nan=False)
    temperature: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    dollars_per_million_prompt: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    dollars_per_million_generated: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class Stage(_Frozen):
    """One step of the pipeline: its candidate models and its grid of sample counts.

    `prompt_tokens` and `generated_tokens` are nominal counts per call; `samples` ascends.
    """

    name: Identifier
    description: str = ""
    models: tuple[Model, ...] = Field(min_length=1)
    prompt_tokens: int = Field(gt=0)
    generated_tokens: int = Field(gt=0)
    samples: tuple[Annotated[int, Field(gt=0, le=1_000_000)], ...] = Field(min_length=1)

    @field_validator("samples")
    @classmethod
    def _ascending(cls, samples: tuple[int, ...]) -> tuple[int, ...]:
        if any(a >= b for a, b in pairwise(samples)):
            raise ValueError("sample counts must ascend without repeats")
        return samples

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [model.name for model in self.models]
        if len(set(names)) != len(names):
            raise ValueError(f"stage {self.name!r} names a model twice")
        return self

    @property
    def max_parameters(self) -> float:
        """Parameter count of the stage's largest candidate."""
        return max(model.parameters for model in self.models)


class Range(_Frozen):
    """The values that a metric may take, where that is not 0 to 1: `[[ranges]]` in `task.toml`."""

    metric: Identifier
    low: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"the range of {self.metric!r} must ascend")
        return self


class Task(_Frozen):
    """A pipeline of stages with the metric it is searched for (higher is better).

    `paper_distance` is the largest distance that `match="paper"` accepts: 5, or 20 where the
    task says so (the contract's matching rule). Metrics lie in 0 to 1 where `ranges` names none.
    """

    name: Identifier
    title: str = ""
    description: str = ""
    kind: Kind
    metric: Identifier
    metrics: tuple[Identifier, ...] = Field(min_length=1)
    default_budget: float = Field(gt=0, allow_inf_nan=False)
    paper_distance: Literal[5, 20] = 5
    ranges: tuple[Range, ...] = ()
    stages: tuple[Stage, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [stage.name for stage in self.stages]
        if len(set(names)) != len(names):
            raise ValueError("two stages have the same name")
        if len(set(self.metrics)) != len(self.metrics):
            raise ValueError("metrics names a metric twice")
        if self.metric not in self.metrics:
            raise ValueError(f"metric {self.metric!r} is not among metrics {list(self.metrics)}")
        taken = {"split", "seconds", "examples", "example"}
        taken |= {f"{name}_{what}" for name in names for what in ("model", "samples")}
        clash = taken & set(self.metrics)
        if clash:
            raise ValueError(f"metric {min(clash)!r} is a column's name already")
        unknown = {r.metric for r in self.ranges} - set(self.metrics)
        if unknown:
            raise ValueError(f"ranges names {min(unknown)!r}, which is not among the metrics")
        return self

    def range_of(self, metric: str) -> tuple[float, float]:
        """Lowest and highest value of a metric: (0, 1) unless `ranges` says otherwise."""
        for given in self.ranges:
            if given.metric == metric:
                return given.low, given.high
        return 0.0, 1.0

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any], source: str = "task") -> Task:
        """Validate plain data; one clear line (`TableError`) says what is wrong and where."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "task"
            message = first["msg"].removeprefix("Value error, ")
            raise TableError(f"{source}: {where}: {message}") from None

    @classmethod
    def from_toml(cls, path: str | Path) -> Task:
        """Read `task.toml`; raises `TableError` naming the file and the field."""
        path = Path(path)
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise TableError(f"{path}: no such file") from None
        except (OSError, ValueError, RecursionError) as error:
            raise TableError(f"{path}: {error}") from None
        return cls.from_mapping(data, source=str(path))
