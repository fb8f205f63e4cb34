"""Write docs/replication.md from a bench's folder: the paper's Table 1 beside that run.

python -m tools.write_replication results/

Every figure and every verdict on the page comes out of the folder and the published CSV; run it
again after a bench whose results should stand in the docs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.leaderboard import Board, escaped
from harness.report import Results, read_results
from harness.report.content import open_tables
from harness.report.paper import METHODS, OWN, boards, compare_with_paper
from simulator.errors import UsageError

PAGE = Path(__file__).parent.parent / "docs" / "replication.md"

_HEAD = """# The paper's Table 1, replicated

Written by `python -m tools.write_replication RESULTS` from the folder of a bench; no figure here
is typed. Table 1 of AgentTTS (arXiv 2508.00890), as reported in its public discussion, compares six
search methods on six tasks by search hours and by the test score of what they found. Its figures
ship as `lookup_tables/reference/search_comparison.csv` (TextVQA's as `textvqa_search.csv`).

```python
from lookup_tables import reference

table = reference("search_comparison")
assert table.height == 36 and table["method"].n_unique() == 6 and table["task"].n_unique() == 6
```

## What can be replicated, and what cannot

The score tables behind the paper were never published, and neither were its searches' traces. What
is held against it here are the same methods on this project's
[modelled tables](modelled_tables.md):

- **Test scores** of modelled tables were fitted to the paper's, so their agreement is no evidence
  for anything but the fit.
- **Which method finds the optimum, and who is fastest**, was not fitted directly: the fit and the
  choice of draws were told which configurations the paper's searches found best. How soon a method
  gets there is what the comparison can tell.
- **Hours** are those of a roofline model of other hardware. Ratios between methods on one task can
  be compared; hours cannot.

| method of the paper | agent here |
| --- | --- |
"""

_STAR = "`*`: the best was not found; the hours are those to the run's best. Intervals are 90 %."

_SIGNS = {True: "agrees", False: "**differs**", None: "cannot be told"}


def page(results: Results) -> str:
    """The page; raises `UsageError` where the bench searched none of the paper's tasks."""
    tables, missing = open_tables(results.about)
    budgets = {name: table.task.default_budget for name, table in tables.items()}
    names = {entry["label"]: entry["name"] for entry in results.about["agents"]}
    found = compare_with_paper(results.summary, budgets, names)
    if found is None:
        raise UsageError(f"{results.folder} holds none of the paper's tasks at its budgets")
    ran = set(names.values())
    parts = [_HEAD.rstrip("\n")]
    parts += [
        f"| {_methods(method)} | {_agents(agents, ran)} |" for method, agents in METHODS.items()
    ]
    parts += ["", f"`{OWN}` is this project's own planner, which the paper does not have.", ""]
    parts += ["## What agrees and what does not", ""]
    parts += [f"- {escaped(sentence)}" for sentence in found["sentences"]]
    parts += [f"- Not compared: {escaped(name)} ({escaped(why)})." for name, why in missing.items()]
    parts += ["", *_claims(found["claims"]), ""]
    parts += ["## Task by task", "", _STAR, ""]
    for board in boards(found):
        parts += _board(board)
    parts += ["## The run", "", *_about(results)]
    return "\n".join(parts) + "\n"


def _methods(method: str) -> str:
    return "AgentTTS (the paper's own)" if method == "Ours" else escaped(method)


def _agents(agents: Sequence[str], ran: set[str]) -> str:
    return ", ".join(f"`{a}`" + ("" if a in ran else " (not in this run)") for a in agents)


def _claims(claims: Sequence[dict[str, Any]]) -> list[str]:
    lines = [
        "| task | what | method | the paper | here | verdict | judged by |",
        "| --- " * 7 + "|",
    ]
    for claim in claims:
        cells = [claim[key] for key in ("task", "what", "method", "paper", "here")]
        shown = [escaped(str(cell)) for cell in cells]
        verdict = _SIGNS[claim["agrees"]]
        lines.append("| " + " | ".join([*shown, verdict, escaped(claim["by"])]) + " |")
    return lines


def _board(board: Board) -> list[str]:
    lines = [f"### {escaped(board.title.removeprefix('The paper' + chr(39) + 's Table 1: '))}", "",
             escaped(board.about), ""]  # fmt: skip
    lines.append("| " + " | ".join(board.columns) + " |")
    lines.append("| --- " * len(board.columns) + "|")
    lines += ["| " + " | ".join(escaped(cell) for cell in row) + " |" for row in board.rows]
    return [*lines, ""]


def _about(results: Results) -> list[str]:
    about, suite = results.about, results.about["suite"]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(about["versions"].items()))
    return [
        f"- {len(suite['seeds'])} seeds, {suite['trials']} trials a search.",
        f"- Matching `{suite['match']}`, noise `{suite['noise']}`; {about['cells']:,} cells.",
        f"- Made {about['date']} on {about['machine']} with {versions}.",
        f"- Again: `{about['command']}`",
    ]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=PAGE, help="The page to write.")
def main(folder: Path, out: Path) -> None:
    """Write the page of the bench in FOLDER."""
    out.write_text(page(read_results(folder)), encoding="utf-8")
    click.echo(str(out))


if __name__ == "__main__":
    main()
