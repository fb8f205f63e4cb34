"""The program `agenttts`.

Nothing heavy is imported here: each command's module is imported when the command is called, and
what it needs when it runs. To add a command: one line in `COMMANDS`.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

import click

from harness.lazy import Lazy, LazyGroup

COMMANDS: Mapping[str, Lazy] = {
    "tables": Lazy("harness.commands.tables:tables", "List, show, verify and import tables."),
    "replay": Lazy("harness.commands.replay:replay", "One configuration's trial, from a table."),
    "agents": Lazy("harness.commands.agents:agents", "List the search algorithms."),
    "search": Lazy("harness.commands.search:search", "Let one agent search one table."),
    "bench": Lazy("harness.commands.bench:bench", "Many agents, tables and seeds; resumes."),
    "report": Lazy("harness.commands.report:report", "Leaderboard and page of a finished bench."),
    "compare": Lazy("harness.commands.compare:compare", "What changed between two benches."),
    "import-trials": Lazy(
        "harness.commands.import_trials:import_trials", "Another search's runs, beside a bench's."
    ),
    "collect": Lazy("collectors.cli:collect", "Measure a table on an engine.", optional=True),
}


class Program(LazyGroup):
    """The root group: every error becomes one line and an exit status, never a traceback.

    The context's `obj` is the command line's words, for commands that say how to go on.
    """

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        if not standalone_mode:
            return super().main(args, "agenttts", complete_var, standalone_mode=False, **extra)
        words = list(sys.argv[1:] if args is None else args)
        try:
            status = super().main(
                words, "agenttts", complete_var, standalone_mode=False, obj=tuple(words), **extra
            )
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            where = f" (agenttts {_path(error)} --help)" if _path(error) else ""
            _stop(_one_line(error.format_message()) + where, error.exit_code)
        except click.Abort:
            _stop("interrupted", 130)
        except Exception as error:
            from simulator.scrub import held_secrets, scrub

            if "--debug" in words or os.environ.get("AGENTTTS_DEBUG"):
                from traceback import format_exc

                click.echo(scrub(format_exc(), held_secrets()), err=True, nl=False)
                sys.exit(1)
            line, status = _explain(error)
            _stop(scrub(line, held_secrets()), status)
        sys.exit(status if isinstance(status, int) else 0)


def _path(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return context.command_path.removeprefix("agenttts").strip() if context else ""


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _stop(message: str, status: int) -> NoReturn:
    click.echo(f"agenttts: {message}", err=True)
    sys.exit(status)


def _explain(error: Exception) -> tuple[str, int]:
    """The line and the exit status of an error; the project's own errors know theirs."""
    status = getattr(error, "exit_status", None)
    if isinstance(status, int):
        return _one_line(str(error)), status
    if isinstance(error, OSError):
        return _one_line(str(error)), 1
    if isinstance(error, MemoryError):
        return "out of memory", 1
    where = "".join(f"{_one_line(note)}: " for note in getattr(error, "__notes__", ()))
    kind = type(error).__name__
    return f"{where}{kind}: {_one_line(str(error)) or 'no message'} (--debug shows where)", 1


@click.group(
    cls=Program,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--debug", is_flag=True, hidden=True, help="Show tracebacks (or AGENTTTS_DEBUG=1).")
@click.version_option(package_name="agenttts", message="%(prog)s %(version)s")
def cli(debug: bool) -> None:
    """Search algorithms for test-time scaling, replayed from lookup tables.

    Every configuration of a multi-stage LLM pipeline has been run or modelled beforehand, so a
    search takes milliseconds and no GPU. Begin with: agenttts tables list, agenttts bench.
    """


def _keep_interrupts() -> None:
    """Have a Ctrl-C that comes while Python throws an object away raised again a moment later.

    An exception in `__del__` is printed and forgotten: the program would go on.
    """
    otherwise = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_type is KeyboardInterrupt:
            with suppress(RuntimeError):  # at the very end no thread starts any more
                threading.Timer(0.1, _thread.interrupt_main).start()
        else:
            otherwise(unraisable)

    sys.unraisablehook = hook


def main() -> None:
    """Entry point of the installed program."""
    _keep_interrupts()
    try:
        cli()
    finally:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            # All is said and written: one more Ctrl-C ends what is left, without a traceback.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
