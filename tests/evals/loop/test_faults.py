"""What the generator of faults promises: rates, seeds, truth that is kept apart, and a clean set behind it all."""

import json

import numpy as np
import polars as pl
import pytest

from recryst.evals.loop import faults
from recryst.evals.loop.found import labels_of, oracle, positions
from recryst.evals.loop.sets import LabelledSet, PairSet

CLASSES, EACH, ROWS = 12, 100, 600


def _words(random: np.random.Generator, count: int) -> str:
    return " ".join(f"w{random.integers(5000)}" for _ in range(count))


@pytest.fixture(scope="module")
def clean() -> LabelledSet:
    random = np.random.default_rng(7)
    rows = [(_words(random, 12), f"class {at % CLASSES}") for at in range(CLASSES * EACH)]
    return LabelledSet("made", tuple(rows), (), tuple(f"foreign {n}" for n in range(500)))


@pytest.fixture(scope="module")
def questions() -> PairSet:
    random = np.random.default_rng(8)
    pairs = tuple((_words(random, 9), f"{_words(random, 15)}. {_words(random, 15)}.") for _ in range(1000))
    return PairSet("made", pairs, tuple((f"foreign {n}?", f"{n}.") for n in range(500)))


def _side(crude: faults.Crude) -> list[dict]:
    return crude.side.join(crude.rows, on="id", maintain_order="left").to_dicts()


@pytest.mark.parametrize(("severity", "scale"), [("mild", 0.4), ("middle", 1), ("harsh", 1.8)])
def test_labelled_faults_have_their_rates(clean, severity, scale):
    crude = faults.labelled(clean, severity, 0, ROWS)
    originals = crude.side.filter(pl.col("fault").is_in(["", "flip"])).height
    planted = faults.planted(crude)
    for fault, rate in faults.LABELLED_RATES.items():
        assert planted[fault] == pytest.approx(rate * scale * originals, abs=1), fault


@pytest.mark.parametrize(("severity", "scale"), [("mild", 0.4), ("middle", 1), ("harsh", 1.8)])
def test_faults_of_pairs_have_their_rates(questions, severity, scale):
    planted = faults.planted(faults.pairs(questions, severity, 0, ROWS))
    for fault, rate in faults.PAIR_RATES.items():
        assert planted[fault] == pytest.approx(rate * scale * ROWS, abs=1), fault


@pytest.mark.parametrize("make", ["labelled", "pairs"])
def test_a_seed_makes_the_same_set_and_another_seed_another(clean, questions, make):
    of = clean if make == "labelled" else questions
    one, again, other = (getattr(faults, make)(of, "middle", seed, ROWS) for seed in (1, 1, 2))
    assert one.rows.equals(again.rows)
    assert one.side.equals(again.side)
    assert set(one.rows.to_series(1)) != set(other.rows.to_series(1))


@pytest.mark.parametrize("make", ["labelled", "pairs"])
def test_what_a_run_reads_tells_nothing_of_the_faults(clean, questions, make, tmp_path):
    crude = getattr(faults, make)(clean if make == "labelled" else questions, "harsh", 0, ROWS)
    read = [json.loads(line) for line in crude.write(tmp_path).read_text("utf-8").splitlines()]
    assert {tuple(row) for row in read} == {("id", "text", "label") if make == "labelled" else
                                            ("id", "instruction", "output")}  # fmt: skip
    assert [row["id"] for row in read] == [f"r{at}" for at in range(len(read))] == crude.side["id"].to_list()
    # Nor does the place of a row: the planted ones lie among the others.
    planted = (crude.side["fault"] != "").to_numpy().nonzero()[0]
    assert planted.mean() == pytest.approx(len(read) / 2, rel=0.1)
    assert json.loads((tmp_path / "side.jsonl").read_text("utf-8").splitlines()[0]).keys() == faults.SIDE_SCHEMA.keys()


