"""What a sweep has drawn so far: a folder of append-only, checksummed chunk files.

    sweep.json        identity and settings of the sweep that the folder belongs to
    sessions.jsonl    one line for each time the sweep was started
    errors.jsonl      one line for each request that the infrastructure failed
    lock              held (flock) by the process that is running
    shards/STAGE/MODEL/KIND/CHUNK-PART.SHA.parquet
    damaged/          shards whose content no longer has the checksum in its name

A chunk is written to a temporary name, flushed to disk and renamed, so a shard is there whole or
not at all, whenever the process is killed. The name holds the first 16 hex digits of the content's
SHA-256. KIND is `samples` or `fusions`. A row is one sample, keyed by (example, upstream hash,
draw, sample): `draw` is 0 for a pool's samples and S for the fusion of its first S.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import io
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collectors.engines.base import Reply
from collectors.errors import StoreError
from collectors.sweep import Sweep
from simulator.parquet_pages import check_pages

Kind = Literal["samples", "fusions"]
_SHARD = re.compile(r"^(\d{6})-(\d{3})\.([0-9a-f]{16})\.parquet$")


class Key(NamedTuple):
    """What a request is for: example, hash of the upstream result, 0 or the fusion's S."""

    example: str
    upstream: str
    draw: int


@dataclass(frozen=True)
class Pool:
    """The samples of one request in the order drawn; arrays have one entry a sample."""

    texts: tuple[str, ...]
    tokens: NDArray[np.int64]
    finishes: tuple[str, ...]
    prompt_tokens: int


@dataclass(frozen=True)
class ShardCost:
    """What one chunk took: prompt tokens, generated tokens, seconds."""

    prompt_tokens: int
    generated_tokens: int
    seconds: float


