"""One search: an agent, a table, a budget, a seed."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from agents import TaskCard, create
from simulator import Ask, Clock, Configuration, LookupTable, Optimum, Simulator, Trial
from simulator.errors import AgentTTSError, RunError, SearchAborted, SearchFinished, UsageError
from simulator.simulator import Duplicates, Match, Noise


@dataclass(frozen=True)
class SearchResult:
    """What one search did, and what it found.

    - `trials` are in the order in which they ended, which is the order in which they were told.
    - `incumbent` is the best feasible trial, `None` where no trial was feasible; `test_score` is
      its mean score on the test split, `None` where the table has none.
    - `trials_to_optimum` counts trials, in the order told, up to the first whose table score
      reaches the optimum; `None` where none did.
    - `search_hours` runs to that trial on the simulated clock, or, where none reached the optimum
      (`reached` is false, shown with a `*`), to the run's best trial.
    - `table_scores` holds for each trial the table's own score of what answered it: without noise
      and on all examples. It is what "reached the optimum" and regret are measured by.
    - `finished_early` says why a search ended before its trials were used up, empty where it did
      not; `aborted` is true where that was a failure (a model that cannot be reached).
    - `usage` is what an agent that thinks with a language model spent: tokens, dollars, seconds.
    - `agent_seconds` is real time spent in the agent's own `ask` and `tell`, `lookup_seconds` in
      the simulator; neither is part of the simulated clock.
    """

    agent: str
    table: str
    kind: str
    budget: float
    cost: str
    seed: int
    optimum: Optimum
    trials: tuple[Trial, ...]
    incumbent: Trial | None
    test_score: float | None
    trials_to_optimum: int | None
    search_hours: float
    agent_seconds: float
    lookup_seconds: float
    finished_early: str = ""
    aborted: bool = False
    usage: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    table_scores: tuple[float | None, ...] = ()

    @property
    def reached(self) -> bool:
        """Whether a trial reached the optimum."""
        return self.trials_to_optimum is not None


@dataclass(frozen=True)
class Problem:
    """A table at a budget, made ready once and searched by any number of agents and seeds.

    `examples` is how many training examples a search sees, drawn by its seed; None all of them.
    """

    table: LookupTable
    simulator: Simulator
    card: TaskCard
    examples: int | None = None

    @classmethod
    def of(
        cls,
        table: LookupTable,
        *,
        budget: float | None = None,
        trials: int = 50,
        workers: int = 1,
        cost: str = "units",
        match: Match = "nearest",
        noise: Noise = "mean",
        duplicates: Duplicates = "charge",
        examples: int | None = None,
    ) -> Problem:
        """Check everything that does not depend on the agent; raises as `Simulator` does."""
        if trials < 1:
            raise UsageError(f"trials must be at least 1, not {trials}")
        if workers < 1:
            raise UsageError(f"workers must be at least 1, not {workers}")
        simulator = Simulator(
            table, budget, cost=cost, match=match, noise=noise, duplicates=duplicates
        )
        _ = simulator.optimum  # worked out here, so that no agent's time holds it
        card = TaskCard.of(simulator, trials=trials, workers=workers)
        if examples is not None:
            if card.examples is None or not 1 <= examples <= card.examples:
                held = "none" if card.examples is None else f"{card.examples}"
                raise UsageError(
                    f"a search of {table.name!r} cannot see {examples} training examples: the "
                    f"table holds outcomes of {held}"
                )
            card = replace(card, examples=examples)
        return cls(table, simulator, card, examples)

    @cached_property
    def _between_test_cells(self) -> Simulator:
        """The test split without a budget: the incumbent was within it when it was searched."""
        unbounded = np.finfo(np.float64).max
        return Simulator(self.table, unbounded, cost="tokens", match="interpolate", split="test")

    def evaluate(self, simulator: Simulator, ask: Ask | Configuration, start: float) -> Trial:
        """One trial. Where a search sees few examples, those are its whole split."""
        seen = self.examples
        wanted: int | None = None
        why = ""
        if isinstance(ask, Configuration):
            asked = ask
        elif ask.invalid:
            return simulator.record_failure(ask.invalid, start=start, why=ask.why)
        else:
            asked, wanted, why = ask.configuration, ask.examples, ask.why
        if seen is None:
            return simulator.evaluate(asked, examples=wanted, start=start, why=why)
        whole = wanted is None or wanted >= seen
        trial = simulator.evaluate(asked, examples=seen if whole else wanted, start=start, why=why)
        return trial._replace(examples=None) if whole else trial

    def table_score(self, simulator: Simulator, trial: Trial) -> float | None:
        """The table's own score of what answered a trial: without noise, on all examples."""
        exact = simulator.noise == "mean" and trial.examples is None and self.examples is None
        return trial.score if trial.score is None or exact else simulator.score(trial.asked)

    def test_score(self, incumbent: Trial | None) -> float | None:
        """Mean score on the test split of the configuration that answered the incumbent."""
        if incumbent is None or incumbent.answered is None or "test" not in self.table.splits:
            return None
        if self.simulator.match == "interpolate":
            return self._between_test_cells.score(incumbent.answered)
        score = float(self.table.scores("test")[self.table.space.cell(incumbent.answered)])
        return None if math.isnan(score) else score


