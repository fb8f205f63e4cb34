"""Reading what somebody else's search asked: Optuna studies, and frames of configurations.

Sources are told apart by what the file holds. Nothing in them is unpickled or run, and none is
written to: an Optuna database is opened read-only, a journal is lines of JSON.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from harness.imported import ForeignAsk
from simulator import Choice, Configuration, Task
from simulator.errors import MissingExtra, UnknownName, UsageError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

Steps = Literal["refuse", "whole", "examples"]
"""What a step that a study reported is: unknown, nothing (every trial is whole), or how many
training examples the trial had seen."""

_SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True)
class Foreign:
    """What a file holds: `runs[k]` are the asks of the run `names[k]`, `left_out` says what of it
    could not be taken."""

    file: str
    sha256: str
    names: tuple[str, ...]
    runs: tuple[tuple[ForeignAsk, ...], ...]
    left_out: str = ""


def read_foreign(
    source: str, task: Task, *, studies: Sequence[str] = (), steps: Steps = "refuse"
) -> Foreign:
    """Read a file's runs of a task.

    - Optuna: `sqlite:///FILE`, a SQLite file or a journal file; one run a study (`studies`: only
      these). A trial names its configuration by the parameters `<stage>_model` and
      `<stage>_samples`, or whole in its user attribute `asked`. Trials that never got that far
      are left out.
    - `.csv` and `.parquet`: one row an ask, with those columns or the column `asked`; optional
      columns `seed` (one run each), `examples` and `why`.

    Raises `UsageError` of one line where there is nothing to read or it is something else.
    """
    path = Path(source.removeprefix("sqlite:///"))
    if "://" in str(path) or "://" in source.removeprefix("sqlite:///"):
        raise UsageError("a study is read from a file or from sqlite:///FILE, not from a server")
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with path.open("rb") as file:
            head = file.read(len(_SQLITE))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
    if path.suffix in (".csv", ".parquet"):
        if studies:
            raise UsageError(f"{path} holds no studies: leave out --study")
        names, runs, left_out = _frame(path, task)
    elif head == _SQLITE:
        names, runs, left_out = _optuna(path, _database(path), task, studies, steps)
    elif head[:1] == b"{":
        names, runs, left_out = _optuna(path, _journal(path), task, studies, steps)
    else:
        raise UsageError(
            f"{path} is neither an Optuna study (SQLite or journal) nor .csv nor .parquet"
        )
    if not any(runs):
        raise UsageError(f"{path} holds no asks of {task.name!r}{_because(left_out)}")
    return Foreign(path.name, digest, names, runs, left_out)


def configuration(values: Mapping[str, Any], task: Task) -> Configuration | None:
    """The configuration that a trial's values name; None where some are missing."""
    if values.get("asked") is not None:
        return Configuration.parse(str(values["asked"]))
    choices = []
    for stage in task.stages:
        model, samples = (values.get(f"{stage.name}_{part}") for part in ("model", "samples"))
        if model is None or samples is None:
            return None
        if isinstance(samples, bool) or not isinstance(samples, int | float) or samples % 1:
            raise UsageError(f"{stage.name}_samples must be a whole number, not {samples!r}")
        choices.append(Choice(stage.name, str(model), int(samples)))
    return Configuration(tuple(choices))


_Runs = tuple[tuple[str, ...], tuple[tuple[ForeignAsk, ...], ...], str]


