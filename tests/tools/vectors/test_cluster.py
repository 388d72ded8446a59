"""Planted clusters are recovered, the same in every process, and degenerate data ends in something sensible."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from recryst.state.errors import InputError
from recryst.state.params.vectors import ClusterParams, NeighborParams
from recryst.tools import threads
from recryst.tools.vectors import cluster as module
from recryst.tools.vectors.cluster import TOOL, _by_size, cluster, default_k, density_space, density_spaces
from recryst.tools.vectors.neighbors import nearest, neighbor_graph

ALGORITHMS = ("kmeans", "dbscan", "hdbscan")


def planted(
    rows: int, clusters: int, noise: float, seed: int = 0, dimensions: int = 96
) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows around ``clusters`` random directions, and the direction each belongs to."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(clusters, dimensions))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    truth = random.integers(0, clusters, rows)
    vectors = centres[truth] + noise * random.normal(size=(rows, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), truth


def agreement(truth: np.ndarray, labels: np.ndarray) -> float:
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(truth, labels))


@pytest.mark.parametrize(
    "params",
    [
        ClusterParams(algorithm="kmeans", k=8),
        ClusterParams(algorithm="dbscan"),
        ClusterParams(algorithm="hdbscan"),
        ClusterParams(algorithm="dbscan", space="pca"),
        ClusterParams(algorithm="hdbscan", space="pca"),
    ],
    ids=lambda params: f"{params.algorithm}-{params.space}",
)
def test_planted_clusters_are_recovered(params: ClusterParams) -> None:
    vectors, truth = planted(1200, 8, noise=0.05)
    result = cluster(vectors, params, seed=0)
    assert agreement(truth, result.labels) >= 0.95
    assert result.labels.dtype == np.int32
    assert result.centroids.shape == (8, 96)
    sizes = np.bincount(result.labels[result.labels >= 0])
    assert (np.diff(sizes) <= 0).all()
    mean = vectors[result.labels == 2].mean(axis=0)
    assert np.allclose(result.centroids[2], mean / np.linalg.norm(mean), atol=1e-5)
    clustered = result.labels >= 0
    assert (nearest(result.centroids, vectors, 1)[0][clustered, 0] == result.labels[clustered]).mean() > 0.99


@pytest.mark.parametrize("algorithm", ["dbscan", "hdbscan"])
def test_scattered_rows_are_noise(algorithm: str) -> None:
    vectors, truth = planted(1000, 5, noise=0.03)
    scattered, _ = planted(9, 9, noise=1.0, seed=9)  # one too few for a cluster
    labels = cluster(np.vstack([vectors, scattered]), ClusterParams(algorithm=algorithm, space="pca"), seed=0).labels
    assert agreement(truth, labels[:1000]) >= 0.95
    assert (labels[1000:] == -1).sum() >= 8


def test_above_the_row_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds on a sample, landmarks and the sampled density methods, with limits a test can afford."""
    for name, limit in {"_LLOYD_ROWS": 1000, "_START_ROWS": 800, "_LANDMARKS": 800, "_DENSITY_ROWS": 1500}.items():
        monkeypatch.setattr(module, name, limit)
    vectors, truth = planted(3000, 6, noise=0.05)
    vectors.flags.writeable = False
    for algorithm in ALGORITHMS:
        params = ClusterParams(algorithm=algorithm, k=6)
        assert agreement(truth, cluster(vectors, params, seed=0).labels) >= 0.95, algorithm


