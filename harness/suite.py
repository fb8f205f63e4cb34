"""A suite: what a bench runs, as a TOML file or as keywords.

    trials = 50
    seeds = 20
    tables = ["2wiki-temperature", "path/to/a/table"]

    [[agents]]
    name = "random"

    [[agents]]
    name = "tpe"
    label = "tpe, 20 startup trials"
    settings = { n_startup_trials = 20 }

Left out, `agents` are all that need no language model, `tables` all that ship, and `budgets` each
table's own; a budget like "0.5x" is that multiple of each table's own.

`vary_examples = [10, 20]` and `vary_noise = ["bootstrap"]` run every search again on so few
training examples, and with that noise, where a table holds outcomes for each example.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    field_validator,
    model_validator,
)  # fmt: skip

from simulator.cost import COST_MODELS
from simulator.errors import UnknownName, UsageError
from simulator.simulator import Duplicates, Match, Noise

SUITES = Path(__file__).parent / "suites"
DEFAULT_SUITE = SUITES / "default.toml"

Scalar = bool | int | float | str
MOST_SEEDS = 100_000
"""A count of seeds becomes a list of them; a slip of the pen must not fill the memory."""

MOST_TRIALS = 1_000_000
"""No table is so large that more would tell anything, and curves hold a number a trial."""

Seed = Annotated[int, Field(ge=0)]

_MULTIPLE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?x")


def _budget(value: Any) -> float | str:
    if isinstance(value, str) and _MULTIPLE.fullmatch(value):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(
            f"{value!r} is no budget: give a number, or a multiple of a table's own budget like "
            "'0.5x'"
        )
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{number} is not a finite number")
    return number


Budget = Annotated[float | str, PlainValidator(_budget)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class AgentEntry(_Strict):
    """An agent of a suite: a registered name or `module:Class`, its settings, and what to call it.

    `label` (default: the name, with its `tuning` where that is set) is what results show; the same
    agent with two settings needs two.
    """

    name: str = Field(min_length=1)
    label: str = Field(default="", max_length=80)
    settings: Mapping[str, Scalar | list[Scalar] | None] = Field(default_factory=dict)

    @property
    def shown(self) -> str:
        """The name in results."""
        tuning = self.settings.get("tuning")
        return self.label or (f"{self.name} ({tuning})" if tuning else self.name)


class Suite(_Strict):
    """Everything that decides a bench's results; `agents` or `tables` empty means all."""

    agents: tuple[AgentEntry, ...] = ()
    tables: tuple[str, ...] = ()
    budgets: tuple[Budget, ...] = ()
    cost: str = "units"
    seeds: tuple[Seed, ...] = Field(default=tuple(range(20)), min_length=1)
    trials: int = Field(default=50, ge=1, le=MOST_TRIALS)
    workers: int = Field(default=1, ge=1)
    match: str = "nearest"
    noise: str = "mean"
    duplicates: str = "charge"
    vary_examples: tuple[Annotated[int, Field(ge=1)], ...] = ()
    vary_noise: tuple[str, ...] = ()

    @field_validator("agents", mode="before")
    @classmethod
    def _names_are_entries(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [{"name": item} if isinstance(item, str) else item for item in value]
        return value

    @field_validator("seeds", mode="before")
    @classmethod
    def _count_is_seeds(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            if value < 1:
                raise ValueError(f"there must be at least 1 seed, not {value}")
            if value > MOST_SEEDS:
                raise ValueError(f"there may be at most {MOST_SEEDS:,} seeds, not {value:,}")
            return tuple(range(value))
        return value

    @field_validator("seeds", "tables", "budgets", "vary_examples", "vary_noise")
    @classmethod
    def _distinct(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        seen: set[Any] = set()
        for item in value:
            if item in seen:
                raise ValueError(f"{item!r} is given twice")
            seen.add(item)
        return value

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        shown = [agent.shown for agent in self.agents]
        for i, label in enumerate(shown):
            if label in shown[:i]:
                raise ValueError(f"two agents are called {label!r}: give one a label")
        return self

    def checked(self) -> Self:
        """Names of rules, with the nearest known ones where one is unknown (`UnknownName`)."""
        for what, value, known in (
            ("cost model", self.cost, tuple(COST_MODELS)),
            ("match", self.match, get_args(Match)),
            ("noise", self.noise, get_args(Noise)),
            ("duplicates", self.duplicates, get_args(Duplicates)),
            *(("noise", noise, get_args(Noise)) for noise in self.vary_noise),
        ):
            if value not in known:
                raise UnknownName(what, value, known)
        return self


def make_suite(data: Mapping[str, Any], source: str = "the suite") -> Suite:
    """Validate plain data; raises `UsageError` of one line that says where and what is wrong."""
    for key in data:
        if key not in Suite.model_fields:
            raise UnknownName(f"setting of a suite (in {source})", key, Suite.model_fields)
    try:
        return Suite.model_validate(dict(data)).checked()
    except ValidationError as error:
        first = error.errors()[0]
        where = [str(part) for part in first["loc"]]
        if first["type"] == "extra_forbidden":
            what = f"setting of an agent (in {source})"
            raise UnknownName(what, where[-1], AgentEntry.model_fields) from None
        raise UsageError(
            ": ".join([source, *([".".join(where)] if where else []), _said(first)])
        ) from None


def _said(error: Mapping[str, Any]) -> str:
    """What pydantic found wrong, in a reader's words."""
    given = error["input"]
    shown = f", not {given!r}" if isinstance(given, bool | int | float | str) else ""
    if error["type"] == "tuple_type":
        count = "a count or " if error["loc"] == ("seeds",) else ""
        return f"must be {count}a list{shown[:200]}"
    if error["type"] == "too_short":
        return "must not be empty"
    message: str = error["msg"]
    if message.startswith("Value error, "):
        return message.removeprefix("Value error, ")
    return f"{message.replace('Input should', 'it should')}{shown[:200]}"


def load_suite(path: Path | None, **overrides: Any) -> Suite:
    """Read a suite: a file, or one that ships by its name (by default `default`); overrides that
    are None are left out."""
    source = DEFAULT_SUITE if path is None else path
    shipped = SUITES / f"{source}.toml"
    if source.name == str(source) and not source.exists() and shipped.is_file():
        source = shipped
    try:
        data = tomllib.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError:
        names = ", ".join(sorted(file.stem for file in SUITES.glob("*.toml")))
        raise UsageError(
            f"{source}: no such suite; name a TOML file, or one that ships: {names}"
        ) from None
    except IsADirectoryError:
        raise UsageError(f"{source} is a folder; a suite is a TOML file") from None
    except UnicodeDecodeError:
        raise UsageError(f"{source} is no TOML file: it is not UTF-8 text") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{source}: {error}") from None
    given = {key: value for key, value in overrides.items() if value is not None}
    if not given:
        return make_suite(data, str(source))
    make_suite(data, str(source))
    return make_suite({**data, **given}, "the suite")


def parse_settings(texts: Iterable[str]) -> dict[str, Any]:
    """`NAME=VALUE` words to settings; a value is TOML where it can be, text where not."""
    settings: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"setting {text!r} is not NAME=VALUE")
        try:
            settings[name.strip()] = tomllib.loads(f"x = {value}")["x"]
        except (ValueError, RecursionError):
            settings[name.strip()] = value
    return settings


def suite_text(suite: Mapping[str, Any]) -> str:
    """A suite's plain data as the TOML file that says the same; None and the defaults left out."""
    plain = {name: field.get_default() for name, field in Suite.model_fields.items()}
    lines = [
        f"{name} = {_toml(value)}"
        for name, value in suite.items()
        if name in plain and name not in ("agents", "seeds") and not _same(value, plain[name])
    ]
    seeds = list(suite.get("seeds", ()))
    count = seeds == list(range(len(seeds)))
    lines.insert(0, f"seeds = {len(seeds) if count else _toml(seeds)}")
    for agent in suite.get("agents", ()):
        lines += ["", "[[agents]]", f"name = {_toml(agent['name'])}"]
        if agent.get("label"):
            lines.append(f"label = {_toml(agent['label'])}")
        if agent.get("settings"):
            lines.append(f"settings = {_toml(agent['settings'])}")
    return "\n".join(lines) + "\n"


def _same(value: Any, default: Any) -> bool:
    return bool(value == (list(default) if isinstance(default, tuple) else default))


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        held = ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items() if v is not None)
        return f"{{ {held} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(item) for item in value if item is not None)}]"
    # JSON's texts, numbers and truths are TOML's, but for the delete character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