def run_search(
    table: LookupTable,
    agent: str,
    *,
    budget: float | None = None,
    trials: int = 50,
    seed: int = 0,
    workers: int = 1,
    cost: str = "units",
    match: Match = "nearest",
    noise: Noise = "mean",
    duplicates: Duplicates = "charge",
    settings: Mapping[str, Any] | None = None,
    on_trial: Callable[[Trial, Trial | None], None] | None = None,
) -> SearchResult:
    """Let an agent search a table; `on_trial(trial, incumbent)` is called as each trial ends."""
    problem = Problem.of(
        table, budget=budget, trials=trials, workers=workers, cost=cost, match=match, noise=noise,
        duplicates=duplicates,
    )  # fmt: skip
    with single_threaded():
        return search_problem(problem, agent, seed=seed, settings=settings, on_trial=on_trial)


def search_problem(
    problem: Problem,
    agent: str,
    *,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    on_trial: Callable[[Trial, Trial | None], None] | None = None,
) -> SearchResult:
    """One search of a problem that is ready; the result does not depend on earlier ones."""
    if seed < 0:
        raise UsageError(f"seed must be at least 0, not {seed}")
    table, card = problem.table, problem.card
    simulator = problem.simulator.restarted(seed)
    optimum, trials, workers = simulator.optimum, card.trials, card.workers
    timer = time.perf_counter
    begin = timer()
    try:
        searcher = create(agent, card, seed, **(settings or {}))
    except (Exception, SystemExit) as error:
        _name(error, agent, "when it was made")
        raise
    agent_seconds, lookup_seconds = timer() - begin, 0.0
    clock = Clock[Trial](workers)
    done: list[Trial] = []
    incumbent: Trial | None = None
    asked, finished, aborted = 0, "", False
    while True:
        while clock.free and asked < trials and not finished:
            begin = timer()
            try:
                ask: object = searcher.ask()
            except SearchFinished as reason:
                finished = str(reason) or "the agent has nothing left to ask"
                aborted = isinstance(reason, SearchAborted)
                break
            except (Exception, SystemExit) as error:
                _name(error, agent, f"in ask() of trial {asked + 1}")
                raise
            finally:
                middle = timer()
                agent_seconds += middle - begin
            if not isinstance(ask, (Configuration, Ask)):
                what = type(ask).__name__
                raise RunError(f"agent {agent!r}: ask() gave {what}, not a Configuration or an Ask")
            trial = problem.evaluate(simulator, ask, clock.now)
            lookup_seconds += timer() - middle
            clock.start(trial, trial.seconds)
            asked += 1
        if clock.idle:
            break
        trial = clock.next()
        if better(trial, incumbent):
            incumbent = trial
        done.append(trial)
        if on_trial is not None:
            on_trial(trial, incumbent)
        begin = timer()
        try:
            searcher.tell(trial)
        except (Exception, SystemExit) as error:
            _name(error, agent, f"in tell() of trial {trial.index + 1}")
            raise
        agent_seconds += timer() - begin
    table_scores = tuple(problem.table_score(simulator, trial) for trial in done)
    to_optimum = first_to_reach(optimum.score, done, table_scores)
    hit = done[to_optimum - 1] if to_optimum is not None else incumbent
    return SearchResult(
        agent=agent,
        table=table.name,
        kind=table.kind,
        budget=simulator.budget,
        cost=simulator.cost_model.name,
        seed=seed,
        optimum=optimum,
        trials=tuple(done),
        incumbent=incumbent,
        test_score=problem.test_score(incumbent),
        trials_to_optimum=to_optimum,
        search_hours=0.0 if hit is None else hit.clock / 3600,
        agent_seconds=agent_seconds,
        lookup_seconds=lookup_seconds,
        finished_early=finished,
        aborted=aborted,
        usage=dict(getattr(searcher, "usage", {})),
        settings=dict(settings or {}),
        table_scores=table_scores,
    )


def _name(error: BaseException, agent: str, where: str) -> None:
    """Note on an agent's own exception which agent raised it, and where; it stays what it is."""
    if isinstance(error, SystemExit):
        raise RunError(f"agent {agent!r} ended the program {where}") from None
    if not isinstance(error, AgentTTSError):
        error.add_note(f"agent {agent!r} failed {where}")


def better(trial: Trial, incumbent: Trial | None) -> bool:
    """Whether a trial becomes the incumbent: feasible, on all examples, and scoring higher."""
    if trial.score is None or trial.examples is not None:
        return False
    return incumbent is None or incumbent.score is None or trial.score > incumbent.score


def first_to_reach(
    score: float, trials: Sequence[Trial], table_scores: Sequence[float | None]
) -> int | None:
    """Number of trials, in the order told, until one's table score (without noise) reaches `score`.

    Trials on fewer examples do not count as reaching it: they cannot be the incumbent.
    """
    for number, (trial, value) in enumerate(zip(trials, table_scores, strict=True), start=1):
        if trial.examples is None and value is not None and value >= score - 1e-12:
            return number
    return None


def single_threaded() -> contextlib.AbstractContextManager[Any]:
    """Linear algebra on one thread: processes are the parallelism, and sums keep their order."""
    controller = _thread_pools(len(sys.modules))
    return contextlib.nullcontext() if controller is None else controller.limit(limits=1)


@lru_cache(maxsize=1)
def _thread_pools(modules: int) -> Any:
    """The thread pools of the libraries that are loaded, looked for again where more modules are:
    finding them takes as long as a hundred trials."""
    try:
        from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]
    except ImportError:
        return None
    return ThreadpoolController()
