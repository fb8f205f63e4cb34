"""Write the leaderboard of README.md from a bench's folder.

    python -m tools.write_readme results/

Run it again after a bench whose results should stand in the README; no figure there is typed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.leaderboard import escaped, percent, seconds
from harness.report import Results, read_results
from harness.summary import overall
from simulator.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

README = Path(__file__).parent.parent / "README.md"
MARKS = ("<!-- leaderboard -->", "<!-- /leaderboard -->")
KINDS = ("measured", "published", "modelled")


def block(results: Results) -> str:
    """The leaderboard over all tables, what reached the optimum apart by kind of table."""
    summary = results.summary
    kinds = [kind for kind in KINDS if kind in summary["kind"].unique()]
    apart = {kind: _within(summary, kind) for kind in kinds}
    counts = {kind: summary.filter(summary["kind"] == kind)["table"].n_unique() for kind in kinds}
    heads = [f"{kind} ({counts[kind]})" for kind in kinds]
    lines = [
        "| agent | average rank | " + " | ".join(heads) + " | own seconds an ask |",
        "| --- " * (3 + len(kinds)) + "|",
    ]
    lines += [
        f"| `{escaped(row['agent'])}` | {row['rank']:.2f} | "
        + " | ".join(percent(apart[kind][row["agent"]]) for kind in kinds)
        + f" | {seconds(row['seconds_per_ask'])} |"
        for row in overall(summary).iter_rows(named=True)
    ]
    about, suite = results.about, results.about["suite"]
    text = (
        f"Share of runs that came within 1 % of the optimum in {suite['trials']} trials, over "
        f"{len(suite['seeds'])} seeds, by kind of table (number of tables). Ranks are by the area "
        f"under the regret, over all tables. From `make bench` on {about['machine']}, "
        f"{about['date'][:10]}; seconds are of that machine."
    )
    same = about.get("same_in_every_seed", ())
    if same:
        names = " and ".join(f"`{escaped(name)}`" for name in same)
        text += f" Of {names} every seed is the same run: a rate there is all or nothing a table."
    return "\n".join([*lines, "", text])


def _within(summary: pl.DataFrame, kind: str) -> dict[str, float]:
    part = summary.filter(summary["kind"] == kind).group_by("agent").agg(within="within_rate")
    return {agent: sum(rates) / len(rates) for agent, rates in part.iter_rows()}


def filled(readme: str, content: str) -> str:
    """The README with the block between its marks replaced."""
    head, begin, rest = readme.partition(MARKS[0])
    _, end, tail = rest.partition(MARKS[1])
    if not (begin and end):
        raise UsageError(f"README.md lacks the marks {' and '.join(MARKS)}")
    return f"{head}{begin}\n{content}\n{end}{tail}"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def main(folder: Path) -> None:
    """Write the results in FOLDER into README.md."""
    text = README.read_text(encoding="utf-8")
    README.write_text(filled(text, block(read_results(folder))), encoding="utf-8")
    click.echo(str(README))


if __name__ == "__main__":
    main()
