"""TaskBench (Shen et al. 2023): decompose a request into steps, select tools, fill parameters.

Rows have `user_request` (or `instruction`), `tool_steps` (or `task_steps`) and `tool_nodes` (or
`task_nodes`): lists, or JSON texts of lists. Nodes are `{"task": name, "arguments": ...}`, with
arguments either `{"name": ..., "value": ...}` or plain values. The tools come from
`options.tools`, a file `{"nodes": [{"id", "desc", "parameters"}]}` (`tool_desc.json`), or, without
it, from the nodes of the rows themselves.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from collectors.data import DataSource, HubDefault, Row, choose, need, read_rows, shaped
from collectors.errors import SweepError
from collectors.fusers import BestOfN, ModelFusion, SetVote
from collectors.pipeline import Context, Prompt, StageSpec, TaskSpec
from collectors.texts import canonical, json_value, multiset_f1
from simulator.errors import MissingExtra


class TaskbenchOptions(BaseModel):
    """`tools`: path of the domain's `tool_desc.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tools: Path | None = None


def taskbench(data: DataSource, options: TaskbenchOptions, seed: int) -> TaskSpec:
    """Three stages; each gives its own metric, and passes on what was found so far as JSON."""
    default = HubDefault("microsoft/Taskbench", subset="dailylifeapis", split="test")
    rows = read_rows(data, default)
    with shaped():
        tools = _read_tools(options.tools) if options.tools else _tools_of(rows)

    def make(index: int, row: Row) -> Mapping[str, Any] | None:
        return example_fields(row, tools)

    def identify(index: int, row: Row) -> str:
        return str(row.get("id") or index)

    return TaskSpec(
        name="taskbench",
        title="TaskBench: decompose, select tools, fill parameters",
        metric="parameter_f1",
        stages=(DECOMPOSE, SELECT, FILL),
        examples=choose(data, rows, make, seed, identify),
        source=str(data.dataset or default.dataset) if data.path is None else "a local file",
        facts={
            "step_rouge_l": "ROUGE-L F1 (rouge-score, stemmed) of the joined steps with the gold",
            "node_f1": "F1 of the multiset of tool names with the gold",
            "parameter_f1": "F1 of the multiset of (tool, parameter, value) with the gold; values "
            "compare as lower-case text, results of earlier steps by the tool they come from",
        },
    )


def _read_tools(path: Path) -> list[dict[str, Any]]:
    try:
        nodes = json.loads(path.read_text(encoding="utf-8"))["nodes"]
        return [
            {"id": str(n["id"]), "desc": str(n["desc"]), "parameters": _parameter_names(n)}
            for n in nodes
        ]
    except FileNotFoundError:
        raise SweepError(f"options.tools: no file {path}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SweepError(
            f"options.tools: {path} is not {{'nodes': [{{'id', 'desc', 'parameters'}}]}}: {error!r}"
        ) from None


def _parameter_names(node: Mapping[str, Any]) -> list[str]:
    given = node.get("parameters", node.get("input-type", []))
    return [str(p["name"]) if isinstance(p, Mapping) else str(p) for p in given]


def _tools_of(rows: Sequence[Row]) -> list[dict[str, Any]]:
    found: dict[str, set[str]] = {}
    for row in rows:
        for node in _listed(need(row, "tool_nodes", "task_nodes"), "nodes"):
            names = {name for name, _ in _arguments(node) if name}
            found.setdefault(str(node["task"]), set()).update(names)
    return [{"id": t, "desc": "", "parameters": sorted(found[t])} for t in sorted(found)]


