"""Settings of the whole suite: Hypothesis draws the same examples on every machine.

`HYPOTHESIS_PROFILE=search make test` looks for new counterexamples instead.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Two processes that each thread small matrices over all cores take several times as long. Only this
# library's own variable: the engines that some tests start need their threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

_COMMON = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}

settings.register_profile("same", derandomize=True, max_examples=120, **_COMMON)
settings.register_profile("search", max_examples=1000, **_COMMON)
# Without compiled kernels every example is some fifty times slower.
settings.register_profile("slow", derandomize=True, max_examples=50, **_COMMON)
settings.load_profile(
    os.environ.get(
        "HYPOTHESIS_PROFILE", "slow" if os.environ.get("NUMBA_DISABLE_JIT") == "1" else "same"
    )
)


SERVED = "SmolLM2-135M-Instruct"


@pytest.fixture(scope="session")
def vllm_server() -> Iterator[str]:
    """Base URL of `vllm serve` with `SERVED` on this CPU, one for all tests.

    Skips without vLLM, or without the weights in the folder that AGENTTTS_WEIGHTS names.
    """
    weights = Path(os.environ.get("AGENTTTS_WEIGHTS", "")) / SERVED
    if importlib.util.find_spec("vllm") is None or not weights.is_dir():
        pytest.skip("needs vLLM, and AGENTTTS_WEIGHTS with small weights")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["-m", "vllm.entrypoints.openai.api_server", "--model", str(weights)]
    words += ["--served-model-name", SERVED, "--host", "127.0.0.1", "--port", str(port)]
    words += ["--dtype", "float32", "--max-model-len", "8192", "--max-num-batched-tokens", "8192"]
    words += ["--enforce-eager", "--generation-config", "vllm", "--no-enable-chunked-prefill"]
    environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1"}
    with subprocess.Popen(
        [sys.executable, *words], env=environment, start_new_session=True
    ) as process:
        try:
            deadline = time.monotonic() + 600
            while True:
                assert process.poll() is None, "the server did not start"
                assert time.monotonic() < deadline
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
                    break
                except OSError:
                    time.sleep(1)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)
