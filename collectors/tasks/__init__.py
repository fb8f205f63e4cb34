"""Tasks by name. To add one: a file here and a line in `TASKS`; or `module:function` in a sweep.

A task's function takes the data source, the sweep's `[options]` (checked by the pydantic model that
its `options` parameter is annotated with) and the seed, and gives a `TaskSpec`.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from collectors.data import DataSource
from collectors.errors import SweepError
from collectors.pipeline import TaskSpec
from simulator.errors import UnknownName

TASKS: Mapping[str, str] = {
    "2wiki": "collectors.tasks.multihop:two_wiki",
    "hotpotqa": "collectors.tasks.multihop:hotpot",
    "cwq": "collectors.tasks.knowledge:cwq",
    "webqsp": "collectors.tasks.knowledge:webqsp",
    "taskbench": "collectors.tasks.taskbench:taskbench",
    "chatdev": "collectors.tasks.chatdev:chatdev",
    "textvqa": "collectors.tasks.textvqa:textvqa",
    "math": "collectors.tasks.math:math",
    "synthetic": "collectors.tasks.synthetic:synthetic",
}


def load_task(name: str, data: DataSource, options: Mapping[str, Any], seed: int) -> TaskSpec:
    """A task with its examples; raises `UnknownName` and `SweepError`."""
    from collectors.engines import load_object

    target = TASKS.get(name, name)
    if ":" not in target:
        raise UnknownName("task", name, TASKS)
    made = load_object(target, f"task {name!r}")
    checker = typing.get_type_hints(made).get("options")
    if not (inspect.isclass(checker) and hasattr(checker, "model_validate")):
        raise SweepError(f"task {name!r}: {target} must annotate its options with a pydantic model")
    try:
        checked = checker.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "options"
        message = first["msg"].removeprefix("Value error, ")
        raise SweepError(f"options.{where}: {message}") from None
    task: TaskSpec = made(data, checked, seed)
    return task