def _frame(path: Path, task: Task) -> _Runs:
    import polars as pl

    try:
        frame = pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UsageError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    for column in ("agent", "table"):
        if column in frame.columns and frame[column].n_unique() > 1:
            raise UsageError(f"{path} holds several {column}s: keep the rows of one")
    by_run: dict[str, list[ForeignAsk]] = {}
    for row, values in enumerate(frame.iter_rows(named=True), start=1):
        try:
            found = configuration(values, task)
            if found is None:
                first = task.stages[0].name
                raise UsageError(
                    f"it has no {first}_model, {first}_samples and so on for each stage, nor asked"
                )
            ask = ForeignAsk(
                asked=str(found), examples=values.get("examples"), why=str(values.get("why") or "")
            )
        except ValidationError as error:
            wrong = error.errors()[0]
            raise UsageError(f"{path}, row {row}: {wrong['loc'][0]}: {wrong['msg']}") from None
        except UsageError as error:
            raise UsageError(f"{path}, row {row}: {error}") from None
        by_run.setdefault(str(values.get("seed", path.stem)), []).append(ask)
    return tuple(by_run), tuple(map(tuple, by_run.values())), ""


def _optuna(
    path: Path, storage: BaseStorage, task: Task, wanted: Sequence[str], steps: Steps
) -> _Runs:
    known = [study.study_name for study in storage.get_all_studies()]
    for name in wanted:
        if name not in known:
            raise UnknownName(f"study in {path}", name, known)
    names, runs, left_out = [], [], 0
    for name in wanted or known:
        asks: list[ForeignAsk] = []
        for trial in storage.get_all_trials(storage.get_study_id_from_name(name)):
            try:
                found = _asks(trial, task, steps)
            except UsageError as error:
                raise UsageError(f"{path}, {name!r}, trial {trial.number}: {error}") from None
            left_out += not found
            asks += found
        names.append(name)
        runs.append(tuple(asks))
    rest = f"{left_out} trials that were not finished or named no configuration" if left_out else ""
    return tuple(names), tuple(runs), rest


def _asks(trial: FrozenTrial, task: Task, steps: Steps) -> list[ForeignAsk]:
    """What one trial asked: one ask or, where its steps are examples, one for each step too."""
    from optuna.trial import TrialState

    named = {**trial.params, "asked": trial.user_attrs.get("asked")}
    found = configuration(named, task)
    if found is None or trial.state in (TrialState.RUNNING, TrialState.WAITING):
        return []
    whole = ForeignAsk(asked=str(found), why=f"trial {trial.number}")
    reported = sorted(trial.intermediate_values)
    if not reported or steps == "whole":
        return [whole]
    if steps == "refuse":
        raise UsageError(
            "it reported steps; say --steps examples if a step is a number of training examples, "
            "--steps whole to replay each trial on all of them"
        )
    looks = [
        ForeignAsk(asked=str(found), examples=step, why=f"trial {trial.number}, pruning")
        for step in reported
        if step > 0
    ]
    return looks if trial.state == TrialState.PRUNED else [*looks, whole]


def _database(path: Path) -> BaseStorage:
    """Optuna's storage over a SQLite file that is opened read-only."""
    import sqlite3
    from urllib.parse import quote

    optuna = _optuna_module()
    where = f"file:{quote(str(path.absolute()))}?mode=ro"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(where, uri=True)

    try:
        storage: BaseStorage = optuna.storages.RDBStorage(
            "sqlite://", engine_kwargs={"creator": connect}, skip_table_creation=True
        )
        storage.get_all_studies()
    except Exception as error:  # SQLAlchemy's tree, Optuna's, and sqlite3's own
        raise UsageError(f"{path} is no Optuna database: {_first_line(error)}") from None
    return storage


def _journal(path: Path) -> BaseStorage:
    optuna = _optuna_module()
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    try:
        storage: BaseStorage = optuna.storages.JournalStorage(backend)
        storage.get_all_studies()
    except Exception as error:  # whatever a wrong line of JSON breaks
        raise UsageError(f"{path} is no Optuna journal: {_first_line(error)}") from None
    return storage


def _optuna_module() -> Any:
    try:
        import optuna
    except ImportError:
        raise MissingExtra("optuna", "optimisers", "reading an Optuna study") from None
    return optuna


def _because(left_out: str) -> str:
    return f" ({left_out})" if left_out else ""


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
