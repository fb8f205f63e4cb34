"""The lookup table in memory: scores of a task's configurations, dense, one cell each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.configuration import Configuration
from simulator.errors import TableError, UnknownName
from simulator.outcomes import Coded, Outcomes
from simulator.space import Space
from simulator.task import Kind, Task

Score = float | Mapping[str, float] | None


@dataclass(frozen=True, eq=False)
class SplitTable:
    """One split, `train` or `test`: arrays with one entry a cell, nan where the grid has a hole."""

    name: str
    metrics: Mapping[str, NDArray[np.float64]]
    seconds: NDArray[np.float64]
    examples: NDArray[np.int32]
    outcomes: Outcomes | None = None


@dataclass(frozen=True, eq=False)
class LookupTable:
    """Scores of one task. Arrays may be memory-mapped; treat them as read-only.

    `provenance` is the content of `MANIFEST.json` where the table came from disk.
    """

    task: Task
    space: Space
    splits: Mapping[str, SplitTable]
    path: Path | None = None
    card: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def kind(self) -> Kind:
        """`measured`, `published` or `modelled`; shown wherever the table is."""
        return self.task.kind

    def split(self, name: str) -> SplitTable:
        """A split by name; raises `TableError` where the table lacks it."""
        if name not in ("train", "test"):
            raise UnknownName("split", name, ("train", "test"))
        if name not in self.splits:
            has = " and ".join(self.splits) or "none"
            raise TableError(f"table {self.name!r} has no split {name!r}; it has {has}")
        return self.splits[name]

    def scores(self, split: str = "train") -> NDArray[np.float64]:
        """The searched metric of every cell, nan in holes."""
        return self.split(split).metrics[self.task.metric]

    def present(self, split: str = "train") -> NDArray[np.bool_]:
        """Which cells have an answer."""
        return ~np.isnan(self.scores(split))

    @classmethod
    def load(cls, path: str | Path) -> LookupTable:
        """Load a table's folder; see `simulator.table_io.load`."""
        from simulator import table_io

        return table_io.load(Path(path))

    @classmethod
    def from_arrays(
        cls,
        task: Task,
        metrics: Mapping[str, Mapping[str, ArrayLike]],
        *,
        seconds: Mapping[str, ArrayLike] | float = 1.0,
        examples: Mapping[str, int] | int = 100,
        outcomes: Mapping[str, Mapping[str, ArrayLike]] | None = None,
    ) -> LookupTable:
        """Build from dense arrays of one value a cell.

        `metrics[split][metric]` and `seconds[split]` have shape (cells,), `outcomes[split][metric]`
        shape (cells, examples). nan marks a hole.
        """
        space = Space(task)
        splits = {}
        for name, by_metric in metrics.items():
            if name not in ("train", "test"):
                raise UnknownName("split", name, ("train", "test"))
            missing = set(task.metrics) - set(by_metric)
            if missing:
                raise TableError(f"split {name!r} lacks the metrics {', '.join(sorted(missing))}")
            columns = {
                metric: cells_array(space, by_metric[metric], f"{name}.{metric}")
                for metric in task.metrics
            }
            hole = np.isnan(columns[task.metric])
            given = _of_split(seconds, name, "seconds")
            timed = cells_array(
                space, np.full(space.n_cells, given) if np.ndim(given) == 0 else given,
                f"{name}.seconds",
            )  # fmt: skip
            wrong = ~hole & ~(timed >= 0)
            if wrong.any():
                cell = int(np.argmax(wrong))
                raise TableError(
                    f"{name}.seconds must be 0 or more where there is a score, "
                    f"not {timed[cell]} at {space.configuration(cell)}"
                )
            n = _of_split(examples, name, "examples")
            coded = None
            if outcomes is not None and name in outcomes:
                coded = _encode_outcomes(space, hole, outcomes[name], name)
                n = coded.n_examples
            splits[name] = SplitTable(
                name,
                columns,
                np.where(hole, np.nan, timed),
                np.where(hole, 0, n).astype(np.int32),
                coded,
            )
        return cls(task, space, splits)

    @classmethod
    def from_function(
        cls,
        task: Task | Mapping[str, tuple[int, ...] | list[int]],
        function: Callable[[Configuration], Score],
        *,
        test: Callable[[Configuration], Score] | None = None,
        seconds: Callable[[Configuration], float] | None = None,
        examples: int = 100,
    ) -> LookupTable:
        """Any function of a configuration as a table; `None` makes a hole.

        For tests and toy studies a task may be given as stage names with their sample counts, each
        stage then having the models `small` (3e9 parameters) and `large` (70e9).

        >>> t = LookupTable.from_function({"answer": [1, 2, 4]}, lambda c: c.choices[0].samples / 4)
        >>> t.scores().tolist()
        [0.25, 0.5, 1.0, 0.25, 0.5, 1.0]
        """
        task = task if isinstance(task, Task) else toy_task(task)
        space = Space(task)
        configurations = [space.configuration(cell) for cell in range(space.n_cells)]
        metrics = {}
        for split, scorer in (("train", function), ("test", test or function)):
            rows = [_score_row(task, c, scorer(c)) for c in configurations]
            columns = np.array(rows, dtype=np.float64).T
            metrics[split] = dict(zip(task.metrics, columns, strict=True))
        timed = [1.0 if seconds is None else float(seconds(c)) for c in configurations]
        return cls.from_arrays(
            task,
            cast(Mapping[str, Mapping[str, ArrayLike]], metrics),
            seconds={"train": timed, "test": timed},
            examples=examples,
        )


