"""The real vLLM with real small weights: offline, as a server, killed half-way and resumed.

Needs vLLM and a folder of weights made by `collectors.weights`, named by AGENTTTS_WEIGHTS, with
`SmolLM2-135M-Instruct` (which chats) and `gemma-3-270m` (which completes). Takes minutes.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from simulator import LookupTable
from simulator.verify import verify

WEIGHTS = Path(os.environ.get("AGENTTTS_WEIGHTS", ""))
CHAT, BASE = "SmolLM2-135M-Instruct", "gemma-3-270m"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("vllm") is None or not (WEIGHTS / CHAT).is_dir(),
        reason="needs vLLM, and AGENTTTS_WEIGHTS with small weights",
    ),
]

PROGRAM = [sys.executable, "-c", "from harness.cli import main; main()", "collect"]
VLLM = f"""
[engine]
kind = "vllm"
dtype = "float32"
max_model_len = 768
max_num_seqs = 16
max_num_batched_tokens = 4096
enforce_eager = true
weights = "{WEIGHTS.resolve()}"
[engine.environment]
VLLM_CPU_KVCACHE_SPACE = "1"
[engine.extra]
enable_chunked_prefill = false
"""
SWEEP = """
task = "2wiki"
seed = 1
[data]
path = "rows.json"
train_examples = 2
test_examples = 2
[options]
candidates = 4
[plan]
chunk_samples = 4
[table]
metric = "token_f1"
{engine}
{models}
[[stages]]
name = "retrieve"
models = {names}
samples = [1, 2, 4]
max_tokens = 8
[[stages]]
name = "answer"
models = {names}
samples = [1, 2, 4]
max_tokens = 8
"""
MODEL = """
[[models]]
name = "{name}"
source = "{name}"
parameters = {parameters}
mode = "{mode}"
"""


def write_sweep(folder: Path, engine: str, names: list[str]) -> Path:
    models = {CHAT: (135e6, "chat"), BASE: (270e6, "complete")}
    text = SWEEP.format(
        engine=engine,
        names=json.dumps(names),
        models="".join(
            MODEL.format(name=n, parameters=models[n][0], mode=models[n][1]) for n in names
        ),
    )
    path = folder / "sweep.toml"
    path.write_text(text)
    return path


def call(*words: str) -> Any:
    done = subprocess.run(
        [*PROGRAM, *words, "--json"], capture_output=True, text=True, timeout=1800, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_offline_killed_half_way_resumed_and_merged(rows_file: Path) -> None:
    folder = rows_file.parent
    sweep = str(write_sweep(folder, VLLM, [CHAT, BASE]))
    out = folder / "out"
    with subprocess.Popen(
        [*PROGRAM, "run", sweep, "--out", str(out)], start_new_session=True
    ) as process:
        deadline = time.monotonic() + 1200
        while not list(out.rglob("[0-9]*.parquet")):
            assert process.poll() is None, "the sweep ended before it stored anything"
            assert time.monotonic() < deadline
            time.sleep(0.2)
        os.killpg(process.pid, signal.SIGKILL)
    halted = call("status", str(out))
    assert not halted["complete"]
    kept = {path: path.read_bytes() for path in out.rglob("[0-9]*.parquet")}
    ran = call("run", sweep, "--out", str(out))
    assert ran["complete"]
    assert ran["failed"] == 0
    assert ran["saving"] > 1
    assert all(path.read_bytes() == content for path, content in kept.items())
    table = folder / "table"
    call("merge", str(out), "--out", str(table))
    assert not verify(table)
    loaded = LookupTable.load(table)
    assert loaded.kind == "measured"
    assert loaded.space.n_cells == 36
    made = loaded.provenance["made"]
    assert "vllm" in made["engine"]["version"]
    assert made["planned"]["tokens"] < made["naive"]["tokens"]


def test_as_a_server(rows_file: Path, vllm_server: str) -> None:
    folder = rows_file.parent
    engine = f'[engine]\nkind = "openai"\nbase_url = "{vllm_server}"\nconcurrency = 4\n'
    sweep = str(write_sweep(folder, engine, [CHAT]))
    ran = call("run", sweep, "--out", str(folder / "out"))
    assert ran["complete"]
    assert ran["failed"] == 0
    call("merge", str(folder / "out"), "--out", str(folder / "table"))
    assert not verify(folder / "table")
