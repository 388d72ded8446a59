"""The rules judge as datatrove's do, on postings and on texts that no one wrote."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recryst.evals.filters import datatrove_verdicts, our_verdicts, run, speed
from recryst.tools.text.profiles import PUBLISHED

# Without `•`, `©` and the like alone: words to datatrove, whose list of punctuation lacks them, and symbols to us.
WORDS = """the be to of and that have with cannot e.g. isn't crystal salt, water. filtered! (lattice) "cooling" why?
- … ... # { [1] [edit] javascript lorem ipsum privacy policy use cookies -- « né 中文。 3.5 9 U.S. x@y.org"""
SPACES = [" "] * 12 + ["  ", "\n", "\n\n", ".\n", "\t", "\r\n", "\u2028", "\x1c", "\u00a0"]
LINES = st.lists(st.tuples(st.sampled_from(WORDS.split()), st.sampled_from(SPACES)), min_size=1, max_size=30)
TEXTS = st.lists(LINES.map(lambda parts: "".join(map("".join, parts))), min_size=1, max_size=6).flatmap(
    lambda lines: st.lists(st.sampled_from(lines), min_size=1, max_size=12).map("\n".join)
)


@settings(deadline=None, max_examples=60)
@given(st.lists(TEXTS.map(lambda text: f"{text} word"), min_size=1, max_size=4))
def test_every_rule_agrees_on_random_texts(texts):
    ours, theirs = our_verdicts(pl.Series(texts)), datatrove_verdicts(texts)
    assert ours.columns == theirs.columns == list(PUBLISHED)
    for rule in PUBLISHED:
        assert ours[rule].to_list() == theirs[rule].to_list(), rule


@pytest.mark.shared_data
def test_every_rule_agrees_on_postings(shared_data: Path):
    table = run(shared_data, 250)
    assert {row[0] for row in table.rows} == set(PUBLISHED)
    assert [row for row in table.rows if row[4] > 0] == []
    fails = {row[0]: row[2] for row in table.rows}
    assert fails["c4.min_sentences"] > 20  # both say no to something
    assert fails["fineweb.min_line_punctuation"] > 20


@pytest.mark.shared_data
def test_the_rules_are_faster_and_the_table_says_how_much(shared_data: Path):
    table = speed(shared_data, 300, factor=2, sample=30)
    assert [row[0] for row in table.rows] == [300, 600]
    assert all(row[4] > 2 for row in table.rows)  # many times more in a longer run, on a quiet machine
    assert "GB" in table.notes[0]
