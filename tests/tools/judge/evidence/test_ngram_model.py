"""The n-gram model gives the probabilities that Witten and Bell's formula gives by hand."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recryst.state.errors import InputError
from recryst.tools.judge.evidence.ngram_model import ORDER, NgramModel


def bits(train, test):
    return NgramModel(np.frombuffer(train, np.uint8)).bits(np.frombuffer(test, np.uint8))


def test_a_shorter_context_stands_in_for_what_a_longer_one_has_not_seen():
    alone = (1 + 2 / 256) / 4  # of "b": once among two bytes, of two kinds
    after_a = (1 + alone) / 2  # once after the one "a", by one kind
    assert bits(b"ab", b"zzzzab") == pytest.approx([-np.log2(after_a)])
    assert bits(b"ab", b"zzzzzb") == pytest.approx([-np.log2(alone)])
    assert bits(b"ab", b"zzzzzz") == pytest.approx([-np.log2(2 / 256 / 4)])


def test_nothing_learned_is_eight_bits_and_nothing_asked_is_none():
    assert bits(b"", b"zzzzzab").tolist() == [8.0, 8.0]
    assert len(bits(b"abc", b"abc")) == 0


def _by_formula(train, test):
    """The probabilities that the formula gives with the counts of every context looked up one by one."""
    seen = {}
    for size in range(1, ORDER + 2):
        for at in range(len(train) - size + 1):
            after = seen.setdefault(train[at : at + size - 1], {})
            after[train[at + size - 1]] = after.get(train[at + size - 1], 0) + 1
    for at in range(ORDER, len(test)):
        value = 1 / 256
        for length in range(ORDER + 1):
            if after := seen.get(test[at - length : at]):
                value = (after.get(test[at], 0) + len(after) * value) / (sum(after.values()) + len(after))
        yield -np.log2(value)


@given(st.text("ab", max_size=40), st.text("abc", max_size=40))
@example("ab\0\0\0", "\0\0\0\0\0\0\0a")
@example("\xff" * 9, "\xff" * 9)
def test_every_byte_has_the_probability_of_the_formula(train, test):
    train, test = train.encode("latin-1"), test.encode("latin-1")
    assert bits(train, test).tolist() == list(_by_formula(train, test))


def test_more_bytes_than_can_be_counted_are_refused():
    with pytest.raises(InputError, match="300,000,000 bytes at most"):
        NgramModel(np.broadcast_to(np.uint8(0), 300_000_001))
