"""How well the committed fits agree with the published figures, and that fitting works."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from collectors.landscape import assess, published
from collectors.landscape.fit import (
    Problem,
    Solution,
    contradictions,
    leave_one_out,
    problem_of,
    solve,
)
from collectors.landscape.model import expected_at
from collectors.landscape.parameters import Fit, fit_text, fitted, frame, task_names
from collectors.landscape.published import Point
from collectors.landscape.refit import diagnostics
from collectors.landscape.report import DOCS, report_text
from simulator.errors import TableError


@pytest.fixture(scope="module")
def agreements() -> list[assess.Agreement]:
    return [assess.agreement(name) for name in assess.TASKS]


def test_operating_points_are_met_in_expectation(agreements: list[assess.Agreement]) -> None:
    residuals = np.abs(np.concatenate([one.residuals for one in agreements]))
    assert len(residuals) == 36
    assert residuals.mean() <= 0.005


def test_large_residuals_are_contradictions(agreements: list[assess.Agreement]) -> None:
    """None is over 0.015, but for points that contradict their neighbours, and those by little."""
    for one in agreements:
        contradicted = {p for pair in contradictions(one.points) for p in pair}
        for point, residual in zip(one.points, one.residuals, strict=True):
            assert abs(residual) <= (0.0165 if point in contradicted else 0.015), point


def test_configurations_left_out_are_predicted(agreements: list[assess.Agreement]) -> None:
    errors = np.concatenate([one.left_out - one.reported for one in agreements])
    assert np.abs(errors).mean() <= 0.02


def test_what_was_left_out_can_be_left_out_again() -> None:
    """One configuration, fitted anew: the committed prediction comes from this procedure."""
    problem = problem_of("cwq")
    start = Solution(fitted("cwq").vector, np.zeros(0), 0.0, np.zeros((0, 0)))
    row = problem.points[3].row
    again = leave_one_out(problem, start, [row])
    assert again[3] == pytest.approx(diagnostics("cwq").leave_one_out[3], abs=0.003)
    assert abs(again[3] - assess.agreement("cwq").expected[3]) > 1e-4, "it was left out"


@pytest.mark.parametrize("name", assess.TASKS)
def test_published_bests_are_near_the_modelled_optimum(name: str) -> None:
    for winner in assess.winners(name):
        assert 0 <= winner.gap <= 0.01, winner


def test_curves_are_met() -> None:
    for name, bound in (("textvqa", 0.012), ("math", 0.005)):
        problem = problem_of(name)
        scene = problem.frame.landscape(fitted(name).vector)
        assert np.abs(expected_at(scene, problem.rows) - problem.scores).mean() <= bound
    grid = assess.temperature()
    assert np.abs(grid.modelled - grid.published).mean() <= 0.03


def test_temperature_costs_a_single_sample_and_pays_with_many() -> None:
    grid = assess.temperature()
    cold, hot = grid.modelled[0], grid.modelled[-1]
    assert cold[0] > hot[0]
    assert hot.max() > cold.max()


def test_noise_between_sample_counts_is_as_published() -> None:
    reported, modelled = assess.adjacent_differences(draws=20)
    assert modelled == pytest.approx(reported, rel=0.2)


def test_a_fit_finds_scores_that_a_landscape_made() -> None:
    """Scores of a known landscape, fitted from the prior mean, are found again."""
    this = frame("math")
    rng = np.random.default_rng(1)
    truth = this.landscape(
        this.means + 0.7 * this.deviations * rng.standard_normal(len(this.means))
    )
    rows = [((m, s),) for m in (0, 1) for s in (1, 3, 10, 30, 90)]
    scores = expected_at(truth, rows, size=256)
    points = tuple(Point("made", row, float(x)) for row, x in zip(rows, scores, strict=True))
    found = this.landscape(solve(Problem(this, points, sd=0.002)).vector)
    np.testing.assert_allclose(expected_at(found, rows, size=256), scores, atol=0.004)
    between = [((m, s),) for m in (0, 1) for s in (5, 60)]
    np.testing.assert_allclose(expected_at(found, between), expected_at(truth, between), atol=0.01)


@pytest.mark.parametrize("name", task_names(shipped=False))
def test_a_fit_survives_its_file(name: str) -> None:
    this, fit = frame(name), fitted(name)
    text = fit_text(this, Fit(fit.vector, 3, 4))
    data = tomllib.loads(text)
    assert data["draw"] == {"train_seed": 3, "test_seed": 4}
    committed = fit_text(this, fit)
    path = Path(assess.__file__).parent / "fits" / f"{name}.toml"
    assert path.read_text(encoding="utf-8") == committed
    away = np.abs(fit.vector - this.means) / this.deviations
    assert away.max() < 4, "no coordinate is far out in its prior"
    ratios = np.array(list(diagnostics(name).shrinkage.values()))
    assert np.all((ratios > 0) & (ratios <= 1.05)), "figures never make a coordinate less certain"
    assert len(diagnostics(name).shrinkage) == len(this.coordinates)


def test_contradictions_are_found() -> None:
    pairs = contradictions(published.operating_points()["hotpotqa"])
    counts = {tuple(sorted((a.row[1][1], b.row[1][1]))) for a, b in pairs}
    assert (25, 40) in counts
    assert not contradictions(published.operating_points()["cwq"])


def test_missing_figures_are_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"operating_points\.csv: No such file"):
        published.operating_points(tmp_path)


def test_a_figure_of_an_unknown_model_is_said(tmp_path: Path) -> None:
    (tmp_path / "math_best_of_n.csv").write_text(
        "model,samples,budget,accuracy\nGPT,1,1,0.5\n", encoding="utf-8"
    )
    with pytest.raises(TableError, match="no model 'GPT' in stage 'solve'"):
        published.math_curves(tmp_path)


def test_hours_are_beside_the_published() -> None:
    for name in task_names():
        time = assess.search_time(name)
        assert time.modelled > time.batched > 0
        assert len(time.published) >= 5


def test_the_report_is_that_of_the_committed_fits() -> None:
    """Every published operating point is in it, and its summary is current."""
    page = (DOCS / "fit_report.md").read_text(encoding="utf-8")
    text = report_text()
    assert page.split("## The draws")[0] == text.split("## The draws")[0]
    for name in assess.TASKS:
        assert f"### {name}" in page
    assert page.count("| AgentTTS |") >= 12
    for figure in ("fit_points", "fit_questions", "fit_textvqa", "fit_math_temperature"):
        assert f"figures/{figure}.svg" in page
        svg = (DOCS / "figures" / f"{figure}.svg").read_text(encoding="utf-8")
        assert "<svg" in svg
        assert len(svg) < 200_000
