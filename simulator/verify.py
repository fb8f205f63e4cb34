"""`verify`: everything that is wrong with a table on disk."""

from __future__ import annotations

from pathlib import Path

from simulator.errors import AgentTTSError
from simulator.space import Space
from simulator.table_format import (
    MANIFEST,
    SCORES,
    TASK,
    Problem,
    Report,
    check_hashes,
    check_identity,
    read_manifest,
    sha256,
)
from simulator.task import Task

__all__ = ["Problem", "verify"]


def verify(path: str | Path) -> list[Problem]:
    """All problems of a table's folder, each with its file, row and column; empty where sound.

    Reads everything anew, past the cache: the manifest and the SHA-256 of every file, stray files,
    the task, each row of the scores and outcomes, and whether outcomes average to the scores. Of
    one kind of problem in one column, the first ten rows are named and the rest counted.
    """
    folder, report = Path(path), Report()
    if not folder.is_dir():
        report.add("", "no such folder")
        return report.problems
    data = read_manifest(folder, report)
    listed = data.get("files")
    names = set(listed) if isinstance(listed, dict) else set()
    plain = {p.name for p in folder.iterdir() if p.is_file() and not p.is_symlink()}
    hashes = {}
    for name in sorted(names & plain):
        try:
            hashes[name] = sha256(folder / name)
        except OSError as error:
            report.add(name, f"cannot be read: {error.strerror}")
    check_hashes(folder, data, hashes, report)
    if names:
        for entry in sorted(folder.iterdir()):
            if entry.name not in names | {MANIFEST} and not entry.name.startswith("."):
                report.add(entry.name, f"is not in {MANIFEST}")
    try:
        task = Task.from_toml(folder / TASK)
        space = Space(task)
    except AgentTTSError as error:
        report.add(TASK, str(error).removeprefix(f"{folder / TASK}: "))
        return report.problems
    check_identity(task, data, report)
    if (folder / SCORES).is_file():
        from simulator.table_io import read_splits

        read_splits(folder, space, report)
    return report.problems
