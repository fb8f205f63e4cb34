"""Recordings of a model's replies: one JSON object a line, readable, replayed without network.

    {"version": 1, "key": "9f...", "index": 0, "purpose": "agenttts/guidelines", "model": "...",
     "settings": {...}, "schema_hash": "...", "messages": [{"role": ..., "content": ...}, ...],
     "reply": {"text": ..., "tokens_in": ..., "tokens_out": ..., "seconds": ..., ...}}

The key is a hash of the model, the messages, the settings (the run's seed among them), the schema
of the reply and the call's index in its run. No key of an endpoint, no header and no address is
written. Version 1; a golden line is in `tests/agents/llm/test_recording.py`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from agents.llm.port import ChatModel, ModelError, Reply, Request
from agents.llm.scrub import one_line, scrub
from simulator.errors import UsageError

VERSION = 1

SHIPPED = Path(__file__).parent / "recordings"
"""Recordings that come with the project: a folder for each model."""


class RecordingError(UsageError):
    """A recording that cannot be read, or that does not hold the call that is made."""


class _Turn(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    role: str
    content: str


class Call(BaseModel):
    """One line of a recording."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
    version: int
    key: str
    index: int
    purpose: str
    model: str
    settings: dict[str, Any]
    schema_hash: str
    messages: tuple[_Turn, ...]
    reply: Reply

    @field_validator("reply")
    @classmethod
    def _took_time(cls, reply: Reply) -> Reply:
        if not 0 <= reply.seconds < float("inf"):
            raise ValueError(f"seconds are {reply.seconds}")
        return reply


def key_of(model: str, request: Request) -> str:
    """SHA-256 of what makes two calls the same, in hexadecimal.

    >>> from agents.llm.port import Message, Sampling
    >>> request = Request((Message("user", "hi"),), Sampling())
    >>> key_of("m", request)[:8], key_of("n", request)[:8]
    ('5e476f88', '5ac26b70')
    """
    content = {
        "model": model,
        "messages": [asdict(message) for message in request.messages],
        "settings": asdict(request.sampling),
        "schema": schema_hash(request.schema),
        "index": request.index,
    }
    return hashlib.sha256(_canonical(content).encode()).hexdigest()


