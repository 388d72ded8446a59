"""The order in which a person is asked: clear cases first, neighbourhoods and kinds in turn, no row twice."""

import polars as pl

from recryst.tools.judge.doubt import most_informative


def doubts(*lines):
    schema = {"row": pl.UInt32, "why": pl.String, "doubt": pl.Float64, "group": pl.String}
    return pl.DataFrame(lines, schema=schema, orient="row")


def test_groups_take_turns_and_in_each_the_clearest_row_comes_first():
    found = most_informative(
        doubts((1, "label", 0.9, "a"), (2, "label", 0.8, "a"), (3, "label", 0.1, "b"), (4, "label", 0.7, "a"))
    )
    assert found["row"].to_list() == [1, 3, 2, 4]


def test_kinds_take_turns_whatever_their_scales_are():
    found = most_informative(
        doubts((1, "label", 0.9, "a"), (2, "label", 0.8, "b"), (3, "text", 900.0, "a"), (4, "text", 800.0, "b"))
    )
    assert found["why"].to_list() == ["label", "text", "label", "text"]


def test_a_row_is_asked_about_once_for_the_reason_that_comes_first():
    found = most_informative(doubts((7, "text", 1.0, "a"), (7, "label", 0.5, "a"), (8, "label", 0.4, "a")))
    assert found.sort("row").rows() == [(7, "text", 1.0, "a"), (8, "label", 0.4, "a")]


def test_nothing_in_doubt_is_nothing_to_order():
    assert most_informative(doubts()).height == 0
