"""Dense arrays of tables, built once per machine and memory-mapped from then on.

    CACHE/index/PATH.json   size and times of a table's files when last read, and their content key
    CACHE/KEY/header.json   what the arrays are
    CACHE/KEY/*.npy         plain arrays, never pickled

CACHE is `$AGENTTTS_CACHE`, else `$XDG_CACHE_HOME/agenttts`, else `~/.cache/agenttts`; where that
cannot be written, a folder of this user in the temporary folder. KEY hashes the contents of the
files that the arrays come from. A table whose files look untouched is found by its index alone;
any other is hashed, and read again where its contents are new. Entries are written under a
temporary name and renamed, one process at a time, so that others find all of an entry or nothing.
The cache may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.outcomes import Coded, Outcomes
from simulator.table import SplitTable

LAYOUT = 1
"""Raise it when the arrays change, so that older entries are no longer found."""

MAPPED_FROM = 2**16
"""Smaller arrays are read instead of mapped, which is quicker (bytes)."""

RACY_NS = 2_000_000_000
"""A file changed less than this before its index was written may change again unnoticed: some
file systems keep times to two seconds only. Such an index is not trusted."""

Array = NDArray[Any]
Signature = list[list[int | str]]


def roots() -> list[Path]:
    """Cache folders in the order in which they are tried; the last can be written."""
    home = os.environ.get("AGENTTTS_CACHE")
    if not home:
        xdg = os.environ.get("XDG_CACHE_HOME")
        # A relative XDG_CACHE_HOME is to be ignored, says the XDG base directory specification.
        base = Path(xdg) if xdg and Path(xdg).is_absolute() else Path.home() / ".cache"
        home = str(base / "agenttts")
    first = Path(home).expanduser()
    if _writable(first):
        return [first]
    user = os.getuid() if hasattr(os, "getuid") else "user"
    fallback = Path(tempfile.gettempdir()) / f"agenttts-{user}"
    return [first, fallback] if _writable(fallback) and _ours(fallback) else [first]


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return False
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _ours(folder: Path) -> bool:
    """No one else may have laid arrays there for us: a temporary folder is everybody's."""
    if not hasattr(os, "getuid"):
        return True
    status = folder.lstat()
    return not folder.is_symlink() and status.st_uid == os.getuid() and not status.st_mode & 0o022


def signature(folder: Path, names: tuple[str, ...]) -> Signature:
    """Name, size, times and inode of those files that exist."""
    found: Signature = []
    for name in names:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            s = (folder / name).stat()
            found.append([name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino])
    return found


def content_key(hashes: Mapping[str, str]) -> str:
    """Key of an entry: a hash of the contents that its arrays come from."""
    text = json.dumps([LAYOUT, sorted(hashes.items())])
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def _index_path(root: Path, folder: Path) -> Path:
    name = hashlib.sha256(str(folder.resolve()).encode("utf-8", "surrogateescape")).hexdigest()
    return root / "index" / f"{name[:40]}.json"


def find_key(folder: Path, seen: Signature) -> str | None:
    """The content key of a folder whose files look as they did when they were last read."""
    for root in roots():
        try:
            data = json.loads(_index_path(root, folder).read_text(encoding="utf-8"))
            newest = max(max(int(entry[2]), int(entry[3])) for entry in seen)
            if (
                data["layout"] == LAYOUT
                and data["files"] == seen
                and newest + RACY_NS < data["written"]
            ):
                return str(data["key"])
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            continue
    return None


