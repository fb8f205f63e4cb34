"""Proposals: what a model may ask for, as a JSON schema of the task, and what it did ask for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from agents.card import TaskCard
from agents.llm.scrub import one_line
from simulator import Choice, Configuration
from simulator.errors import UsageError

Problem = Literal["", "invalid", "over budget", "repeated"]


class Strict(BaseModel):
    """Base of the models whose JSON schemas are sent: every key required, no other key allowed."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


@dataclass(frozen=True)
class Proposal:
    """One configuration that a model proposes.

    `problem` is empty where it is sound. `configuration` is `None` where it is invalid; over the
    budget or repeated it can still be asked for. `detail` says what is wrong, for the model.
    """

    configuration: Configuration | None
    why: str
    problem: Problem = ""
    detail: str = ""


def configuration_schema(card: TaskCard, off_grid: bool) -> type[BaseModel]:
    """The shape of a configuration of this task: for each stage a model and a sample count."""
    fields: dict[str, Any] = {}
    for i, stage in enumerate(card.stages):
        model_names: Any = Literal[tuple(model.name for model in stage.models)]
        samples: Any = int if off_grid else Literal[tuple(stage.samples)]
        choice = create_model(
            f"Stage{i}",
            __base__=Strict,
            model=(model_names, ...),
            samples=(samples, ...),
        )
        # Stage names may hold dots and dashes, which Python's names may not.
        fields[f"stage_{i}"] = (choice, Field(alias=stage.name))
    return create_model("Configuration", __base__=Strict, **fields)


def candidate_schema(card: TaskCard, off_grid: bool) -> type[BaseModel]:
    """A configuration with the reason for it, the reason first: thought before choice."""
    return create_model(
        "Candidate",
        __base__=Strict,
        why=(str, ...),
        configuration=(configuration_schema(card, off_grid), ...),
    )


class _Choice(BaseModel):
    model: str
    samples: int


class _Candidate(BaseModel):
    configuration: dict[str, _Choice] | str
    why: str = ""


def read_candidate(
    raw: object, card: TaskCard, taken: Collection[Configuration], off_grid: bool
) -> Proposal:
    """Check one candidate of a reply: its form, names, counts, its cost, and that it is new.

    More lenient than the schema in form (a configuration may be text, `stage=MODEL:SAMPLES,...`),
    as strict in content.
    """
    why = ""
    if isinstance(raw, Mapping):
        why = one_line(str(raw.get("why", "")))
        raw = raw if "configuration" in raw else {"configuration": dict(raw)}
    try:
        candidate = _Candidate.model_validate(raw)
        given = candidate.configuration
        if isinstance(given, str):
            asked = Configuration.parse(given)
        else:
            choices = (Choice(stage, c.model, c.samples) for stage, c in given.items())
            asked = Configuration(tuple(choices))
        asked = card.space.canonical(asked)
    except ValidationError as error:
        return Proposal(None, why, "invalid", _explain(error))
    except UsageError as error:
        return Proposal(None, why, "invalid", one_line(str(error)))
    if not off_grid and (detail := _off_grid(asked, card)):
        return Proposal(None, why, "invalid", detail)
    if not card.feasible(asked):
        detail = (
            f"{asked} costs {card.cost(asked):.6g}, over the budget of {card.budget:.6g} "
            f"{card.cost_unit}"
        )
        return Proposal(asked, why, "over budget", detail)
    if asked in taken:
        return Proposal(asked, why, "repeated", f"{asked} has been asked before")
    return Proposal(asked, why)


def _off_grid(asked: Configuration, card: TaskCard) -> str:
    for stage, choice in zip(card.stages, asked.choices, strict=True):
        if choice.samples not in stage.samples:
            near = sorted(stage.samples, key=lambda s: abs(s - choice.samples))[:2]
            return (
                f"samples of stage {stage.name!r} must be one of its grid, not {choice.samples}; "
                f"nearest: {' and '.join(str(s) for s in sorted(near))}"
            )
    return ""


def _explain(error: ValidationError) -> str:
    parts = []
    for item in error.errors()[:3]:
        where = ".".join(str(p) for p in item["loc"] if p not in ("str", "dict[str,_Choice]"))
        parts.append(f"{where}: {one_line(item['msg'], 120)}" if where else item["msg"])
    return "; ".join(dict.fromkeys(parts))


def cheapest(card: TaskCard) -> Configuration:
    """The cheapest configuration of the grid: an example that every prompt can show."""
    choices = []
    for stage, costs in zip(card.stages, card.option_costs, strict=True):
        model, samples = divmod(int(costs.argmin()), len(stage.samples))
        choices.append(Choice(stage.name, stage.models[model].name, stage.samples[samples]))
    return Configuration(tuple(choices))


def as_json(configuration: Configuration) -> dict[str, Any]:
    """A configuration in the form in which models are to give it."""
    return {c.stage: {"model": c.model, "samples": c.samples} for c in configuration.choices}
