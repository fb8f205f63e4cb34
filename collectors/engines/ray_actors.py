"""Ray actors, one engine each: many accelerators and many nodes, placed by Ray.

Each actor asks for as many accelerators as the model's tensor-parallel size and Ray finds the node;
chunks go to whichever actor is free. An actor that dies gives its chunk to another and is replaced
where the cluster still has room; a chunk that several actors died on stops the run.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from collectors.engines.base import Batch, Chunk
from collectors.errors import EngineError
from collectors.sweep import EngineEntry, ModelEntry
from simulator.errors import MissingExtra


class Worker:
    """What runs in an actor: an engine with a model loaded."""

    def __init__(
        self, kind: str, settings: dict[str, Any], model: ModelEntry, session: int
    ) -> None:
        from collectors.engines import make_engine

        self._engine = make_engine(kind, settings)
        self._engine.load(model, session)

    def describe(self) -> dict[str, Any]:
        """The inner engine's description."""
        return self._engine.describe()

    def draw(self, model: ModelEntry, chunk: Chunk) -> Batch:
        """Answer one chunk."""
        return next(iter(self._engine.draw(model, [chunk])))[1]


class RayEngine:
    """An engine of engines."""

    class Settings(BaseModel):
        """`engine` is what each actor runs, with its settings.

        `workers` actors at most (as many as there is room for, where not given), each with the
        model's `tensor_parallel` accelerators, or with `cpus` cores where `gpu = false`. `address`
        is the cluster's ("auto" for the one that this machine belongs to); without it one is
        started here. `retries` is how often one chunk may lose its actor.
        """

        model_config = ConfigDict(frozen=True, extra="forbid")

        engine: EngineEntry
        address: str | None = None
        workers: int | None = Field(default=None, ge=1)
        gpu: bool = True
        cpus: float = Field(default=1.0, gt=0)
        retries: int = Field(default=2, ge=0)
        start_timeout: float = Field(default=1800.0, gt=0)

    def __init__(self, settings: RayEngine.Settings) -> None:
        try:
            import ray
        except ModuleNotFoundError:
            raise MissingExtra("ray", "ray", "the engine 'ray'") from None
        if settings.engine.kind == "ray":
            raise EngineError("engine.engine: Ray actors cannot themselves run the engine 'ray'")
        self._ray = ray
        self._settings = settings
        self._ready: list[Any] = []
        self._starting: dict[Any, Any] = {}
        self._started = False
        self._session = 0
        if not ray.is_initialized():
            try:
                own = {"include_dashboard": False} if settings.address is None else {}
                ray.init(address=settings.address, log_to_driver=False, **own)
            except (ConnectionError, RuntimeError, ValueError) as error:
                line = " ".join(str(error).split())[:200]
                raise EngineError(f"Ray cluster {settings.address!r}: {line}") from None
            self._started = True

    def describe(self) -> dict[str, Any]:
        resources = self._ray.cluster_resources()
        nodes = sum(1 for node in self._ray.nodes() if node["Alive"])
        kinds = sorted(r.split(":", 1)[1] for r in resources if r.startswith("accelerator_type:"))
        hardware = (
            f"{resources.get('GPU', 0):g} accelerators ({', '.join(kinds) or 'kind not told'}) and "
            f"{resources.get('CPU', 0):g} cores on {nodes} nodes"
        )
        return {
            "engine": f"{self._settings.engine.kind} in Ray actors",
            "version": f"ray {self._ray.__version__}",
            "hardware": hardware,
            "settings": self._settings.model_dump(mode="json", exclude={"address", "workers"}),
        }

    def load(self, model: ModelEntry, session: int) -> None:
        self._drop()
        self._session = session
        wanted = self._room(model)
        if wanted < 1:
            raise EngineError(
                f"model {model.name!r} needs {self._needs(model)}, which no node of the cluster has"
            )
        for _ in range(wanted):
            self._spawn(model)
        # Work begins with the first actor; the others join when they run.
        while not self._ready:
            self._await_start(self._wait(list(self._starting)))

    def _wait(self, references: list[Any], *, forever: bool = False) -> Any:
        """The first reference that is done; raises `EngineError` where no actor starts in time."""
        timeout = None if forever else self._settings.start_timeout
        ready, _ = self._ray.wait(references, num_returns=1, timeout=timeout)
        if not ready:
            raise EngineError(f"no actor started within {self._settings.start_timeout:g} s")
        return ready[0]

    def _await_start(self, reference: Any) -> Any:
        """The actor whose start this was, now ready; `None` where it died before that."""
        actor = self._starting.pop(reference)
        errors = self._ray.exceptions
        try:
            self._ray.get(reference)
        except errors.RayTaskError as error:
            raise EngineError(_cause(error)) from None
        except errors.RayError as error:
            if not self._ready and not self._starting:
                raise EngineError(f"every actor is lost: {_cause(error)}") from None
            return None
        self._ready.append(actor)
        return actor

    def _needs(self, model: ModelEntry) -> dict[str, float]:
        if self._settings.gpu:
            return {"GPU": float(model.tensor_parallel)}
        return {"CPU": self._settings.cpus}

    def _room(self, model: ModelEntry) -> int:
        """How many actors fit: a node's accelerators are not shared across nodes by one engine."""
        ((kind, each),) = self._needs(model).items()
        alive = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        fit = sum(int(resources.get(kind, 0) // each) for resources in alive)
        return fit if self._settings.workers is None else min(fit, self._settings.workers)

    def _spawn(self, model: ModelEntry) -> None:
        gpu = self._settings.gpu
        options = {
            "num_gpus": model.tensor_parallel if gpu else 0,
            "num_cpus": 0 if gpu else self._settings.cpus,
            "max_restarts": 0,
            "scheduling_strategy": "SPREAD",
        }
        inner = self._settings.engine
        made = self._ray.remote(Worker).options(**options)
        actor = made.remote(inner.kind, inner.settings, model, self._session)
        self._starting[actor.describe.remote()] = actor

    def draw(self, model: ModelEntry, chunks: Iterable[Chunk]) -> Iterator[tuple[int, Batch]]:
        feed = iter(chunks)
        again: deque[Chunk] = deque()
        lost: dict[int, int] = {}
        free = deque(self._ready)
        busy: dict[Any, tuple[Any, Chunk]] = {}
        errors = self._ray.exceptions
        while True:
            while free:
                chunk = again.popleft() if again else next(feed, None)
                if chunk is None:
                    break
                actor = free.popleft()
                busy[actor.draw.remote(model, chunk)] = (actor, chunk)
            if not busy and not again:
                return
            # A replacement gets no chunk before it runs: it may wait for a place that never comes.
            reference = self._wait([*busy, *self._starting], forever=bool(busy))
            if reference in self._starting:
                started = self._await_start(reference)
                if started is not None:
                    free.append(started)
                continue
            actor, chunk = busy.pop(reference)
            try:
                batch = self._ray.get(reference)
            except errors.RayTaskError as error:
                raise EngineError(_cause(error)) from None
            except errors.RayError as error:
                lost[chunk.number] = lost.get(chunk.number, 0) + 1
                if lost[chunk.number] > self._settings.retries:
                    raise EngineError(
                        f"chunk {chunk.number} lost its actor {lost[chunk.number]} times: "
                        + _cause(error)
                    ) from None
                again.append(chunk)
                self._ready.remove(actor)
                with contextlib.suppress(Exception):
                    self._ray.kill(actor)
                self._spawn(model)
                continue
            free.append(actor)
            yield chunk.number, batch

    def _drop(self) -> None:
        for actor in [*self._ready, *self._starting.values()]:
            with contextlib.suppress(Exception):
                self._ray.kill(actor)
        self._ready, self._starting = [], {}

    def close(self) -> None:
        self._drop()
        if self._started:
            self._ray.shutdown()
            self._started = False


def _cause(error: BaseException) -> str:
    """One line for what went wrong in an actor."""
    cause = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return (lines[-1] if lines else type(cause).__name__)[:300]
