"""Experiments side by side: killed and gone on with, the same table twice, and one that fails."""

import contextlib
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
from recryst.state.errors import InputError, UsageError

_COMMAND = [sys.executable, "-P", "-c", "from recryst.agent.cli import main; main()", "experiment"]


@pytest.fixture
def plan(tmp_path):
    """A study of texts without labels: 14 cells, scored without their vectors."""
    random = np.random.default_rng(0)
    words = [f"word{number}" for number in range(300)]
    with (tmp_path / "texts.jsonl").open("w", encoding="utf-8") as file:
        for _ in range(240):
            print(json.dumps({"text": " ".join(random.choice(words, 15))}), file=file)
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"experiment: study\ninput: {tmp_path / 'texts.jsonl'}\nstrategy: [random, furthest]\nkeep: [25%, 60, 120]\n"
        "seeds: 2\n",
        encoding="utf-8",
    )
    return path


def _tables(plan, out, *words):
    made = CliRunner().invoke(experiment, [str(plan), "--out", str(out), "--json", *words], catch_exceptions=False)
    return json.loads(made.stdout)


@contextlib.contextmanager
def _at_its_first_cell(plan, out):
    """An experiment in processes of its own that has finished a cell; nothing of it outlives the test."""
    words, quiet = [*_COMMAND, str(plan), "--out", str(out), "--jobs", "2"], subprocess.DEVNULL
    with subprocess.Popen(words, text=True, stdout=quiet, stderr=subprocess.PIPE, start_new_session=True) as began:
        try:
            _until(lambda: any(out.glob("study/*/cell.json")))  # no deeper: other folders come and go
            yield began
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(began.pid, signal.SIGKILL)


def _until(holds):
    until = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_killed_experiment_goes_on_with_the_missing_cells_to_the_same_table(plan, tmp_path):
    out = tmp_path / "out"
    with _at_its_first_cell(plan, out) as began:
        began.kill()
        began.wait()
        _until(lambda: not _alive(began.pid))  # its processes end, although nobody told them
    finished = {path: path.stat().st_mtime_ns for path in out.rglob("cell.json")}
    assert 0 < len(finished) < 14

    table = _tables(plan, out, "--jobs", "2")
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert len(set(out.rglob("cell.json"))) == 14
    assert _tables(plan, tmp_path / "again", "--jobs", "1") == table
    cells = pl.read_parquet(out / "study/cells.parquet")
    assert cells.height == 14
    assert cells.filter(pl.col("cell.strategy") == "all")["rows"].to_list() == [192] * 2
    assert (out / "recryst-eval-study.svg").is_file()


def _alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_more_rows_are_predicted_better_and_sizes_are_those_asked_for(plan, tmp_path):
    words = ["study", "--input", str(tmp_path / "texts.jsonl"), "--strategy", "random", "--seeds", "2", "--json"]
    words += ["--out", str(tmp_path / "out")]  # the plot, too
    words += [word for keep in ("25%", "60", "120") for word in ("--keep", keep)]
    (table,) = json.loads(CliRunner().invoke(evals, words, catch_exceptions=False).stdout)
    assert {line["model"] for line in table["rows"]} == {"ngram"}
    by = {(line["keep"], line["strategy"]): line for line in table["rows"]}
    assert {name: line["rows"] for (name, _), line in by.items()} == {"100%": 192, "25%": 48, "60": 60, "120": 120}
    assert by["100%", "all"]["median"] < by["120", "random"]["median"] < by["25%", "random"]["median"]
    assert by["60", "random"]["best"] <= by["60", "random"]["median"] <= by["60", "random"]["least"]


@pytest.fixture
def labelled(tmp_path):
    """A plan on rows with labels, a tenth of them without, beside test rows and a target of one kind."""
    kinds = {"bread": "flour oven yeast dough crust", "ships": "sail harbour anchor mast keel"}
    random = np.random.default_rng(1)

    def write(name, rows, of=tuple(kinds), every=1):
        with (tmp_path / name).open("w", encoding="utf-8") as file:
            for at in range(rows):
                kind = of[at % len(of)]
                label = kind if at % every or every == 1 else None
                words = " ".join(random.choice(kinds[kind].split(), 8))
                print(json.dumps({"text": f"{words} {at}", "kind": label}), file=file)

    write("rows.jsonl", 120, every=10)
    write("test.jsonl", 40)
    write("target.jsonl", 20, of=("ships",))
    plan = tmp_path / "labelled.yaml"
    plan.write_text(
        f"experiment: study\ninput: {tmp_path / 'rows.jsonl'}\ntest: {tmp_path / 'test.jsonl'}\n"
        f"target: {tmp_path / 'target.jsonl'}\nlabel-column: kind\nstrategy: [random, nearest]\nkeep: [10%, 10, 30]\n"
        "model: [logistic, nearest]\nseeds: 2\n",
        encoding="utf-8",
    )
    return plan


