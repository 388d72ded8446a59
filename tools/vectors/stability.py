"""Stability: whether clusters are found again in resampled rows."""

from __future__ import annotations

import numpy as np

from ...state.config import ClusterParams, ScoreParams
from ...state.progress import Advance, silent
from .cluster import ClusterResult, cluster


def stability(
    vectors: np.ndarray,
    result: ClusterResult,
    params: ScoreParams,
    seed: int,
    *,
    cluster_params: ClusterParams,
    space: np.ndarray | None = None,
    advance: Advance = silent,
) -> np.ndarray:
    """How well each cluster is found again, float64 [k]: its mean Jaccard with its best match over bootstraps.

    Method: Hennig 2007, "Cluster-wise assessment of cluster stability", §3; from 0.75 a cluster is stable, below
    0.6 it should not be trusted. Rows are drawn with replacement and those drawn twice are used once (as in his
    ``fpc::clusterboot``); the same algorithm runs from a cold start. Noise matches nothing. NaN for a cluster that
    no bootstrap drew a row of. Arguments as ``score``.
    """
    labels, k = result.labels, len(result.centroids)
    total, times = np.zeros(k), np.zeros(k)
    for trial in range(params.bootstraps):
        random = np.random.default_rng((seed, trial))
        rows = np.unique(random.integers(len(labels), size=min(len(labels), params.bootstrap_rows)))
        drawn_vectors = np.asarray(vectors[rows])
        wanted = _scaled(cluster_params, result, len(rows))
        again = cluster(
            drawn_vectors,
            wanted,
            int(random.integers(2**31)),
            space=None if space is None else np.asarray(space[rows]),
            start=_start(drawn_vectors, wanted.k, random) if result.algorithm == "kmeans" else None,
        )
        match, present = _best_jaccard(labels[rows], again.labels, k)
        total += match
        times += present
        advance(1)
    return np.asarray(np.divide(total, times, out=np.full(k, np.nan), where=times > 0))


def _scaled(params: ClusterParams, result: ClusterResult, rows: int) -> ClusterParams:
    """The parameters that find the clusters of ``result`` in ``rows`` of its rows.

    The number of clusters and the radius stay; the least size of a cluster shrinks with the rows.
    """
    if result.algorithm == "kmeans":
        return params.model_copy(update={"k": min(rows, len(np.unique(result.labels)))})
    found = {**params.model_dump(), **result.params}
    least = found["min_cluster_size"]
    smaller = None if least is None else max(2, round(least * rows / len(result.labels)))
    return params.model_copy(update={"eps": found["eps"], "min_cluster_size": smaller})


def _start(vectors: np.ndarray, k: int | None, random: np.random.Generator) -> np.ndarray:
    """One draw of k-means++ centres, float [k, d]: a cold start, without the three tries a clustering has."""
    from sklearn.cluster import kmeans_plusplus
    from threadpoolctl import threadpool_limits

    # One thread: the products are so small that on a busy machine threads cost ten times what they save.
    with threadpool_limits(1):
        return np.asarray(kmeans_plusplus(vectors, k, random_state=int(random.integers(2**31)))[0])


def _best_jaccard(before: np.ndarray, after: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The Jaccard index of each cluster ``before`` with its best match ``after``, and whether it has rows, [k]."""
    size = np.bincount(before[before >= 0], minlength=k)
    if not (after >= 0).any():
        return np.zeros(k), size > 0
    other = np.bincount(after[after >= 0])
    both = (before >= 0) & (after >= 0)
    shared = np.bincount(before[both] * np.int64(len(other)) + after[both], minlength=k * len(other))
    shared = shared.reshape(k, len(other))
    union = size[:, None] + other[None, :] - shared
    return (shared / np.maximum(union, 1)).max(axis=1), size > 0
