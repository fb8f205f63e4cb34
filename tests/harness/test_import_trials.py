"""What another search asked, imported: from Optuna's storages, CSV and Parquet into a bench."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from harness import run_bench
from harness.cli import cli
from harness.importing import import_trials
from simulator import Configuration, LookupTable, Simulator
from simulator.errors import RunError, UnknownName, UsageError
from simulator.table_io import save
from tests.harness.helpers import toy_table

ASKED = (
    "retrieve=large:2,answer=small:8",
    "retrieve=large:8,answer=large:8",
    "retrieve=small:3,answer=small:1",
)

HALF = """retrieve_model,retrieve_samples,answer_model,answer_samples
small,1.5,small,1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("tables") / "toy"
    save(toy_table(seed=1, outcomes=True), where, card="# toy\n")
    return where


@pytest.fixture(scope="module")
def table(folder: Path) -> LookupTable:
    return LookupTable.load(folder)


def of_asked(where: Path, asked: tuple[str, ...] = ASKED) -> Path:
    pl.DataFrame({"asked": asked}).write_csv(where)
    return where


def program(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, list(map(str, words)))


def study(storage: object, name: str, seed: int, trials: int = 6) -> list[str]:
    """An Optuna study of the toy table whose own values are wrong; what it asked."""
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    made = optuna.create_study(
        storage=storage, study_name=name, sampler=optuna.samplers.RandomSampler(seed=seed)
    )
    asked = []

    def objective(trial: object) -> float:
        parts = [
            f"{stage}={trial.suggest_categorical(f'{stage}_model', ['small', 'large'])}"  # type: ignore[attr-defined]
            f":{trial.suggest_int(f'{stage}_samples', 1, 8)}"  # type: ignore[attr-defined]
            for stage in ("retrieve", "answer")
        ]
        asked.append(",".join(parts))
        if len(asked) == 2:
            raise optuna.TrialPruned
        return 1e6

    made.optimize(objective, n_trials=trials)
    made.enqueue_trial({})
    return asked


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_study_is_replayed_from_the_table(
    kind: str, folder: Path, table: LookupTable, tmp_path: Path
) -> None:
    optuna = pytest.importorskip("optuna")
    file = tmp_path / f"studies.{kind}"
    storage: object = f"sqlite:///{file}"
    if kind == "journal":
        backend = optuna.storages.journal.JournalFileBackend(str(file))
        storage = optuna.storages.JournalStorage(backend)
    asked = [study(storage, f"mine-{seed}", seed) for seed in range(2)]
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    done = import_trials(
        f"sqlite:///{file}" if kind == "sqlite" else file, folder, tmp_path / "out", label="mine"
    )
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before
    trials = pl.read_parquet(tmp_path / "out" / "trials.parquet")
    assert set(trials["agent"]) == {"mine (imported)"}
    for seed in range(2):
        run = trials.filter(pl.col("seed") == seed)
        assert run["asked"].to_list() == asked[seed]
        simulator = Simulator(table, seed=seed)
        expected = [simulator.evaluate(Configuration.parse(text)) for text in asked[seed]]
        for column in ("score", "cost", "seconds", "feasible"):
            assert run[column].to_list() == [getattr(trial, column) for trial in expected]
    assert done.summary["seeds"].to_list() == [2]
    assert "2 trials that were not finished" in done.note
    assert before[:12] in done.note


def test_one_study_of_several_and_one_that_is_not_there(folder: Path, tmp_path: Path) -> None:
    for seed in range(2):
        study(f"sqlite:///{tmp_path / 's.db'}", f"mine-{seed}", seed)
    done = import_trials(tmp_path / "s.db", folder, tmp_path / "out", studies=["mine-1"])
    assert (done.imported.studies, done.imported.label) == (("mine-1",), "mine-1 (imported)")
    with pytest.raises(UnknownName, match="did you mean mine"):
        import_trials(tmp_path / "s.db", folder, tmp_path / "out", studies=["mein-1"])