def test_the_oracle_restores_the_clean_rows(clean):
    crude = faults.labelled(clean, "harsh", 3, ROWS)
    best = oracle(crude)
    kept, labels = positions(crude, best.kept), labels_of(crude, best)
    restored = {(crude.rows["text"][int(at)], labels[at]) for at in kept}
    assert restored == set(faults.long_tail(clean.train, ROWS, np.random.default_rng(3)))
    untouched = faults.labelled(clean, faults.CLEAN, 3, ROWS)
    assert set(untouched.rows.select("text", "label").iter_rows()) == restored
    assert set(untouched.side["fault"]) == {""}


def test_every_labelled_fault_is_what_it_is_called(clean):
    true = dict(clean.train)
    crude = faults.labelled(clean, "harsh", 0, ROWS)
    by_id = {row["id"]: row for row in _side(crude)}
    for row in by_id.values():
        origin = by_id[row["origin"]]
        match row["fault"]:
            case "":
                assert true[row["text"]] == row["truth"] == row["label"]
            case "flip":
                assert true[row["text"]] == row["truth"] != row["label"]
            case "exact" | "edited":
                assert origin["fault"] in ("", "flip")
                assert (row["label"], row["truth"]) == (origin["label"], origin["truth"])
                assert (row["text"] == origin["text"]) == (row["fault"] == "exact")
            case _:
                assert row["truth"] is None
                assert row["text"] not in true
    assert {row["label"] for row in by_id.values() if row["fault"] == "gibberish"} > {"class 0"}


def test_every_fault_of_a_pair_is_what_it_is_called(questions):
    true, answers = dict(questions.pairs), {answer for _, answer in questions.pairs}
    by_id = {row["id"]: row for row in _side(faults.pairs(questions, "harsh", 0, ROWS))}
    for row in by_id.values():
        origin = by_id[row["origin"]]
        own = true.get(row["instruction"])
        match row["fault"]:
            case "":
                assert row["output"] == own == row["truth"]
            case "swapped":
                assert row["output"] != own
                assert row["output"] in answers
            case "broken off":
                assert own.startswith(row["output"])
                assert 0.2 * len(own) < len(row["output"]) <= 0.7 * len(own)
                assert not row["output"].endswith((".", "!", "?"))
                assert own[len(row["output"])] in " .", "the cut goes through a word"
            case "empty":
                assert row["output"] == ""
            case "exact":
                assert (row["instruction"], row["output"]) == (origin["instruction"], origin["output"])
            case "edited":
                differ = [name for name in ("instruction", "output") if row[name] != origin[name]]
                assert len(differ) == 1
            case "off-topic":
                assert row["truth"] is None
                assert (row["instruction"], row["output"]) in questions.foreign
            case _:
                assert row["output"] not in answers


def test_a_wrong_label_names_the_nearest_class_where_that_is_wanted(clean):
    nearest = {f"class {at}": f"class {(at + 1) % CLASSES}" for at in range(CLASSES)}
    flipped = (
        faults.labelled(clean, "middle", 0, ROWS, nearest)
        .side.join(faults.labelled(clean, "middle", 0, ROWS, nearest).rows, on="id")
        .filter(pl.col("fault") == "flip")
    )
    assert flipped.height > 20
    assert all(nearest[row["truth"]] == row["label"] for row in flipped.to_dicts())


def test_the_tail_is_long(clean):
    taken = faults.long_tail(clean.train, 10_000, np.random.default_rng(0))
    sizes = sorted((label for _, label in taken), key=str)
    counts = sorted((sizes.count(label) for label in set(sizes)), reverse=True)
    assert counts == [round(EACH * faults.TAIL ** (rank / (CLASSES - 1))) for rank in range(CLASSES)]
    assert len(set(taken)) == len(taken)


def test_the_tail_keeps_eight_rows_of_a_class_and_no_more_than_there_is_room_for(clean):
    taken = faults.long_tail(clean.train, 150, np.random.default_rng(0))
    assert 130 <= len(taken) <= 150
    assert min([label for _, label in taken].count(f"class {at}") for at in range(CLASSES)) == faults.LEAST_CLASS
    assert len(faults.long_tail(clean.train, 30, np.random.default_rng(0))) <= 30
