"""The insight planner: test-time scaling searched by its three insights, with no language model.

It keeps a belief (`belief.py`) about every affordable configuration, which starts from the insights
(`prior.py`) and is revised by each trial. Each ask is one of the insights' moves from the best
configuration so far:

- *shortlist* (insight 1): another model in one stage, the other stages held;
- *localise* (insight 2): another sample count in one stage. A golden-section search would halve
  the bracket around the peak; the belief's bracket also learns from trials elsewhere on the curve
  and on the other models' curves, and is not misled by one lucky score;
- *coordinate* (insight 3): stages change together where they trade budget, each other's best
  response taken into account;
- *explore*: none of these, where the archive says that an insight does not hold here.

The move asked is the one with the largest expected improvement, averaged over the hypotheses, one
of which grants all insights while the others deny one each. No configuration is asked twice. Every
ask explains itself in one sentence, which the trace keeps.
"""

from agents.insight.planner import InsightPlanner

__all__ = ["InsightPlanner"]
