"""`agenttts agents`: the search algorithms that can be named."""

from __future__ import annotations

from typing import Any

import click

from harness.commands import common


@click.command()
@common.json_option
def agents(as_json: bool) -> None:
    """List the search algorithms: shipped ones, then those of installed packages."""
    from agents.registry import available
    from harness.code_version import Sources, missing_packages

    rows: list[dict[str, Any]] = []
    sources: Sources = {}
    for info in available().values():
        missing = missing_packages(info.target, sources)
        rows.append(
            {
                "name": info.name,
                "summary": info.summary,
                "extra": info.extra,
                "llm": info.llm,
                "source": info.source,
                "ready": not missing,
                "missing": missing,
            }
        )
    if as_json:
        common.print_json(rows)
        return
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    listing = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("agent", "what it does", "needs"):
        listing.add_column(heading, overflow="fold")
    for row in rows:
        needs = []
        if row["llm"]:
            needs.append("a language model")
        if row["missing"]:
            needs.append(f"pip install 'agenttts[{row['extra']}]'" if row["extra"] else "packages: "
                         + ", ".join(row["missing"]))  # fmt: skip
        listing.add_row(
            escape(str(row["name"])), escape(str(row["summary"])), escape("; ".join(needs))
        )
    common.console().print(listing)
