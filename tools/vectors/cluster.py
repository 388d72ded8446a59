"""Groups of rows: k-means on the vectors, DBSCAN and HDBSCAN on a reduction of them.

On unit vectors the squared Euclidean distance is 2 − 2 · cosine, so that k-means and the nearest centroid follow
the cosine. Density methods fail in hundreds of dimensions, where every row is equally far from every other; they
run on a PCA or UMAP space of a few.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ...state.params.vectors import ClusterParams, NeighborParams
from ..table_tool import TableTool
from ..threads import in_threads, one_thread
from .embed import table_vectors
from .neighbors import NeighborGraph, nearest, neighbor_graph, unit
from .partition.lloyd import assigned, label_sums, lloyd
from .partition.seeding import seeded
from .reduce import fit_umap, load_libraries, pca, without_index

_BLOCK = 8192
# Above: from one start, not the best of five to its end: 0.4 % more inertia on 20,000 texts, in a third of the time.
_CONVERGED_ROWS = 10_000
_LLOYD_ROWS = 50_000  # above: most rounds on a sample of that size,
_SAMPLED = 64  # or of so many rows a cluster, if these are more
_SAMPLE_ROUNDS = 20
_ROUNDS = 8  # on all rows
_LEAST = 3e-4  # share of the inertia that a round has to take off for another to follow
_START_ROWS = 20_000  # rows k-means seeks its start on
_DENSITY_ROWS = 50_000  # above: density methods see a sample of that size
_LANDMARKS = 5_000  # rows UMAP is fitted on
_LEAST_LANDMARKS = 3  # landmarks whose rows a density cluster takes at least
_PCA_DIMENSIONS = 50
_UMAP_NEIGHBORS = 15
_UMAP_EPOCHS = 200  # HDBSCAN on 2,500 rows of four labelled sets: AMI within 0.008 of 500 epochs', at 0.4 of the time
_UMAP_MIN_ROWS = 50  # below, the spectral start has too few rows to stand on, and PCA serves


@dataclass(frozen=True)
class ClusterResult:
    """A clustering of n rows of d dimensions into k clusters.

    ``labels`` int32 [n]: 0 … k−1 by descending size, equal sizes by their first row; −1 is noise. ``centroids``
    float32 [k, d]: the mean direction of each cluster's rows in the original space, unit length. ``params`` holds
    what was resolved: the ``k`` there is, or ``eps`` and ``min_cluster_size`` (in rows of the sample, if any).
    """

    labels: np.ndarray
    centroids: np.ndarray
    algorithm: str
    params: dict[str, int | float]


def default_k(rows: int) -> int:
    """The square root of half the rows, from 8 to 1000, with at least 5 rows to a cluster (rule of thumb)."""
    k = max(8, min(1000, round(math.sqrt(rows / 2))))
    return max(1, min(k, rows // 5))


def cluster(
    vectors: np.ndarray,
    params: ClusterParams,
    seed: int,
    space: np.ndarray | None = None,
    start: np.ndarray | None = None,
) -> ClusterResult:
    """Group the rows of ``vectors``.

    k-means starts from k-means++ (Arthur and Vassilvitskii 2007) on principal components; it is Lloyd's up to
    50,000 rows, and above it runs on a sample before it sees all of them. DBSCAN is Ester et al. 1996, HDBSCAN
    Campello et al. 2013; above 50,000 rows they see a seeded sample, and every other row takes the label of its
    nearest sampled row.

    Args:
        vectors: float32 [n, d], unit length; may be a memory map.
        params: the algorithm and its settings; what is None is derived from the data.
        space: float32 [n, dimensions] from ``density_space``; None means it is made here. k-means ignores it.
        start: centroids (float32 [k, d]) from which k-means goes on, where their number is the k wanted.
    """
    rows = len(vectors)
    if rows == 0 or _identical(vectors):
        labels = np.zeros(rows, dtype=np.int32)
        return _numbered(vectors, labels, params.algorithm, {})
    # One thread, for the last bits; those of BLAS also fight each other over products as small as these.
    with one_thread():
        if params.algorithm == "kmeans":
            labels = _kmeans(vectors, min(params.k or default_k(rows), rows), seed, start)
            resolved: dict[str, int | float] = {}
        else:
            if space is None:
                space = density_space(vectors, params, neighbor_graph(vectors, NeighborParams(), seed), seed)
            labels, resolved = _density(space, params, seed)
            labels = _as_most_copies(vectors, labels)
    return _numbered(vectors, _by_size(labels), params.algorithm, resolved)


def _numbered(
    vectors: np.ndarray, labels: np.ndarray, algorithm: str, resolved: dict[str, int | float]
) -> ClusterResult:
    """The clustering of rows that are numbered; k-means finds fewer clusters than wanted where rows coincide."""
    centroids = _centroids(vectors, labels)
    if algorithm == "kmeans":
        resolved = {"k": len(centroids)}
    return ClusterResult(labels, centroids, algorithm, resolved)


def density_space(vectors: np.ndarray, params: ClusterParams, graph: NeighborGraph, seed: int) -> np.ndarray:
    """The space in which density methods run: float32 [n, dimensions].

    PCA, or UMAP (McInnes et al. 2018) with a minimal distance of 0 (its documentation on clustering) over the
    nearest neighbours by cosine. UMAP is fitted on at most 5,000 seeded landmarks. Every other row stands by its
    nearest landmark, scattered (seeded) as far as that landmark's own nearest one lies: on the spot itself, rows
    would pile up to clusters of infinite density, and the mean of several landmarks builds bridges between clusters
    (CLINC, 150 intents: HDBSCAN's ARI was 0.48 scattered, 0.22 by the mean of 5). Fewer than 50 rows are reduced
    by PCA.

    Args:
        vectors: float32 [n, d], unit length.
        params: ``space`` and ``dimensions``.
        graph: the neighbours of ``vectors``, used where every row is a landmark.
    """
    rows = len(vectors)
    if params.space == "pca" or rows < _UMAP_MIN_ROWS:
        return pca(vectors, params.dimensions) if rows else np.empty((0, params.dimensions), dtype=np.float32)
    if rows <= _LANDMARKS:
        return _umap(vectors, graph, params.dimensions, seed)
    random = np.random.default_rng(seed)
    chosen = np.sort(random.choice(rows, _LANDMARKS, replace=False))
    landmarks = np.asarray(vectors[chosen], dtype=np.float32)
    among = neighbor_graph(landmarks, NeighborParams(k=_UMAP_NEIGHBORS), seed)
    fitted = _umap(landmarks, among, params.dimensions, seed)
    by = nearest(landmarks, vectors, 1)[0][:, 0]
    # A Gaussian of dimensions d and this deviation has the root mean square length of the gap.
    deviation = _k_distances(fitted, 2) / math.sqrt(params.dimensions)
    space = np.empty((rows, params.dimensions), dtype=np.float32)
    for at in range(0, rows, _BLOCK):
        place = by[at : at + _BLOCK]
        scatter = random.standard_normal((len(place), params.dimensions), dtype=np.float32)
        space[at : at + _BLOCK] = fitted[place] + scatter * deviation[place, None]
    space[chosen] = fitted
    return space


def density_spaces(
    vectors: np.ndarray, params: ClusterParams, graph: NeighborGraph, seeds: Sequence[int]
) -> list[np.ndarray]:
    """``density_space`` from each of some seeds, made side by side: each float32 [n, dimensions].

    Args:
        vectors: float32 [n, d], unit length.
    """
    if len(seeds) == 1:
        return [density_space(vectors, params, graph, seeds[0])]
    if params.space == "umap":
        load_libraries()  # not by several threads at once
    # A limit that threads set and take back by themselves would outlast them.
    with one_thread(), without_index():
        return list(in_threads(lambda seed: density_space(vectors, params, graph, seed), seeds))


def _umap(vectors: np.ndarray, graph: NeighborGraph, dimensions: int, seed: int) -> np.ndarray:
    """UMAP over a given graph; it needs the vectors (here their first 50 components) only to place loose parts."""
    # UMAP counts each row as its own first neighbour.
    own = np.arange(len(vectors), dtype=np.int32)[:, None]
    count = min(_UMAP_NEIGHBORS, graph.indices.shape[1] + 1)
    indices = np.hstack([own, graph.indices[:, : count - 1]])
    distances = np.hstack([np.zeros_like(own), 1 - graph.similarities[:, : count - 1]]).astype(np.float32)
    with one_thread():  # the spectral start is chaotic in the last bits
        components = pca(vectors, _PCA_DIMENSIONS)
        return fit_umap(components, dimensions, (indices, distances), seed, min_dist=0.0, n_epochs=_UMAP_EPOCHS)


def _kmeans(vectors: np.ndarray, k: int, seed: int, start: np.ndarray | None) -> np.ndarray:
    """Labels of k-means; fewer than k clusters where there are fewer than k distinct rows."""
    with warnings.catch_warnings():
        from sklearn.exceptions import ConvergenceWarning

        # More clusters wanted than there are distinct rows: the empty ones are simply not numbered.
        warnings.filterwarnings("ignore", message="Number of distinct clusters", category=ConvergenceWarning)
        few = len(vectors) <= _CONVERGED_ROWS
        if start is None or start.shape != (k, vectors.shape[1]):
            start = _start(vectors, k, seed, 5 if few else 1)
            start = start if few else _on_sample(vectors, seed, start)
        start = np.asarray(start, dtype=np.float32)
        if few:
            labels = _converged(vectors, k, seed, start)
        else:
            labels = assigned(vectors, lloyd(vectors, start, _ROUNDS, _LEAST))
    # Where centroids coincide, rounding alone has parted equal rows.
    _, same = np.unique(_centroids(vectors, labels), axis=0, return_inverse=True)
    return np.asarray(same[labels], dtype=np.int32)


def _converged(vectors: np.ndarray, k: int, seed: int, start: np.ndarray) -> np.ndarray:
    """Labels of Lloyd's algorithm, run to its end."""
    from sklearn.cluster import KMeans

    settings: dict[str, Any] = {"init": start} if len(start) == k else {}
    model = KMeans(n_clusters=k, n_init=1, random_state=seed, **settings)
    return np.asarray(model.fit_predict(vectors), dtype=np.int32)


def _on_sample(vectors: np.ndarray, seed: int, start: np.ndarray) -> np.ndarray:
    """Centroids (float32 [k, d]) after rounds of Lloyd's algorithm on a sample.

    Such a round moves them nearly as far as one on all rows, at a fraction of the time (Newling and Fleuret 2016,
    "Nested mini-batch k-means").
    """
    count = min(len(vectors), max(_LLOYD_ROWS, _SAMPLED * len(start)))
    chosen = np.sort(np.random.default_rng(seed).choice(len(vectors), count, replace=False))
    return lloyd(np.asarray(vectors[chosen], dtype=np.float32), start, _SAMPLE_ROUNDS, _LEAST)


def _start(vectors: np.ndarray, k: int, seed: int, tries: int) -> np.ndarray:
    """Centroids to start from: the best of ``tries`` k-means on the first 50 components of a sample.

    Among noisy dimensions k-means++ seeds little better than at random; fewer components are nearer to the
    continuous solution of k-means (Ding and He 2004) and seven times as cheap. Fewer than k centroids come back
    where rows are not distinct.
    """
    from sklearn.cluster import KMeans

    count = min(len(vectors), max(_START_ROWS, 10 * k))
    sample = vectors[np.sort(np.random.default_rng(seed).choice(len(vectors), count, replace=False))]
    components = pca(sample, _PCA_DIMENSIONS)

    def init(rows: np.ndarray, count: int, random_state: np.random.RandomState) -> np.ndarray:
        found = seeded(rows, count, np.random.default_rng(random_state.randint(2**31)))
        return np.asarray(rows[np.resize(found, count)])  # where fewer are distinct, some centroids coincide

    labels = KMeans(n_clusters=k, init=init, n_init=tries, random_state=seed).fit_predict(components)
    return _centroids(sample, _by_size(labels))


def _density(space: np.ndarray, params: ClusterParams, seed: int) -> tuple[np.ndarray, dict[str, int | float]]:
    """Labels of DBSCAN or HDBSCAN, and the settings they ran with."""
    from sklearn.neighbors import NearestNeighbors

    rows = len(space)
    if rows > _DENSITY_ROWS:
        chosen = np.sort(np.random.default_rng(seed).choice(rows, _DENSITY_ROWS, replace=False))
        size = None if params.min_cluster_size is None else max(2, params.min_cluster_size * _DENSITY_ROWS // rows)
        labels, resolved = _density(space[chosen], params.model_copy(update={"min_cluster_size": size}), seed)
        tree = NearestNeighbors(n_neighbors=1, algorithm="kd_tree").fit(space[chosen])
        blocks = [tree.kneighbors(space[at : at + _BLOCK], return_distance=False) for at in range(0, rows, _BLOCK)]
        return labels[np.concatenate(blocks)[:, 0]], resolved
    size = params.min_cluster_size or max(10, rows // 500)
    if params.space == "umap" and rows > _LANDMARKS:
        # Rows gather around landmarks; what a few of them draw is the least that can be a cluster.
        size = max(size, _LEAST_LANDMARKS * rows // _LANDMARKS)
    if params.algorithm == "dbscan":
        from sklearn.cluster import DBSCAN

        eps = params.eps or _knee_of_k_distances(space, size)
        labels = DBSCAN(eps=eps, min_samples=size).fit_predict(space)
        return np.asarray(labels, dtype=np.int32), {"eps": eps, "min_cluster_size": size}
    if rows <= size:  # too few rows for one cluster
        return np.full(rows, -1, dtype=np.int32), {"min_cluster_size": size}
    from hdbscan import HDBSCAN

    labels = HDBSCAN(min_cluster_size=size, core_dist_n_jobs=1).fit_predict(space)
    return np.asarray(labels, dtype=np.int32), {"min_cluster_size": size}


def _knee_of_k_distances(space: np.ndarray, k: int) -> float:
    """The radius at the knee of the sorted distances to the k-th neighbour (Ester et al. 1996, section 4.2).

    The knee is the point of the curve farthest below the chord between its median and its end; the head is left out
    because rows that coincide bend it too.
    """
    distances = np.sort(_k_distances(space, k))
    distances = distances[distances > 0]
    if not len(distances):
        return float(np.finfo(np.float32).tiny)
    tail = distances[len(distances) // 2 :]
    chord = np.linspace(tail[0], tail[-1], len(tail))
    return float(tail[np.argmax(chord - tail)])


def _k_distances(space: np.ndarray, k: int) -> np.ndarray:
    """Distance of each row to its k-th neighbour, itself the first, as DBSCAN counts: float64 [n]."""
    from sklearn.neighbors import NearestNeighbors

    tree = NearestNeighbors(n_neighbors=min(k, len(space)), algorithm="kd_tree").fit(space)
    return np.asarray(tree.kneighbors(space)[0][:, -1])


def _as_most_copies(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Each row's label is that of most rows equal to it: a reduction may scatter copies, one of them into the noise.

    Rows are equal where a 64-bit multilinear hash of their bits is.
    """
    words = np.random.default_rng(0).integers(1, 2**64, vectors.shape[1], dtype=np.uint64)
    hashes = np.empty(len(vectors), dtype=np.uint64)
    for at in range(0, len(vectors), _BLOCK):
        bits = np.ascontiguousarray(vectors[at : at + _BLOCK], dtype=np.float32).view(np.uint32)
        hashes[at : at + _BLOCK] = bits.astype(np.uint64) @ words
    rows = pl.DataFrame({"vector": hashes, "label": labels})
    votes = rows.group_by("vector", "label").len().sort("vector", "len", "label", descending=[False, True, True])
    most = votes.unique("vector", keep="first", maintain_order=True)
    return rows.join(most, on="vector", how="left", maintain_order="left")["label_right"].to_numpy()


def _identical(vectors: np.ndarray) -> bool:
    """Whether every row equals the first."""
    return all((vectors[at : at + _BLOCK] == vectors[0]).all() for at in range(0, len(vectors), _BLOCK))


def _by_size(labels: np.ndarray) -> np.ndarray:
    """Clusters renumbered by descending size, equal sizes by their first row; −1 stays."""
    found, first, counts = np.unique(labels, return_index=True, return_counts=True)
    number = np.full(len(found), -1, dtype=np.int32)
    order = np.lexsort((first, -counts))
    order = order[found[order] >= 0]
    number[order] = np.arange(len(order), dtype=np.int32)
    return number[np.searchsorted(found, labels)]


def _centroids(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean direction of the rows of each cluster, float32 [k, d]; zero where the rows cancel out."""
    return unit(label_sums(vectors, labels, int(labels.max(initial=-1)) + 1)).astype(np.float32)


def _with_clusters(frame: pl.DataFrame, params: ClusterParams, seed: int) -> pl.DataFrame:
    """The frame with a ``cluster`` column."""
    result = cluster(table_vectors(frame), params, seed)
    return frame.with_columns(pl.Series("cluster", result.labels))


TOOL = TableTool("cluster", on_table=_with_clusters, needs="vector")