class Store:
    """A sweep's folder. `open` checks that it belongs to the sweep."""

    def __init__(self, path: Path, identity: str) -> None:
        self.path = path
        self.identity = identity
        self.quarantined: list[str] = []

    @classmethod
    def open(cls, path: str | Path, sweep: Sweep) -> Store:
        """Open or start the folder; raises `StoreError` where it holds another sweep."""
        path = Path(path)
        head = path / "sweep.json"
        if head.exists():
            held = read_head(path)
            if held["identity"] != sweep.identity:
                what = _difference(held["settings"], sweep.settings)
                raise StoreError(
                    f"{path} holds another sweep ({what}); settings are never mixed: give this one "
                    "a folder of its own"
                )
        else:
            if path.exists() and any(path.iterdir()):
                raise StoreError(f"{path} is not empty and holds no sweep; give an empty folder")
            content = {
                "identity": sweep.identity,
                "settings": sweep.settings,
                "file": sweep.file.model_dump(mode="json"),
            }
            with _disk(path):
                path.mkdir(parents=True, exist_ok=True)
                write_atomic(head, json.dumps(content, indent=1, sort_keys=True).encode())
        return cls(path, sweep.identity)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for one writer; raises `StoreError` where another one has it."""
        with (self.path / "lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreError(f"{self.path} is in use by another run") from None
            for stray in self.path.rglob(".writing-*"):
                stray.unlink(missing_ok=True)
            yield

    def start_session(
        self, engine: dict[str, Any], weights: Mapping[str, str] | None = None
    ) -> int:
        """Note that a run starts; gives its number, from 0.

        `weights` are hashes of local weights by model: raises `StoreError` where an earlier run had
        others under the same name.
        """
        number = len(self.sessions())
        held = self.weights()
        for model, digest in (weights or {}).items():
            if held.get(model, digest) != digest:
                raise StoreError(
                    f"{self.path} holds samples of other weights of {model!r} ({held[model][:23]}, "
                    f"here {digest[:23]}): give these a folder of their own"
                )
        line = {"session": number, "started": datetime.now(UTC).isoformat(), "engine": engine}
        self._append_line("sessions.jsonl", line | {"weights": dict(weights or {})})
        return number

    def sessions(self) -> list[dict[str, Any]]:
        """The runs of this sweep so far, oldest first."""
        return self._lines("sessions.jsonl")

    def weights(self) -> dict[str, str]:
        """Hashes of the local weights that the samples come from, by model."""
        found: dict[str, str] = {}
        for session in self.sessions():
            held = session.get("weights")
            found |= {str(k): str(v) for k, v in held.items()} if isinstance(held, dict) else {}
        return found

    def rehearsed(self) -> bool:
        """Whether in any run a function answered in place of a language model."""
        engines = [session.get("engine") for session in self.sessions()]
        return any(
            str(engine.get("engine", "")).startswith("scripted")
            for engine in engines
            if isinstance(engine, dict)
        )

    def note_error(self, stage: str, model: str, key: Key, why: str) -> None:
        """Keep a failure of the infrastructure apart from the answers."""
        self._append_line(
            "errors.jsonl", {"stage": stage, "model": model, **key._asdict(), "why": why}
        )

    def errors(self) -> list[dict[str, Any]]:
        """Failures noted so far, also those that were made good later."""
        return self._lines("errors.jsonl")

    def _append_line(self, name: str, line: dict[str, Any]) -> None:
        with _disk(self.path), (self.path / name).open("ab") as handle:
            # A killed writer may have left half a line: a new one never continues it.
            lead = b"\n" if handle.tell() and not self._ends_line(name) else b""
            handle.write(lead + json.dumps(line, sort_keys=True).encode() + b"\n")
            handle.flush()
            os.fsync(handle.fileno())

    def _ends_line(self, name: str) -> bool:
        with (self.path / name).open("rb") as handle:
            handle.seek(-1, os.SEEK_END)
            return handle.read(1) == b"\n"

    def _lines(self, name: str) -> list[dict[str, Any]]:
        path = self.path / name
        found = []
        if path.exists():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError, RecursionError):
                    held = json.loads(line)
                    if isinstance(held, dict):
                        found.append(held)
        return found

    def folder(self, stage: str, model: str, kind: Kind) -> Path:
        """Where the shards of one stage, model and kind lie."""
        return self.path / "shards" / stage / slug(model) / kind

    def append(
        self,
        stage: str,
        model: str,
        kind: Kind,
        chunk: int,
        answered: Sequence[tuple[Key, Reply]],
        seconds: float,
    ) -> Path:
        """Write one chunk; raises `StoreError` on a full disk, leaving no trace of the chunk."""
        import polars as pl

        rows = [(key, reply, k) for key, reply in answered for k in range(len(reply.draws))]
        frame = pl.DataFrame(
            {
                "example": [key.example for key, _, _ in rows],
                "upstream": [key.upstream for key, _, _ in rows],
                "draw": pl.Series([key.draw for key, _, _ in rows], dtype=pl.Int32),
                "sample": pl.Series([k for _, _, k in rows], dtype=pl.Int32),
                "text": [_storable(reply.draws[k].text) for _, reply, k in rows],
                "tokens": pl.Series(
                    [reply.draws[k].tokens for _, reply, k in rows], dtype=pl.Int32
                ),
                "finish": [reply.draws[k].finish for _, reply, k in rows],
                "seed": pl.Series([reply.draws[k].seed for _, reply, k in rows], dtype=pl.Int64),
                "prompt_tokens": pl.Series(
                    [reply.prompt_tokens for _, reply, _ in rows], dtype=pl.Int32
                ),
            }
        ).with_columns(
            seconds=pl.lit(float(seconds)),
            sweep=pl.lit(self.identity),
            stage=pl.lit(stage),
            model=pl.lit(model),
        )
        buffer = io.BytesIO()
        frame.write_parquet(buffer, compression="zstd", statistics=False)
        content = buffer.getvalue()
        folder = self.folder(stage, model, kind)
        with _disk(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            part = sum(1 for name in _shard_names(folder) if name.startswith(f"{chunk:06d}-"))
            digest = hashlib.sha256(content).hexdigest()[:16]
            target = folder / f"{chunk:06d}-{part:03d}.{digest}.parquet"
            write_atomic(target, content)
        return target

    def pools(
        self, stage: str, model: str, kind: Kind, *, repair: bool = False
    ) -> tuple[dict[Key, Pool], list[ShardCost]]:
        """Everything stored of one stage, model and kind, and what each chunk took.

        A shard that is damaged raises `StoreError`, or, with `repair`, is moved to `damaged/` and
        named in `quarantined`; its requests then count as missing.
        """
        import polars as pl

        pools: dict[Key, Pool] = {}
        costs: list[ShardCost] = []
        folder = self.folder(stage, model, kind)
        for name in _shard_names(folder):
            frame = self._read(folder / name, stage, model, repair=repair)
            if frame is None:
                continue
            by_request = frame.group_by(["example", "upstream", "draw"], maintain_order=True).agg(
                "text", "tokens", "finish", "sample", pl.col("prompt_tokens").first()
            )
            generated = int(frame["tokens"].sum())
            prompts = int(by_request["prompt_tokens"].sum())
            costs.append(ShardCost(prompts, generated, float(frame["seconds"][0])))
            for row in by_request.iter_rows(named=True):
                key = Key(row["example"], row["upstream"], row["draw"])
                if key in pools or row["sample"] != list(range(len(row["sample"]))):
                    raise StoreError(f"{folder / name} repeats samples of {tuple(key)}")
                pools[key] = Pool(
                    tuple(row["text"]),
                    np.array(row["tokens"], dtype=np.int64),
                    tuple(row["finish"]),
                    int(row["prompt_tokens"]),
                )
        return pools, costs

    def _read(self, path: Path, stage: str, model: str, *, repair: bool) -> Any:
        import polars as pl

        try:
            content = path.read_bytes()
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from None
        if hashlib.sha256(content).hexdigest()[:16] != path.name.split(".")[1]:
            if not repair:
                raise StoreError(
                    f"{path} is damaged (its content does not have the checksum in its name); "
                    "`agenttts collect run` sets it aside and draws its samples again"
                )
            aside = self.path / "damaged"
            with _disk(self.path):
                aside.mkdir(exist_ok=True)
                path.replace(aside / f"{slug(stage)}--{slug(model)}--{path.name}")
            self.quarantined.append(str(path.relative_to(self.path)))
            return None
        try:
            check_pages(path)
            frame = pl.read_parquet(io.BytesIO(content))
            frame = frame.select(pl.col(n).cast(t, strict=True) for n, t in _columns(pl).items())
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError) as error:
            line = (str(error).splitlines() or ["not readable as Parquet"])[0]
            raise StoreError(f"{path} is no shard of this version: {line}") from None
        if dict(frame.schema) != _columns(pl):
            raise StoreError(f"{path} is no shard of this version: its columns have other types")
        if len(frame) == 0 or sum(frame.null_count().row(0)):
            raise StoreError(f"{path} is no shard of this version: it has empty entries or no row")
        for column, expected in (("sweep", self.identity), ("stage", stage), ("model", model)):
            held = frame[column][0]
            if held != expected:
                raise StoreError(f"{path} belongs to {column} {held!r}, not to {expected!r}")
        return frame


def _columns(pl: Any) -> dict[str, Any]:
    """Names and types of a shard's columns."""
    texts = ("example", "upstream", "text", "finish", "sweep", "stage", "model")
    numbers = ("draw", "sample", "tokens", "seed", "prompt_tokens")
    return {
        **dict.fromkeys(texts, pl.String),
        **dict.fromkeys(numbers, pl.Int64),
        "seconds": pl.Float64,
    }


