"""The objective's parts: known truths."""

import numpy as np
import pytest

from recryst.state.params.rounds import ObjectiveParams
from recryst.tools.judge.objective import (
    Clustering,
    anchor_radii,
    balance,
    clustering_quality,
    redundancy,
    sparse_below,
    structure,
)
from recryst.tools.vectors.neighbors import NeighborGraph, nearest


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_emptying_a_region_uncovers_its_share_of_the_anchor():
    rng = np.random.default_rng(0)
    centers = 6 * np.eye(4, 16)
    regions = rng.integers(0, 4, 2000)
    vectors = unit(centers[regions] + rng.standard_normal((2000, 16)))
    held = rng.random(2000) < 0.1
    anchor, train = vectors[held], vectors[~held]
    radii = anchor_radii(anchor)

    def covered(kept):
        return nearest(train, anchor, 1, kept)[1][:, 0] >= radii

    assert covered(np.ones(len(train), dtype=bool)).mean() > 0.95
    share = (regions[held] == 2).mean()
    without = covered(regions[~held] != 2)
    assert without.mean() == pytest.approx(1 - share, abs=0.05)


def test_balance_is_one_for_equal_masses_and_falls_with_skew():
    assert balance(np.repeat(np.arange(5), 20)) == pytest.approx(1.0)
    assert balance(np.array([0] * 96 + [1, 2, 3, 4])) < 0.2
    assert balance(np.array([-1] * 10 + [0] * 5 + [1] * 5)) == pytest.approx(1.0)
    assert balance(np.zeros(10, dtype=int)) == 0.0


def test_redundancy_counts_rows_with_a_near_copy():
    graph = NeighborGraph(
        np.array([[1], [0], [1], [-1]], dtype=np.int32), np.array([[0.99], [0.99], [0.5], [-1]], dtype=np.float32)
    )
    assert redundancy(graph, 0.95) == 0.5


def test_only_far_rows_are_outliers():
    rng = np.random.default_rng(1)
    density = np.concatenate([rng.normal(0.7, 0.05, 1000), [0.1, 0.2]])
    below = sparse_below(density)
    assert 2 <= (density < below).sum() < 10


def test_calling_rows_noise_does_not_pay():
    labels = np.repeat([0, 1], 50)
    half = labels.copy()
    half[::2] = -1
    full, noisy = Clustering(labels, 0.5, 0.9), Clustering(half, 0.6, 0.9)
    assert structure(full) == 0.5
    assert structure(noisy) == pytest.approx(0.3)
    assert clustering_quality(noisy, ObjectiveParams()) < clustering_quality(full, ObjectiveParams())
