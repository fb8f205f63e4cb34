"""Settings of the whole suite: Hypothesis draws the same examples on every machine.

`HYPOTHESIS_PROFILE=search make test` looks for new counterexamples instead.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

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