def test_rounds_on_a_sample_end_where_those_on_all_rows_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from recryst.evals.speed.rows import inertia

    vectors, _ = planted(6000, 60, noise=0.15)
    whole = cluster(vectors, ClusterParams(k=40), seed=0)
    monkeypatch.setattr(module, "_LLOYD_ROWS", 3000)
    nested = cluster(vectors, ClusterParams(k=40), seed=0)
    assert inertia(vectors, nested.labels) <= 1.01 * inertia(vectors, whole.labels)
    assert len(nested.centroids) == 40
    warm = cluster(vectors, ClusterParams(k=40), seed=1, start=nested.centroids)
    assert agreement(nested.labels, warm.labels) > 0.95
    five = np.repeat(vectors[:5], 800, axis=0)
    assert agreement(np.arange(4000) // 800, cluster(five, ClusterParams(k=20), seed=0).labels) == 1


DIGESTS = """
import hashlib
import numpy as np
from recryst.state.params.vectors import ClusterParams
from recryst.tools.vectors.cluster import cluster

def digests():
    vectors = np.random.default_rng(3).normal(size=(400, 48)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for algorithm in ("kmeans", "dbscan", "hdbscan"):
        result = cluster(vectors, ClusterParams(algorithm=algorithm, min_cluster_size=5), seed=1)
        yield hashlib.sha256(result.labels.tobytes() + result.centroids.tobytes()).hexdigest()
"""


def test_the_same_labels_in_every_process() -> None:
    here: dict[str, Any] = {}
    exec(DIGESTS, here)
    program = DIGESTS + "print(*digests(), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == list(here["digests"]())
    assert done.stderr == ""


def test_a_warm_start_stays_and_a_strange_one_is_ignored() -> None:
    vectors, _ = planted(1500, 10, noise=0.12)
    cold = cluster(vectors, ClusterParams(k=10), seed=0)
    warm = cluster(vectors, ClusterParams(k=10), seed=5, start=cold.centroids)
    assert agreement(cold.labels, warm.labels) > 0.98
    other = cluster(vectors, ClusterParams(k=9), seed=5, start=cold.centroids)
    assert (other.labels == cluster(vectors, ClusterParams(k=9), seed=5).labels).all()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_degenerate_data(algorithm: str) -> None:
    params = ClusterParams(algorithm=algorithm, k=20)
    for rows in (0, 1, 2, 3, 12, 49, 55):
        vectors, _ = planted(rows, 2, noise=0.1)
        result = cluster(vectors, params, seed=0)
        assert result.labels.shape == (rows,)
        assert result.labels.max(initial=-1) + 1 == len(result.centroids) <= max(rows, 1)
    same = np.repeat(vectors[:1], 60, axis=0)
    result = cluster(same, params, seed=0)
    assert not result.labels.any()
    assert np.allclose(result.centroids, same[:1], atol=1e-6)
    five = np.repeat(vectors[:5], 40, axis=0)
    assert agreement(np.arange(200) // 40, cluster(five, params, seed=0).labels) == 1


def test_k_at_least_the_rows() -> None:
    vectors, _ = planted(6, 6, noise=0.0)
    distinct = len(np.unique(vectors, axis=0))
    result = cluster(vectors, ClusterParams(k=50), seed=0)
    assert len(result.centroids) == distinct
    assert result.params == {"k": 6}


def test_default_k() -> None:
    assert [default_k(rows) for rows in (0, 1, 9, 20, 100, 5_000, 20_000, 10_000_000)] == [1, 1, 1, 4, 8, 50, 100, 1000]


def test_density_space_parts_what_pca_cannot() -> None:
    """Two rings, one inside the other's hole: UMAP's neighbourhoods keep them apart."""
    angle = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    rings = np.zeros((600, 6), dtype=np.float32)
    rings[:300, 0], rings[:300, 1] = np.cos(angle), np.sin(angle)
    rings[300:, 2], rings[300:, 3] = np.cos(angle), np.sin(angle)
    graph = neighbor_graph(rings, NeighborParams(), seed=0)
    space = density_space(rings, ClusterParams(algorithm="dbscan", dimensions=2), graph, seed=0)
    assert space.shape == (600, 2)
    assert space.dtype == np.float32
    labels = cluster(rings, ClusterParams(algorithm="dbscan", eps=2.0), seed=0, space=space).labels
    assert agreement(np.arange(600) // 300, labels) == 1


def test_spaces_made_side_by_side_are_those_made_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cores", lambda: 3)
    vectors, _ = planted(240, 4, noise=0.05)
    params, graph = ClusterParams(algorithm="hdbscan"), neighbor_graph(vectors, NeighborParams(), seed=0)
    expected = [density_space(vectors, params, graph, seed) for seed in (3, 4, 5)]  # which loads all libraries
    with threadpool_limits(2):
        before = threadpool_info(), list(warnings.filters)
        found = density_spaces(vectors, params, graph, [3, 4, 5])
        assert (threadpool_info(), list(warnings.filters)) == before
    assert [space.tobytes() for space in found] == [space.tobytes() for space in expected]
    assert len({space.tobytes() for space in found}) == 3


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-1, 5), max_size=30))
def test_numbers_follow_size_then_first_row(values: list[int]) -> None:
    labels = np.array(values, dtype=np.int32)
    renumbered = _by_size(labels)
    order = sorted(set(values) - {-1}, key=lambda value: (-values.count(value), values.index(value)))
    assert renumbered.tolist() == [-1 if value < 0 else order.index(value) for value in values]


def test_tool_on_a_table() -> None:
    vectors, truth = planted(200, 4, noise=0.05)
    frame = pl.DataFrame({"vector": (vectors * 3).tolist()})  # not of unit length
    table = TOOL.on_table(frame, ClusterParams(k=4), 0)
    assert isinstance(table, pl.DataFrame)
    assert table["cluster"].dtype == pl.Int32
    assert agreement(truth, table["cluster"].to_numpy()) == 1
    with pytest.raises(InputError, match="no column `vector`"):
        TOOL.on_table(frame.select(text=pl.lit("a")), ClusterParams(), 0)
