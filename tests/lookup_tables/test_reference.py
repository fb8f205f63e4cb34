"""The published figures, and that the project's cost model is the one they were made with."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import lookup_tables
from collectors import published
from simulator.cost import units
from simulator.errors import TableError, UnknownName
from simulator.table_format import sha256

REFERENCE = Path(lookup_tables.__file__).parent / "reference"
PARAMETERS = {
    "Llama-3.2-11B-Vision-Instruct": 11e9,
    "Llama-3.2-90B-Vision-Instruct": 90e9,
    "Llama-3.1-8B-Instruct": 8e9,
    "Llama-3.1-70B-Instruct": 70e9,
    "Qwen2.5-3B": 3e9,
    "Qwen2.5-72B": 72e9,
}
TOKENS = {"summarise": (256, 128), "reason": (128, 256), "solve": (64, 512)}


def budgets() -> list[tuple[str, str, int, str]]:
    """Stage, model, samples and budget as printed, of every published `budget` column."""
    found = []
    for path in sorted(REFERENCE.glob("*.csv")):
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                if "budget" in row:
                    stage = row.get("stage", "solve")
                    found.append((stage, row["model"], int(row["samples"]), row["budget"]))
    return found


def test_every_published_budget_comes_out_of_the_cost_model() -> None:
    """To the printed digit: 69 figures of TextVQA to hundredths, 20 of MATH to whole units."""
    checked = budgets()
    assert len(checked) == 89
    for stage, model, samples, printed in checked:
        computed = float(units(PARAMETERS[model], *TOKENS[stage], samples))
        digits = 0 if stage == "solve" else 2
        assert f"{computed:.{digits}f}" == f"{float(printed):.{digits}f}", (stage, model, samples)


@pytest.mark.parametrize("name", lookup_tables.reference_names())
def test_reference_results_are_documented_and_readable(name: str) -> None:
    frame = lookup_tables.reference(name)
    readme = (REFERENCE / "README.md").read_text()
    assert f"| `{name}.csv` | {len(frame)} |" in readme


def test_reference_results_keep_what_was_not_reported_empty() -> None:
    frame = lookup_tables.reference("agent_llm_2wiki")
    assert frame["search_hours"].null_count() == 4
    assert lookup_tables.reference("search_comparison")["found_best"].sum() == 17
    with pytest.raises(UnknownName, match="did you mean textvqa_search"):
        lookup_tables.reference("textvqa")


def test_the_builder_makes_the_shipped_tables_again(tmp_path: Path) -> None:
    """To the byte under the version of Polars that wrote them, else in all but Parquet's bytes."""
    import polars as pl

    made = published.make(REFERENCE, tmp_path)
    assert {folder.name for folder in made} == {
        path.name for path in (REFERENCE.parent / "published").iterdir() if path.is_dir()
    }
    for folder in made:
        shipped = REFERENCE.parent / "published" / folder.name
        assert {p.name for p in folder.iterdir()} == {p.name for p in shipped.iterdir()}
        writer = lookup_tables.load(shipped).provenance["made"]["writer"]
        same_writer = writer == f"polars {pl.__version__}"
        for path in folder.iterdir():
            if path.suffix == ".parquet":
                assert pl.read_parquet(path).equals(pl.read_parquet(shipped / path.name))
            if same_writer or path.suffix in (".md", ".toml"):
                assert sha256(path) == sha256(shipped / path.name), path.name


def test_every_published_score_is_in_its_table_and_nothing_else_is() -> None:
    for figures in published.all_published(REFERENCE):
        table = lookup_tables.load(figures.task.name)
        scores, found = table.scores(), {}
        for cell in range(table.space.n_cells):
            (choice,) = table.space.configuration(cell).choices
            if table.present()[cell]:
                found[choice.model, choice.samples] = float(scores[cell])
        assert found == figures.scores


def test_the_builder_says_which_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"textvqa_stage_curves.csv: cannot be read"):
        published.make(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