def test_what_a_pruner_saw_is_replayed_on_as_many_examples(folder: Path, tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    made = optuna.create_study(storage=f"sqlite:///{tmp_path / 's.db'}", study_name="halved")
    for number, asked in enumerate(ASKED[:2]):
        trial = made.ask()
        trial.set_user_attr("asked", asked)
        trial.report(0.0, 10)
        pruned = optuna.trial.TrialState.PRUNED
        made.tell(trial, *((0.5,) if number else (None, pruned)))
    with pytest.raises(UsageError, match=r"trial 0: it reported steps; say --steps"):
        import_trials(tmp_path / "s.db", folder, tmp_path / "out")
    for steps, expected in (
        ("examples", [(ASKED[0], 10), (ASKED[1], 10), (ASKED[1], None)]),
        ("whole", [(ASKED[0], None), (ASKED[1], None)]),
    ):
        import_trials(tmp_path / "s.db", folder, tmp_path / steps, steps=steps)  # type: ignore[arg-type]
        trials = pl.read_parquet(tmp_path / steps / "trials.parquet")
        assert trials.select("asked", "examples").rows() == expected


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_columns_of_stages_seeds_and_reasons(suffix: str, folder: Path, tmp_path: Path) -> None:
    frame = pl.DataFrame({
        "seed": [7, 7, 9], "retrieve_model": ["small", "large", "small"],
        "retrieve_samples": [1, 2, 3], "answer_model": ["small"] * 3, "answer_samples": [4, 4, 8],
        "why": ["a guess", None, None], "score": [0.1, 0.2, 0.3],
    })  # fmt: skip
    source = tmp_path / f"asked.{suffix}"
    frame.write_csv(source) if suffix == "csv" else frame.write_parquet(source)
    done = import_trials(source, folder, tmp_path / "out", trials=5)
    assert done.imported.studies == ("7", "9")
    trials = pl.read_parquet(tmp_path / "out" / "trials.parquet")
    assert trials["asked"].to_list() == [
        "retrieve=small:1,answer=small:4",
        "retrieve=large:2,answer=small:4",
        "retrieve=small:3,answer=small:8",
    ]
    assert trials["seed"].to_list() == [0, 0, 1]
    assert trials["why"].to_list()[0] == "a guess"


def test_beside_the_runs_of_a_bench(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_bench(out=out, agents=["random"], tables=[folder], seeds=2, trials=2)
    before = pl.read_parquet(out / "runs.parquet")
    source = of_asked(tmp_path / "asked.csv")
    import_trials(source, folder, out, label="mine")
    import_trials(source, folder, out, label="mine")
    runs = pl.read_parquet(out / "runs.parquet")
    assert runs.filter(pl.col("agent") == "random").equals(before)
    mine = runs.filter(pl.col("agent") == "mine (imported)")
    assert mine.select("trials", "allowed").rows() == [(2, 2)]  # cut as the bench's own runs are
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "mine (imported)" in page
    assert "searched elsewhere: asks from asked.csv" in page
    assert "agenttts search toy --agent imported" not in page
    summary = (out / "summary.md").read_text(encoding="utf-8")
    assert "1 more asks came after the 2 trials of a run" in summary
    # A bench run again there shows it again, and so does a report.
    again = run_bench(out=out, agents=["random"], tables=[folder], seeds=2, trials=2)
    assert again.runs.sort("agent").equals(runs.sort("agent"))
    assert program("report", out).exit_code == 0
    # With other settings it is replayed anew.
    longer = run_bench(out=out, agents=["random"], tables=[folder], seeds=2, trials=3)
    assert longer.runs.filter(pl.col("agent") == "mine (imported)")["trials"].to_list() == [3]


def test_an_import_that_the_settings_forbid_is_left_out_with_a_note(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    import_trials(of_asked(tmp_path / "asked.csv", (ASKED[0],) * 2), folder, out)
    done = run_bench(out=out, agents=["random"], tables=[folder], seeds=1, duplicates="forbid")
    assert set(done.runs["agent"]) == {"random"}
    assert [note for note in done.notes if "left out asked (imported)" in note], done.notes


def test_a_damaged_import_is_one_line(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    import_trials(of_asked(tmp_path / "asked.csv"), folder, out)
    next((out / "imported").glob("*.json")).write_text("{}", encoding="utf-8")
    with pytest.raises(RunError, match=r"imported/.*not an imported run"):
        run_bench(out=out, agents=["random"], tables=[folder], seeds=1)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("none.csv", None, "No such file"),
        ("empty.csv", "asked\n", "holds no asks"),
        ("other.csv", "x,y\n1,2\n", "row 1: it has no retrieve_model, retrieve_samples"),
        ("two.csv", f'agent,asked\na,"{ASKED[0]}"\nb,"{ASKED[0]}"\n', "several agents"),
        ("wrong.csv", 'asked\n"retrieve=tiny:1,answer=small:1"\n', "tiny"),
        ("few.csv", f'asked,examples\n"{ASKED[0]}",0\n', "row 1: examples"),
        ("half.csv", HALF, "must be a whole number, not 1.5"),
        ("text.txt", "hello", "neither an Optuna study"),
        ("pickled.pkl", "\x80\x04K\x01.", "neither an Optuna study"),
        ("torn.journal", '{"op_code": 0, "wor\n{}\n', "is no Optuna journal"),
        ("other.journal", '{"a": 1}\n', "is no Optuna journal"),
        ("other.db", "SQLite format 3\0 and no more", "is no Optuna database"),
    ],
)  # fmt: skip
def test_wrong_sources_are_one_line(
    name: str, text: str | None, message: str, folder: Path, tmp_path: Path
) -> None:
    source = tmp_path / name
    if text is not None:
        source.write_text(text, encoding="utf-8")
    done = program("import-trials", source, "--table", folder, "--out", tmp_path / "out")
    assert done.exit_code == 2, done.output
    assert message in done.output
    assert done.output.count("\n") == 1
    assert not (tmp_path / "out" / "bench.json").exists()


def test_servers_are_not_asked_and_their_passwords_not_shown(folder: Path, tmp_path: Path) -> None:
    url = "mysql://me:secret@host/db"
    done = program("import-trials", url, "--table", folder, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "not from a server" in done.output
    assert "secret" not in done.output


def test_a_bench_keeps_its_terms(folder: Path, tmp_path: Path) -> None:
    out, source = tmp_path / "out", of_asked(tmp_path / "asked.csv")
    run_bench(out=out, agents=["random"], tables=[folder], seeds=1, trials=2)
    done = program("import-trials", source, "--table", folder, "--out", out, "--budget", 5)
    assert done.exit_code == 2
    assert "holds a bench, whose budgets are kept" in done.output
    done = program("import-trials", source, "--table", "math", "--out", out)
    assert "no table in this bench named 'math'" in done.output
    other = tmp_path / "other"
    save(toy_table(seed=3), other, card="# toy\n")
    done = program("import-trials", source, "--table", other, "--out", out)
    assert "is not the one that this bench searched" in done.output


def test_json(folder: Path, tmp_path: Path) -> None:
    source = of_asked(tmp_path / "asked.csv")
    done = program(
        "import-trials", source, "--table", folder, "--out", tmp_path / "out", "--json",
        "--budget", 50, "--cost", "units",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    assert (shown["label"], shown["table"]) == ("asked (imported)", "toy")
    assert (shown["runs"], shown["asks"], shown["summary"][0]["budget"]) == (1, 3, 50)
    assert shown["summary"][0]["infeasible_rate"] == pytest.approx(2 / 3)