def write_index(folder: Path, seen: Signature, key: str) -> None:
    """Remember the content key of a folder; nothing is lost where this fails."""
    record = {
        "layout": LAYOUT,
        "folder": str(folder.resolve()),
        "files": seen,
        "written": time.time_ns(),
        "key": key,
    }
    path = _index_path(roots()[-1], folder)
    with contextlib.suppress(OSError, UnicodeEncodeError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(record, file)
        Path(temporary).replace(path)


def read_entry(key: str) -> dict[str, SplitTable] | None:
    """The splits of an entry, memory-mapped; `None` where there is none or it is damaged."""
    for root in roots():
        entry = root / key
        try:
            header = json.loads((entry / "header.json").read_text(encoding="utf-8"))
            return _unpack(header, entry)
        except FileNotFoundError:
            continue
        except Exception:
            # A damaged header of an array raises what it likes: `tokenize.TokenError` is one.
            _discard(entry)
    return None


def _sweep(root: Path) -> None:
    """Remove what processes that were killed left behind more than a day ago."""
    with contextlib.suppress(OSError):
        for path in root.glob(".tmp-*"):
            if path.stat().st_mtime < time.time() - 86_400:
                shutil.rmtree(path, ignore_errors=True)


def _discard(entry: Path) -> None:
    """Move a damaged entry away, so that a sound one can take its place."""
    with contextlib.suppress(OSError):
        grave = Path(tempfile.mkdtemp(dir=entry.parent, prefix=".tmp-"))
        entry.rename(grave / "damaged")
        shutil.rmtree(grave, ignore_errors=True)


def write_entry(key: str, splits: Mapping[str, SplitTable]) -> dict[str, SplitTable] | None:
    """Write an entry and return it memory-mapped; `None` where the disk would not take it."""
    root = roots()[-1]
    _sweep(root)
    temporary = None
    try:
        temporary = Path(tempfile.mkdtemp(dir=root, prefix=".tmp-"))
        header, arrays = _pack(splits)
        for name, array in arrays.items():
            np.save(temporary / name, array, allow_pickle=False)
        (temporary / "header.json").write_text(json.dumps(header), encoding="utf-8")
        temporary.rename(root / key)
    except OSError:
        # The disk is full or read-only, or another process was first.
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return read_entry(key)


@contextlib.contextmanager
def lock(key: str) -> Iterator[None]:
    """Let one process at a time build an entry; without locks on this system, all may."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    path = roots()[-1] / f"{key}.lock"
    try:
        file = path.open("a")
    except OSError:
        yield
        return
    with file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink()


@dataclass
class _Arrays:
    """Gives every array a file name."""

    files: dict[str, Array]

    def add(self, array: Array) -> str:
        name = f"{len(self.files)}.npy"
        self.files[name] = np.ascontiguousarray(array)
        return name


def _pack(splits: Mapping[str, SplitTable]) -> tuple[dict[str, Any], dict[str, Array]]:
    arrays = _Arrays({})
    header: dict[str, Any] = {}
    for name, split in splits.items():
        header[name] = {
            "metrics": {metric: arrays.add(a) for metric, a in split.metrics.items()},
            "seconds": arrays.add(split.seconds),
            "examples": arrays.add(split.examples),
        }
        if split.outcomes is not None:
            header[name]["outcomes"] = {
                "n_examples": split.outcomes.n_examples,
                "row_of_cell": arrays.add(split.outcomes.row_of_cell),
                "metrics": {
                    metric: {
                        "coding": coded.coding,
                        "data": arrays.add(coded.data),
                        "book": coded.book.tolist(),
                    }
                    for metric, coded in split.outcomes.metrics.items()
                },
            }
    sizes = {name: array.nbytes for name, array in arrays.files.items()}
    return {"layout": LAYOUT, "splits": header, "bytes": sizes}, arrays.files


def _unpack(header: dict[str, Any], entry: Path) -> dict[str, SplitTable]:
    def get(name: str) -> Array:
        size = header["bytes"][name]
        mode: Any = "r" if size >= MAPPED_FROM else None
        array = np.asarray(np.load(entry / name, mmap_mode=mode, allow_pickle=False))
        if array.nbytes != size:
            raise ValueError(f"{name} is damaged")
        array.flags.writeable = False
        return array

    splits = {}
    for name, data in header["splits"].items():
        outcomes = None
        if "outcomes" in data:
            coded = {
                metric: Coded(d["coding"], get(d["data"]), np.array(d["book"], dtype=np.float64))
                for metric, d in data["outcomes"]["metrics"].items()
            }
            n = data["outcomes"]["n_examples"]
            outcomes = Outcomes(n, get(data["outcomes"]["row_of_cell"]), coded)
        metrics = {metric: get(file) for metric, file in data["metrics"].items()}
        splits[name] = SplitTable(
            name, metrics, get(data["seconds"]), get(data["examples"]), outcomes
        )
    return splits
