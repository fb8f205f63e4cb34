"""One sentence for each ask of the insight planner."""

from __future__ import annotations

import numpy as np

from agents.card import TaskCard


def explain_first(card: TaskCard, cell: int) -> str:
    """Why a configuration is asked before anything is known."""
    configuration = card.space.configuration(cell)
    share = card.cost(configuration) / card.budget
    return (
        "Start where the insights alone expect most: moderate samples of the larger models that "
        f"{share:.0%} of the budget pays for."
    )


def explain(
    card: TaskCard,
    cell: int,
    best: int,
    mean: float,
    deviation: float,
    doubt: str,
    weight: float,
) -> str:
    """Which move from the best cell so far an ask is, and what is expected of it.

    `mean` and `deviation` are the belief's for the score; `doubt` is what the leading hypothesis
    gives up (empty where all insights hold) and `weight` its probability.
    """
    options = card.space.options(np.array([cell, best]))
    models = options // card.space.n_grid
    to, at = card.space.configuration(cell), card.space.configuration(best)
    changed = [i for i in range(len(card.stages)) if options[0, i] != options[1, i]]
    swapped = [i for i in changed if models[0, i] != models[1, i]]
    expected = f"expected score {mean:.3f} +- {deviation:.3f}"
    if len(changed) == 1 and swapped:
        new, old = to.choices[changed[0]], at.choices[changed[0]]
        what = (
            f"Shortlist (insight 1): is {new.model} at {new.samples} better in stage {new.stage} "
            f"than {old.model} at {old.samples}, the other stages held?"
        )
    elif len(changed) == 1:
        new, old = to.choices[changed[0]], at.choices[changed[0]]
        way = "more" if new.samples > old.samples else "fewer"
        what = (
            f"Localise (insight 2): {way} samples of {new.model} in stage {new.stage}, "
            f"{new.samples} against {old.samples}"
        )
    elif changed:
        moves = []
        for i in changed:
            new, old = to.choices[i], at.choices[i]
            name = f"{old.model} to {new.model}, " if i in swapped else ""
            moves.append(f"{new.stage} {name}{old.samples} to {new.samples}")
        costs = card.cost(at), card.cost(to)
        what = (
            f"Coordinate (insight 3): {'; '.join(moves)}; "
            f"cost {costs[0]:.4g} to {costs[1]:.4g} of {card.budget:.4g} {card.cost_unit}"
        )
    else:
        what = "Explore"
    if doubt:
        return f"{what}; {expected}. The archive doubts that {doubt} ({weight:.0%})."
    return f"{what}; {expected}."
