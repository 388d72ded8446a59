"""What the demo's planting promises: the rates it announces, a seed, the truth of every row, rows kept apart."""

import re

import numpy as np
import polars as pl
import pytest

from recryst.tools import planted as planting
from recryst.tools.docstrings import read_code

SIZES = {"big": 400, "middle": 100, "small": 20, "tiny": 2}


@pytest.fixture(scope="module")
def docstrings() -> pl.DataFrame:
    random = np.random.default_rng(5)
    modules = [name for name, size in SIZES.items() for _ in range(size)]
    texts = [" ".join(f"w{random.integers(9000)}" for _ in range(12)) for _ in modules]
    texts[1] = texts[0].upper()  # says what another says
    ids = [f"{module}:f{at}" for at, module in enumerate(modules)]
    return pl.DataFrame({"id": ids, "text": texts, "module": modules, "kind": ["function"] * len(ids)})


def _planted(docstrings: pl.DataFrame, seed: int) -> planting.Planted:
    apart = planting.kept_apart(docstrings, planting.large_modules(docstrings), seed)
    return planting.plant(docstrings, apart, [f"def f{n}(): return {n}" for n in range(100)], seed)


def test_the_counts_by_kind_are_those_announced(docstrings):
    planted = _planted(docstrings, 0)
    clean = docstrings.height - planted.test.height
    found = dict(planted.truth["fault"].value_counts().iter_rows())
    assert found.pop("") == clean - round(0.1 * clean)
    copies = found.pop("exact copy") + found.pop("edited copy")
    told = {name.strip(): int(share) for share, name in re.findall(r"(\d+) % ([a-z ]+)", planting.announced())}
    expected = {
        "wrong labels": found["wrong label"],
        "gibberish": found["gibberish"],
        "boilerplate": found["boilerplate"],
        "rows of another kind": found["source code"],
        "copies": copies,
    }
    assert set(told) == set(expected)
    for name, share in told.items():
        assert expected[name] == pytest.approx(share / 100 * clean, abs=1), name


def test_the_truth_agrees_with_the_rows(docstrings):
    planted = _planted(docstrings, 0)
    said = {row["id"]: row for row in docstrings.to_dicts()}
    rows = {row["id"]: row for row in planted.rows.to_dicts()}
    assert planted.rows["id"].to_list() == planted.truth["id"].to_list()
    for true in planted.truth.to_dicts():
        row, fault = rows[true["id"]], true["fault"]
        if fault in ("gibberish", "boilerplate", "source code"):
            assert (true["module"], true["name"], true["copy_of"]) == (None, None, None)
            assert row["text"] not in docstrings["text"]
            continue
        origin = said[true["name"]]
        assert true["module"] == origin["module"]
        if fault == "edited copy":
            assert row["text"] != origin["text"]
        else:
            assert row["text"] == origin["text"]
        if "copy" in fault:
            assert row["module"] == rows[true["copy_of"]]["module"]
        else:
            assert (row["module"] != true["module"]) == (fault == "wrong label")
    assert planted.oracle.sort("name")["name"].to_list() == sorted(set(said) - set(planted.test["name"]))


def test_a_seed_plants_the_same_and_another_seed_other_faults(docstrings):
    one, again, other = (_planted(docstrings, seed) for seed in (1, 1, 2))
    assert one.rows.equals(again.rows)
    assert one.truth.equals(again.truth)
    assert one.test.equals(again.test)
    assert set(one.test["name"]) != set(other.test["name"])
    mislabelled = [set(each.truth.filter(pl.col("fault") == "wrong label")["name"]) for each in (one, other)]
    assert mislabelled[0] != mislabelled[1]


def test_a_quarter_of_the_large_modules_is_kept_apart_and_says_nothing_that_the_rows_say(docstrings):
    planted = _planted(docstrings, 3)
    assert set(planted.test["module"]) == {"big", "middle"}
    assert planted.test.height == round((500 - 2) / 4)
    apart = {text.casefold() for text in planted.test["text"]}
    assert apart.isdisjoint(text.casefold() for text in planted.rows["text"])
    assert set(planted.rows["id"]).isdisjoint(docstrings["id"])  # an id would tell the module


def test_fewer_docstrings_are_drawn_by_the_seed(docstrings):
    one, again, other = (planting.sampled(docstrings, 200, seed) for seed in (1, 1, 2))
    assert one.height == 200
    assert one.equals(again)
    assert not one.equals(other)
    assert planting.sampled(docstrings, None, 1).equals(docstrings)
    assert planting.sampled(docstrings, 9999, 1).equals(docstrings)


def test_code_of_the_library_is_code_without_docstrings_and_drawn_by_a_seed():
    code = read_code(40, 0)
    assert len(code) == len(set(code)) == 40
    assert all(re.search(r"^(async )?def ", text, re.MULTILINE) and "\n" in text for text in code)
    assert code == read_code(40, 0)
    assert code != read_code(40, 1)
