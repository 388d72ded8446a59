"""Edited copies: what counts as a harmless edit, and that none of a kind is missed or invented."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recryst.state.params.preparation import DedupParams
from recryst.tools.noise import edited
from recryst.tools.read.content import BETWEEN_COLUMNS
from recryst.tools.repeats.edited import EditedCopies, WithoutSubstitution, edited_copies

LONG = (
    "The orchestra began the evening with a slow movement that few in the hall had ever heard, and the conductor, "
    "who had found the score in a provincial archive two summers before, turned more than once to the audience as if "
    "to ask whether anyone had known it all along and had only been waiting to be asked."
)


def share(one, other, more=()):
    return EditedCopies(pl.Series([one, other, *more]), 0.8).share(0, 1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("please help me cancel this transaction today", "help me cancel this transaction today"),
        ("i want to report my lost passport to you", "i want to report my lost pasport to you"),  # a slip
        ("how do I read a file line by line", "how I do read a file line by line"),  # neighbours swapped
        ("Return the size of the window!", "return the size of the window"),  # case and punctuation alone
        ("it is really the same as any other text", "it is the same as any other text"),
        (LONG, LONG.replace("provincial ", "").replace("summers", "sumers").replace("more than", "than more")),
        (LONG, LONG.replace("conductor", "conducter").replace("the hall had ever", "the hall had really ever")),
        ("这 家 店 的 面 很 好 吃 我 会 再 来", "这家店的面很好吃我会再来"),  # characters are words there
    ],
)
def test_harmless_edits_leave_a_copy(one, other):
    assert share(one, other) >= 0.8


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Meta path import for built-in modules only here", "Meta path import for frozen modules only here"),
        ("Get the mapping of coroutine local variables", "Get the mapping of generator local variables"),
        ("Return the first of the rows of this", "Return the last of the rows of this"),
        ("Return the first of the rows of this", "Return the of the rows of this"),  # a word with an opposite
        ("it is not allowed to enter the building", "it is allowed to enter the building"),
        ("add 3 to each of the numbers given", "add 4 to each of the numbers given"),
        ("add 3 to each of the numbers given", "add to each of the numbers given"),
        ("how can I open an account for children", "why can I open an account for children"),
        ("list all primary colours of this painting", "list all colours of this painting"),  # a word of content
        ("self & other as a new set of these", "self | other as a new set of these"),
        ("a b c d", "a b c"),  # too short to tell
        (LONG, LONG.replace("provincial ", "")),  # alone a word of content may be the whole difference
        (LONG, LONG.replace("a slow movement", "a long and slow movement").replace("evening", "evning")),
        (LONG, LONG.replace("orchestra", "choir")),  # one word in another's place, however long the text
        (LONG, " ".join(LONG.split()[::2])),
    ],
)
def test_what_says_something_else_is_no_copy(one, other):
    assert share(one, other) == 0.0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("do i need a converter if i go to sweden", "do i need a converter if i go to france", False),
        ("where can I get a card in the EU?", "when can I get a card in the EU?", False),
        ("how can I open an account for my children?", "can I open an account for my children?", True),
        ("i am still waiting for it to arrive today", "i am still waiting for it to arive today", True),  # a slip
        ("we accept all cookies, reference 81", "we accept all cookies, reference 12", True),
        (f"{LONG} Yes", f"{LONG} No", True),  # in a long text a word is left to the shingles
        (f"a question{BETWEEN_COLUMNS}in sweden", f"a question{BETWEEN_COLUMNS}in france", False),
    ],
)
def test_a_word_in_anothers_place_asks_something_else(one, other, same):
    assert WithoutSubstitution(pl.Series([one, other]), 5).alike(0, 1, 0.0) == same


def test_texts_and_words_without_end_are_not_aligned():
    endless = "word " * 1_000_000
    assert share(endless, f"really {endless}") == 0.0
    assert share(f"so {LONG} {'x' * 5_000}y", f"so {LONG} {'x' * 5_001}y") == 0.0


def test_two_words_that_both_stand_elsewhere_are_no_slip():
    one, other = "he will from the lines of the letter", "he will form the lines of the letter"
    assert share(one, other) > 0
    assert share(one, other, ["a form for you", "they form a line", "from here on", "come from there"]) == 0.0


@given(
    st.lists(st.sampled_from(["alpha", "beta", "gamma", "the", "of", "to", "is"]), min_size=1, max_size=60),
    st.integers(0, 9),
)
def test_it_reads_the_same_from_both_sides(words, seed):
    text = " ".join(words)
    copy = edited(text, np.random.default_rng(seed))
    known = EditedCopies(pl.Series([text, copy]), 0.8)
    assert known.share(0, 1) == known.share(1, 0)
    assert known.share(0, 0) == 1.0


def test_a_question_and_its_answer_are_compared_apart():
    asked = [
        "what is the tallest mountain in Peru",
        "what is the tallest mountain in Peru please",
        "and in Chile, please",
    ]
    content = pl.Series([BETWEEN_COLUMNS.join([one, "That is in the Cordillera Blanca."]) for one in asked])
    found = edited_copies(content, np.arange(3, dtype=np.uint32), DedupParams(), np.arange(3))
    assert found.rows.tolist() == [1]
    assert found.duplicate_of.tolist() == [0]


def test_rows_of_every_length_meet_and_only_kept_ones_stay_for_others():
    random = np.random.default_rng(3)
    vocabulary = np.array(
        [a + b + c for a in ("ba", "ko", "mi", "su") for b in ("la", "re", "ti") for c in ("n", "s", "x", "m")]
    )
    texts = [" ".join(random.choice(vocabulary, size)) for size in range(6, 66) for _ in range(4)]
    copies = [text.replace(" ", " really ", 1) for text in texts]
    twice = [text.replace(" ", " please ", 1) for text in texts[:8]]
    content = pl.Series([*texts, *copies, *twice])
    rows = np.arange(len(content), dtype=np.uint32) + 100
    order = np.arange(len(rows))
    found = edited_copies(content, rows, DedupParams(), order)
    assert found.rows.tolist() == rows[len(texts) :].tolist()
    assert np.isin(found.duplicate_of, rows[: len(texts)]).all()
    assert found.duplicate_of.tolist() == [*rows[: len(texts)].tolist(), *rows[:8].tolist()]
    left = edited_copies(content, rows, DedupParams(), order[len(texts) :])
    assert not np.isin(left.rows, rows[: len(texts)]).any()
    back = edited_copies(content, rows, DedupParams(), order[::-1])
    assert np.isin(back.duplicate_of, rows[len(texts) :]).all()
    assert not np.isin(back.duplicate_of, back.rows).any()


@pytest.mark.parametrize("texts", [[], [""], ["", "   ", "...", "?!", "a", "b", None, None]])
def test_rows_that_say_nothing_repeat_nothing(texts):
    content = pl.Series(texts, dtype=pl.String)
    rows = np.arange(len(texts), dtype=np.uint32)
    assert len(edited_copies(content, rows, DedupParams(), np.arange(len(rows))).rows) == 0
