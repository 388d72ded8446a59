"""Smaller vectors: what they must keep, and what an adapter gains."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recryst.evals.embedding import compact
from recryst.tools.vectors.axes import along, neighbors_of, recall
from recryst.tools.vectors.neighbors import unit


def _rows(rows: int, seed: int, dimensions: int = 48) -> np.ndarray:
    """Unit vectors in a few hundred places, whose spread is unlike in every direction, and none along an axis."""
    random = np.random.default_rng(seed)
    rotation = np.linalg.qr(random.standard_normal((dimensions, dimensions)))[0]
    places = random.standard_normal((rows // 8, dimensions))
    spread = places[random.integers(len(places), size=rows)] + 0.4 * random.standard_normal((rows, dimensions))
    return unit((spread * np.geomspace(1, 0.1, dimensions) @ rotation + 0.3).astype(np.float32))


def test_a_rotation_keeps_every_neighbour_and_an_adapter_more_than_truncation():
    vectors, queries = np.split(_rows(800, 0), [600])
    true = neighbors_of(vectors, queries)
    sizes = (24, 12, 6)
    made = {
        "truncated": compact.untouched(vectors),
        "principal": compact.principal_axes(vectors),
        "adapted": compact.matryoshka_axes(vectors, sizes, 0, steps=30),
    }

    def kept(axes: np.ndarray, size: int) -> float:
        smaller = (along(rows, axes[:, :size]) for rows in (vectors, queries))
        return recall(neighbors_of(*smaller), true)

    assert kept(made["truncated"], 48) == 1.0
    assert kept(made["principal"], 48) > 0.999
    for size in sizes:
        assert kept(made["truncated"], size) + 0.05 < kept(made["principal"], size)
        assert kept(made["truncated"], size) + 0.05 < kept(made["adapted"], size)
    assert kept(made["adapted"], 6) > kept(made["principal"], 6)
    assert np.array_equal(made["adapted"], compact.matryoshka_axes(vectors, sizes, 0, steps=30))


@given(st.integers(0, 2**16))
def test_a_byte_is_off_by_half_a_step_and_keeps_its_ends(seed: int):
    vectors = _rows(64, seed, 8)
    ranges = np.stack([vectors.min(axis=0), vectors.max(axis=0)])
    codes = compact.in_bytes(vectors, ranges)
    assert codes.dtype == np.uint8
    assert (codes.min(axis=0) == 0).all()
    assert (codes.max(axis=0) == 255).all()
    step = (ranges[1] - ranges[0]) / 255
    decoded = ranges[0] + codes * step
    assert (np.abs(decoded - vectors) <= step / 2 + 1e-6).all()
    assert compact.from_bytes(codes, ranges) == pytest.approx(unit(decoded.astype(np.float32)), abs=1e-6)


@given(st.integers(0, 2**16))
def test_cosines_of_bits_are_hamming_distances(seed: int):
    vectors = _rows(16, seed, 16)
    bits = compact.in_bits(vectors)
    differing = ((vectors > 0)[:, None] != (vectors > 0)[None]).sum(axis=2)
    assert bits @ bits.T == pytest.approx(1 - 2 * differing / 16, abs=1e-6)


def test_candidates_put_in_order_are_the_true_neighbours_where_they_are_among_them():
    vectors, queries = np.split(_rows(600, 1), [500])
    true = neighbors_of(vectors, queries)
    everyone = np.tile(np.arange(500, dtype=np.int32), (100, 1))
    assert recall(compact.rescored(everyone, vectors, queries, 10), true) == 1.0
    few = neighbors_of(compact.in_bits(vectors), compact.in_bits(queries), 40)
    again = compact.rescored(few, vectors, queries, 10)
    assert recall(few[:, :10], true) < recall(again, true) < 1.0
    assert recall(np.array([[1, 2], [5, 6]]), np.array([[2, 3], [6, 5]])) == 0.75
