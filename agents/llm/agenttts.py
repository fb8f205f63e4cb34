"""AgentTTS: guidelines drawn from an archive of trials guide the next candidates.

Source: the method of arXiv 2508.00890 as its public discussion describes it. What is this project's
own: the wording of the prompts, the computed digests of the archive beside each insight, repair
rounds, work with several workers, and exploration that runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Unpack

import numpy as np

from agents.card import TaskCard
from agents.llm import templates
from agents.llm.agent import LLMAgent, at_least_one
from agents.llm.analysis import analyse
from agents.llm.explore import OPERATORS, at_random
from agents.llm.proposals import Strict
from agents.llm.scrub import one_line
from agents.llm.settings import Thinking
from agents.llm.thinking import Checked
from simulator import Ask, Choice, Configuration
from simulator.errors import UsageError

INSIGHTS = (1, 2, 3)


class Guidelines(Strict):
    """What the archive shows, and the rules that follow from it."""

    analysis: str
    guidelines: list[str]


class Explore(Strict):
    """How many candidates are left to each operator."""

    crossover: int
    mutation: int
    random: int


class AgentTTS(LLMAgent):
    """Initial trials, then rounds: archive to guidelines, guidelines to a batch, trials to archive.

    - Initial trials: for each stage each of its models at the samples that the grid's least count
      of its largest model would pay for, the other stages at that count of their largest model, if
      the whole is affordable, else of their smallest, and then at fewer samples as far as the
      budget goes; a model that cannot be afforded at all is left out.
    - `insights` are those that the first guidelines state and whose digest of the archive the model
      sees; without insight 1 the initial trials are as many at random.
    - `revise_guidelines=False` keeps the first guidelines.
    - Memory is the archive with the first and the last two sets of guidelines.
    - `batch` candidates a round; with `explore` the model may leave part of them to crossover,
      mutation and chance.
    """

    prompts = ("agenttts/insights", "agenttts/guidelines", "agenttts/propose")

    def __init__(
        self,
        card: TaskCard,
        rng: np.random.Generator,
        *,
        insights: Sequence[int] = INSIGHTS,
        revise_guidelines: bool = True,
        batch: int = 4,
        explore: bool = False,
        **thinking: Unpack[Thinking],
    ) -> None:
        super().__init__(card, rng, **thinking)
        self._insights = _checked_insights(insights)
        self._revise, self._explore = bool(revise_guidelines), bool(explore)
        self._batch = at_least_one("batch", batch)
        text = templates.render("agenttts/insights", {"insights": self._insights}).text
        self.guidelines: list[tuple[str, ...]] = [tuple(text.splitlines())]
        self._begun = False

    def think(self) -> Iterable[Ask]:
        if not self._begun:
            self._begun = True
            initial = self._initial()
            if initial:
                return initial
        if self._revise and self.trials:
            self._revise_guidelines()
        return self._propose()

    # Initial trials -------------------------------------------------------------------------------

    def _initial(self) -> list[Ask]:
        aligned = initial_trials(self.card)
        if 1 in self._insights:
            return [Ask(asked, why=f"initial trial: {why}") for asked, why in aligned]
        made: dict[Configuration, Ask] = {}
        for _ in aligned:
            found = at_random(self.card, (), self.rng, made)
            if found is not None:
                made[found[0]] = Ask(found[0], why="initial trial: at random")
        return list(made.values())

    # Rounds ---------------------------------------------------------------------------------------

    def _memory(self) -> list[dict[str, object]]:
        """The first and the last two sets of guidelines, with titles."""
        last = len(self.guidelines) - 1
        kept = sorted({0, max(0, last - 1), last})
        titles = {0: "First guidelines", last: "Newest guidelines"}
        if last == 0:
            titles[0] = "Guidelines"
        return [
            {"title": titles.get(n, "Guidelines before"), "lines": self.guidelines[n]} for n in kept
        ]

    def _round(self, **more: Any) -> dict[str, Any]:
        return self.context(
            guidelines=self._memory(),
            insights=self._insights,
            analysis=analyse(self.card, [trial for _, trial in self.memory]),
            explore=self._explore,
            **more,
        )

    def _revise_guidelines(self) -> None:
        def read(reply: dict[str, Any]) -> Checked[tuple[str, ...]]:
            lines = reply.get("guidelines")
            if not isinstance(lines, list) or not all(isinstance(x, str) for x in lines):
                return Checked((), ('"guidelines" must be a list of sentences',))
            kept = tuple(one_line(line, 500) for line in lines if line.strip())[:12]
            return Checked(kept, () if kept else ('"guidelines" must not be empty',))

        answer = self.thinker.ask("agenttts/guidelines", Guidelines, read, self._round())
        # Guidelines are no proposal: where none can be read, the last ones stay.
        if answer.value:
            self.guidelines.append(answer.value)

    def _propose(self) -> list[Ask]:
        batch = min(max(self._batch, self.card.workers), self.remaining)
        schema = self.candidates_schema(explore=Explore) if self._explore else None
        proposals, answer = self.ask_batch(
            "agenttts/propose",
            batch,
            schema=schema,
            guidelines=self._memory(),
            explore=self._explore,
        )
        wanted = _wanted((answer.value or {}).get("explore")) if self._explore else {}
        asks = [self.to_ask(p, answer.label) for p in proposals][:batch]
        made = {ask.configuration for ask in asks}
        for name, count in wanted.items():
            for _ in range(min(count, batch - len(asks))):
                found = OPERATORS[name](self.card, self.trials, self.rng, self.taken | made)
                if found is not None:
                    asks.append(Ask(found[0], why=f"{found[1]}, ordered by the model"))
                    made.add(found[0])
        if not asks:
            asks.append(Ask.failed("invalid proposal: nothing new could be made as ordered"))
        return asks

    def _may_be_empty(self, reply: dict[str, Any]) -> bool:
        return self._explore and sum(_wanted(reply.get("explore")).values()) > 0


def initial_trials(card: TaskCard) -> list[tuple[Configuration, str]]:
    """Each stage's models under aligned conditions (see `AgentTTS`), with the reason of each.

    Equal configurations are kept once.
    """
    made: dict[Configuration, str] = {}
    for i, stage in enumerate(card.stages):
        least, costs = stage.samples[0], card.stage_costs[i]
        largest = int(np.argmax([model.parameters for model in stage.models]))
        pays = costs[largest, least] * (1 + 1e-9)
        for m, model in enumerate(stage.models):
            paid = max((s for s in stage.samples if costs[m, s] <= pays), default=least)
            fewer = [s for s in reversed(stage.samples) if s < paid]
            aligned = [(paid, True), (paid, False), *((s, False) for s in fewer)]
            for samples, with_largest in aligned:
                asked = _with_others(card, i, model.name, samples, with_largest)
                if card.feasible(asked):
                    fits = "" if samples == paid else ", as far as the budget goes"
                    why = (
                        f"{model.name} in stage {stage.name} at what {least} of "
                        f"{stage.models[largest].name} would cost{fits}; the other stages at their "
                        f"{'largest' if with_largest else 'smallest'} model"
                    )
                    made.setdefault(asked, why)
                    break
    return list(made.items())


def _with_others(
    card: TaskCard, i: int, model: str, samples: int, with_largest: bool
) -> Configuration:
    """Stage i as given, the others at the least count of their largest or smallest model."""
    pick = max if with_largest else min
    choices = [
        Choice(s.name, pick(s.models, key=lambda x: x.parameters).name, s.samples[0])
        for s in card.stages
    ]
    choices[i] = Choice(card.stages[i].name, model, samples)
    return Configuration(tuple(choices))


def _wanted(raw: object) -> dict[str, int]:
    """Counts of a reply's `explore`, wrong ones as none."""
    if not isinstance(raw, dict):
        return {}
    counts = {}
    for name in OPERATORS:
        value = raw.get(name, 0)
        whole = isinstance(value, int | float) and not isinstance(value, bool) and value == value
        counts[name] = int(min(max(value, 0), 100)) if whole else 0
    return counts


def _checked_insights(insights: object) -> tuple[int, ...]:
    if isinstance(insights, str):
        parts = insights.strip("[]() ").replace(",", " ").split()
        insights = [int(p) if p.isdigit() else p for p in parts]
    if isinstance(insights, int):
        insights = [insights]
    if not isinstance(insights, list | tuple) or any(n not in INSIGHTS for n in insights):
        raise UsageError(f"insights must be among {list(INSIGHTS)}, not {insights!r}")
    return tuple(sorted({int(n) for n in insights}))
