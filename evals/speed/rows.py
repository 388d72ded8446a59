"""Vectors: k-means beside scikit-learn's, the neighbour graph beside brute force."""

import numpy as np

from ...state.params.vectors import ClusterParams, NeighborParams
from ...tools.vectors.cluster import cluster
from ...tools.vectors.neighbors import neighbor_graph, unit
from ...tools.vectors.partition.lloyd import label_sums
from .pairs import Line, Plan, paired, versioned

_DIMENSIONS = 384  # as all-MiniLM-L6-v2 gives them
_TOPICS = 500
_COMMON, _OWN = 64, 24  # directions in which topics differ, and in which the rows of one topic do
_SPREAD, _NOISE = 0.6, 0.65  # of a row about its topic along the topic's own directions, and in all
_BLOCK = 8192
_NEIGHBORS = 10
_QUERIES = 1000  # rows whose neighbours brute force finds
_WARM = 500  # rows on which kernels are loaded before the clock starts


def mixture(rows: int, seed: int, dimensions: int = _DIMENSIONS) -> np.ndarray:
    """Unit rows (float32 [rows, dimensions]) about topics that overlap.

    Topics are unequal (Pareto) and differ along a few common directions; the rows of each spread along directions of
    its own that weaken as the square root, and all of them over full noise. The nearest neighbours lie about as they
    do among sentence vectors of mixed texts: at cosines of 0.6 (10th) and 0.45 (100th).
    """
    random = np.random.default_rng(seed)

    def directions(*shape: int) -> np.ndarray:
        drawn = random.standard_normal((*shape, dimensions), dtype=np.float32)
        return drawn / np.sqrt(np.arange(1, shape[-1] + 1, dtype=np.float32) * dimensions)[:, None]

    topics = min(_TOPICS, max(rows // 20, 2))
    centres = unit(random.standard_normal((topics, _COMMON), dtype=np.float32) @ directions(_COMMON))
    own = directions(topics, _OWN)
    weights = random.pareto(1.5, topics) + 0.3
    of = random.choice(topics, rows, p=weights / weights.sum())
    vectors = np.empty((rows, dimensions), dtype=np.float32)
    for topic in range(topics):
        members = np.flatnonzero(of == topic)
        spread = random.standard_normal((len(members), _OWN), dtype=np.float32)
        vectors[members] = centres[topic] + np.float32(_SPREAD) * spread @ own[topic]
    for at in range(0, rows, _BLOCK):
        block = vectors[at : at + _BLOCK]
        noise = random.standard_normal(block.shape, dtype=np.float32)
        vectors[at : at + _BLOCK] = unit(block + noise * np.float32(_NOISE / np.sqrt(dimensions)))
    return vectors


def kmeans(plan: Plan) -> list[Line]:
    """Our k-means and scikit-learn's from one start, with as many clusters, by seconds and inertia."""
    from sklearn.cluster import KMeans

    vectors = mixture(plan.rows, plan.seed)
    k = max(2, round(np.sqrt(plan.rows / 2)))
    params = ClusterParams(k=k)
    cluster(vectors[:_WARM], ClusterParams(k=2), plan.seed)
    measured = paired(
        lambda: cluster(vectors, params, plan.seed).labels,
        lambda: KMeans(k, n_init=1, random_state=plan.seed).fit(vectors).labels_,
        plan.repeats,
    )
    ratio = inertia(vectors, measured.result) / inertia(vectors, measured.peer)
    note = (
        f"{k} clusters of a seeded mixture of {_TOPICS} topics that overlap, unit rows; KMeans(n_init=1), else as it "
        "comes. Inertia is computed alike from the labels of both."
    )
    size = f"{plan.rows:,} × {vectors.shape[1]}"
    quality, good = f"inertia {ratio:.4f} of its", ratio <= 1.01
    peer, seconds = versioned("scikit-learn"), (measured.ours, measured.theirs)
    return [Line("kmeans", size, peer, seconds, measured.faster, 3, quality, good, note)]


def inertia(vectors: np.ndarray, labels: np.ndarray) -> float:
    """The sum of squared distances of rows (float32 [n, d]) to the mean of their cluster (``labels``, int [n])."""
    k = int(labels.max()) + 1
    counts = np.bincount(labels, minlength=k)
    sums = label_sums(vectors, labels, k)
    squares = sum(
        float((vectors[at : at + _BLOCK].astype(np.float64) ** 2).sum()) for at in range(0, len(labels), _BLOCK)
    )
    return squares - float(((sums**2).sum(axis=1) / np.maximum(counts, 1)).sum())


def neighbours(plan: Plan) -> list[Line]:
    """Our graph of the 10 nearest and exact brute force, by seconds and recall."""
    vectors = mixture(plan.rows, plan.seed)
    queries = np.random.default_rng(plan.seed).choice(plan.rows, min(_QUERIES, plan.rows), replace=False)
    params = NeighborParams(k=_NEIGHBORS)
    neighbor_graph(vectors[:_WARM], NeighborParams(k=_NEIGHBORS, exact_rows=100), plan.seed)
    measured = paired(
        lambda: neighbor_graph(vectors, params, plan.seed).indices,
        lambda: brute_force(vectors, queries),
        plan.repeats,
        scale=plan.rows / len(queries),
    )
    shared = [np.isin(*pair).sum() for pair in zip(measured.peer, measured.result[queries], strict=True)]
    recall = float(np.sum(shared)) / measured.peer.size
    note = (
        f"the {_NEIGHBORS} nearest of the vectors of `kmeans`; brute force is matrix products by blocks and "
        f"np.argpartition, run for {len(queries):,} rows and scaled to all; recall is over these rows."
    )
    size = f"{plan.rows:,} × {vectors.shape[1]}"
    peer, seconds = f"brute force, {versioned('numpy')}", (measured.ours, measured.theirs)
    return [Line("neighbours", size, peer, seconds, measured.faster, 5, f"recall {recall:.4f}", recall >= 0.99, note)]


def brute_force(vectors: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The nearest rows of rows (int64 [m]) of ``vectors``, themselves left out: int64 [m, 10], in no order."""
    step = max(1, (1 << 24) // len(vectors))
    found = []
    for at in range(0, len(queries), step):
        own = queries[at : at + step]
        cosines = vectors[own] @ vectors.T
        cosines[np.arange(len(own)), own] = -np.inf
        found.append(np.argpartition(cosines, -_NEIGHBORS, axis=1)[:, -_NEIGHBORS:])
    return np.concatenate(found)
