"""Makes the tables under `lookup_tables/published/` from the published figures.

    python -m collectors.published [--source DIR] [--out DIR]

DIR holds the published CSVs (default: `lookup_tables/reference/`). The same figures, code and
version of Polars give the same bytes. Scores are as printed; `seconds` were not published and come
from `collectors.serving`; each card says what else was not.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from collectors.serving import Serving, configuration_seconds
from simulator.errors import TableError
from simulator.space import Space
from simulator.table import LookupTable
from simulator.task import Model, Stage, Task

SERVING = Serving()
SOURCE = "AgentTTS, arXiv 2508.00890, public review discussion"
LICENCE = "Facts from a public discussion; the arrangement as a table is Apache-2.0"
ROOT = Path(__file__).parents[1] / "lookup_tables"

NOMINAL_EXAMPLES = 100
"""What `seconds` stand for where the number of examples was not published."""

CARD = """\
# {title}

Kind: published. {scores} scores, {spread}.

## What was published

{setting}

Source: {source}. The figures lie in `lookup_tables/reference/{file}`.

## What was not published

{missing}
- Outcomes per example, repeats and intervals. There is one score a configuration, so nothing can \
be resampled.
- A second split. Each score stands under `train`, because it is what is searched; how an \
incumbent does on other examples cannot be told from this table.
- Times. `seconds` are modelled by `collectors.serving`, for {timed}: {serving}.

## Made by

`python -m collectors.published`. The best score within a budget is the optimum.
"""


@dataclass(frozen=True)
class Published:
    """One published table: its task, its figures by (model, samples), and what its card says.

    `examples` is 0 where it was not published.
    """

    task: Task
    file: str
    scores: dict[tuple[str, int], float]
    examples: int
    setting: str
    missing: tuple[str, ...]

    def table(self) -> LookupTable:
        """The figures on the task's grid, under `train`, with modelled seconds."""
        space = Space(self.task)
        score = np.full(space.n_cells, np.nan)
        for cell in range(space.n_cells):
            (choice,) = space.configuration(cell).choices
            score[cell] = self.scores.get((choice.model, choice.samples), np.nan)
        if int((~np.isnan(score)).sum()) != len(self.scores):
            raise TableError(f"{self.file}: a figure has no cell in the grid of {self.task.name}")
        seconds = configuration_seconds(self.task, self.examples or NOMINAL_EXAMPLES, SERVING)
        return LookupTable.from_arrays(
            self.task,
            {"train": {self.task.metric: score}},
            seconds={"train": seconds},
            examples=self.examples,
        )

    def card(self) -> str:
        """The text of `CARD.md`."""
        task, (stage,) = self.task, self.task.stages
        cells = len(stage.models) * len(stage.samples)
        holes = cells - len(self.scores)
        spread = "no holes" if not holes else f"{holes} of {cells} grid points are holes"
        count = self.examples or NOMINAL_EXAMPLES
        timed = f"{count} examples" if self.examples else f"a nominal {count} examples"
        return CARD.format(
            title=task.title,
            scores=len(self.scores),
            spread=spread,
            setting=self.setting,
            source=SOURCE,
            file=self.file,
            missing="\n".join(f"- {text}" for text in self.missing),
            timed=timed,
            serving=SERVING.describe(),
        )


def rows(source: Path, file: str) -> list[dict[str, str]]:
    """The rows of one published CSV."""
    path = source / file
    try:
        with path.open(newline="", encoding="utf-8") as text:
            return list(csv.DictReader(text))
    except OSError as error:
        raise TableError(f"{path}: cannot be read: {error.strerror}") from None


def _task(
    name: str,
    title: str,
    metric: str,
    budget: float,
    stage: str,
    models: Iterable[Model],
    tokens: tuple[int, int],
    scores: dict[tuple[str, int], float],
) -> Task:
    prompt, generated = tokens
    grid = tuple(sorted({samples for _, samples in scores}))
    only = Stage(
        name=stage,
        models=tuple(models),
        prompt_tokens=prompt,
        generated_tokens=generated,
        samples=grid,
    )
    return Task(
        name=name,
        title=title,
        kind="published",
        metric=metric,
        metrics=(metric,),
        default_budget=budget,
        stages=(only,),
    )