def read_head(path: str | Path) -> dict[str, Any]:
    """Content of `sweep.json`; raises `StoreError` where the folder holds no sweep."""
    head = Path(path) / "sweep.json"
    try:
        held: dict[str, Any] = json.loads(head.read_text(encoding="utf-8"))
        found = {part: held[part] for part in ("identity", "settings", "file")}
        if not isinstance(found["settings"], dict) or not isinstance(found["file"], dict):
            raise TypeError("settings and file must be objects")
        return found
    except FileNotFoundError:
        raise StoreError(f"{path} holds no sweep (no sweep.json)") from None
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise StoreError(f"{head} is damaged: {error}") from None


def slug(name: str) -> str:
    """A name as a folder: plain letters, and a hash where something had to go."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".") or "_"
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def write_atomic(path: Path, content: bytes) -> None:
    """Write to a temporary name, flush to disk, rename, flush the folder."""
    temporary = path.with_name(f".writing-{os.getpid()}-{path.name}")
    try:
        with temporary.open("wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _shard_names(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if _SHARD.match(path.name))


def _storable(text: str) -> str:
    """Lone surrogates cannot be stored as UTF-8; they become the replacement character."""
    return text.encode("utf-8", "replace").decode("utf-8")


@contextlib.contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(
                f"{path}: no space left on the disk; make room and run again: only the chunk in "
                "flight is lost"
            ) from None
        raise StoreError(f"{path}: cannot write: {error.strerror or error}") from None


def _difference(old: dict[str, Any], new: dict[str, Any], where: str = "") -> str:
    for key in sorted(set(old) | set(new)):
        here = f"{where}.{key}" if where else key
        left, right = old.get(key), new.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            inner = _difference(left, right, here)
            if inner:
                return inner
        elif left != right:
            return f"{here} is {_short(left)} there and {_short(right)} here"
    return ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
