"""The planner proposes, the model may overrule: a hybrid that a weak model cannot spoil.

No paper's method: it is this project's own. The planner works with no language model; the model is
shown each proposal with the planner's reason and either accepts it or gives another configuration
and why.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Literal, Unpack, get_args

import numpy as np
from pydantic import create_model

from agents.base import Agent
from agents.card import TaskCard
from agents.llm.agent import LLMAgent, at_least_one, because
from agents.llm.proposals import Proposal, Strict, configuration_schema, read_candidate
from agents.llm.settings import Thinking
from agents.llm.thinking import Checked
from agents.llm.view import best_line, best_of
from agents.registry import agent_class
from simulator import Ask, Configuration, Trial
from simulator.errors import UnknownName, UsageError

Share = Literal["improving", "never", "all"]


class InsightLLM(LLMAgent):
    """A planner's asks, some of them overruled by a model.

    - `planner` names the agent that proposes. An overruled proposal is kept and tried next, so the
      planner's own sequence is delayed, never lost.
    - `patience` is the guard: an overruling is a success where it beats the best so far and then
      the planner's own proposal too, and a strike where it does not, or is invalid, repeated or
      over the budget. A success clears all strikes; after `patience` strikes the planner goes on
      alone, without further calls. So a model that never succeeds costs `patience` trials.
    - `share` says which overrulings the planner is told of: those that improved on the best so far,
      none (its sequence is then exactly its own), or all; a planner that cannot be told of trials
      it did not ask for needs `never`.
    """

    prompts = ("insight_llm/review",)

    def __init__(
        self,
        card: TaskCard,
        rng: np.random.Generator,
        *,
        planner: str = "insight",
        patience: int = 3,
        share: Share = "improving",
        **thinking: Unpack[Thinking],
    ) -> None:
        if share not in get_args(Share):
            raise UnknownName("share", str(share), get_args(Share))
        made = agent_class(planner)
        if issubclass(made, LLMAgent):
            raise UsageError(f"planner {planner!r} needs a language model itself; name another")
        # The planner's stream does not depend on how many numbers the model's settings draw.
        self.planner: Agent = made(card, rng.spawn(1)[0])
        super().__init__(card, rng, **thinking)
        self._patience = at_least_one("patience", patience)
        self._share, self.strikes = share, 0
        self._held: deque[Ask] = deque()
        # Overrulings that run, each with the proposal that it overruled; and the scores of those
        # that improved, by that proposal, until its own score is known.
        self._overruled: dict[Configuration, Configuration] = {}
        self._awaiting: dict[Configuration, float] = {}
        self._unsound: list[Configuration] = []
        self._known: dict[Configuration, Trial] = {}
        configuration: Any = configuration_schema(card, self.off_grid)
        self._schema = create_model(
            "Review",
            __base__=Strict,
            why=(str, ...),
            accept=(bool, ...),
            configuration=(configuration, ...),
        )

    @property
    def alone(self) -> bool:
        """Whether the guard has given the run to the planner."""
        return self.strikes >= self._patience

    def think(self) -> Iterable[Ask]:
        plan, held = self._plan()
        # Overrulings that are not judged yet may become strikes, so the model waits for them.
        open_strikes = self.strikes + len(self._overruled) + len(self._awaiting)
        if held or open_strikes >= self._patience or plan.invalid:
            return [plan]
        accepted, proposal, label = self._review(plan)
        if accepted:
            self.thinker.meter.proposals += 1
            agrees = f"; the model agrees: {proposal.why}" if proposal.why else ""
            why = plan.why.rstrip(". ") + agrees
            return [Ask(plan.configuration, plan.examples, because(why, label))]
        self._held.appendleft(plan)
        ask = self.to_ask(proposal, label)
        if proposal.problem:
            self.strikes += 1
        if proposal.configuration is not None and proposal.problem:
            self._unsound.append(proposal.configuration)
        elif proposal.configuration is not None:
            self._overruled[proposal.configuration] = plan.configuration
        return [Ask(ask.configuration, None, f"overrules the planner: {ask.why}", ask.invalid)]

    def tell(self, trial: Trial) -> None:
        best = best_of(self.trials)
        super().tell(trial)
        if trial.asked in self._awaiting and trial.examples is None:
            self._judge(self._awaiting.pop(trial.asked), trial)
        if trial.asked in self._unsound:
            self._unsound.remove(trial.asked)
        elif trial.asked in self._overruled:
            self._tell_overruling(trial, best)
        elif trial.asked.choices:
            self.planner.tell(trial)

    def _tell_overruling(self, trial: Trial, best: Trial | None) -> None:
        instead_of = self._overruled.pop(trial.asked)
        improved = trial.score is not None and (
            best is None or best.score is None or trial.score > best.score
        )
        if trial.score is None or not improved:
            self.strikes += 1
        else:
            self._awaiting[instead_of] = trial.score
            for known in self.trials:
                if known.asked == instead_of and instead_of in self._awaiting:
                    self._judge(self._awaiting.pop(instead_of), known)
        if self._share == "all" or (self._share == "improving" and improved):
            self.planner.tell(trial)
        else:
            self._known[trial.asked] = trial

    def _judge(self, score: float, plan: Trial) -> None:
        """An overruling that improved on the best so far, against the proposal it overruled."""
        self.strikes = 0 if plan.score is None or score > plan.score else self.strikes + 1

    def _plan(self) -> tuple[Ask, bool]:
        """The planner's next proposal, and whether it is one that was overruled and held back.

        A proposal whose trial an overruling has paid for already is answered from memory.
        """
        while True:
            held = bool(self._held)
            given = self._held.popleft() if held else self.planner.ask()
            plan = given if isinstance(given, Ask) else Ask(given)
            known = self._known.pop(plan.configuration, None) if plan.examples is None else None
            if known is None:
                return plan, held
            self.planner.tell(known)

    def _review(self, plan: Ask) -> tuple[bool, Proposal, str]:
        """Whether the model accepts, else its own proposal; and the prompt's label."""
        taken = self.taken

        def read(reply: dict[str, Any]) -> Checked[tuple[bool, Proposal]]:
            why = str(reply.get("why", ""))
            accept = reply.get("accept")
            if accept is True:
                return Checked((True, Proposal(plan.configuration, because_of(why))))
            if accept is not False:
                problem = '"accept" must be true or false'
                return Checked((False, Proposal(None, why, "invalid", problem)), (problem,))
            proposal = read_candidate(reply, self.card, taken, self.off_grid)
            if proposal.configuration == plan.configuration and not proposal.problem:
                return Checked((True, proposal))
            return Checked((False, proposal), (proposal.detail,) if proposal.problem else ())

        context = self.context(
            proposal=str(plan.configuration),
            reason=plan.why or "none given",
            best=best_line(self.trials, self.card.cost_unit),
            strikes=self._patience - self.strikes,
        )
        answer = self.thinker.ask("insight_llm/review", self._schema, read, context)
        if answer.value is None:
            problem = "; ".join(answer.problems)
            return False, Proposal(None, "", "invalid", problem), answer.label
        accepted, proposal = answer.value
        return accepted, proposal, answer.label


def because_of(why: str) -> str:
    """A model's reason, without what is not one."""
    return "" if why.strip().lower() in ("", "...", "none") else why