def test_labels_are_learned_and_other_rows_are_not_taken_for_the_same(labelled, tmp_path):
    (table,) = _tables(labelled, tmp_path / "out", "--jobs", "2")
    by = {(line["model"], line["keep"], line["strategy"]): line for line in table["rows"]}
    assert {keep: by["logistic", keep, "random"]["rows"] for keep in ("10%", "10", "30")} == {
        "10%": 11,
        "10": 10,
        "30": 30,
    }
    assert by["logistic", "100%", "all"]["rows"] == 108
    assert by["logistic", "100%", "all"]["median"] == by["nearest", "100%", "all"]["median"] == 1
    assert by["logistic", "30", "nearest"]["median"] < 0.5, "rows like the target are of one kind"
    assert any("12 rows without a text or a label left out" in note for note in table["notes"])
    assert _tables(labelled, tmp_path / "out", "--jobs", "2") == [table]
    (tmp_path / "out/study/0-all-100pct-0/cell.json").write_text('{"cell', encoding="utf-8")  # as no kill leaves it
    assert _tables(labelled, tmp_path / "out", "--jobs", "1") == [table]

    rows = (tmp_path / "rows.jsonl").read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "rows.jsonl").write_text("".join(rows[:100]), encoding="utf-8")
    with pytest.raises(UsageError, match="another content of the files; choose another --out"):
        _tables(labelled, tmp_path / "out")


def test_a_target_is_read_by_the_text_column_of_the_study(labelled, tmp_path):
    for path in tmp_path.glob("*.jsonl"):  # beside it stands a column that would be taken for the text
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        lines = [json.dumps({"text": "flour oven yeast", "said": row["text"], "kind": row["kind"]}) for row in rows]
        path.write_text("\n".join(lines), encoding="utf-8")
    text = labelled.read_text("utf-8").replace("[random, nearest]", "[nearest, dsir]\ntext-column: said")
    labelled.write_text(
        text.replace("keep: [10%, 10, 30]", "keep: [30]").replace("seeds: 2", "seeds: 1"), encoding="utf-8"
    )
    (table,) = _tables(labelled, tmp_path / "out")
    by = {(line["model"], line["strategy"]): line["median"] for line in table["rows"]}
    assert by["logistic", "all"] == 1
    assert by["logistic", "nearest"] < 0.5
    assert by["logistic", "dsir"] < 0.5, "rows like the target are of one kind"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ("keep: ['../../x']", "keep: '../../x' is no share, as in 10%, and no number of rows"),
        ("keep: lots", "keep: 'lots' is no share"),
        ("keep: 0%", "keep: '0%' is no share"),
        ("target: null", "target: must be a value"),
        ("strategy: dsir", "--strategy dsir needs --target FILE"),
    ],
)
def test_what_a_study_cannot_do_is_refused_before_a_cell_is_measured(labelled, tmp_path, changed, said):
    key = changed.partition(":")[0]
    gone = {key, "target"} if key == "strategy" else {key}
    lines = [line for line in labelled.read_text("utf-8").splitlines() if line.partition(":")[0] not in gone]
    labelled.write_text("\n".join([*lines, changed]), encoding="utf-8")
    with pytest.raises(UsageError) as refused:
        _tables(labelled, tmp_path / "out")
    assert said in str(refused.value)
    assert not list(tmp_path.rglob("cell.json"))


def test_what_cannot_be_learned_is_said(labelled, tmp_path):
    one = "".join(json.dumps({"text": f"flour {at}", "kind": "bread"}) + "\n" for at in range(40))
    (tmp_path / "rows.jsonl").write_text(one, encoding="utf-8")
    with pytest.raises(InputError, match="its labels are all the same"):
        _tables(labelled, tmp_path / "out", "--jobs", "1")


def test_an_interrupted_experiment_says_how_to_go_on(plan, tmp_path):
    with _at_its_first_cell(plan, tmp_path / "out") as began:
        began.send_signal(signal.SIGINT)
        _, said = began.communicate(timeout=60)
    assert began.returncode == 130
    assert "the same command goes on with the missing cells" in said
    assert "Traceback" not in said


def test_what_a_cell_in_another_process_refuses_is_said(plan, tmp_path):
    plan.write_text(plan.read_text("utf-8") + "model: logistic\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"texts\.jsonl has no labels to learn: name --label-column"):
        _tables(plan, tmp_path / "out", "--jobs", "1")
