"""Running a sweep: stages breadth-first, one model loaded at a time, resumed where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from collectors.accounting import Totals
from collectors.engines.base import Chunk, Engine, fault
from collectors.errors import EngineError
from collectors.planner import (
    Job,
    Pools,
    StageTable,
    chunks,
    first_upstreams,
    fuse_stage,
    fusion_jobs,
    fusion_keys,
    model_order,
    sample_jobs,
    sample_keys,
)
from collectors.store import Key, Kind, ShardCost, Store
from collectors.sweep import ModelEntry, Sweep, SweepStage
from collectors.weights import fingerprints


@dataclass(frozen=True)
class Progress:
    """Where a run stands, told after every chunk."""

    stage: str
    model: str
    kind: Kind
    done: int
    total: int
    tokens: int


@dataclass
class RunReport:
    """What one run did. `failed` counts requests that the infrastructure failed."""

    session: int = 0
    drawn_requests: int = 0
    drawn: Totals = field(default_factory=Totals)
    failed: int = 0
    first_failure: str = ""
    loads: int = 0
    quarantined: list[str] = field(default_factory=list)
    tables: list[StageTable] = field(default_factory=list)


class _Run:
    def __init__(
        self, sweep: Sweep, store: Store, engine: Engine, tell: Callable[[Progress], None]
    ) -> None:
        self.sweep, self.store, self.engine, self.tell = sweep, store, engine, tell
        self.loaded: tuple[str, str | None] | None = None
        self.report = RunReport()

    def whole(self) -> RunReport:
        with self.store.lock():
            self.report.session = self.store.start_session(
                self.engine.describe(), fingerprints(self.sweep.file)
            )
            upstreams = first_upstreams(self.sweep)
            for index, stage in enumerate(self.sweep.stages):
                pools: dict[str, Pools] = {}
                fusions: dict[str, Pools] = {}
                for group in model_order(stage, self.loaded):
                    for model in group:
                        jobs = sample_jobs(self.sweep, stage, model, upstreams)
                        pools[model.name] = self._complete(stage, model, "samples", jobs)
                        asked = fusion_jobs(self.sweep, stage, model, upstreams, pools[model.name])
                        fusions[model.name] = self._complete(stage, model, "fusions", asked)
                table = fuse_stage(self.sweep, index, upstreams, pools, fusions)
                self.report.tables.append(table)
                upstreams = table.outputs
        self.report.quarantined = self.store.quarantined
        return self.report

    def _complete(self, stage: SweepStage, model: ModelEntry, kind: Kind, jobs: list[Job]) -> Pools:
        if not jobs:
            return {}
        held, _ = self.store.pools(stage.name, model.name, kind, repair=True)
        wanted = {job.key for job in jobs}
        done = sum(1 for key in held if key in wanted)
        self.tell(Progress(stage.name, model.name, kind, done, len(jobs), 0))
        if done == len(jobs):
            return held
        if model.weights != self.loaded:
            self.engine.load(model, self.report.session)
            self.loaded = model.weights
            self.report.loads += 1
        self._draw(stage, model, kind, jobs, held, done)
        return self.store.pools(stage.name, model.name, kind)[0]

    def _draw(
        self,
        stage: SweepStage,
        model: ModelEntry,
        kind: Kind,
        jobs: list[Job],
        held: Pools,
        done: int,
    ) -> None:
        asked: dict[int, list[Job]] = {}

        def feed() -> Iterator[Chunk]:
            for chunk, missing in chunks(jobs, held, self.sweep.file.plan.chunk_samples):
                asked[chunk.number] = missing
                yield chunk

        for number, batch in self.engine.draw(model, feed()):
            waiting = asked.pop(number)
            good = []
            for job, reply in zip(waiting, batch.replies, strict=True):
                why = fault(reply, job.request.n)
                if why:
                    self.store.note_error(stage.name, model.name, job.key, why)
                    self.report.failed += 1
                    self.report.first_failure = self.report.first_failure or why
                else:
                    good.append((job.key, reply))
            if not good:
                raise EngineError(
                    f"stage {stage.name!r}, model {model.name!r}: every request of a chunk failed "
                    f"({self.report.first_failure}); what was stored before stays, run again to "
                    "go on"
                )
            self.store.append(stage.name, model.name, kind, number, good, batch.seconds)
            self.report.drawn_requests += len(good)
            prompts = sum(reply.prompt_tokens for _, reply in good)
            generated = sum(draw.tokens for _, reply in good for draw in reply.draws)
            self.report.drawn += Totals(len(good), prompts, generated, batch.seconds)
            done += len(good)
            self.tell(Progress(stage.name, model.name, kind, done, len(jobs), prompts + generated))
        if asked:
            raise EngineError(f"the engine left {len(asked)} chunks unanswered")


def run(
    sweep: Sweep,
    store: Store,
    engine: Engine,
    tell: Callable[[Progress], None] = lambda progress: None,
) -> RunReport:
    """Draw everything that is missing; raises `EngineError` or `StoreError` where it cannot go on.

    Requests that the infrastructure failed are noted and left missing, for the next run to draw.
    """
    if sweep.task.check is not None:
        sweep.task.check()
    try:
        return _Run(sweep, store, engine, tell).whole()
    finally:
        engine.close()


@dataclass(frozen=True)
class Collected:
    """What a sweep's folder holds, stage by stage as far as it goes.

    `known` gives, per stage, model and kind, how many requests are done and how many are known to
    be needed (of a later stage, those whose upstream results are there); `costs` is by model.
    """

    tables: list[StageTable]
    pools: list[dict[str, Pools]]
    fusions: list[dict[str, Pools]]
    costs: dict[str, list[ShardCost]]
    known: dict[tuple[str, str, Kind], tuple[int, int]]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return all(done == needed for done, needed in self.known.values())


def collected(sweep: Sweep, store: Store) -> Collected:
    """Read everything back; raises `StoreError` on a damaged shard."""
    out = Collected([], [], [], {model.name: [] for model in sweep.file.models}, {})
    upstreams = first_upstreams(sweep)
    for index, stage in enumerate(sweep.stages):
        by_kind: dict[Kind, dict[str, Pools]] = {"samples": {}, "fusions": {}}
        keys = sample_keys(sweep, upstreams)
        for model in stage.models:
            wanted: dict[Kind, list[Key]] = {
                "samples": keys,
                "fusions": fusion_keys(stage, keys),
            }
            for kind, needed in wanted.items():
                if kind == "fusions" and not needed:
                    by_kind[kind][model.name] = {}
                    continue
                held, costs = store.pools(stage.name, model.name, kind)
                by_kind[kind][model.name] = held
                out.costs[model.name].extend(costs)
                done = sum(1 for key in needed if key in held)
                out.known[stage.name, model.name, kind] = (done, len(needed))
        table = fuse_stage(sweep, index, upstreams, by_kind["samples"], by_kind["fusions"])
        out.tables.append(table)
        out.pools.append(by_kind["samples"])
        out.fusions.append(by_kind["fusions"])
        upstreams = table.outputs
    return out
