"""Words on which a meaning turns: pairs that vectors hold for the same, and paraphrases that are."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recryst.tools.repeats.wording import same_facts

OTHERS = [
    ("Enable the cache.", "Disable the cache."),
    ("Encode the text", "Decode the text"),
    ("Is it careful?", "Is it careless?"),
    ("assertRegex(text)", "assertNotRegex(text)"),
    ("bisect_left(a, x)", "bisect_right(a, x)"),
    ("Return self & other.", "Return self | other."),
    ("Set it to 3", "Set it to 4"),
    ("From 3 to 5", "From 5 to 3"),
    ("I can use it", "I can't use it"),
    ("I can use it", "I can’t use it"),
    ("Return the first item", "Return the last item"),
    ("Ignore the flags", "Stop ignoring the flags"),
    ("fly from Paris to Rome", "fly from Rome to Paris"),
    ("fly from Paris", "fly from London"),
    ("Generated from CP861.TXT", "Generated from CP863.TXT"),
    ("Поезд в 9", "Поезд в 10"),
]
SAME = [
    ("How do I top up my card?", "How can I top up the card?"),
    ("do not go there", "don't go there"),
    ("Return True if it does.", "Return True when it does."),
    ("My card was declined", "My card has been declined"),
    ("Using Google Pay, can I top up?", "I need to top up, can I use google pay?"),
    ("What locations allow me to withdraw money?", "Which locations can I withdraw money from?"),
    (None, ""),
]


@pytest.mark.parametrize(("one", "other"), OTHERS)
def test_a_word_that_turns_the_meaning_is_seen_from_either_side(one, other):
    both = same_facts(pl.Series([one, other]), pl.Series([other, one]))
    assert not both.any()


@pytest.mark.parametrize(("one", "other"), SAME)
def test_another_wording_is_the_same(one, other):
    both = same_facts(pl.Series([one, other], dtype=pl.String), pl.Series([other, one], dtype=pl.String))
    assert both.all()


def test_pairs_are_judged_one_by_one_however_many(monkeypatch):
    pairs = [*OTHERS, *SAME]
    one, other = (pl.Series(side, dtype=pl.String) for side in zip(*pairs, strict=True))
    monkeypatch.setattr("recryst.tools.repeats.wording._BLOCK", 3)
    assert np.flatnonzero(same_facts(one, other)).tolist() == list(range(len(OTHERS), len(pairs)))
    assert same_facts(one[:0], other[:0]).tolist() == []


@given(st.lists(st.text(max_size=40), max_size=8))
def test_a_text_says_what_it_says(texts):
    one = pl.Series(texts, dtype=pl.String)
    assert same_facts(one, one).all()
