"""Exceptions of the collectors, branches of the project's one tree.

RunError (exit status 1)
├── EngineError       an engine that cannot go on: the run stops, what was stored stays
├── StoreError        a sweep's folder that is damaged, full, in use, or of another sweep
└── SandboxError      the sandbox cannot be set up here; generated programs are then not run
UsageError (exit status 2)
└── SweepError        a sweep file, or the data it names, that cannot be used as it is
"""

from __future__ import annotations

from simulator.errors import RunError, UsageError


class EngineError(RunError):
    """An engine that cannot go on; a single request's failure is a `Reply.error` instead."""


class StoreError(RunError):
    """A sweep's folder that is damaged, full, in use, or holds another sweep."""


class SandboxError(RunError):
    """The sandbox cannot be set up on this machine."""


class SweepError(UsageError):
    """A sweep file, or the data it names, that cannot be used as it is."""
