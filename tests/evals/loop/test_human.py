"""Noise that people made: which rows stand among the sound ones, and a run of them from end to end."""

import gzip
import json

import pytest

from recryst.evals.loop import human, sets
from recryst.evals.loop.cells import Bench
from recryst.evals.loop.found import outcome
from recryst.evals.runs import FinishedRun

INTENTS, EACH = 4, 30


@pytest.fixture(scope="module")
def few_requests(shared_data, tmp_path_factory):
    """A data folder of four intents of CLINC, with all its requests out of scope."""
    folder = tmp_path_factory.mktemp("few-requests")
    with gzip.open(shared_data / "clinc_oos/data_full.json.gz", "rt", encoding="utf-8") as file:
        splits = json.load(file)
    names = sorted({label for _, label in splits["train"]})[:INTENTS]
    for split, most in (("train", EACH), ("test", 10)):
        splits[split] = [row for name in names for row in [one for one in splits[split] if one[1] == name][:most]]
    (folder / "clinc_oos").mkdir()
    with gzip.open(folder / "clinc_oos/data_full.json.gz", "wt", encoding="utf-8") as file:
        json.dump(splits, file)
    return folder


@pytest.fixture
def postings(tmp_path):
    """A data folder of postings in two groups, of which every tenth body stands in both."""
    header = "From: a person\nNewsgroups: {}\n\n"
    rows = []
    for group in ("sci.crypt", "talk.politics.guns"):
        for n in range(1000):
            of = "both" if n % 10 == 0 else group
            body = f"Posting {n} of {of}: it says so much that it is a body of its own, {n} times over."
            rows.append({"group": group, "text": header.format(group) + body})
    (tmp_path / "newsgroups20").mkdir()
    with gzip.open(tmp_path / "newsgroups20/newsgroups20.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "alpaca").mkdir()
    with gzip.open(tmp_path / "alpaca/alpaca.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps({"source": "claude_t45", "instruction": "Say it.", "input": "", "output": "It."}) + "\n")
    return tmp_path


def _rows(noisy):
    return noisy.rows.join(noisy.side, on="id").to_dicts()


@pytest.mark.shared_data
def test_requests_out_of_scope_are_a_tenth_of_the_others_and_have_no_right_label(few_requests, tmp_path):
    (cell,) = human.plan_of(seeds=1, rows=100, sets=("clinc", "banking77")).cells()
    noisy = human.noised(Bench(few_requests, tmp_path), cell)
    clean = sets.clinc(few_requests)
    rows = _rows(noisy)
    strange = [row for row in rows if row["fault"]]
    assert len(strange) == round(0.1 * (len(rows) - len(strange)))
    assert {row["text"] for row in strange} <= set(clean.foreign)
    assert {row["truth"] for row in strange} == {None}
    assert {row["label"] for row in strange} <= {label for _, label in clean.train}
    assert {(row["text"], row["label"]) for row in rows if not row["fault"]} <= set(clean.train)
    assert human.noised(Bench(few_requests, tmp_path), cell).rows.equals(noisy.rows)


def test_a_crossposted_body_stands_once_with_each_of_its_groups(postings, tmp_path):
    (cell,) = human.plan_of(seeds=1, rows=400, sets=("newsgroups20",)).cells()
    bench = Bench(postings, tmp_path)
    rows = _rows(human.noised(bench, cell))
    both = [row for row in rows if " of both:" in row["text"]]
    strange = [row for row in both if row["fault"]]
    assert {(row["label"], row["truth"]) for row in strange} == {("talk.politics.guns", "sci.crypt")}
    assert sorted(row["text"] for row in strange) == sorted(row["text"] for row in both if not row["fault"])
    assert {row["label"] for row in both if not row["fault"]} == {"sci.crypt"}
    held_out = {text for text, _ in bench.labelled("newsgroups20").clean.test}
    assert not held_out & {row["text"] for row in rows}
    assert [row["text"] for row in rows if row["fault"] and row not in both] == []


def test_bodies_of_one_group_are_no_crossposts(postings):
    found = sets.crossposts(postings)
    assert len(found) == 100
    assert {(first, other) for _, first, other in found} == {("sci.crypt", "talk.politics.guns")}


@pytest.mark.shared_data
def test_human_noise_is_refined_measured_and_read_back(few_requests, tmp_path):
    plan = human.plan_of(sets=("clinc",), seeds=1, rows=100)
    (made,) = human.EXPERIMENT.run(few_requests, plan, tmp_path)
    lines = {line[4]: dict(zip(made.columns, line, strict=True)) for line in made.rows}
    assert {"loop", "random", "own probability"} <= set(lines)
    for line in lines.values():
        rows, noisy = line["rows"], line["noisy"]
        assert noisy == round(0.1 * (rows - noisy)) > 4
        gone = line["noise found"] * noisy + line["sound rows lost"] * (rows - noisy)
        assert gone >= line["removed"] * rows - 2, "rows went that are neither noise nor sound"
    left = outcome(FinishedRun(tmp_path / "human/clinc-human-0/run")).kept
    side = [json.loads(row) for row in (tmp_path / "human/clinc-human-0/side.jsonl").read_text("utf-8").splitlines()]
    strange = {row["id"] for row in side if row["fault"]}
    assert lines["loop"]["noise found"] == pytest.approx(len(strange - left) / len(strange))
    assert lines["random"]["removed"] == pytest.approx(lines["loop"]["removed"])
    assert made.plot is not None
    assert human.EXPERIMENT.run(few_requests, plan, tmp_path) == [made]
