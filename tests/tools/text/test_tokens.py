"""The words of texts are spaCy's, whatever stood in the texts before."""

import time
from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recryst.tools.text import tokens as module
from recryst.tools.text.tokens import BLANKS, CLOSES, ENDS, LETTER, STOP_WORDS, SYMBOLS, Tokeniser


@cache
def english():
    import spacy

    return spacy.blank("en")


def spacy_lengths(text: str) -> list[int]:
    return [len(token.text) for token in english()(text) if token.text.strip()]


def lengths(text: list[str | None], tokeniser: Tokeniser | None = None) -> list[list[int]]:
    words = (tokeniser or Tokeniser())(pl.Series(text, dtype=pl.String))
    return [words.lengths[a:b].tolist() for a, b in zip(words.offsets[:-1], words.offsets[1:], strict=True)]


ODD_WORDS = """cannot e.g. U.S. isn't I'm :-) 8) … -- a.m. 5km $3.50 C++ http://a.bc/d?e=f x@y.org #1 (see it) "so end."
10-12 well-known « né 中文。 Dr. gonna !? _x_ \ufffd"""
PIECES = st.sampled_from(
    [*ODD_WORDS.split(), "\x1c", "\x85", "\u2028", "\u00a0", " ", "  ", "\n", "\t", "", "a" * 30, "." * 30]
)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(PIECES | st.text(max_size=5)).map("".join), max_size=4))
@example([None, "", " ", "a"])
@example(["say IS_ALPHA, twice"])
def test_words_are_those_of_spacy_and_rows_do_not_meet(texts):
    found = lengths(texts)
    for text, got in zip(texts, found, strict=True):
        if text is not None and "IS_ALPHA" not in text:
            assert got == spacy_lengths(text)
    assert found == [lengths([text])[0] for text in texts]


def test_blank_is_what_python_calls_blank():
    assert set(BLANKS) == {chr(code) for code in range(0x110000) if chr(code).isspace()}
    assert lengths([f"a{blank}bc" for blank in BLANKS]) == [[1, 2]] * len(BLANKS)


def test_what_a_token_is():
    words = Tokeniser()(pl.Series(["The cat, of 9 — and (the) x1! be"]))
    marks = {LETTER: [], SYMBOLS: [], ENDS: [], CLOSES: []}
    for bit, at in marks.items():
        at += np.flatnonzero(words.kinds & bit).tolist()
    # The cat , of 9 — and ( the ) x1 ! be
    assert marks == {LETTER: [0, 1, 3, 6, 8, 10, 12], SYMBOLS: [2, 5, 7, 9, 11], ENDS: [11], CLOSES: [2, 5, 7, 9, 11]}
    said = {bit: np.flatnonzero(words.stops & 1 << bit).tolist() for bit in range(len(STOP_WORDS))}
    assert {STOP_WORDS[bit]: at for bit, at in said.items() if at} == {"of": [3], "and": [6], "the": [8], "be": [12]}
    assert words.run_lengths.tolist() == [3, 4, 2, 1, 1, 3, 5, 3, 2]


def test_blank_space_is_a_token_where_it_is_asked_for():
    words = Tokeniser()(pl.Series(["a b.  C\td"]), blanks=True)
    assert words.lengths.tolist() == [1, 2, 2, 1, 1, 1]
    assert not (words.kinds[[2, 4]] & (LETTER | ENDS | CLOSES)).any()


def test_what_was_met_before_changes_nothing(monkeypatch):
    texts = [f"word{number % 7}, isn't it? {number}" for number in range(40)]
    once = lengths(texts)
    monkeypatch.setattr(module, "_MOST_RUNS", 5)
    forgetful = Tokeniser()
    assert [lengths([text], forgetful)[0] for text in texts] == once
    assert len(forgetful._counts) < 10


@pytest.mark.parametrize("run", ["(", "$", "'", "…", ":)", "http://a."])
def test_a_long_run_takes_time_in_proportion(run):
    """spaCy by itself takes minutes for some of these: it takes off one mark at a time, and looks at all the rest."""
    begun = time.process_time()
    (found,) = lengths([run * (50_000 // len(run))])
    assert sum(found) >= 49_990
    assert time.process_time() - begun < 10
