"""Spoilt texts: edits that change a little, and always something."""

import numpy as np

from recryst.tools import noise


def test_an_edit_changes_a_little_and_always_something():
    random = np.random.default_rng(0)
    text = " ".join(f"word{n}" for n in range(48))
    for _ in range(200):
        copy = noise.edited(text, random)
        assert copy != text
        assert len(set(copy.split()) & set(text.split())) >= 40
        assert noise.edited("a a", random).casefold().split() != ["a", "a"]
    assert noise.edited("", random).strip()


def test_short_answers_are_not_broken_off():
    assert noise.broken_off("Yes, at nine.", np.random.default_rng(0)) is None
