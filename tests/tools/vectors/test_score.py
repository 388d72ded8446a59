import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.datasets import make_moons
from sklearn.metrics import silhouette_score

from recryst.state.errors import InputError
from recryst.state.params.vectors import ClusterParams, ScoreParams
from recryst.tools.vectors.cluster import ClusterResult, cluster
from recryst.tools.vectors.score import TOOL, Clustered, dbcv, overlap, score, silhouette

KMEANS = ClusterParams(k=5)


def mixture(rows: int, clusters: int, spread: float, width: int = 32) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    labels = random.permutation(np.arange(rows) % clusters).astype(np.int32)
    vectors = random.standard_normal((clusters, width))[labels] / np.sqrt(width)
    vectors += spread * random.standard_normal((rows, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels


def clustering(vectors: np.ndarray, labels: np.ndarray, algorithm: str = "kmeans") -> ClusterResult:
    means = np.stack([vectors[labels == label].mean(axis=0) for label in range(labels.max() + 1)])
    centroids = (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)
    return ClusterResult(labels=labels.astype(np.int32), centroids=centroids, algorithm=algorithm, params={})


@pytest.mark.parametrize("noise", [False, True])
def test_silhouette_of_all_rows_is_the_true_one(noise):
    vectors, labels = mixture(900, 5, 0.15)
    labels[labels == 4] = 3  # of different sizes,
    labels[:1] = 4  # one of a single row
    if noise:
        labels[1:200] = -1
    mean, by_cluster = silhouette(vectors * 3, labels, 6, 10_000, 0)
    members = labels >= 0
    assert mean == pytest.approx(silhouette_score(vectors[members], labels[members], metric="cosine"), abs=1e-4)
    assert by_cluster[4] == 0
    assert np.isnan(by_cluster[5])  # a cluster without rows
    sampled, _ = silhouette(vectors, labels, 6, 50, 0)
    assert sampled == pytest.approx(mean, abs=0.03)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-1, 4), min_size=2, max_size=40), st.integers(0, 99))
def test_silhouette_and_overlap_stay_in_range(labels, seed):
    own = np.asarray(labels, dtype=np.int32)
    points = np.random.default_rng(seed).integers(-2, 3, size=(len(own), 3)).astype(np.float32)  # with equal rows
    mean, by_cluster = silhouette(points, own, 5, 3, seed)
    clusters = len(set(labels) - {-1})
    assert (mean is None) == (clusters < 2)
    if clusters > 1:
        assert -1 <= mean <= 1
        assert (np.isnan(by_cluster) == (np.bincount(own[own >= 0], minlength=5) == 0)).all()
    share = overlap(points, own, seed)
    assert share is None or 0 <= share <= 1


def test_separated_clusters_score_well_everywhere():
    vectors, labels = mixture(1500, 5, 0.04)
    drawn = vectors @ np.linalg.qr(np.random.default_rng(0).standard_normal((32, 3)))[0]
    steps: list[int] = []
    found = score(
        Clustered(vectors, clustering(vectors, labels), KMEANS),
        ScoreParams(bootstraps=3, bootstrap_rows=800),
        0,
        map_2d=drawn[:, :2] * 0 + labels[:, None],
        map_3d=drawn,
        advance=steps.append,
    )
    assert found.silhouette > 0.8
    assert found.davies_bouldin < 0.5
    assert found.calinski_harabasz > 1000
    assert found.dbcv is None
    assert found.stability >= 0.9
    assert (found.stability_by_cluster >= 0.9).all()
    assert found.overlap_2d == 0  # even where all rows of a cluster lie on one point
    assert found.overlap_3d < 0.05
    assert sum(steps) == 3


def test_clusters_that_split_one_blob_are_unstable_and_overlap():
    vectors, _ = mixture(1200, 1, 0.2)
    params = ClusterParams(k=12)
    found = score(Clustered(vectors, cluster(vectors, params, 0), params), ScoreParams(), 0, map_2d=vectors[:, :2])
    assert found.stability < 0.5
    assert found.silhouette < 0.1
    assert found.overlap_2d > 0.5
    assert found.overlap_3d is None


