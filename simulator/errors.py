"""Every exception of the project, one tree.

AgentTTSError                    what the command line turns into one line
├── UsageError                   wrong use: exit status 2
│   ├── UnknownName              no table, agent, stage, model or option of that name
│   ├── InvalidConfiguration     a configuration that the task does not have
│   ├── BudgetTooSmall           no configuration is affordable
│   ├── NotInTable               an exact or interpolated lookup that the table cannot answer
│   ├── DuplicateAsked           a repeated ask where duplicates are forbidden
│   └── MissingExtra             a package that only an extra installs
├── TableError                   a table on disk that is damaged or incomplete: exit status 1
├── RunError                     a run that could not be finished: exit status 1
└── SearchFinished               an agent has nothing left to ask (ends a run, never a failure)
    └── SearchAborted            an agent cannot go on; what was done is kept
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def printable(text: str) -> str:
    """A text on one line that any terminal and any encoding can take; all else is escaped.

    >>> printable("a\\nb \\x1b[31m")
    'a b \\\\x1b[31m'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else ascii(c)[1:-1] for c in text)


class AgentTTSError(Exception):
    """Base of all errors of this project; `exit_status` is the command line's.

    Its text is one printable line, whatever names of files, columns or models it repeats.
    """

    exit_status = 1

    def __str__(self) -> str:
        return printable(super().__str__())


class UsageError(AgentTTSError):
    """The caller asked for something that does not exist or cannot be."""

    exit_status = 2


class UnknownName(UsageError):
    """A name that is not among the known ones; the message gives the nearest."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        self.what, self.name, self.known = what, name, sorted(known)
        close = difflib.get_close_matches(name, self.known, n=3, cutoff=0.5)
        shown = close or self.known[:10]
        hint = "did you mean" if close else "there are"
        more = "" if close or len(self.known) <= 10 else ", ..."
        tail = f"; {hint} {', '.join(shown)}{more}" if shown else ""
        super().__init__(f"no {what} named {name!r}{tail}")

    def __reduce__(self) -> tuple[type[UnknownName], tuple[str, str, list[str]]]:
        return type(self), (self.what, self.name, self.known)


class InvalidConfiguration(UsageError):
    """A configuration whose stages, models or samples the task does not have."""


class BudgetTooSmall(UsageError):
    """A budget under the cheapest configuration."""


class NotInTable(UsageError, LookupError):
    """The table holds no answer for this configuration under this matching."""


class DuplicateAsked(UsageError):
    """A configuration was asked twice where `duplicates="forbid"`."""


class MissingExtra(UsageError):
    """A package is missing; the message names the extra that installs it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package, self.extra, self.purpose = package, extra, purpose
        super().__init__(
            f"{purpose} needs the package {package!r}: pip install 'agenttts[{extra}]'"
        )

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str, str]]:
        return type(self), (self.package, self.extra, self.purpose)


class TableError(AgentTTSError):
    """A lookup table on disk that cannot be trusted or read."""


class RunError(AgentTTSError):
    """A search or a bench that could not be finished."""


class SearchFinished(AgentTTSError):
    """Raised by an agent's `ask` when it has nothing left to ask."""


class SearchAborted(SearchFinished):
    """Raised by an agent's `ask` when something it needs has failed; its trials are kept."""
