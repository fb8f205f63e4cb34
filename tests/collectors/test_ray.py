"""Ray actors on a local cluster of two nodes, one of which is lost. Needs the extra `ray`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from collectors.engines import make_engine
from collectors.engines.scripted import ScriptedEngine
from collectors.errors import EngineError
from collectors.merge import merge
from collectors.runner import Progress, collected, run
from collectors.store import Store
from collectors.sweep import ModelEntry, Sweep

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray")

ROOT = Path(__file__).parents[2]
SCRIPT = """
import os, random

def answer(model, prompt, n, seed):
    if os.environ.get("NEVER"):
        raise ValueError("never")
    texts = []
    for k in range(n):
        rng = random.Random(f"{model}|{prompt}|{seed + k}")
        if "Passages:" in prompt:
            texts.append(",".join(str(rng.randint(1, 6)) for _ in range(rng.randint(1, 3))))
        else:
            texts.append(rng.choice(["Town 1", "town 2.", "Answer: Town 3", "Nowhere", "?"]))
    return texts

def broken(model, prompt, n, seed):
    raise ValueError("the script is wrong")
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    folder = tmp_path_factory.mktemp("script")
    (folder / "ray_script.py").write_text(SCRIPT)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{folder}{os.pathsep}{ROOT}"
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    made.add_node(num_cpus=2)
    made.wait_for_nodes()
    yield made
    ray.shutdown()
    made.shutdown()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


def settings_of(cluster: Any, function: str = "answer", delay: float = 0.0) -> dict[str, Any]:
    inner = {"kind": "scripted", "function": f"ray_script:{function}", "delay": delay}
    return {"engine": inner, "address": cluster.address, "gpu": False, "retries": 3}


@pytest.fixture
def small_chunks(
    settings: dict[str, Any], make_sweep: Callable[[dict[str, Any]], Sweep], cluster: Any
) -> Sweep:
    settings["plan"]["chunk_samples"] = 4
    settings["engine"] = {"kind": "ray", **settings_of(cluster)}
    return make_sweep(settings)


def test_a_model_that_fits_nowhere_is_told(cluster: Any) -> None:
    engine = make_engine("ray", {**settings_of(cluster), "gpu": True})
    model = ModelEntry(name="m", source="m", parameters=1e9, tensor_parallel=4)
    with pytest.raises(EngineError, match=r"needs \{'GPU': 4.0\}, which no node"):
        engine.load(model, 0)
    engine.close()


def test_what_goes_wrong_in_an_actor_is_told(
    cluster: Any, small_chunks: Sweep, tmp_path: Path
) -> None:
    store = Store.open(tmp_path / "out", small_chunks)
    with pytest.raises(EngineError, match="the script is wrong"):
        run(small_chunks, store, make_engine("ray", settings_of(cluster, "broken")))


def test_two_nodes_run_and_the_loss_of_one_is_survived(
    cluster: Any,
    small_chunks: Sweep,
    script: Callable[[str, str, int, int], list[str]],
    tmp_path: Path,
) -> None:
    store = Store.open(tmp_path / "ray", small_chunks)
    engine = make_engine("ray", settings_of(cluster, delay=0.15))
    about = engine.describe()
    assert "2 nodes" in about["hardware"]
    lost = False
    sizes: list[int] = []

    def tell(progress: Progress) -> None:
        nonlocal lost
        sizes.append(len(engine._ready))  # type: ignore[attr-defined]
        if progress.stage == "answer" and progress.done >= 3 and not lost:
            lost = True
            (node,) = cluster.worker_nodes
            cluster.remove_node(node, allow_graceful=False)

    report = run(small_chunks, store, engine, tell)
    assert lost
    assert max(sizes) >= 2, "actors of both nodes took part"
    assert report.failed == 0
    assert collected(small_chunks, store).complete
    plain = Store.open(tmp_path / "plain", small_chunks)
    run(small_chunks, plain, ScriptedEngine.of(script))
    tables = [merge(small_chunks, each).table for each in (store, plain)]
    assert tables[0].scores().tolist() == tables[1].scores().tolist()
    names = [
        sorted(p.name[:10] for p in each.folder("answer", "large", "samples").iterdir())
        for each in (store, plain)
    ]
    assert names[0] == names[1], "no chunk twice"
