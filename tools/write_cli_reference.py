"""Write docs/reference/cli.md: every command with its help, as the program itself prints it.

python -m tools.write_cli_reference
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "cli.md"

_HEAD = """# Command line

Written by `python -m tools.write_cli_reference`; a test holds it against the program.

Every listing takes `--json`. An error is one line on standard error; the exit status is 2 for wrong
use and 1 for a failed operation. `--debug` (or `AGENTTTS_DEBUG=1`) shows tracebacks.
"""


def commands(
    command: click.Command, path: tuple[str, ...] = ("agenttts",)
) -> Iterator[tuple[tuple[str, ...], click.Command, click.Context]]:
    """Every command under `command`, itself first, with its words and a context of its own."""
    context = click.Context(
        command, info_name=" ".join(path), terminal_width=92, max_content_width=92,
        help_option_names=["-h", "--help"],
    )  # fmt: skip
    yield path, command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from commands(child, (*path, name))


def page() -> str:
    """The whole page."""
    from harness.cli import cli

    parts = [_HEAD]
    for path, command, context in commands(cli):
        text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        parts.append(f"## {' '.join(path)}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
