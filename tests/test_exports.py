"""The names that users import: a change here is a change of the public interface."""

import importlib

import pytest

EXPORTS = {
    "simulator": "AgentTTSError Ask COST_MODELS Choice Clock Configuration CostModel LookupTable "
    "Model Optimum Outcomes Simulator Space SplitTable Stage Task Trial units",
    "agents": "Agent AgentInfo TaskCard agent_class available create",
    "harness": "BenchResult SearchResult run_bench run_search",
    "lookup_tables": "find load names reference reference_names",
}


@pytest.mark.parametrize("package", EXPORTS)
def test_exported_names(package: str) -> None:
    module = importlib.import_module(package)
    assert sorted(module.__all__) == sorted(EXPORTS[package].split())
    assert all(getattr(module, name) is not None for name in module.__all__)
