"""The shipped modelled tables: the insights, their bytes, their cards, their size."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from collectors.landscape import assess, task_names
from collectors.landscape.fit import affordable
from collectors.landscape.model import Floats, expected_at, expected_scores
from collectors.landscape.published import Row, operating_points
from collectors.landscape.supply import SERVING, cell_units
from collectors.landscape.tables import FOLDER, make_shipped, shipped_landscape, write_shipped
from collectors.serving import configuration_seconds
from lookup_tables import load
from simulator import LookupTable, Simulator

NAMES = task_names()
MIB = 2**20


@cache
def expected(name: str) -> Floats:
    """Expected score of every cell, axes (models, samples) of each stage."""
    scene = shipped_landscape(name)
    shape = [n for s in scene.task.stages for n in (len(s.models), len(s.samples))]
    return expected_scores(scene).reshape(shape)


@cache
def table(name: str) -> LookupTable:
    return load(name)


def upstream_rows(name: str) -> Iterator[Row]:
    """Upstream choices, from the weakest to the strongest: few and many samples of each model."""
    stages = shipped_landscape(name).task.stages[:-1]
    for model in range(len(stages[0].models)):
        for samples in (1, 5, 20):
            yield tuple((min(model, len(s.models) - 1), samples) for s in stages)


def last_stage_curves(name: str, before: Row) -> Floats:
    """Expected score of the last stage's models at 1 to 100 samples, behind one upstream choice."""
    scene = shipped_landscape(name)
    models = range(len(scene.task.stages[-1].models))
    rows: list[Row] = [(*before, (m, s)) for m in models for s in range(1, 101)]
    return expected_at(scene, rows, size=256).reshape(len(models), 100)


@pytest.mark.parametrize("name", NAMES)
def test_insight_1_stages_prefer_different_models(name: str) -> None:
    """At some budget from half the default to four times it, the optimum's models differ in size
    from stage to stage."""
    scene = shipped_landscape(name)
    scores, costs = expected(name).ravel(), cell_units(scene.task)
    differ = []
    for share in (0.5, 1.0, 2.0, 4.0):
        cells = np.flatnonzero(costs <= share * scene.task.default_budget)
        best = cells[[int(np.argmax(scores[cells]))]]
        chosen = table(name).space.asked_of_cells(best)[0, :, 0].tolist()
        ranks = [
            sorted(m.parameters for m in stage.models).index(stage.models[m_].parameters)
            / max(1, len(stage.models) - 1)
            for stage, m_ in zip(scene.task.stages, chosen, strict=True)
        ]
        differ.append(len(set(ranks)) > 1)
    assert any(differ)


@pytest.mark.parametrize("name", NAMES)
def test_insight_2_expected_scores_have_one_peak_in_samples(name: str) -> None:
    scores = expected(name)
    for axis in range(1, scores.ndim, 2):
        curves = np.moveaxis(scores, axis, -1)
        curves = curves.reshape(-1, curves.shape[-1])
        steps = np.diff(curves, axis=1)
        peak = curves.argmax(axis=1)[:, None]
        before = np.arange(steps.shape[1]) < peak
        assert np.all(steps[before] >= -1e-9)
        assert np.all(steps[~before] <= 1e-9)
        assert np.any(peak > 0), "more samples help somewhere"
        assert np.any(peak < steps.shape[1]), "and hurt in the end somewhere"


@pytest.mark.parametrize("name", NAMES)
def test_insight_3_a_better_choice_upstream_needs_fewer_samples_downstream(name: str) -> None:
    """The last stage's best samples, behind one sample of the smallest models and twenty of the
    largest."""
    weak, *_, strong = upstream_rows(name)
    before, after = (last_stage_curves(name, row).argmax(axis=1) for row in (weak, strong))
    assert np.all(after <= before)
    assert np.any(after < before)


def test_insight_3_the_best_model_downstream_changes_with_what_it_is_handed() -> None:
    """At one number of samples, on some tasks: the smaller model is good enough for good input."""
    changing = set()
    for name in NAMES:
        shape = expected(name).shape
        behind = expected(name).reshape(-1, shape[-2], shape[-1])
        best = behind.argmax(axis=1)
        if np.any(best.max(axis=0) > best.min(axis=0)):
            changing.add(name)
    assert "textvqa" in changing


