"""Surprise: gibberish surprises, boilerplate does not, and nobody vouches for a copy."""

import numpy as np
import polars as pl
import pytest

from recryst.tools.judge.evidence import surprise as module
from recryst.tools.judge.evidence.folds import group_folds
from recryst.tools.judge.evidence.ngram_model import NgramModel
from recryst.tools.judge.evidence.surprise import surprise

WORDS = np.array(
    ["the", "a", "cat", "dog", "sat", "ran", "on", "under", "mat", "tree", "and", "slept", "river", "blue"]
)


def rows(count, seed=0, words=WORDS):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(words, 12)) for _ in range(count)]


def noise(seed=9):
    return "".join(map(chr, np.random.default_rng(seed).integers(33, 127, 60)))


def alone(size):
    return np.arange(size, dtype=np.uint32)


@pytest.mark.parametrize("folds", [2, 5])
def test_gibberish_is_high_and_boilerplate_is_low(folds):
    text = rows(300)
    text[50] = noise()
    for at in range(100, 130):
        text[at] = "Sign up for free, and get ten percent off your first order today."
    bits = surprise(pl.Series(text), alone(300), 0, folds)
    assert bits.dtype == np.float64
    assert bits.argmax() == 50
    assert bits[50] > 2 * np.median(bits)
    assert bits[100:130].max() < np.delete(bits, np.r_[100:130]).min()


def test_a_copy_does_not_vouch_for_its_copy():
    text = rows(200) + [noise()] * 20
    groups = alone(220)
    groups[200:] = 200
    assert surprise(pl.Series(text), groups, 0)[200:].min() > 5
    assert surprise(pl.Series(text), alone(220), 0)[200:].max() < 3  # what the groups are there to prevent


def test_a_row_is_scored_by_itself_under_the_model_of_the_other_folds():
    text = [*rows(40), "", "x", None]
    found = surprise(pl.Series(text), alone(43), 1, 2)
    fold = group_folds(alone(43), 2, 1)
    order = np.random.default_rng([1, 1]).permutation(43)
    bits, sizes = np.zeros(43), np.array([len((one or "").encode()) for one in text])
    for row in np.flatnonzero(sizes):
        learned = "".join("\n" * 5 + (text[at] or "") for at in order if fold[at] != fold[row])
        model = NgramModel(np.frombuffer(learned.encode(), np.uint8))
        bits[row] = model.bits(np.frombuffer(b"\n" * 5 + text[row].encode(), np.uint8)).sum()
    mean = bits.sum() / sizes.sum()
    assert found == pytest.approx((bits + 16 * mean) / (sizes + 16))
    assert found[40] == found[42] == pytest.approx(mean)


def test_how_much_is_scored_at_a_time_does_not_matter_and_how_much_is_learned_is_bounded(monkeypatch):
    text = pl.Series(rows(120))
    whole = surprise(text, alone(120), 0)
    monkeypatch.setattr(module, "_SCORED", 300)
    assert np.allclose(surprise(text, alone(120), 0), whole, rtol=1e-12)
    monkeypatch.setattr(module, "_LEARNED", 200)
    assert surprise(text, alone(120), 0).mean() > whole.mean()


def test_a_short_row_is_drawn_towards_the_set():
    text = rows(200)
    text[3], text[4] = noise()[:3], noise()[:40]
    bits = surprise(pl.Series(text), alone(200), 0)
    assert np.median(bits) < bits[3] < bits[4]


def test_other_scripts_are_text_as_any():
    text = rows(150, words=np.array(["дом", "река", "сад", "окно", "песня", "гора", "花园", "河流"]))
    text[9] = "ъыщжфхцчшщэюя花я河ъ" * 3
    assert surprise(pl.Series(text), alone(150), 0).argmax() == 9


def test_the_same_seed_gives_the_same_bits_and_too_little_text_is_no_error():
    text = pl.Series(rows(60))
    assert np.array_equal(surprise(text, alone(60), 4), surprise(text, alone(60), 4))
    assert len(surprise(pl.Series([], dtype=pl.String), alone(0), 0)) == 0
    assert len(set(surprise(text, np.zeros(60, np.uint32), 0))) == 1
    assert np.isfinite(surprise(pl.Series(["a", ""]), alone(2), 0)).all()
    assert np.isfinite(surprise(pl.Series([None, ""], dtype=pl.String), alone(2), 0)).all()


def test_folds_hold_whole_groups_and_are_even():
    groups = np.repeat(np.arange(100, dtype=np.uint32), 3)
    fold = group_folds(groups, 5, 0)
    assert np.array_equal(fold.reshape(100, 3).min(axis=1), fold.reshape(100, 3).max(axis=1))
    assert np.bincount(fold).tolist() == [60] * 5
    assert not np.array_equal(fold, group_folds(groups, 5, 1))
