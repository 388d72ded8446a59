"""The n-gram model gives the probabilities that Witten and Bell's formula gives by hand."""

import numpy as np
import pytest

from recryst.tools.judge.evidence.ngram_model import NgramModel


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
