"""The probe: it rewards what helps a model, and the noise of its draws is shared between two nearly equal sets."""

import math

import numpy as np
import polars as pl
import pytest

from recryst.state.config import ProbeParams
from recryst.state.errors import UsageError
from recryst.tools.judge.probe import Labelled, bits_per_byte, probe_labels, probe_text

PARAMS = ProbeParams(seeds=4)


def test_bits_per_byte_of_known_sources():
    rng = np.random.default_rng(0)
    uniform = rng.integers(0, 256, 60_000).astype(np.uint8)
    assert 8.0 <= bits_per_byte(uniform[:50_000], uniform[50_000:]) < 9.0  # random bytes cannot be compressed
    coin = rng.integers(0, 2, 60_000).astype(np.uint8)
    assert bits_per_byte(coin[:50_000], coin[50_000:]) == pytest.approx(1.0, abs=0.02)
    cycle = np.tile(np.arange(10, dtype=np.uint8), 3000)
    assert bits_per_byte(cycle[:20_000], cycle[20_000:]) < 0.02


def test_bits_per_byte_is_a_normalised_witten_bell_model():
    """After "ab ab": p(b|a) by hand, and the probabilities of all next bytes sum to 1."""
    train = np.frombuffer(b"abababac", dtype=np.uint8)
    # The last byte is scored after the five bytes before it; every continuation of one context must sum to 1.
    context = b"babab"
    logs = [bits_per_byte(train, np.frombuffer(context + bytes([b]), dtype=np.uint8)) for b in range(256)]
    assert sum(2.0**-bits for bits in logs) == pytest.approx(1.0)


def test_held_out_text_too_short_is_said():
    with pytest.raises(UsageError, match="only 3 bytes"):
        bits_per_byte(np.zeros(100, dtype=np.uint8), np.zeros(3, dtype=np.uint8))


def test_wrong_labels_lower_macro_f1_and_more_noise_lowers_it_more():
    rng = np.random.default_rng(1)
    centers = rng.standard_normal((5, 20))
    labels = rng.integers(0, 5, 1200)
    vectors = (centers[labels] + rng.standard_normal((1200, 20))).astype(np.float32)
    rows, names = np.arange(1000, dtype=np.uint32), labels.astype(str)
    scores = []
    for share in (0.0, 0.3, 0.6):
        wrong = names[:1000].copy()
        flipped = rng.random(1000) < share
        wrong[flipped] = rng.integers(0, 5, flipped.sum()).astype(str)
        held_out = Labelled(vectors[1000:], names[1000:])
        result = probe_labels(rows, Labelled(vectors[:1000], wrong), held_out, 300, PARAMS, 0)
        scores.append(result.scores.mean())
    assert scores[0] > 0.9
    assert scores[0] > scores[1] > scores[2]


def test_junk_rows_cost_bits():
    words = np.array(["the", "a", "cat", "dog", "sat", "ran", "on", "under", "mat", "tree", "and", "slept"])
    rng = np.random.default_rng(2)
    good = pl.Series([" ".join(rng.choice(words, 12)) for _ in range(600)])
    junk = pl.Series(["".join(map(chr, rng.integers(33, 127, 60))) for _ in range(500)])
    both = pl.concat([good[:500], junk])
    clean = probe_text(np.arange(500), good[:500], good[500:], 20_000, PARAMS, 0)
    mixed = probe_text(np.arange(1000), both, good[500:], 20_000, PARAMS, 0)
    assert clean.scores.max() < mixed.scores.min()
    assert clean.goodness().mean() == pytest.approx(1 - clean.scores.mean() / 8)


def test_two_nearly_equal_sets_draw_nearly_the_same_rows():
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((2200, 10)).astype(np.float32)
    labels = (vectors[:, 0] + rng.standard_normal(2200) > 0).astype(int).astype(str)
    held_out = Labelled(vectors[2000:], labels[2000:])

    def scores(rows):
        return probe_labels(rows, Labelled(vectors[rows], labels[rows]), held_out, 200, ProbeParams(), 0).scores

    everything = np.arange(2000)
    most = np.setdiff1d(everything, rng.choice(2000, 20, replace=False))
    paired = np.std(scores(most) - scores(everything), ddof=1)
    independent = math.sqrt(2) * np.std(scores(everything), ddof=1)
    assert paired < independent / 2
