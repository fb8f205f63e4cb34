"""Data sets: files of every form, and rows of every task's shape with things wrong in them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st

from collectors.data import DataSource, read_file
from collectors.pipeline import TaskSpec
from collectors.tasks import load_task
from tests.collectors.test_tasks import PIXEL, ROWS, TOOLS
from tests.fuzz.guard import fuzz, survive
from tests.fuzz.mutate import HUGE, damaged, twisted

PLAIN = [{"question": "Wo?", "answers": ["hier"], "n": 1}, {"question": "Wer?", "answers": []}]
LINES = "\n".join(map(json.dumps, PLAIN))


def parquet() -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(PLAIN, strict=False).write_parquet(buffer)
    return buffer.getvalue()


def table() -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, ("question", "answer"))
    writer.writeheader()
    writer.writerows([{"question": "Wo,\nwo?", "answer": 'a "b"'}, {"question": "x", "answer": ""}])
    return text.getvalue().encode()


SOUND = {
    ".json": json.dumps(PLAIN).encode(),
    ".jsonl": LINES.encode(),
    ".csv": table(),
    ".parquet": parquet(),
}


@fuzz
@given(st.sampled_from(sorted(SOUND)).flatmap(lambda s: st.tuples(st.just(s), damaged(SOUND[s]))))
@example((".json", b"[" * 100_000))
@example((".jsonl", b'{"a":' * 100_000))
@example((".jsonl", f'{{"a": {HUGE}}}'.encode()))
@example((".json", f"[{HUGE}]".encode()))
@example((".jsonl", b"1\n[]\nnull"))
@example((".json", b'"\\ud800"'))
@example((".csv", b"a,b\n1,2,3\n"))
@example((".csv", b'a\n"' + b"x" * 200_000))
@example((".csv", b"a\x00b\n1\n"))
@example((".parquet", b""))
def test_the_bytes_of_a_file(given: tuple[str, bytes]) -> None:
    suffix, content = given

    def target(content: bytes) -> list[Any]:
        path = Path(f"rows{suffix}")
        path.write_bytes(content)
        return list(read_file(path))

    rows = survive(target, content)
    if isinstance(rows, list):
        assert all(isinstance(row, dict) for row in rows)
        assert all(isinstance(name, str) for row in rows for name in row)


def loaded(name: str, rows: Any, options: dict[str, Any]) -> TaskSpec:
    """Load a task from rows, and render the first prompt of its first stage for each example."""
    Path("rows.json").write_text(json.dumps(rows))
    Path("pixel.png").write_bytes(PIXEL)
    data = DataSource(path=Path("rows.json"), train_examples=1, test_examples=0)
    task = load_task(name, data, options, 1)
    assert len(task.examples) == 1
    return task


@fuzz
@given(
    st.sampled_from(sorted(set(ROWS) - {"synthetic"})).flatmap(
        lambda name: st.tuples(st.just(name), twisted(list(ROWS[name])))
    )
)
@example(("taskbench", [{**ROWS["taskbench"][0], "tool_nodes": ["a", 1, None]}]))
@example(("taskbench", [{**ROWS["taskbench"][0], "tool_nodes": [{"arguments": []}]}]))
@example(("taskbench", [{**ROWS["taskbench"][0], "tool_nodes": "[" * 100_000}]))
@example(("cwq", [{**ROWS["cwq"][0], "graph": [["a", "b"]]}]))
@example(("cwq", [{**ROWS["cwq"][0], "graph": 5}]))
@example(("webqsp", [{"Parses": [None], "RawQuestion": "x"}]))
@example(("webqsp", [{"Parses": [{"InferentialChain": [None], "TopicEntityName": "x"}]}]))
@example(("2wiki", [{**ROWS["2wiki"][0], "context": []}]))
@example(("2wiki", [{**ROWS["2wiki"][0], "context": {"title": ["Ada"], "sentences": []}}]))
@example(("textvqa", [{**ROWS["textvqa"][0], "image": "a" * 300}]))
@example(("textvqa", [{**ROWS["textvqa"][0], "image": "x\x00y"}]))
@example(("textvqa", [{**ROWS["textvqa"][0], "answers": 5}]))
@example(("chatdev", [{"names": 5, "tasks": 6}]))
@example(("math", [{"problem": "?", "answer": [[]], "level": "²"}]))
def test_rows_of_every_task(given: tuple[str, Any]) -> None:
    name, rows = given
    survive(loaded, name, rows, {"levels": [1]} if name == "math" else {})


@fuzz
@given(twisted(TOOLS, keep_top=False))
@example({"nodes": 5})
@example({"nodes": [{"id": "a", "desc": "b", "parameters": 5}]})
def test_the_tools_of_taskbench(tools: Any) -> None:
    def target(tools: Any) -> TaskSpec:
        Path("tools.json").write_text(json.dumps(tools))
        return loaded("taskbench", ROWS["taskbench"], {"tools": "tools.json"})

    survive(target, tools)


@fuzz
@given(twisted({"candidates": 6}), st.sampled_from(("2wiki", "cwq", "textvqa", "chatdev", "math")))
def test_options_of_tasks(options: Any, name: str) -> None:
    survive(loaded, name, list(ROWS[name]), options)