def _listed(value: Any, what: str) -> list[Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise SweepError(f"data: {what} is not a JSON list: {error}") from None
    if not isinstance(value, list):
        raise SweepError(f"data: {what} must be a list, not {type(value).__name__}")
    return value


def _arguments(node: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, value) of a node's arguments; plain values have an empty name."""
    given = node.get("arguments", [])
    if isinstance(given, Mapping):
        return [(str(name), str(value)) for name, value in given.items()]
    if not isinstance(given, list):
        return []
    return [
        (str(a.get("name", "")), str(a.get("value", "")))
        if isinstance(a, Mapping)
        else ("", str(a))
        for a in given
    ]


def example_fields(row: Row, tools: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Request, tools, gold steps, nodes and parameters; `None` where the row has no node."""
    steps = _listed(need(row, "tool_steps", "task_steps"), "steps")
    nodes = [n for n in _listed(need(row, "tool_nodes", "task_nodes"), "nodes") if "task" in n]
    if not nodes:
        return None
    return {
        "request": str(need(row, "user_request", "instruction")),
        "tools": tools,
        "steps": [str(step) for step in steps],
        "nodes": [str(node["task"]) for node in nodes],
        "parameters": parameters_of(nodes),
    }


def parameters_of(nodes: Sequence[Mapping[str, Any]]) -> list[str]:
    """(tool, parameter, value) of every argument as texts; `<node-2>` becomes the tool it names."""
    names = [str(node["task"]) for node in nodes]
    found = []
    for node in nodes:
        for name, value in _arguments(node):
            for number, source in enumerate(names):
                value = value.replace(f"<node-{number}>", f"<{source}>")
            found.append(canonical([str(node["task"]), name, " ".join(value.lower().split())]))
    return found


def _tool_lines(context: Context, *, parameters: bool) -> str:
    lines = []
    for tool in context.example.fields["tools"]:
        wanted = f" (parameters: {', '.join(tool['parameters'])})" if parameters else ""
        lines.append(
            f"- {tool['id']}{wanted}: {tool['desc']}" if tool["desc"] else f"- {tool['id']}{wanted}"
        )
    return "\n".join(lines)


def _decompose_prompt(context: Context) -> Prompt:
    return Prompt(
        system="You plan how tools will carry out a request.",
        text=f"Tools:\n{_tool_lines(context, parameters=False)}\n\n"
        f"Request: {context.example.fields['request']}\n\n"
        "Break the request into steps, one for each tool call, in order. Answer with a JSON list "
        'of short texts such as ["Step 1: ...", "Step 2: ..."] and nothing else.',
        lead="Steps:",
    )


def _parse_steps(context: Context, text: str) -> str | None:
    value = json_value(text)
    if isinstance(value, Mapping):
        value = value.get("steps", value.get("task_steps"))
    if not isinstance(value, list) or not value:
        return None
    return canonical({"steps": [str(step) for step in value]})


def _agreement(context: Context, answer: str) -> float:
    """How well a plan fits the request without its gold: words shared, less a charge per step."""
    steps = _state(answer).get("steps", [])
    asked = set(context.example.fields["request"].lower().split())
    said = {word for step in steps for word in step.lower().split()}
    return len(asked & said) / max(1, len(asked)) - 0.02 * len(steps)


def _state(result: str) -> dict[str, Any]:
    value = json.loads(result) if result else {}
    return value if isinstance(value, dict) else {}


@lru_cache(maxsize=1)
def _rouge() -> Any:
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ModuleNotFoundError:
        raise MissingExtra("rouge-score", "collect", "scoring TaskBench's steps") from None
    return RougeScorer(["rougeL"], use_stemmer=True)


def _score_steps(context: Context, result: str) -> dict[str, float]:
    found = " ".join(_state(result).get("steps", []))
    gold = " ".join(context.example.fields["steps"])
    return {"step_rouge_l": float(_rouge().score(gold, found)["rougeL"].fmeasure)}


def _select_prompt(context: Context) -> Prompt:
    steps = "\n".join(_state(context.upstream).get("steps", [])) or "(no steps)"
    return Prompt(
        system="You choose the tool for each step of a plan.",
        text=f"Tools:\n{_tool_lines(context, parameters=False)}\n\n"
        f"Request: {context.example.fields['request']}\nSteps:\n{steps}\n\n"
        'Answer with a JSON list of tool names, one for each step, such as ["tool_a", "tool_b"], '
        "and nothing else.",
        lead="Tools:",
    )


def _parse_tools(context: Context, text: str) -> list[str] | None:
    value = json_value(text)
    if isinstance(value, Mapping):
        value = value.get("tools", value.get("nodes", value.get("task_nodes")))
    if not isinstance(value, list):
        return None
    known = {tool["id"] for tool in context.example.fields["tools"]}
    names = [
        str(v.get("task", v.get("id", ""))) if isinstance(v, Mapping) else str(v) for v in value
    ]
    found = [name for name in names if name in known]
    seen: dict[str, int] = {}
    out = []
    for name in found:
        seen[name] = seen.get(name, 0) + 1
        out.append(f"{name}#{seen[name]}")
    return out or None


def _write_tools(context: Context, chosen: tuple[Hashable, ...]) -> str:
    names = [str(member).rsplit("#", 1)[0] for member in chosen]
    return canonical({**_state(context.upstream), "tools": names})


def _score_tools(context: Context, result: str) -> dict[str, float]:
    found = _state(result).get("tools", [])
    return {"node_f1": multiset_f1(found, context.example.fields["nodes"])}


def _fill_prompt(context: Context) -> Prompt:
    state = _state(context.upstream)
    chosen = set(state.get("tools", []))
    tools = [t for t in context.example.fields["tools"] if t["id"] in chosen]
    lines = "\n".join(f"- {t['id']}: {', '.join(t['parameters']) or 'none'}" for t in tools)
    return Prompt(
        system="You fill in the parameters of tool calls.",
        text=f"Request: {context.example.fields['request']}\n"
        f"Steps:\n{chr(10).join(state.get('steps', [])) or '(no steps)'}\n"
        f"Tools and their parameters:\n{lines or '(no tools)'}\n\n"
        'Answer with a JSON list of calls, each {"task": tool, "arguments": [{"name": parameter, '
        '"value": value}]}. Where a value is the result of an earlier call, write <node-N>, N '
        "counting calls from 0. Write nothing else.",
        lead="Calls:",
    )


def _parse_calls(context: Context, text: str) -> str | None:
    value = json_value(text)
    if isinstance(value, Mapping):
        value = value.get("calls", value.get("nodes", value.get("task_nodes")))
    if not isinstance(value, list):
        return None
    calls = [v for v in value if isinstance(v, Mapping) and "task" in v]
    known = {tool["id"] for tool in context.example.fields["tools"]}
    calls = [v for v in calls if str(v["task"]) in known]
    return canonical({"parameters": sorted(parameters_of(calls))}) if calls else None


def _filled(context: Context, answer: str) -> float:
    """Share of the chosen tools' parameters that the calls fill; looks at no gold."""
    chosen = set(_state(context.upstream).get("tools", []))
    wanted = {
        (tool["id"], name)
        for tool in context.example.fields["tools"]
        if tool["id"] in chosen
        for name in tool["parameters"]
    }
    given = {tuple(json.loads(p)[:2]) for p in _state(answer).get("parameters", [])}
    return len(wanted & given) / max(1, len(wanted | given))


def _score_calls(context: Context, result: str) -> dict[str, float]:
    found = _state(result).get("parameters", [])
    return {"parameter_f1": multiset_f1(found, context.example.fields["parameters"])}


def _members(context: Context, text: str) -> list[str] | None:
    answer = _parse_calls(context, text)
    return None if answer is None else list(dict.fromkeys(_state(answer)["parameters"]))


def _write_members(context: Context, chosen: tuple[Hashable, ...]) -> str:
    return canonical({"parameters": sorted(map(str, chosen))})


DECOMPOSE = StageSpec(
    name="decompose",
    description="break the request into steps",
    prompt=_decompose_prompt,
    fusers={
        "model": ModelFusion(
            _parse_steps, lambda c: _decompose_prompt(c).text, max_tokens=256, lead="Steps:"
        ),
        "best_of_n": BestOfN(_parse_steps, _agreement),
    },
    score=_score_steps,
    metrics=("step_rouge_l",),
    prompt_tokens=1024,
    generated_tokens=64,
    max_tokens=256,
)
SELECT = StageSpec(
    name="select_tools",
    description="choose a tool for each step",
    prompt=_select_prompt,
    fusers={"set_vote": SetVote(_parse_tools, _write_tools)},
    score=_score_tools,
    metrics=("node_f1",),
    prompt_tokens=1024,
    generated_tokens=256,
    max_tokens=256,
)
FILL = StageSpec(
    name="fill_parameters",
    description="fill in the parameters of each call",
    prompt=_fill_prompt,
    fusers={
        "set_vote": SetVote(_members, _write_members),
        "best_of_n": BestOfN(_parse_calls, _filled),
    },
    score=_score_calls,
    metrics=("parameter_f1",),
    prompt_tokens=1024,
    generated_tokens=2048,
    max_tokens=2048,
)
