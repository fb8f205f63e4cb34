"""Software from a sentence, on SRDD (Qian et al. 2024): write code, review it, test it.

Each stage passes on the whole program as JSON (file name to text). Generated programs run only in
the sandbox. Rows have a `description` (or `task`, `prompt`) and may have a `name`; the file of SRDD
`{"names": [...], "tasks": [...]}` is read too.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from collectors import sandbox
from collectors.data import DataSource, Row, choose, need, read_rows, shaped
from collectors.errors import SweepError
from collectors.fusers import BestOfN
from collectors.pipeline import Context, Prompt, StageSpec, TaskSpec
from collectors.texts import canonical

_NAMED = re.compile(
    r"(?:^|\n)[ \t#*`]*([\w./-]+\.(?:py|txt|md|json|csv))[ \t*`:]*\n+"
    r"```[\w+-]*[ \t]*\n(.*?)(?:```|\Z)",
    re.DOTALL,
)
_BARE = re.compile(r"```[\w+-]*[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        """and are can for from have its that the their they this with which each also such should
        program programs software using use user users self will def return import none true false
        else elif while not print class init""",
    )
)
_LARGEST = 200_000


class ChatdevOptions(BaseModel):
    """`seconds` that a program may run, `memory_mb` that it may take."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float = Field(default=5.0, gt=0, le=120)
    memory_mb: int = Field(default=512, ge=64)


def chatdev(data: DataSource, options: ChatdevOptions, seed: int) -> TaskSpec:
    """Three stages; the last one's program is scored."""
    with shaped():
        rows = _unpacked(read_rows(data))
    fixed = {"seconds": options.seconds, "memory": options.memory_mb * 2**20}

    def make(index: int, row: Row) -> Mapping[str, Any]:
        return {"task": str(need(row, "description", "task", "prompt")), **fixed}

    def identify(index: int, row: Row) -> str:
        return str(row.get("name") or index)

    return TaskSpec(
        name="chatdev",
        title="ChatDev on SRDD: code, review, test",
        metric="consistency",
        stages=(CODE, REVIEW, TEST),
        examples=choose(data, rows, make, seed, identify),
        source="SRDD, a local file" if data.path else str(data.dataset),
        check=sandbox.check,
        facts={
            "completeness": "1 where the program parses and has no placeholder (a body of only "
            "`pass`, `...` or NotImplementedError, a TODO)",
            "executability": "1 where main.py ends with status 0 or still runs, without an error, "
            f"after {options.seconds:g} s in the sandbox (Python's standard library alone)",
            "consistency": "cosine of the word counts (square roots, stemmed, common words left "
            "out) of the request and of the program's names, texts and comments; not the neural "
            "embedding of the ChatDev paper, and not comparable with its figures",
        },
    )


def _unpacked(rows: list[Row]) -> list[Row]:
    if len(rows) == 1 and {"names", "tasks"} <= set(rows[0]):
        names, tasks = rows[0]["names"], rows[0]["tasks"]
        if len(names) != len(tasks):
            raise SweepError(f"data: {len(names)} names but {len(tasks)} tasks")
        return [{"name": n, "task": t} for n, t in zip(names, tasks, strict=True)]
    return rows


_FORMAT = (
    "Write every file as its name on a line of its own, followed by a fenced block with the whole "
    "text. The program starts from main.py and uses only Python's standard library."
)


def _code_prompt(context: Context) -> Prompt:
    return Prompt(
        system="You are a programmer who writes complete, working Python programs.",
        text=f"Write this software:\n{context.example.fields['task']}\n\n{_FORMAT} Leave no "
        "placeholder.",
        lead="main.py\n```python",
    )


def _show(result: str) -> str:
    files = read_program(result)
    return (
        "\n\n".join(f"{name}\n```python\n{text}\n```" for name, text in files.items()) or "(none)"
    )


def _review_prompt(context: Context) -> Prompt:
    return Prompt(
        system="You review Python programs and mend what is wrong or missing.",
        text=f"The software asked for:\n{context.example.fields['task']}\n\n"
        f"The program:\n{_show(context.upstream)}\n\n"
        "Look for missing functions, placeholders, wrong imports and requirements that are not "
        f"met, and give the whole mended program. {_FORMAT}",
        lead="main.py\n```python",
    )


def _test_prompt(context: Context) -> Prompt:
    fields = context.example.fields
    ran = run_main(context.upstream, fields["seconds"], fields["memory"])
    return Prompt(
        system="You test Python programs and mend their errors.",
        text=f"The software asked for:\n{fields['task']}\n\n"
        f"The program:\n{_show(context.upstream)}\n\n"
        f"What running main.py gave:\n{ran.report}\n\n"
        f"Mend every error and give the whole program. {_FORMAT}",
        lead="main.py\n```python",
    )


def parse_program(context: Context, text: str) -> str | None:
    """The files of an answer as JSON, over those of the stage before; `None` without code.

    A block without a name is main.py, and so is the head of an answer that goes on from the
    prompt's own opening fence.
    """
    head = text.split("```", 1)[0]
    if text.count("```") % 2 and re.search(r"\b(import|def|print)\b", head) and _parses(head):
        text = f"main.py\n```python\n{text}"
    files = {name.removeprefix("./"): body for name, body in _NAMED.findall(text)}
    files = {n: b for n, b in files.items() if ".." not in n and not n.startswith("/")}
    if "main.py" not in files:
        named = {body.strip() for body in files.values()}
        bare = [body for body in _BARE.findall(text) if body.strip() not in named]
        if bare and not files:
            files["main.py"] = max(bare, key=len)
    if not files:
        return None
    held = read_program(context.upstream)
    merged = held | {name: body.strip("\n") + "\n" for name, body in files.items()}
    if sum(map(len, merged.values())) > _LARGEST:
        return None
    return canonical(merged)


