"""A sweep: one TOML file, its task with examples, and its identity.

Whatever changes a sample or its score is part of the identity, and a changed identity is another
sweep, in another folder; how fast it runs (chunks, workers, the server's address) is not.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from collectors.data import DataSource
from collectors.errors import SweepError
from collectors.pipeline import Context, Fuser, ModelFuser, StageSpec, TaskSpec
from simulator.errors import UnknownName
from simulator.task import Identifier, Name

SEEDS = 2**31
"""Seeds that every engine accepts lie under this."""

SWEEPS = Path(__file__).parent / "sweeps"
"""Sweep files that ship; `paper/2wiki` names one of them."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class ModelEntry(_Part):
    """One candidate model: what to load, and how it is asked.

    Two entries of one `source` share one loaded engine; they differ in `temperature` or `mode`.
    `tensor_parallel` is how many accelerators one engine spans. Prices go into the table's task.
    """

    name: Name
    source: str = Field(min_length=1)
    revision: str | None = None
    parameters: float = Field(gt=0, allow_inf_nan=False)
    tensor_parallel: int = Field(default=1, ge=1)
    mode: Literal["chat", "complete"] = "chat"
    temperature: float | None = Field(default=None, ge=0, le=5)
    max_model_len: int | None = Field(default=None, ge=16)
    engine: dict[str, Any] = {}
    dollars_per_million_prompt: float | None = Field(default=None, ge=0)
    dollars_per_million_generated: float | None = Field(default=None, ge=0)

    @property
    def weights(self) -> tuple[str, str | None]:
        """What two entries must share to be one loaded engine."""
        return self.source, self.revision


class StageEntry(_Part):
    """One stage's grid and sampling settings; `None` takes the task's default."""

    name: Identifier
    models: tuple[Name, ...] = Field(min_length=1)
    samples: tuple[Annotated[int, Field(ge=1, le=100_000)], ...] = Field(min_length=1)
    fuser: str | None = None
    temperature: float | None = Field(default=None, ge=0, le=5)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
    prompt_tokens: int | None = Field(default=None, ge=1)
    generated_tokens: int | None = Field(default=None, ge=1)

    @field_validator("samples")
    @classmethod
    def _ascending(cls, samples: tuple[int, ...]) -> tuple[int, ...]:
        if any(a >= b for a, b in itertools.pairwise(samples)):
            raise ValueError("sample counts must ascend without repeats")
        return samples


class EngineEntry(BaseModel):
    """The engine's kind and its own settings, which the engine checks when it is made."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str

    @property
    def settings(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class PlanEntry(_Part):
    """What a plan assumes and how a run is cut; none of it changes a sample.

    `distinct_share` is the assumed share of (model, samples) options of a stage whose fused results
    differ within one example, until samples are there to count; `hardware` names the accelerator
    that GPU-hours are estimated for. `chunk_samples` is how many samples one chunk, the unit of
    storing, holds at most.
    """

    chunk_samples: int = Field(default=2048, ge=1)
    subsets: int = Field(default=0, ge=0, le=1000)
    distinct_share: float = Field(default=0.25, gt=0, le=1)
    hardware: str = "H100"
    attempts: int = Field(default=3, ge=1, le=20)


class TableEntry(_Part):
    """What the finished table says of itself."""

    name: Identifier | None = None
    title: str = ""
    metric: Identifier | None = None
    default_budget: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    licence: str = ""


class SweepFile(_Part):
    """The whole TOML file."""

    task: str
    seed: int = Field(default=0, ge=0, lt=SEEDS)
    data: DataSource = DataSource()
    options: dict[str, Any] = {}
    engine: EngineEntry
    models: tuple[ModelEntry, ...] = Field(min_length=1)
    stages: tuple[StageEntry, ...] = Field(min_length=1)
    plan: PlanEntry = PlanEntry()
    table: TableEntry = TableEntry()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [model.name for model in self.models]
        if len(set(names)) != len(names):
            raise ValueError("models: two models have the same name")
        for stage in self.stages:
            for name in stage.models:
                if name not in names:
                    raise ValueError(
                        f"stage {stage.name!r} names the model {name!r}, but [[models]] has "
                        + ", ".join(names)
                    )
            if len(set(stage.models)) != len(stage.models):
                raise ValueError(f"stage {stage.name!r} names a model twice")
        return self

    @classmethod
    def read(cls, path: str | Path, changes: Sequence[str] = ()) -> SweepFile:
        """Read a sweep file; one line (`SweepError`) says what is wrong and where.

        `path` may be the name of a file in `SWEEPS` without its ending. A relative `data.path` is
        taken from the file's folder. `changes` are texts `key=value`, the
        key dotted (`engine.weights=weights`), the value as in TOML or plain text; paths among them
        are taken from the current folder.
        """
        path = Path(path)
        shipped = {str(file.relative_to(SWEEPS))[:-5]: file for file in SWEEPS.rglob("*.toml")}
        if not path.exists():
            path = shipped.get(str(path), path)
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            names = ", ".join(sorted(shipped))
            raise SweepError(f"{path}: no such file, nor one that ships: {names}") from None
        except IsADirectoryError:
            raise SweepError(f"{path} is a folder; a sweep is a TOML file") from None
        except UnicodeDecodeError:
            raise SweepError(f"{path} is no TOML file: it is not UTF-8 text") from None
        except (OSError, ValueError, RecursionError) as error:
            raise SweepError(f"{path}: {error}") from None
        given = data.get("data")
        if isinstance(given, dict) and isinstance(given.get("path"), str):
            data["data"] = {**given, "path": str((path.parent / given["path"]).resolve())}
        for change in changes:
            _apply(data, change)
        return cls.from_mapping(data, str(path))

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any], source: str = "sweep") -> SweepFile:
        """Validate plain data."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "sweep"
            message = first["msg"].removeprefix("Value error, ")
            raise SweepError(f"{source}: {where}: {message}") from None


