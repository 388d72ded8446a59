"""The experiments on whole runs, from end to end on a part of Banking77 and some problems of GSM8K."""

import csv
import gzip
import json
import random

import pytest

from recryst.evals.loop import clean, crude
from recryst.evals.loop.cells import Plan
from recryst.evals.loop.faults import CLEAN, LABELLED_RATES, PAIR_RATES
from recryst.evals.loop.results import tables
from recryst.evals.loop.sets import ALPACA
from recryst.state.errors import UsageError

pytestmark = pytest.mark.shared_data
INTENTS = 5


@pytest.fixture(scope="module")
def data(shared_data, tmp_path_factory):
    """A data folder of six intents of Banking77, some problems of GSM8K and as many short pairs of Alpaca."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "banking77").mkdir()
    for split in ("train", "test"):
        with (shared_data / f"banking77/{split}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        names = sorted({row["category"] for row in rows})[:INTENTS]
        with (folder / f"banking77/{split}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["text", "category"])
            writer.writeheader()
            writer.writerows([row for row in rows if row["category"] in names][:: {"train": 1, "test": 4}[split]])
    for name, wanted in (("gsm8k/train", None), ("alpaca/alpaca", ALPACA[0])):
        with gzip.open(shared_data / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            lines = [line for line in file if wanted is None or json.loads(line)["source"] == wanted]
        lines = [line for line in lines if len(line) < 400]
        (folder / name).parent.mkdir()
        with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(random.Random(0).sample(lines, 60))
    return folder


def _lines(table):
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def test_crude_sets_are_refined_measured_and_read_back(data, tmp_path):
    plan = Plan(sets=("banking77",), seeds=1, rows=120)
    made = crude.EXPERIMENT.run(data, plan, tmp_path, "recryst eval crude")
    shares, scores, found = made
    (share,), (score,) = _lines(shares), _lines(scores)
    assert score["oracle"] > score["crude"], "the faults cost nothing"
    for method in ("loop", "faults out", "random", "exact + MinHash", "one per group", "own probability"):
        gap = score["oracle"] - score["crude"]
        assert share[method] == pytest.approx((score[method] - score["crude"]) / gap)
    by_method = {line["method"]: line for line in _lines(found)}
    assert by_method["exact + MinHash"]["exact"] == 1
    assert by_method["exact + MinHash"]["clean rows lost"] == 0
    assert by_method["own probability"]["flip"] > 0.7
    removal = by_method["faults out"]
    assert {removal["precision"], *(removal[fault] for fault in LABELLED_RATES)} == {1}
    assert removal["clean rows lost"] == 0
    assert by_method["random"]["removed"] == by_method["loop"]["removed"] > 0.05

    cells = tmp_path / "crude/banking77-middle-0"
    runs = {path: path.stat().st_mtime_ns for path in cells.rglob("*") if path.is_file()}
    assert crude.EXPERIMENT.run(data, plan, tmp_path, "recryst eval crude") == made
    assert {path: path.stat().st_mtime_ns for path in cells.rglob("*") if path.is_file()} == runs
    with pytest.raises(UsageError, match="another --rows"):
        crude.EXPERIMENT.run(data, Plan(sets=("banking77",), seeds=1, rows=151), tmp_path)


def test_a_clean_set_of_pairs_is_refined(data, tmp_path):
    finished = []
    plan = Plan(sets=("gsm8k",), severities=(CLEAN,), seeds=1, rows=60)
    (table,) = clean.EXPERIMENT.run(data, plan, tmp_path, "", finished.append)
    (line,) = _lines(table)
    assert finished == [1]
    assert (line["rows"], line["score before"], line["points lost"]) == (60, None, None)
    assert line["non-duplicate rows lost"] <= line["removed"] + 0.02
    side = (tmp_path / "clean/gsm8k-none-0/side.jsonl").read_text("utf-8").splitlines()
    assert {json.loads(row)["fault"] for row in side} == {""}


def test_faults_found_in_pairs_are_summed_up():
    recall = dict.fromkeys(PAIR_RATES, 0.5) | {"empty": 1.0, "swapped": 0.0}
    made = {"removed": 0.2, "precision": 0.9, "clean_lost": 0.01, "recall": recall}
    cells = Plan(sets=("gsm8k",), seeds=1).cells()
    (table,) = tables([(cells[0], {"methods": {"loop": made}})], ["loop"], ("a", "b"), "")
    (line,) = _lines(table)
    assert (line["mean"], line["least"], line["clean rows lost"]) == (0.5, 0, 0.01)
    assert (line["swapped"], line["empty"], line["removed"]) == (0, 1, 0.2)