def test_score_is_deterministic():
    vectors, labels = mixture(600, 5, 0.15)
    params = ScoreParams(bootstraps=2, bootstrap_rows=300, silhouette_per_cluster=20)
    one, two = (
        score(Clustered(vectors, clustering(vectors, labels), KMEANS), params, 3, map_2d=vectors[:, :2])
        for _ in range(2)
    )
    assert str(one) == str(two)


def test_dbcv_prefers_moons_to_their_halves():
    points, moons = make_moons(1200, noise=0.03, random_state=0)
    halves = KMeans(2, n_init=1, random_state=0).fit_predict(points)
    assert dbcv(points, moons, 10_000, 0) > 0.5
    assert dbcv(points, halves, 10_000, 0) < 0
    assert dbcv(points, moons, 500, 0) > 0.4  # a sample tells the same
    noisy = np.where(np.arange(1200) % 2, moons, -1)
    assert dbcv(points, noisy, 10_000, 0) < 0.6 * dbcv(points, moons, 10_000, 0)
    assert dbcv(points, np.where(moons == 0, 0, -1), 10_000, 0) is None


def test_dbcv_bears_identical_rows():
    random = np.random.default_rng(0)
    points = np.repeat(random.standard_normal((6, 10)), 20, axis=0).astype(np.float32)
    for labels in (np.repeat(np.arange(6), 20), np.repeat(np.arange(3), 40), np.arange(120) % 4):
        assert -1 <= dbcv(points, labels, 3000, 0) <= 1
    assert -1 <= dbcv(np.zeros((40, 10)), np.arange(40) % 2, 3000, 0) <= 1


def test_density_clusters_are_scored_in_their_space():
    vectors, _ = mixture(900, 4, 0.04)
    space = vectors[:, :8].copy()
    params = ClusterParams(algorithm="hdbscan", min_cluster_size=60)
    result = cluster(vectors, params, 0, space=space)
    found = score(Clustered(vectors, result, params, space), ScoreParams(bootstraps=2), 0)
    assert len(result.centroids) == 4
    assert found.dbcv > 0.3
    assert found.stability > 0.85


def test_few_distinct_rows_are_scored():
    vectors = np.repeat(mixture(3, 3, 0.1)[0], 20, axis=0)
    params = ClusterParams(k=8)
    result = cluster(vectors, params, 0)
    found = score(Clustered(vectors, result, params), ScoreParams(), 0, map_2d=vectors[:, :2])
    assert len(result.centroids) == 3
    assert found.silhouette == pytest.approx(1)
    assert found.stability == 1
    same = np.repeat(vectors[:1], 40, axis=0)
    found = score(Clustered(same, clustering(same, np.arange(40) % 4), ClusterParams(k=4)), ScoreParams(), 0)
    assert found.silhouette == pytest.approx(0, abs=1e-6)


def test_one_cluster_and_noise_leave_figures_undefined():
    vectors, _ = mixture(200, 1, 0.1)
    result = clustering(vectors, np.where(np.arange(200) < 150, 0, -1), "dbscan")
    params = ClusterParams(algorithm="dbscan", eps=10.0, min_cluster_size=5)
    found = score(Clustered(vectors, result, params, vectors[:, :5]), ScoreParams(), 0, map_2d=vectors[:, :2])
    undefined = (found.silhouette, found.davies_bouldin, found.calinski_harabasz, found.dbcv, found.overlap_2d)
    assert undefined == (None,) * 5
    assert found.stability == pytest.approx(0.75, abs=0.05)  # every bootstrap takes the noise in


def test_tool_gives_figures_of_a_table():
    vectors, labels = mixture(100, 3, 0.05)
    frame = pl.DataFrame({"vector": vectors.tolist(), "cluster": labels})
    figures = TOOL.on_table(frame, ScoreParams(), 0)
    assert figures["clusters"] == 3
    assert figures["silhouette"] > 0.8
    with pytest.raises(InputError, match="no cluster"):
        TOOL.on_table(frame.with_columns(cluster=pl.lit(-1)), ScoreParams(), 0)
