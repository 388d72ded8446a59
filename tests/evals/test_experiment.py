"""Experiments side by side: killed and gone on with, the same table twice, and one that fails."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from recryst.evals.cli import eval as evals
from recryst.evals.cli import experiment
from recryst.state.errors import InputError

_COMMAND = [sys.executable, "-P", "-c", "from recryst.agent.cli import main; main()", "experiment"]


@pytest.fixture
def plan(tmp_path):
    """A study of texts without labels: 12 cells that need no embedding to be scored."""
    random = np.random.default_rng(0)
    words = [f"word{number}" for number in range(300)]
    with (tmp_path / "texts.jsonl").open("w", encoding="utf-8") as file:
        for _ in range(240):
            print(json.dumps({"text": " ".join(random.choice(words, 60))}), file=file)
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"experiment: study\ninput: {tmp_path / 'texts.jsonl'}\nstrategy: [random, furthest]\nkeep: [25%, 60, 120]\n"
        "seeds: 4\n",
        encoding="utf-8",
    )
    return path


def _tables(plan, out, *words):
    made = CliRunner().invoke(experiment, [str(plan), "--out", str(out), "--json", *words], catch_exceptions=False)
    return json.loads(made.stdout)


def test_a_killed_experiment_goes_on_with_the_missing_cells_to_the_same_table(plan, tmp_path):
    out = tmp_path / "out"
    began = subprocess.Popen([*_COMMAND, str(plan), "--out", str(out), "--jobs", "2"], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    until = time.monotonic() + 120
    while not (finished := set(out.rglob("cell.json"))) and time.monotonic() < until:
        time.sleep(0.01)
    began.send_signal(signal.SIGKILL)
    began.wait()
    while _alive(began.pid) and time.monotonic() < until:  # its processes end, although nobody told them
        time.sleep(0.1)
    assert not _alive(began.pid)
    finished = {path: path.stat().st_mtime_ns for path in out.rglob("cell.json")}
    assert 0 < len(finished) < 28

    table = _tables(plan, out, "--jobs", "2")
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert len(set(out.rglob("cell.json"))) == 28
    assert _tables(plan, tmp_path / "again", "--jobs", "1") == table
    cells = pl.read_parquet(out / "study/cells.parquet")
    assert cells.height == 28
    assert cells.filter(pl.col("cell.strategy") == "all")["rows"].to_list() == [192] * 4
    assert (out / "recryst-eval-study.svg").is_file()


def _alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_more_rows_are_predicted_better_and_sizes_are_those_asked_for(plan, tmp_path):
    words = ["study", "--input", str(tmp_path / "texts.jsonl"), "--strategy", "random", "--seeds", "2", "--json"]
    words += [word for keep in ("25%", "60", "120") for word in ("--keep", keep)]
    (table,) = json.loads(CliRunner().invoke(evals, words, catch_exceptions=False).stdout)
    assert {line["model"] for line in table["rows"]} == {"ngram"}
    by = {(line["keep"], line["strategy"]): line for line in table["rows"]}
    assert {name: line["rows"] for (name, _), line in by.items()} == {"100%": 192, "25%": 48, "60": 60, "120": 120}
    assert by["100%", "all"]["median"] < by["120", "random"]["median"] < by["25%", "random"]["median"]
    assert by["60", "random"]["best"] <= by["60", "random"]["median"] <= by["60", "random"]["least"]


def test_what_a_cell_in_another_process_refuses_is_said(plan, tmp_path):
    plan.write_text(plan.read_text("utf-8") + "model: logistic\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"texts\.jsonl has no labels to learn: name --label-column"):
        _tables(plan, tmp_path / "out", "--jobs", "1")