def toy_task(stages: Mapping[str, tuple[int, ...] | list[int]], name: str = "toy") -> Task:
    """A task of stages with two models each, for tests and toy studies."""
    models = [{"name": "small", "parameters": 3e9}, {"name": "large", "parameters": 70e9}]
    return Task.from_mapping(
        {
            "name": name,
            "kind": "modelled",
            "metric": "score",
            "metrics": ["score"],
            "default_budget": 1000,
            "stages": [
                {
                    "name": stage,
                    "models": models,
                    "prompt_tokens": 128,
                    "generated_tokens": 64,
                    "samples": tuple(samples),
                }
                for stage, samples in stages.items()
            ],
        }
    )


def cells_array(space: Space, values: ArrayLike, what: str) -> NDArray[np.float64]:
    """A float64 array of one value a cell; raises `TableError` on another shape or on infinity."""
    array = np.ascontiguousarray(values, dtype=np.float64)
    if array.shape != (space.n_cells,):
        raise TableError(
            f"{what} must have one value a cell, ({space.n_cells},), not {array.shape}"
        )
    if np.isinf(array).any():
        raise TableError(
            f"{what} holds an infinite value at cell {int(np.argmax(np.isinf(array)))}"
        )
    return array


def _of_split(values: Mapping[str, Any] | Any, split: str, what: str) -> Any:
    if not isinstance(values, Mapping):
        return values
    if split not in values:
        raise TableError(f"split {split!r} has no {what}; given for {', '.join(values) or 'none'}")
    return values[split]


def _score_row(task: Task, configuration: Configuration, score: Score) -> list[float]:
    if score is None:
        return [float("nan")] * len(task.metrics)
    if not isinstance(score, Mapping):
        return [float(score)] * len(task.metrics)
    missing = [metric for metric in task.metrics if metric not in score]
    if missing:
        raise TableError(f"the function gave no {missing[0]!r} for {configuration}")
    return [float(score[metric]) for metric in task.metrics]


def _encode_outcomes(
    space: Space, hole: NDArray[np.bool_], by_metric: Mapping[str, ArrayLike], split: str
) -> Outcomes:
    row_of_cell = np.full(space.n_cells, -1, dtype=np.int32)
    row_of_cell[~hole] = np.arange(int((~hole).sum()))
    coded: dict[str, Coded] = {}
    n_examples = 0
    for metric, values in by_metric.items():
        array = np.asarray(values, dtype=np.float64)
        what = f"outcomes of {split}.{metric}"
        if array.ndim != 2 or len(array) != space.n_cells or array.shape[1] == 0:
            raise TableError(
                f"{what} must have the shape (cells, examples), ({space.n_cells}, ...), "
                f"not {array.shape}"
            )
        if coded and array.shape[1] != n_examples:
            raise TableError(f"{what} has {array.shape[1]} examples, others {n_examples}")
        n_examples = array.shape[1]
        kept = array[~hole]
        if not np.isfinite(kept).all():
            raise TableError(f"{what} must be finite where there is a score")
        coded[metric] = Coded.encode(kept)
    if not coded:
        raise TableError(f"outcomes of {split} name no metric")
    return Outcomes(n_examples, row_of_cell, coded)