def textvqa(source: Path, stage: str) -> Published:
    """One stage of TextVQA: `summarise` or `reason`."""
    file = "textvqa_stage_curves.csv"
    scores = {
        (row["model"], int(row["samples"])): float(row["accuracy"])
        for row in rows(source, file)
        if row["stage"] == stage
    }
    models, tokens, what = {
        "summarise": (
            [
                Model(name="Llama-3.2-11B-Vision-Instruct", parameters=11e9),
                Model(name="Llama-3.2-90B-Vision-Instruct", parameters=90e9),
            ],
            (256, 128),
            "the first stage, in which a vision model summarises the image",
        ),
        "reason": (
            [
                Model(name="Llama-3.1-8B-Instruct", parameters=8e9),
                Model(name="Llama-3.1-70B-Instruct", parameters=70e9),
            ],
            (128, 256),
            "the second stage, in which a text model answers from the summary",
        ),
    }[stage]
    other = "reason" if stage == "summarise" else "summarise"
    task = _task(
        f"textvqa-{stage}",
        f"TextVQA: {stage} (published curve of one stage)",
        "accuracy",
        1000,
        stage,
        models,
        tokens,
        scores,
    )
    return Published(
        task,
        file,
        scores,
        0,
        f"Accuracy on TextVQA by model and number of samples of {what}, with the budget units of "
        "each. Sample counts without a figure are holes.",
        (
            (
                f"Joint scores. The stages were measured apart: what `{other}` ran meanwhile was "
                "not stated, so this table and the other stage's do not add up to one of both."
            ),
            "The number of examples; `examples` is 0, which stands for unknown.",
            "Which split of TextVQA was scored, and the temperatures.",
        ),
    )


def math(source: Path) -> Published:
    """MATH by Best-of-N, a single stage of 64 prompt and 512 generated tokens."""
    file = "math_best_of_n.csv"
    scores = {
        (row["model"], int(row["samples"])): float(row["accuracy"]) for row in rows(source, file)
    }
    task = _task(
        "math",
        "MATH: Best-of-N",
        "accuracy",
        1000,
        "solve",
        [Model(name="Qwen2.5-3B", parameters=3e9), Model(name="Qwen2.5-72B", parameters=72e9)],
        (64, 512),
        scores,
    )
    return Published(
        task,
        file,
        scores,
        500,
        "Accuracy on 500 problems of the MATH test set by model and number of samples, the answer "
        "chosen by Best-of-N, with the budget units of each, rounded to whole units. The two "
        "models were run at different sample counts; the others are holes.",
        ("What scored the N samples, and the temperature.",),
    )


def wiki_temperature(source: Path) -> Published:
    """2WikiMultiHopQA's answer stage at three temperatures, which are three models here."""
    file = "2wiki_temperature.csv"
    found = rows(source, file)
    temperatures = sorted({row["temperature"] for row in found}, key=float)
    names = {t: f"Llama-3.2-3B-Instruct@T{t}" for t in temperatures}
    scores = {
        (names[row["temperature"]], int(row["samples"])): float(row["exact_match"]) for row in found
    }
    task = _task(
        "2wiki-temperature",
        "2WikiMultiHopQA: answer at three temperatures, retrieval fixed",
        "exact_match",
        100,
        "answer",
        [Model(name=names[t], parameters=3e9, temperature=float(t)) for t in temperatures],
        (256, 64),
        scores,
    )
    return Published(
        task,
        file,
        scores,
        50,
        "Exact match on 2WikiMultiHopQA by number of samples and temperature of the answering "
        'model ("LLaMA 3 3B"), behind one retrieval result of Qwen2.5-72B. The three temperatures '
        "are three models of the one stage. Retrieval is not a stage here and costs nothing.",
        (
            (
                "The number of examples. 50 is inferred: every figure is a multiple of 0.02, and "
                "the task's training set has 50 examples."
            ),
            (
                "A budget. The dearest configuration costs 92 units, so the default of 100 leaves "
                "all within it."
            ),
        ),
    )


def all_published(source: Path) -> list[Published]:
    """Every published table, from the CSVs in `source`."""
    stages = [textvqa(source, stage) for stage in ("summarise", "reason")]
    return [*stages, math(source), wiki_temperature(source)]


def make(source: Path, out: Path) -> list[Path]:
    """Write every published table under `out`, replacing those that are there."""
    import polars as pl

    from simulator import table_io

    made = {"by": "python -m collectors.published", "seconds": SERVING.describe(),
            "writer": f"polars {pl.__version__}"}  # fmt: skip
    return [
        table_io.save(
            published.table(),
            out / published.task.name,
            card=published.card(),
            provenance={
                "source": SOURCE,
                "made": {"from": published.file, **made},
                "licence": LICENCE,
            },
            overwrite=True,
        )
        for published in all_published(source)
    ]


@click.command()
@click.option("--source", type=click.Path(path_type=Path), default=ROOT / "reference")
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "published")
def main(source: Path, out: Path) -> None:
    """Make the published tables from the CSVs in SOURCE."""
    for folder in make(source, out):
        click.echo(folder)


if __name__ == "__main__":
    main()
