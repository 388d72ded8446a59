"""What an experiment prints and leaves behind, from cells that are finished."""

import json
from dataclasses import asdict

import polars as pl
import pytest
from click.testing import CliRunner

from recryst.evals.cli import eval as evals
from recryst.evals.cli import experiment
from recryst.evals.loop.cells import Plan
from recryst.evals.loop.faults import CLEAN


@pytest.fixture
def finished(tmp_path):
    """A folder of two finished cells of the experiment on clean sets."""
    for cell in Plan(sets=("gsm8k", "banking77"), severities=(CLEAN,), seeds=1).cells():
        score = 0.9 if cell.labelled else None
        record = {"cell": asdict(cell), "rows": 100, "before": score, "after": score and score - 0.02, "removed": 0.01,
                  "clean_lost": 0.0, "code": "0.1.0 abc"}  # fmt: skip
        folder = tmp_path / "out/clean" / cell.folder
        folder.mkdir(parents=True)
        (folder / "cell.json").write_text(json.dumps(record), encoding="utf-8")
    return tmp_path / "out"


def _run(*words):
    return CliRunner().invoke(evals, ["clean", *words], catch_exceptions=False)


def test_a_planned_experiment_gives_its_table_and_its_plot(finished, tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        f"experiment: clean\ndata: {tmp_path}\nset: [banking77, gsm8k]\nseeds: 1\nout: {finished}\n", encoding="utf-8"
    )
    made = CliRunner().invoke(experiment, [str(plan), "--json"], catch_exceptions=False)
    (table,) = json.loads(made.stdout)
    assert table["command"] == f"recryst experiment {plan}"
    assert [(line["set"], line["points lost"]) for line in table["rows"]] == [
        ("banking77", pytest.approx(2.0)),
        ("gsm8k", None),
    ]
    plot = finished / "recryst-eval-clean.svg"
    assert f"Plot: {plot}" in made.stderr
    assert all(f">{word}<" in plot.read_text("utf-8") for word in ("banking77", "gsm8k", "points of macro-F1 lost"))

    cells = pl.read_parquet(finished / "clean/cells.parquet")
    assert cells.select("cell.set", "before").rows() == [("banking77", 0.9), ("gsm8k", None)]
    assert (finished / "clean/tables.md").read_text("utf-8").startswith("### What the loop takes")

    again = _run("--data", str(tmp_path), "--set", "gsm8k", "--seeds", "1", "--out", str(finished), "--markdown")
    assert again.stdout.startswith("### What the loop takes from clean sets")
    assert "banking77" not in plot.read_text("utf-8")
    assert "macro-F1" not in plot.read_text("utf-8"), "a set without a score has an axis for it"


def test_no_figure_is_cut_where_nobody_sees_the_width(finished, tmp_path):
    made = _run("--data", str(tmp_path), "--set", "banking77", "--seeds", "1", "--out", str(finished))
    assert "…" not in made.stdout
    (row,) = [line for line in made.stdout.splitlines() if "banking77" in line]
    assert "non-duplicate rows lost" in made.stdout.splitlines()[2]
    assert "0.88" in row