@pytest.mark.parametrize("name", ["2wiki", "hotpotqa", "cwq", "taskbench", "chatdev"])
def test_insight_3_what_upstream_spends_changes_the_best_model_downstream(name: str) -> None:
    """Within the default budget, which model of the last stage is best depends on the others."""
    shape = expected(name).shape
    scores = np.where(affordable(table(name).task), expected(name).ravel(), -1.0)
    best_of_model = scores.reshape(-1, shape[-2], shape[-1]).max(axis=2)
    reachable = best_of_model.max(axis=1) >= 0
    assert len(np.unique(best_of_model[reachable].argmax(axis=1))) > 1


@pytest.mark.parametrize("name", NAMES)
def test_it_says_that_it_is_modelled(name: str) -> None:
    shipped = table(name)
    assert shipped.kind == "modelled"
    assert shipped.card.splitlines()[0].startswith("# Modelled, not measured")
    assert shipped.provenance["kind"] == "modelled"
    assert "nothing was run" in shipped.provenance["made"]["engine"]
    assert SERVING.accelerator.name in shipped.card


@pytest.mark.parametrize("name", NAMES)
def test_shape_and_ranges(name: str) -> None:
    shipped, scene = table(name), shipped_landscape(name)
    assert shipped.task == scene.task
    counts = {1, 2, 3, 4, 5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100}
    assert all(set(stage.samples) == counts for stage in shipped.task.stages)
    assert set(shipped.splits) == {"train", "test"}
    for split, n in (("train", scene.train_examples), ("test", 500)):
        one = shipped.split(split)
        assert shipped.present(split).all()
        assert np.all(one.examples == n)
        for metric in scene.metrics:
            values = one.metrics[metric.name]
            assert np.all((values >= metric.low - 1e-12) & (values <= metric.high + 1e-12))
            assert len(np.unique(values)) > 1
        seconds = configuration_seconds(shipped.task, n, SERVING)
        np.testing.assert_allclose(one.seconds, seconds)
        assert one.outcomes is not None
        cells = np.flatnonzero(one.outcomes.row_of_cell >= 0)
        assert set(np.flatnonzero(affordable(shipped.task))) <= set(cells.tolist())
        sample = cells[:: max(1, len(cells) // 50)]
        for metric_name, coded in one.outcomes.metrics.items():
            values = coded.decode(one.outcomes.rows(sample), n)
            np.testing.assert_allclose(
                values.mean(axis=1), one.metrics[metric_name][sample], atol=1e-9
            )


@pytest.mark.parametrize("name", NAMES)
def test_test_scores_scatter_about_the_expectation_like_500_examples(name: str) -> None:
    away = table(name).scores("test") - expected(name).ravel()
    assert abs(away.mean()) < 0.035
    assert 0.0005 < away.std() < 0.02


@pytest.mark.parametrize("name", assess.TASKS)
def test_the_published_winner_is_near_the_optimum_of_both_splits(name: str) -> None:
    shipped = table(name)
    winner = operating_points()[name][0]
    assert winner.who == "AgentTTS"
    cell = shipped.space.cell(assess.configuration(name, winner.row))
    within = affordable(shipped.task)
    for split in ("train", "test"):
        scores = shipped.scores(split)
        assert scores[within].max() - scores[cell] <= 0.0125


@pytest.mark.parametrize("name", assess.TASKS)
def test_drawn_test_scores_are_near_the_published(name: str) -> None:
    points = operating_points()[name]
    cells = [table(name).space.cell(assess.configuration(name, p.row)) for p in points]
    error = np.abs(table(name).scores("test")[cells] - [p.score for p in points])
    assert error.mean() <= 0.01
    assert error.max() <= 0.025


def test_the_optimum_is_affordable_and_not_alone() -> None:
    for name in NAMES:
        simulator = Simulator(table(name))
        assert simulator.optimum.cost <= simulator.budget
        assert 1 <= simulator.near_optimal(0.01) < len(simulator.feasible_cells)


@pytest.mark.parametrize("name", ["webqsp"])
def test_parameters_give_the_shipped_bytes(name: str, tmp_path: Path) -> None:
    made = write_shipped(name, tmp_path)
    for path in sorted((FOLDER / name).iterdir()):
        assert path.read_bytes() == (made / path.name).read_bytes(), path.name


@pytest.mark.parametrize("name", ["2wiki", "taskbench"])
def test_parameters_give_the_shipped_scores(name: str) -> None:
    made = make_shipped(name)
    for split in ("train", "test"):
        for metric in made.task.metrics:
            assert np.array_equal(
                made.split(split).metrics[metric], table(name).split(split).metrics[metric]
            )


def test_all_tables_together_are_small() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == set(NAMES)
    assert sum(path.stat().st_size for path in files) <= 25 * MIB
