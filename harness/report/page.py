"""From a bench's folder to `summary.md` and `index.html`; the tables that it names are read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.files import make_writable, write_text
from harness.leaderboard import Board, boards, escaped, footnotes, markdown
from harness.summary import GROUP
from simulator.errors import RunError, UsageError

if TYPE_CHECKING:
    import polars as pl

    from harness.report.content import Content
    from simulator import Configuration


@dataclass(frozen=True)
class Results:
    """A bench's folder in memory: its frames (`harness.store`) and `about`, its `bench.json`.

    `varied` is there where the suite varied examples or noise.
    """

    folder: Path
    trials: pl.DataFrame
    runs: pl.DataFrame
    summary: pl.DataFrame
    about: dict[str, Any]
    varied: pl.DataFrame | None = None

    @property
    def boards(self) -> list[Board]:
        """The leaderboards, the overall one first."""
        return boards(self.summary, self.about)

    @property
    def notes(self) -> list[str]:
        """The leaderboards' footnotes."""
        return footnotes(self.summary, self.about)


def read_results(folder: str | Path) -> Results:
    """Read a bench's folder; raises `UsageError` where it is none, `RunError` if it is damaged."""
    import polars as pl

    where = Path(folder)
    if not where.is_dir():
        raise UsageError(f"{where}: no such folder")
    frames = {}
    for name in ("trials", "runs", "summary", "varied"):
        path = where / f"{name}.parquet"
        if name == "varied" and not path.is_file():
            continue
        if not path.is_file():
            raise UsageError(f"{where} holds no results of a bench: {path.name} is missing")
        try:
            frames[name] = pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise RunError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
        lacking = [column for column in GROUP if column not in frames[name].columns]
        if lacking:
            raise RunError(f"{path} is no file of a bench: it has no column {lacking[0]!r}")
    try:
        about = json.loads((where / "bench.json").read_text(encoding="utf-8"))
        if not isinstance(about, dict):
            raise ValueError("it is not an object")
    except (OSError, ValueError) as error:
        raise RunError(f"{where / 'bench.json'} cannot be read: {error}") from None
    return Results(
        where, frames["trials"], frames["runs"], frames["summary"], about, frames.get("varied")
    )


def write_report(
    folder: str | Path, defaults: Mapping[str, Configuration] | None = None
) -> Results:
    """Write `summary.md` and `index.html` into a bench's folder, from what it holds.

    The tables that it names are opened where they can be had, for landscapes, cards and payback;
    `defaults` are default configurations by table, which payback is reckoned against. Without the
    extra `report` the page has its tables but no plots.
    """
    from harness.report.content import make_content
    from harness.report.html import page

    results = read_results(folder)
    make_writable(results.folder)
    content = make_content(results, defaults)
    write_text(results.folder / "summary.md", summary(results, content))
    write_text(results.folder / "index.html", page(results, content))
    return results


def summary(results: Results, content: Content) -> str:
    """`summary.md`: what the page says, as text; a dash stands for what was not to be had."""
    boards, notes = results.boards, results.notes
    extra = content.boards()
    text = markdown([*boards[:1], *extra[:1], *boards[1:], *extra[1:]], notes)
    text = _with_list(text, "In short", content.in_short(), before="## Overall")
    if content.data["paper"]:
        lines = content.data["paper"]["sentences"]
        text = _with_list(text, "Where it agrees with the paper", lines, before="## Notes")
    return text


def _with_list(text: str, title: str, lines: Sequence[str], *, before: str) -> str:
    """The text with a section of these lines before a heading."""
    head, heading, tail = text.partition(f"\n{before}\n")
    if not lines or not heading:
        return text
    listed = "\n".join(f"- {escaped(line)}" for line in lines)
    return f"{head}\n## {title}\n\n{listed}\n{heading}{tail}"
