"""How good a clustering is: silhouette, Davies-Bouldin, Calinski-Harabasz, DBCV, stability, overlap on the maps.

No single figure fits every clustering: the first three favour round clusters, DBCV judges dense ones of any
shape, and stability asks whether the clusters would be found again in other rows of the same kind.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ...state.canonical import Json
from ...state.errors import InputError
from ...state.params.vectors import ClusterParams, ScoreParams
from ...state.phrases import Advance, silent
from ..table_tool import TableTool
from ..threads import one_thread
from .cluster import ClusterResult, cluster
from .dispersion import dispersion
from .embed import table_vectors
from .neighbors import unit
from .partition.lloyd import label_sums
from .partition.seeding import seeded

_BLOCK = 8192  # rows held at a time
_MAP_NEIGHBORS = 10
_MAP_ROWS = 2000
_DBCV_LEAST = 10  # rows of each cluster, where it has them, however small its share of the sample


@dataclass(frozen=True)
class ClusterScores:
    """The figures of one clustering; ``None`` and NaN where a figure is not defined.

    ``silhouette`` is in [-1, 1], ``davies_bouldin`` ≥ 0 (lower is better), ``calinski_harabasz`` ≥ 0, ``dbcv`` in
    [-1, 1] and only for density methods, ``stability`` in [0, 1], the overlaps are shares of rows. The arrays are
    float64 [k]. Noise (label -1) has no part in any of them but DBCV, which it lowers.
    """

    silhouette: float | None
    silhouette_by_cluster: np.ndarray
    davies_bouldin: float | None
    calinski_harabasz: float | None
    dbcv: float | None
    stability: float | None
    stability_by_cluster: np.ndarray
    overlap_2d: float | None
    overlap_3d: float | None


@dataclass(frozen=True)
class Clustered:
    """A clustering with what it was made from.

    ``vectors`` float [n, d], unit rows; ``params`` what it was made with: the bootstraps are clustered with them;
    ``space`` float [n, dimensions], the reduction that a density method ran on.
    """

    vectors: np.ndarray
    result: ClusterResult
    params: ClusterParams
    space: np.ndarray | None = None


def score(
    clustered: Clustered,
    params: ScoreParams,
    seed: int,
    map_2d: np.ndarray | None = None,
    map_3d: np.ndarray | None = None,
    advance: Advance = silent,
) -> ClusterScores:
    """Score a clustering; ``advance`` counts bootstraps.

    Args:
        map_2d: float [n, 2], and ``map_3d`` [n, 3], where the overlap is wanted.
    """
    vectors, result, space = clustered.vectors, clustered.result, clustered.space
    labels, k = result.labels, len(result.centroids)
    mean_silhouette, by_cluster = silhouette(vectors, labels, k, params.silhouette_per_cluster, seed)
    davies, calinski = dispersion(vectors, labels)
    stabilities = stability(clustered, params, seed, advance)
    return ClusterScores(
        silhouette=mean_silhouette,
        silhouette_by_cluster=by_cluster,
        davies_bouldin=davies,
        calinski_harabasz=calinski,
        dbcv=None if space is None else dbcv(space, labels, params.dbcv_rows, seed),
        stability=_mean(stabilities),
        stability_by_cluster=stabilities,
        overlap_2d=None if map_2d is None else overlap(map_2d, labels, seed),
        overlap_3d=None if map_3d is None else overlap(map_3d, labels, seed),
    )


def silhouette_and_stability(clustered: Clustered, params: ScoreParams, seed: int) -> tuple[float | None, float | None]:
    """The two scores of a clustering that its quality is made of, as ``score`` has them."""
    labels, k = clustered.result.labels, len(clustered.result.centroids)
    found = silhouette(clustered.vectors, labels, k, params.silhouette_per_cluster, seed)[0]
    return found, _mean(stability(clustered, params, seed, silent))


def _mean(stabilities: np.ndarray) -> float | None:
    known = stabilities[~np.isnan(stabilities)]
    return float(known.mean()) if len(known) else None


def silhouette(
    vectors: np.ndarray, labels: np.ndarray, k: int, per_cluster: int, seed: int
) -> tuple[float | None, np.ndarray]:
    """The silhouette by cosine distance (Rousseeuw 1987): of all rows, and of each cluster, float64 [k].

    ``per_cluster`` rows drawn from each cluster stand for it; clusters count by their size. This is the true
    silhouette, not the simplified one: the mean cosine distance from a unit vector to the rows of a cluster is one
    minus its product with their mean, so the distances to all rows cost no more than to k centroids.

    Args:
        vectors: float [n, d]; they are scaled to unit length here.
        labels: int [n], -1 for noise.
    """
    members = labels >= 0
    sizes = np.bincount(labels[members], minlength=k)
    by_cluster = np.full(k, np.nan)
    if np.count_nonzero(sizes) < 2:
        return None, by_cluster
    means = label_sums(vectors, labels, k, scale=unit) / np.maximum(sizes, 1)[:, None]
    sample = _per_label(labels, np.minimum(sizes, per_cluster), seed)
    values = np.empty(len(sample))
    for start in range(0, len(sample), _BLOCK):
        rows = sample[start : start + _BLOCK]
        own = labels[rows]
        at = np.arange(len(rows))
        distances = 1.0 - unit(vectors[rows].astype(np.float64)) @ means.T
        distances[:, sizes == 0] = np.inf
        within = distances[at, own] * sizes[own] / np.maximum(sizes[own] - 1, 1)  # the row itself does not count
        distances[at, own] = np.inf
        between = distances.min(axis=1)
        larger = np.maximum(within, between)
        value = np.divide(between - within, larger, out=np.zeros(len(rows)), where=larger > 0)
        values[start : start + _BLOCK] = np.where(sizes[own] > 1, value, 0.0)
    drawn = np.bincount(labels[sample], minlength=k)
    filled = sizes > 0
    by_cluster[filled] = np.bincount(labels[sample], values, minlength=k)[filled] / drawn[filled]
    return float(np.average(by_cluster[filled], weights=sizes[filled])), by_cluster


def stability(clustered: Clustered, params: ScoreParams, seed: int, advance: Advance) -> np.ndarray:
    """How well each cluster is found again, float64 [k]: its mean Jaccard with its best match over bootstraps.

    Method: Hennig 2007, "Cluster-wise assessment of cluster stability", §3; from 0.75 a cluster is stable, below
    0.6 it should not be trusted. Rows are drawn with replacement and those drawn twice are used once (as in his
    ``fpc::clusterboot``); the same algorithm runs from a cold start. Noise matches nothing. NaN for a cluster that
    no bootstrap drew a row of.
    """
    result, space = clustered.result, clustered.space
    labels, k = result.labels, len(result.centroids)
    total, times = np.zeros(k), np.zeros(k)
    for trial in range(params.bootstraps):
        random = np.random.default_rng((seed, trial))
        rows = np.unique(random.integers(len(labels), size=min(len(labels), params.bootstrap_rows)))
        vectors, drawn_space = np.asarray(clustered.vectors[rows]), None if space is None else np.asarray(space[rows])
        wanted, cluster_seed = _scaled(clustered.params, result, len(rows)), int(random.integers(2**31))
        start = None
        if result.algorithm == "kmeans" and wanted.k:
            with one_thread():  # one draw of k-means++ is a cold start, without the tries that a clustering has
                start = vectors[seeded(vectors, wanted.k, random)]
        again = cluster(vectors, wanted, cluster_seed, drawn_space, start)
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


def dbcv(space: np.ndarray, labels: np.ndarray, most_rows: int, seed: int) -> float | None:
    """Density-based cluster validity (Moulavi et al. 2014) on about ``most_rows`` rows, in [-1, 1].

    The sample is stratified by cluster. Clusters count by their share of all rows, so noise lowers the figure.

    Args:
        space: float [n, dimensions], at most 50 dimensions; ``labels``: int [n], -1 for noise.
    """
    from hdbscan.validity import validity_index

    sizes = np.bincount(labels[labels >= 0])
    if np.count_nonzero(sizes) < 2:
        return None
    share = min(1.0, most_rows / sizes.sum())
    counts = np.maximum(np.rint(sizes * share).astype(np.int64), np.minimum(sizes, _DBCV_LEAST))
    counts[sizes < 2] = 0  # a single row has no density
    present = np.flatnonzero(counts)
    if len(present) < 2:
        return None
    sample = _per_label(labels, counts, seed)
    points = np.asarray(space[sample], dtype=np.float64)
    # Identical rows have infinite density: the sums overflow and the quotients are undefined, which counts as 0.
    with np.errstate(all="ignore"):
        _, validity = validity_index(points, np.searchsorted(present, labels[sample]), per_cluster_scores=True)
    return float((np.nan_to_num(validity) * sizes[present]).sum() / len(labels))


def overlap(drawn: np.ndarray, labels: np.ndarray, seed: int) -> float | None:
    """The share of rows that lie among other clusters on a map (float [n, 2 or 3]).

    A row does when more than half of its 10 nearest rows belong to other clusters (fewer in a smaller cluster,
    which cannot fill 10 places). At most 2,000 rows are asked, their neighbours sought among all; noise is left
    out, and so are clusters of one row. None when fewer than two clusters are left.
    """
    from scipy.spatial import cKDTree

    members = np.flatnonzero(labels >= 0)
    own = labels[members]
    sizes = np.bincount(own)
    if np.count_nonzero(sizes) < 2:
        return None
    asked = np.flatnonzero(sizes[own] > 1)
    if len(asked) > _MAP_ROWS:
        asked = np.sort(np.random.default_rng(seed).choice(asked, _MAP_ROWS, replace=False))
    if not len(asked):
        return None
    points = np.asarray(drawn[members], dtype=np.float64)
    count = min(_MAP_NEIGHBORS, len(members) - 1)
    found = cKDTree(points).query(points[asked], count + 1)[1]
    others = found != asked[:, None]
    others[others.all(axis=1), -1] = False  # among identical points a row may not find itself: the last gives way
    neighbors = found[others].reshape(len(asked), count)
    places = np.minimum(count, sizes[own[asked]] - 1)
    foreign = (own[neighbors] != own[asked][:, None]) & (np.arange(count) < places[:, None])
    return float((foreign.sum(axis=1) * 2 > places).mean())


def _per_label(labels: np.ndarray, counts: np.ndarray, seed: int) -> np.ndarray:
    """``counts[c]`` random positions of every label c ≥ 0, ascending: int64 [counts.sum()]."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    shuffled = shuffled[labels[shuffled] >= 0]
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    own = labels[order]
    first = np.searchsorted(own, np.arange(len(counts)))
    return np.sort(order[np.arange(len(order)) - first[own] < counts[own]])


def _scores_of(frame: pl.DataFrame, params: ScoreParams, seed: int) -> Json:
    vectors = table_vectors(frame)
    if "cluster" not in frame.columns:
        raise InputError("the table has no column `cluster`: run the tool `cluster` first")
    if frame["cluster"].null_count():
        raise InputError("the `cluster` column has rows without a cluster; noise is -1")
    labels = frame["cluster"].cast(pl.Int32).to_numpy()
    if not (labels >= 0).any():
        raise InputError("the `cluster` column holds no cluster, only noise (-1); cluster the rows first")
    k = int(labels.max()) + 1
    mean, by_cluster = silhouette(vectors, labels, k, params.silhouette_per_cluster, seed)
    davies, calinski = dispersion(vectors, labels)
    return {
        "rows": frame.height,
        "clusters": len(np.unique(labels[labels >= 0])),
        "noise": int((labels < 0).sum()),
        "silhouette": mean,
        "davies_bouldin": davies,
        "calinski_harabasz": calinski,
        "silhouette_by_cluster": [None if np.isnan(value) else float(value) for value in by_cluster],
    }


TOOL = TableTool("score", on_table=_scores_of, needs="vector")
