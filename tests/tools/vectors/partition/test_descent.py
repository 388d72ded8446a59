"""The lists that cells and joins find, against all pairs; and what becomes of rows that are equal, few or zero."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recryst.evals.speed.rows import mixture
from recryst.tools.vectors.neighbors import nearest
from recryst.tools.vectors.partition import descent
from recryst.tools.vectors.partition.descent import neighbor_lists, offer


def checked(vectors, k, seed=0):
    """The lists of rows, after a look at what holds for all lists."""
    indices, cosines = neighbor_lists(vectors, k, seed)
    assert indices.shape == cosines.shape == (len(vectors), k)
    assert (indices.dtype, cosines.dtype) == (np.int32, np.float32)
    assert not (indices == np.arange(len(vectors))[:, None]).any(), "a row is its own neighbour"
    found = indices >= 0
    assert (cosines[~found] == -1).all()
    assert (np.diff(cosines, axis=1) <= 0).all()
    for own in indices:
        assert len(set(own[own >= 0].tolist())) == (own >= 0).sum(), "a row stands twice in a list"
    true = np.einsum("nd,nkd->nk", vectors, vectors[indices])
    assert np.allclose(np.where(found, true, -1), cosines, atol=1e-5)
    return indices, cosines


def recall(vectors, indices):
    exact = nearest(vectors, vectors, indices.shape[1] + 1)[0][:, 1:]
    return np.mean([np.isin(*pair).mean() for pair in zip(exact, indices, strict=True)])


def test_nearly_all_of_the_nearest_are_found(monkeypatch):
    monkeypatch.setattr(descent, "_CELL", 100)  # a hundred cells, of which a row meets two at a time
    vectors = mixture(10_000, 0, 64)
    indices, _ = checked(vectors, 10)
    assert recall(vectors, indices) >= 0.99
    assert not (neighbor_lists(vectors, 10, 1)[0] == indices).all(), "the seed changes nothing"


def test_joins_find_what_cells_part(monkeypatch):
    monkeypatch.setattr(descent, "_CELL", 50)
    vectors = mixture(6_000, 0, 64)
    joined = recall(vectors, checked(vectors, 10)[0])
    monkeypatch.setattr(descent, "_MOST_JOINS", 0)
    assert recall(vectors, checked(vectors, 10)[0]) < joined - 0.05


def test_equal_rows_are_met_in_pieces_and_find_each_other(monkeypatch):
    monkeypatch.setattr(descent, "_CELL", 20)
    vectors = mixture(2000, 0, 16)
    vectors[500:1500] = vectors[0]
    vectors[1500:1510] = 0
    bounds = []
    whole = descent._meet
    monkeypatch.setattr(descent, "_meet", lambda *given: (bounds.append(np.diff(given[2]).max()), whole(*given)))
    _, cosines = checked(vectors, 5)
    assert len(bounds) == descent._PARTINGS
    assert max(bounds) <= descent._LARGEST * 20
    assert np.allclose(cosines[500:1500], 1, atol=1e-6)
    assert np.allclose(cosines[1500:1510], 0)


@pytest.mark.parametrize("rows", [2, 3, 7, 100])
def test_few_rows_are_all_found(rows):
    vectors = mixture(rows, 3, 8)
    indices, _ = checked(vectors, 5)
    assert ((indices >= 0).sum(axis=1) == min(5, rows - 1)).all()
    assert recall(vectors, indices[:, : min(5, rows - 1)]) == 1


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 9), columns=st.integers(1, 12), k=st.integers(1, 6), seed=st.integers(0, 999))
def test_an_offer_keeps_the_nearest_and_of_equals_the_first(rows, columns, k, seed):
    block = np.random.default_rng(seed).integers(0, 4, (rows, columns)).astype(np.float32)
    size = max(rows, columns)
    indices, cosines = np.full((size, k), -1, np.int32), np.full((size, k), -np.inf, np.float32)
    names = np.arange(size, dtype=np.int32)
    for part in (slice(0, columns // 2), slice(columns // 2, columns), slice(0, columns)):  # the last is known already
        offer(np.ascontiguousarray(block[:, part]), names[:rows], names[part], indices, cosines)
    for row in range(rows):
        ranked = sorted(set(range(columns)) - {row}, key=lambda other: (-block[row, other], other))[:k]
        assert indices[row].tolist() == ranked + [-1] * (k - len(ranked))
        assert cosines[row, : len(ranked)].tolist() == block[row, ranked].tolist()
