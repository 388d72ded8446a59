"""The probes: they reward what helps a model, row by row, and the noise of draws is shared by nearly equal sets."""

import numpy as np
import polars as pl
import pytest

from recryst.state.errors import UsageError
from recryst.state.params.rounds import ProbeParams
from recryst.tools.judge.evidence.discriminant import Labelled
from recryst.tools.judge.probe import bits_per_byte, linear_discriminant, nearest_neighbor, text_by_row

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


@pytest.mark.parametrize("probe", [nearest_neighbor, linear_discriminant])
def test_wrong_labels_lower_the_score_and_more_of_them_lower_it_more(probe):
    rng = np.random.default_rng(1)
    centers = 2 * rng.standard_normal((5, 20))
    labels = rng.integers(0, 5, 1200)
    vectors = centers[labels] + rng.standard_normal((1200, 20))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    scores = []
    for share in (0.0, 0.3, 0.9):
        wrong = labels[:1000].copy()
        flipped = rng.random(1000) < share
        wrong[flipped] = rng.integers(0, 5, flipped.sum())
        found = probe(Labelled(vectors[:1000], wrong), Labelled(vectors[1000:], labels[1000:]))
        assert set(np.unique(found)) <= {0.0, 1.0}
        scores.append(found.mean())
    assert scores[0] > 0.9
    assert scores[0] > scores[1] > scores[2] or probe is linear_discriminant
    assert scores[0] > scores[2]


@pytest.mark.parametrize("probe", [nearest_neighbor, linear_discriminant])
def test_a_class_without_a_row_is_never_found_and_no_row_at_all_finds_nothing(probe):
    vectors = np.eye(4, dtype=np.float32)
    held_out = Labelled(vectors, np.array([0, 1, 2, 3]))
    assert probe(Labelled(vectors[:2], np.array([0, 1])), held_out)[2:].sum() == 0
    assert probe(Labelled(vectors[:0], np.array([], dtype=int)), held_out).tolist() == [0.0] * 4


def test_junk_rows_cost_bits():
    words = np.array(["the", "a", "cat", "dog", "sat", "ran", "on", "under", "mat", "tree", "and", "slept"])
    rng = np.random.default_rng(2)
    good = pl.Series([" ".join(rng.choice(words, 12)) for _ in range(600)])
    junk = pl.Series(["".join(map(chr, rng.integers(33, 127, 60))) for _ in range(500)])
    both = pl.concat([good[:500], junk])
    clean = text_by_row(np.arange(500), good[:500], good[500:], 20_000, PARAMS, 0)
    mixed = text_by_row(np.arange(1000), both, good[500:], 20_000, PARAMS, 0)
    assert len(clean) == 100
    assert (clean > mixed).mean() > 0.9


def test_the_scores_of_the_rows_are_the_bits_of_their_bytes():
    """One training on all bytes, one long held-out row among empty ones."""
    train, held = pl.Series(["the cat sat on the mat"] * 50), pl.Series(["", "the dog sat on the mat", ""])
    found = text_by_row(np.arange(50), train, held, 1_000_000, ProbeParams(seeds=1), 0)
    read = np.frombuffer(b"\nthe dog sat on the mat\n\n", dtype=np.uint8)
    known = np.frombuffer(("\n".join(train) + "\n").encode(), dtype=np.uint8)
    assert len(found) == 3
    assert np.isnan(found[0])  # no byte of it has a context
    whole = bits_per_byte(known, read)
    assert np.average(8 * (1 - found[1:]), weights=[len(read) - 1 - 5, 1]) == pytest.approx(whole)


def test_two_nearly_equal_sets_draw_nearly_the_same_rows():
    rng = np.random.default_rng(3)
    words = np.array([f"w{at}" for at in range(200)])
    text = pl.Series([" ".join(rng.choice(words, 12)) for _ in range(2200)])
    held_out = text[2000:]

    def scores(rows, seed):
        return text_by_row(rows, text.gather(rows), held_out, 8000, ProbeParams(seeds=1), seed).mean()

    everything = np.arange(2000)
    most = np.setdiff1d(everything, rng.choice(2000, 20, replace=False))
    paired = np.std([scores(most, seed) - scores(everything, seed) for seed in range(6)])
    independent = np.std([scores(everything, seed) - scores(everything, seed + 50) for seed in range(6)])
    assert paired < independent / 2