def schema_hash(schema: Mapping[str, Any]) -> str:
    """The first 16 digits of a JSON schema's SHA-256, empty where there is none."""
    return hashlib.sha256(_canonical(schema).encode()).hexdigest()[:16] if schema else ""


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class Recording:
    """The calls of one file, or of all `.jsonl` files of a folder, by key."""

    path: Path
    calls: Mapping[str, Call]

    @classmethod
    def load(cls, path: str | Path) -> Recording:
        """Read a recording; a last line cut off by a kill is left out.

        `path` may be the name of a folder in `SHIPPED`, where nothing else has that name. Raises
        `RecordingError` naming file and line for anything else that is damaged.
        """
        path = Path(path)
        if path.name == str(path) and not path.exists() and (SHIPPED / path).is_dir():
            path = SHIPPED / path
        if path.is_dir():
            files = sorted(path.glob("*.jsonl"))
            if not files:
                raise RecordingError(f"{path}: the folder holds no recording (*.jsonl)")
        else:
            files = [path]
        calls: dict[str, Call] = {}
        for file in files:
            for call in _read(file):
                calls[call.key] = call
        return cls(path, calls)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models that were recorded."""
        return tuple(sorted({call.model for call in self.calls.values()}))

    def miss(self, model: str, request: Request) -> RecordingError:
        """The error that says which call is missing and what differs from the nearest recorded."""
        which = f"{self.path} does not hold call {request.index} ({request.purpose}) of this run"
        same = [c for c in self.calls.values() if c.index == request.index]
        if not same:
            last = max((c.index for c in self.calls.values()), default=-1)
            return RecordingError(f"{which}; its last call is {last}" if last >= 0 else which)
        found = min((_differences(c, model, request) for c in same), key=_weight)
        return RecordingError(f"{which}; the nearest recorded call differs in {'; '.join(found)}")


def _read(file: Path) -> Iterable[Call]:
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise RecordingError(f"{file}: no such recording") from None
    except OSError as error:
        raise RecordingError(f"{file}: {error.strerror}") from None
    lines = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            call = Call.model_validate_json(line)
        except ValidationError as error:
            # Lines end with a newline, so only one without it can be the victim of a kill.
            if number == len(lines):
                continue
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise RecordingError(
                f"{file}, line {number}: {where + ': ' if where else ''}{one_line(first['msg'])}"
            ) from None
        if call.version != VERSION:
            raise RecordingError(
                f"{file}, line {number}: version {call.version}, this program reads {VERSION}"
            )
        yield call


def _differences(call: Call, model: str, request: Request) -> list[str]:
    found = []
    if call.model != model:
        found.append(f"the model: {model!r}, recorded {call.model!r}")
    settings = asdict(request.sampling)
    for name in sorted(set(settings) | set(call.settings)):
        ours, theirs = settings.get(name), call.settings.get(name)
        if ours != theirs:
            found.append(f"the setting {name}: {ours!r}, recorded {theirs!r}")
    if call.schema_hash != schema_hash(request.schema):
        found.append("the schema of the reply")
    if len(call.messages) != len(request.messages):
        found.append(f"{len(request.messages)} messages, recorded {len(call.messages)}")
    for n, (turn, old) in enumerate(zip(request.messages, call.messages, strict=False)):
        if turn.content != old.content or turn.role != old.role:
            at = _first_difference(turn.content, old.content)
            found.append(
                f"message {n} ({turn.role}) at character {at}: "
                f"{turn.content[at : at + 40]!r}, recorded {old.content[at : at + 40]!r}"
            )
            break
    return [one_line(scrub(text), 240) for text in found] or ["nothing but its key"]


def _weight(found: list[str]) -> tuple[int, int]:
    """Fewest differences first; among those, the message that differs latest."""
    text = found[-1]
    at = int(text.split("at character ")[1].split(":")[0]) if "at character " in text else 0
    return len(found), -at


def _first_difference(a: str, b: str) -> int:
    for at, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return at
    return min(len(a), len(b))


class Replay:
    """A model that answers from a recording alone; a call that it does not hold is an error."""

    def __init__(self, recording: Recording, model: str | None = None) -> None:
        known = recording.models
        if model is None and len(known) != 1:
            raise RecordingError(
                f"{recording.path} holds calls of {len(known)} models"
                f"{': ' + ', '.join(known) if known else ''}; name one with model=NAME"
            )
        self._recording, self._name = recording, model or known[0]

    @property
    def name(self) -> str:
        return self._name

    def reply(self, request: Request) -> Reply:
        call = self._recording.calls.get(key_of(self._name, request))
        if call is None:
            raise self._recording.miss(self._name, request)
        return call.reply


class Recorder:
    """A model whose calls are written to a file as they are answered.

    Calls that the file already holds are answered from it, so that an interrupted run goes on
    without paying again. Several processes may write to one file: a call is one appended line.
    """

    def __init__(self, model: ChatModel, path: str | Path) -> None:
        self._model, self._path = model, Path(path)
        self._known: dict[str, Reply] = {}
        if self._path.is_dir():
            raise RecordingError(f"{self._path}: a recording is written to a file, not a folder")
        if self._path.exists():
            calls = Recording.load(self._path).calls
            self._known = {key: call.reply for key, call in calls.items()}
            _mend_tail(self._path)

    @property
    def name(self) -> str:
        return self._model.name

    def reply(self, request: Request) -> Reply:
        key = key_of(self.name, request)
        if key in self._known:
            return self._known[key]
        secrets: tuple[str, ...] = getattr(self._model, "secrets", ())
        reply = self._model.reply(request)
        # What is returned is what a replay will return, so the trace of both is the same.
        text, refusal = scrub(reply.text, secrets), scrub(reply.refusal, secrets)
        reply = replace(reply, text=text, refusal=refusal)
        self._write(key, request, reply, secrets)
        self._known[key] = reply
        return reply

    def _write(self, key: str, request: Request, reply: Reply, secrets: tuple[str, ...]) -> None:
        call = Call(
            version=VERSION,
            key=key,
            index=request.index,
            purpose=request.purpose,
            model=self.name,
            settings=asdict(request.sampling),
            schema_hash=schema_hash(request.schema),
            messages=tuple(
                _Turn(role=m.role, content=scrub(m.content, secrets)) for m in request.messages
            ),
            reply=reply,
        )
        line = json.dumps(call.model_dump(mode="json"), ensure_ascii=False) + "\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                _append(handle, line.encode())
            finally:
                os.close(handle)
        except OSError as error:
            raise ModelError(
                f"{self._path}: cannot write the recording: {error.strerror}"
            ) from None


def _append(handle: int, line: bytes) -> None:
    """Write a whole line or nothing: a disk that fills up takes a part of it without an error."""
    written = os.write(handle, line)
    try:
        while written < len(line):
            written += os.write(handle, line[written:])
    except OSError:
        end = os.lseek(handle, 0, os.SEEK_CUR)
        if end == os.fstat(handle).st_size:  # no other process has written since
            os.ftruncate(handle, end - written)
        raise


def _mend_tail(path: Path) -> None:
    """Cut off a last line that a kill left unfinished, so that the next one begins on its own."""
    content = path.read_bytes()
    if not content or content.endswith(b"\n"):
        return
    begin = content.rfind(b"\n") + 1
    try:
        Call.model_validate_json(content[begin:])
    except ValidationError:
        with path.open("r+b") as file:
            file.truncate(begin)
    else:
        with path.open("ab") as file:
            file.write(b"\n")
