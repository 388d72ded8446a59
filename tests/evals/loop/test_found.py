"""What is counted as found and as lost, on sets small enough to count by hand."""

import polars as pl
import pytest

from recryst.evals.loop.faults import SIDE_SCHEMA, Crude
from recryst.evals.loop.found import Outcome, found, oracle, same_groups


def _crude(rows: list[tuple[str, str, str, str | None, str]]) -> Crude:
    """From text, label, fault, truth and origin of each row; the ids are a, b, c, …"""
    ids = "abcdefghijklmnopqrstuvwxyz"[: len(rows)]
    side = [(row, fault, truth, origin) for row, (_, _, fault, truth, origin) in zip(ids, rows, strict=True)]
    table = {"id": list(ids), "text": [row[0] for row in rows], "label": [row[1] for row in rows]}
    return Crude(pl.DataFrame(table), pl.DataFrame(side, SIDE_SCHEMA, orient="row"))


@pytest.fixture
def crude() -> Crude:
    return _crude(
        [
            ("where is my card", "card", "", "card", "a"),
            ("where is my card", "card", "exact", "card", "a"),
            ("where my card is", "card", "edited", "card", "a"),
            ("top up by cheque", "card", "flip", "cheque", "d"),
            ("top up by cheque", "card", "exact", "cheque", "d"),
            ("lkj qwe", "cheque", "gibberish", None, "f"),
            ("a cheque is late", "cheque", "", "cheque", "g"),
        ]
    )


def _found(crude: Crude, kept: str, labels: dict[str, str] | None = None):
    return found(crude, Outcome(frozenset(kept), labels or {}), same_groups(crude).tolist())


def test_nothing_is_found_where_all_rows_stay(crude):
    all_stay = _found(crude, "abcdefg")
    assert (all_stay.removed, all_stay.clean_lost, all_stay.precision) == (0, 0, None)
    assert all_stay.recall == {"exact": 0, "edited": 0, "flip": 0, "gibberish": 0}


def test_the_oracle_finds_everything_and_loses_nothing(crude):
    best = oracle(crude)
    assert (best.kept, best.labels["d"]) == ({"a", "d", "g"}, "cheque")
    made = found(crude, best, same_groups(crude).tolist())
    assert (made.clean_lost, made.precision) == (0, 1)
    assert made.recall == {"exact": 1, "edited": 1, "flip": 1, "gibberish": 1}


@pytest.mark.parametrize(("kept", "exact", "edited"), [("bg", 1, 1), ("cg", 1, 1), ("bcg", 1, 0), ("abg", 0.5, 1)])
def test_any_row_of_a_family_stands_for_it(crude, kept, exact, edited):
    made = _found(crude, kept)
    assert made.clean_lost == 0
    assert (made.recall["exact"], made.recall["edited"]) == (exact, edited)


@pytest.mark.parametrize(("kept", "garbled"), [("abcg", 0), ("bg", 0), ("cg", 1), ("g", None)])
def test_which_row_of_an_edited_pair_is_left(crude, kept, garbled):
    assert _found(crude, kept).garbled == garbled


def test_a_wrong_label_that_a_copy_carries_on_is_not_found(crude):
    assert _found(crude, "aeg").recall["flip"] == 0
    assert _found(crude, "aeg", {"e": "cheque"}).recall["flip"] == 1
    assert _found(crude, "aeg", {"e": "other"}).recall["flip"] == 0


def test_a_family_of_which_none_is_left_or_whose_label_is_spoilt_is_lost(crude):
    assert _found(crude, "dg").clean_lost == 1 / 2
    assert _found(crude, "abcg", dict.fromkeys("abc", "cheque")).clean_lost == 1 / 2
    taken = _found(crude, "abcde")  # f had to go, g had not
    assert (taken.removed, taken.precision, taken.clean_lost) == (pytest.approx(2 / 7), 1 / 2, 1 / 2)


def test_rows_that_say_the_same_by_nature_are_one_that_can_be_lost():
    long = "a docstring of a few words that stands in two modules of the same library for the same thing"
    rows = [
        (long, "os", "", "os"),
        (f"{long} too", "os", "", "os"),
        ("Closed.", "io", "", "io"),
        ("closed. ", "io", "", "io"),
    ]
    crude = _crude([(*row, origin) for row, origin in zip(rows, "abcd", strict=True)])
    assert len(set(same_groups(crude).tolist())) == 2
    assert _found(crude, "bc").clean_lost == 0
    assert _found(crude, "b").clean_lost == 1 / 2


def test_a_fault_of_a_pair_is_found_where_no_copy_of_it_is_left():
    rows = pl.DataFrame(
        {"id": ["a", "b", "c", "d"], "instruction": ["q", "q", "r", "s"], "output": ["x", "x", "", "t"]}
    )
    side = [("a", "swapped", "y", "a"), ("b", "exact", "y", "a"), ("c", "empty", "z", "c"), ("d", "", "t", "d")]
    crude = Crude(rows, pl.DataFrame(side, SIDE_SCHEMA, orient="row"))
    assert _found(crude, "bd").recall == {"swapped": 0, "exact": 1, "empty": 1}
    assert _found(crude, "d").recall == {"swapped": 1, "exact": 1, "empty": 1}
    assert _found(crude, "abc").clean_lost == 1