def _apply(data: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    *parts, last = key.strip().split(".")
    if not equals or not last:
        raise SweepError(f"{change!r} is not key=value, such as data.path=questions.json")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        value = text
    part: Any = data
    for name in parts:
        part = part.setdefault(name, {})
        if not isinstance(part, dict):
            raise SweepError(f"{change!r}: {name!r} is not a table of the sweep file")
    part[last] = value


@dataclass(frozen=True)
class Sampling:
    """Sampling settings of one request."""

    temperature: float
    top_p: float
    top_k: int | None
    max_tokens: int


@dataclass(frozen=True)
class SweepStage:
    """A stage of the task with its grid, models and settings resolved."""

    spec: StageSpec
    entry: StageEntry
    models: tuple[ModelEntry, ...]

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def grid(self) -> tuple[int, ...]:
        return self.entry.samples

    @property
    def largest(self) -> int:
        return self.entry.samples[-1]

    @cached_property
    def fuser(self) -> Fuser | ModelFuser:
        return self.spec.fuser(self.entry.fuser)

    def sampling(self, model: ModelEntry) -> Sampling:
        """The settings with which a model is sampled here; the model's own temperature wins."""
        chosen = next(
            t
            for t in (model.temperature, self.entry.temperature, self.spec.temperature)
            if t is not None
        )
        limit = self.entry.max_tokens or self.spec.max_tokens
        return Sampling(chosen, self.entry.top_p, self.entry.top_k, limit)


@dataclass(frozen=True)
class Sweep:
    """A sweep file with its task loaded: everything that planner, run and merge share."""

    file: SweepFile
    task: TaskSpec
    stages: tuple[SweepStage, ...]

    @classmethod
    def of(cls, file: SweepFile, task: TaskSpec | None = None) -> Sweep:
        """Load the task's examples and match the file's stages with the task's."""
        from collectors.tasks import load_task

        task = task or load_task(file.task, file.data, file.options, file.seed)
        known = [stage.name for stage in task.stages]
        given = [stage.name for stage in file.stages]
        for name in given:
            if name not in known:
                raise UnknownName(f"stage of task {task.name!r}", name, known)
        if given != known:
            raise SweepError(f"stages of {task.name!r} are {known}, in this order, not {given}")
        metric = file.table.metric
        if metric is not None and metric not in task.metrics:
            raise UnknownName(f"metric of task {task.name!r}", metric, task.metrics)
        by_name = {model.name: model for model in file.models}
        stages = tuple(
            SweepStage(spec, entry, tuple(by_name[name] for name in entry.models))
            for spec, entry in zip(task.stages, file.stages, strict=True)
        )
        for stage in stages:
            _ = stage.fuser
        return cls(file, task, stages)

    @property
    def seed_spacing(self) -> int:
        """Seeds of two requests lie at least this far apart: an engine gives the k-th sample of a
        request the seed base + k."""
        return max(stage.largest for stage in self.stages)

    def seed(self, *parts: object) -> int:
        """The base seed of one request: a multiple of `seed_spacing` under 2**31."""
        text = json.dumps([self.file.seed, *map(str, parts)])
        draw = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        return self.seed_spacing * (draw % ((SEEDS - self.seed_spacing) // self.seed_spacing))

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Everything that can change a sample or a score, as plain data."""
        data = self.file.model_dump(mode="json", exclude={"plan", "table"})
        for volatile in ("path",):
            data["data"].pop(volatile)
        engine = data["engine"]
        for volatile in VOLATILE_ENGINE_SETTINGS:
            engine.pop(volatile, None)
        data["task_version"] = self.task.version
        # Any result may be empty, so every stage can render one.
        first = Context(self.task.examples[0])
        shown = [astuple(stage.spec.prompt(first)) for stage in self.stages]
        data["prompts"] = hashlib.sha256(json.dumps(shown).encode()).hexdigest()
        data["examples"] = hashlib.sha256(
            json.dumps(
                [[e.id, e.split, e.fields] for e in self.task.examples],
                sort_keys=True,
                default=str,
            ).encode()
        ).hexdigest()
        return data

    @cached_property
    def identity(self) -> str:
        """Hash of `settings`, in hex."""
        text = json.dumps(self.settings, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


VOLATILE_ENGINE_SETTINGS = (
    "base_url",
    "api_key_env",
    "timeout",
    "concurrency",
    "address",
    "workers",
    "delay",
    "environment",
    "weights",
)