def read_program(result: str) -> dict[str, str]:
    """File name to text; empty for an empty result."""
    files: dict[str, str] = json.loads(result) if result else {}
    return files


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return bool(text.strip())


def _sources(result: str) -> list[str]:
    return [text for name, text in read_program(result).items() if name.endswith(".py")]


def complete(result: str) -> bool:
    """Whether every Python file parses and none holds a placeholder."""
    sources = _sources(result)
    if not sources or not all(map(_parses, sources)):
        return False
    if any(re.search(r"#.*\b(TODO|FIXME)\b", text) for text in sources):
        return False
    return not any(_stub(node) for text in sources for node in ast.walk(ast.parse(text)))


def _stub(node: ast.AST) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    body = [s for s in node.body if not (isinstance(s, ast.Expr) and _is_text(s.value))]
    if len(body) > 1:
        return False
    only = body[0] if body else ast.Pass()
    if isinstance(only, ast.Raise):
        # Walked, not dumped: a dump of a sum of a thousand terms is too deep for the interpreter.
        return any(
            isinstance(n, ast.Name) and n.id == "NotImplementedError" for n in ast.walk(only)
        )
    return isinstance(only, ast.Pass) or (
        isinstance(only, ast.Expr)
        and isinstance(only.value, ast.Constant)
        and only.value.value is Ellipsis
    )


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


class Ran:
    """What running a program gave: whether it counts as executable, and a few lines about it.

    The lines hold no times, addresses or random names, so that the same program gives the same
    prompt to the next stage.
    """

    def __init__(self, ok: bool, report: str) -> None:
        self.ok, self.report = ok, report


@lru_cache(maxsize=20_000)
def run_main(result: str, seconds: float, memory: int) -> Ran:
    """Run a program's main.py in the sandbox; raises `SandboxError` where there is none."""
    files = read_program(result)
    if "main.py" not in files:
        return Ran(False, "there is no main.py")
    limits = sandbox.Limits(seconds=seconds, memory=memory)
    done = sandbox.run_program(files, ["main.py"], limits)
    if "Traceback (most recent call last)" in done.stderr or done.status not in (0, None):
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()][-6:]
        text = re.sub(r"0x[0-9a-fA-F]+", "0x...", "\n".join(lines))
        return Ran(False, text or f"it ended with status {done.status} and no message")
    return Ran(True, "it still ran without an error" if done.timed_out else "it ended well")


def words(text: str) -> Counter[str]:
    """Stemmed words of prose or code; names are split at capitals and underscores.

    >>> sorted(words("drawBoards for the boards"))
    ['board', 'draw']
    """
    found = (word.lower() for word in _WORD.findall(text))
    return Counter(_stem(word) for word in found if len(word) > 2 and word not in _COMMON)


def _stem(word: str) -> str:
    for ending in ("ing", "ers", "ies", "ed", "er", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def consistency(request: str, result: str) -> float:
    """Cosine, from 0 to 1, of the request's words with the program's."""
    asked, written = words(request), words("\n".join(read_program(result).values()))
    shared = sum(math.sqrt(asked[w] * written[w]) for w in asked.keys() & written.keys())
    size = math.sqrt(asked.total() * written.total())
    return shared / size if size else 0.0


def _score_program(context: Context, result: str) -> dict[str, float]:
    fields = context.example.fields
    whole = complete(result)
    runs = bool(result) and run_main(result, fields["seconds"], fields["memory"]).ok
    return {
        "completeness": float(whole),
        "executability": float(runs),
        "consistency": consistency(fields["task"], result),
    }


def _promise(context: Context, result: str) -> float:
    """Judges a program without running it: parses, is complete, is near the request."""
    sources = _sources(result)
    parses = bool(sources) and all(map(_parses, sources)) and "main.py" in read_program(result)
    return 2.0 * parses + complete(result) + consistency(context.example.fields["task"], result)


def _proof(context: Context, result: str) -> float:
    """As `_promise`, after running the program: one that runs beats one that does not."""
    fields = context.example.fields
    runs = run_main(result, fields["seconds"], fields["memory"]).ok
    return 4.0 * runs + _promise(context, result)


def _no_score(context: Context, result: str) -> dict[str, float]:
    return {}


_FUSERS = {
    "best_of_n": BestOfN(parse_program, _promise),
    "tested": BestOfN(parse_program, _proof),
}
CODE = StageSpec(
    name="code",
    description="write the program",
    prompt=_code_prompt,
    fusers=_FUSERS,
    score=_no_score,
    metrics=(),
    prompt_tokens=1024,
    generated_tokens=1024,
    max_tokens=2048,
    score_alone=False,
)
REVIEW = StageSpec(
    name="review",
    description="review the program and mend it",
    prompt=_review_prompt,
    fusers=_FUSERS,
    score=_no_score,
    metrics=(),
    prompt_tokens=1024,
    generated_tokens=512,
    max_tokens=2048,
    score_alone=False,
)
TEST = StageSpec(
    name="test",
    description="run the program and mend its errors",
    prompt=_test_prompt,
    fusers=_FUSERS,
    score=_score_program,
    metrics=("completeness", "executability", "consistency"),
    prompt_tokens=1024,
    generated_tokens=256,
    max_tokens=2048,
    score_alone=False,
)
