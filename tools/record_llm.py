"""Record the searches of `harness/suites/recorded.toml` anew, or say what the recordings hold.

    python -m tools.record_llm record --base-url http://127.0.0.1:8000/v1
    python -m tools.record_llm report

`record` needs the model of the suite at an OpenAI-compatible server. All searches run at once, so
that the server batches them; a call that a recording already holds is not made again. `report`
replays the recordings, with no network, and writes the table in docs/llm_agents.md.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click

from agents.llm.recording import SHIPPED
from harness.search import SearchResult, run_search
from harness.suite import AgentEntry, Suite, make_suite
from lookup_tables import load
from simulator.compiling import compile_kernels

ROOT = Path(__file__).parent.parent
SUITE = ROOT / "harness" / "suites" / "recorded.toml"
PAGE = ROOT / "docs" / "llm_agents.md"
MARKS = ("<!-- recorded -->", "<!-- /recorded -->")


@dataclass(frozen=True)
class Cell:
    """One search of the suite."""

    agent: AgentEntry
    table: str
    seed: int
    trials: int

    @property
    def model(self) -> str:
        """The model's name, which is also the name of its folder of recordings."""
        return str(self.agent.settings["replay"])

    def search(self, **thinking: object) -> SearchResult:
        """Run it with `record` and an address, or as the suite has it."""
        settings = {**self.agent.settings, **thinking}
        if "record" in thinking:
            del settings["replay"]
        return run_search(
            load(self.table), self.agent.name, trials=self.trials, seed=self.seed, settings=settings
        )


def read_suite() -> Suite:
    """The suite that ships."""
    return make_suite(tomllib.loads(SUITE.read_text(encoding="utf-8")), SUITE.name)


def cells(suite: Suite) -> list[Cell]:
    """The searches that think with a model."""
    return [
        Cell(agent, table, seed, suite.trials)
        for agent in suite.agents
        if "replay" in agent.settings
        for table in suite.tables
        for seed in suite.seeds
    ]


def markdown(results: Iterable[SearchResult]) -> str:
    """One row for each agent and table, its seeds together."""
    groups: dict[tuple[str, str], list[SearchResult]] = {}
    for result in results:
        groups.setdefault((result.table, result.agent), []).append(result)
    lines = [
        "| table | agent | calls | repairs | proposals | valid | repeated | tokens | best found |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (table, agent), runs in sorted(groups.items()):
        use = {name: sum(run.usage[name] for run in runs) for name in runs[0].usage}
        valid = 1 - use["invalid"] / use["proposals"] if use["proposals"] else float("nan")
        best = ", ".join(
            "none" if run.incumbent is None else f"{run.incumbent.score / run.optimum.score:.1%}"
            for run in runs
        )
        lines.append(
            f"| `{table}` | `{agent}` | {use['calls']:.0f} | {use['repairs']:.0f} "
            f"| {use['proposals']:.0f} | {valid:.0%} | {use['repeated']:.0f} "
            f"| {use['tokens_in']:,.0f} in, {use['tokens_out']:,.0f} out | {best} |"
        )
    return "\n".join(lines)


@click.group()
def main() -> None:
    """Recordings of agents that think with a language model."""


@main.command()
@click.option("--base-url", required=True)
def record(base_url: str) -> None:
    """Call the model for whatever the recordings lack."""
    compile_kernels(click.echo)
    planned = cells(read_suite())

    def one(cell: Cell) -> str:
        file = SHIPPED / cell.model / f"{cell.agent.name}-{cell.table}-{cell.seed}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        found = cell.search(record=str(file), model=cell.model, base_url=base_url, timeout=1800.0)
        return (
            f"{file.name}: {len(found.trials)} trials, {found.usage['calls']:.0f} calls"
            f"{'; ' + found.finished_early if found.finished_early else ''}"
        )

    with ThreadPoolExecutor(len(planned)) as pool:
        for line in pool.map(one, planned):
            click.echo(line)


@main.command()
def report() -> None:
    """Replay the recordings and write what they hold into the docs."""
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = text.partition(MARKS[0])
    tail = rest.partition(MARKS[1])[2]
    listing = markdown(cell.search() for cell in cells(read_suite()))
    PAGE.write_text(f"{head}{MARKS[0]}\n\n{listing}\n\n{MARKS[1]}{tail}", encoding="utf-8")
    click.echo(listing)


if __name__ == "__main__":
    main()
