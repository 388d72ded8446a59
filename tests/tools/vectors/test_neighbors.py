"""The neighbour graph against brute force, and its approximation against the graph."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recryst.state.params.vectors import NeighborParams
from recryst.tools.vectors import neighbors
from recryst.tools.vectors.neighbors import NeighborGraph, nearest, nearest_among, neighbor_graph, restrict


def unit_rows(rows: int, dimensions: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_equals_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.neighbors import NearestNeighbors

    monkeypatch.setattr(neighbors, "_BLOCK_VALUES", 100_000)  # several blocks
    monkeypatch.setattr(neighbors, "_COLUMNS", 300)
    monkeypatch.setattr(neighbors, "_QUERIES", 64)
    vectors = unit_rows(1000, 32)
    truth = NearestNeighbors(n_neighbors=16, metric="cosine", algorithm="brute").fit(vectors)
    distances, indices = truth.kneighbors(vectors)
    done: list[int] = []
    graph = neighbor_graph(vectors, NeighborParams(k=15), seed=0, advance=done.append)
    assert len(done) > 1
    assert sum(done) == 1000
    assert (graph.indices == indices[:, 1:]).all()
    assert np.allclose(graph.similarities, 1 - distances[:, 1:], atol=1e-5)
    found, _ = nearest(vectors, vectors, 16)
    assert (found == indices).all()


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(0, 12), k=st.integers(2, 6), distinct=st.integers(1, 4), seed=st.integers(0, 99))
def test_ties_and_few_rows(rows: int, k: int, distinct: int, seed: int) -> None:
    """Rows of +1 and −1 along axes: similarities are exact, so a plain sort is the truth, ties and all."""
    vectors = np.eye(distinct, dtype=np.float32)[np.random.default_rng(seed).integers(0, distinct, rows)]
    graph = neighbor_graph(vectors, NeighborParams(k=k), seed=0)
    assert graph.indices.shape == graph.similarities.shape == (rows, k)
    for row in range(rows):
        others = [other for other in range(rows) if other != row]
        ranked = sorted(others, key=lambda other: (-float(vectors[row] @ vectors[other]), other))[:k]
        assert graph.indices[row].tolist() == ranked + [-1] * (k - len(ranked))
    kept = np.random.default_rng(seed).random(rows) < 0.5
    found, cosines = (each[:, 0] for each in nearest(vectors, vectors, 1, kept))
    for row in range(rows):
        ranked = sorted(np.flatnonzero(kept), key=lambda other: (-float(vectors[row] @ vectors[other]), other))
        assert found[row] == (ranked[0] if ranked else -1)
        assert cosines[row] == (vectors[row] @ vectors[ranked[0]] if ranked else -1)


def test_approximate_graph() -> None:
    """Rows around 30 centres, as text lies; the first and the last are the same."""
    centres = unit_rows(30, 64)
    vectors = centres[np.arange(3000) % 30] + 0.5 * unit_rows(3000, 64, seed=1)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    vectors[-1] = vectors[0]
    exact = neighbor_graph(vectors, NeighborParams(k=15), seed=0)
    graph = neighbor_graph(vectors, NeighborParams(k=15, exact_rows=100), seed=0)
    same = [len(set(a) & set(b)) for a, b in zip(exact.indices.tolist(), graph.indices.tolist(), strict=True)]
    assert sum(same) / exact.indices.size >= 0.9
    assert not (graph.indices == np.arange(3000)[:, None]).any()
    assert graph.indices[0, 0] == 2999
    assert (np.diff(graph.similarities, axis=1) <= 0).all()
    assert np.allclose(graph.similarities[7], vectors[graph.indices[7]] @ vectors[7], atol=1e-5)
    again = neighbor_graph(vectors, NeighborParams(k=15, exact_rows=100), seed=0)
    assert (again.indices == graph.indices).all()


def test_restrict_numbers_the_rows_that_stay_and_keeps_the_order() -> None:
    graph = NeighborGraph(
        np.array([[1, 2], [0, 2], [0, -1]], dtype=np.int32), np.array([[0.9, 0.8], [0.9, 0.7], [0.8, -1]], np.float32)
    )
    kept = restrict(graph, np.array([True, False, True]))
    assert kept.indices.tolist() == [[-1, 1], [0, -1]]
    assert kept.similarities.tolist() == np.array([[-1, 0.8], [0.8, -1]], np.float32).tolist()
    assert kept.indices.dtype == np.int32
    assert kept.similarities.dtype == np.float32


def test_memory_maps(tmp_path_factory: pytest.TempPathFactory) -> None:
    vectors = unit_rows(200, 8)
    path = tmp_path_factory.mktemp("map") / "vectors.npy"
    np.save(path, vectors)
    mapped = neighbor_graph(np.load(path, mmap_mode="r"), NeighborParams(k=3), seed=0)
    assert (mapped.indices == neighbor_graph(vectors, NeighborParams(k=3), seed=0).indices).all()


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 6), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_the_nearest_of_those_that_are_left_is_found_from_what_is_known_and_anew_where_none_of_it_is(
    rows: int, queries: int, k: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors, asked = unit_rows(rows, 4, seed), unit_rows(queries, 4, seed + 1)
    kept = rng.random(rows) < rng.random()
    near = NeighborGraph(*nearest(vectors, asked, k))
    found, cosines = nearest_among(near, vectors, asked, kept)
    right, values = nearest(vectors, asked, 1, kept)
    assert found.tolist() == right[:, 0].tolist()
    assert np.allclose(cosines, values[:, 0], atol=1e-6)
