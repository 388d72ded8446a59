"""Balanced rows: hierarchical k-means, and from its top down an equal share for every branch.

k-means places most of its centroids where most rows are, so that common themes take most of the clusters. Clustered
again, the centroids spread more evenly, level by level (Vo et al. 2024, arXiv 2405.15613).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ...vectors.partition.lloyd import assigned, lloyd
from ...vectors.partition.seeding import seeded
from ...vectors.reduce import pca
from ..coreset import first_of_each

RESAMPLED = 10  # rounds of resampling
_ROUNDS = 10  # of Lloyd's algorithm on a sample,
_LAST_ROUNDS = 1  # and on all points
_SAMPLED = 16  # points to a centroid in that sample, at least
_LEAST_SAMPLE = 20_000
_COMPONENTS = 50  # that k-means++ looks at
_FIRST, _MOST, _RATIO, _LEAST = 10, 1500, 5, 10  # of the levels by default


@dataclass(frozen=True)
class Tree:
    """Rows under clusters under clusters: ``parents[0]`` is the cluster of each row (int32 [n]), ``parents[t]`` that of
    each cluster of level t (int32 [k_t]). Every cluster holds a row."""

    parents: tuple[np.ndarray, ...]

    def labels(self, level: int) -> np.ndarray:
        """The cluster of each row at a level, from 1 on: int32 [n]."""
        found = self.parents[0]
        for parent in self.parents[1:level]:
            found = parent[found]
        return found


def levels_of(rows: int) -> tuple[int, ...]:
    """How many clusters each level has by default, the lowest first: 10 rows each but at most 1,500, then a fifth."""
    found = [max(1, min(_MOST, rows // _FIRST))]
    while found[-1] // _RATIO >= _LEAST:
        found.append(found[-1] // _RATIO)
    return tuple(found)


def hierarchy(vectors: np.ndarray, levels: Sequence[int], resampled: int, seed: int) -> Tree:
    """Hierarchical k-means with resampling.

    Each level clusters the centroids of the one below it. On every level but the first (and on the only one, where
    there is but one) the clustering is then repeated ``resampled`` times on a resample: of each cluster those nearest
    to its centroid, half the mean size of the clusters.

    Args:
        vectors: float32 [n, d], of any length.
        levels: clusters of each level, falling.
        resampled: how often; 0 for hierarchical k-means alone.
        seed: of the starts.
    """
    parents, points = [], np.asarray(vectors, dtype=np.float32)
    for level, k in enumerate(levels):
        random = np.random.default_rng([seed, level])
        again = resampled if level or len(levels) == 1 else 0
        centroids = _kmeans(points, k, random)
        for _ in range(again):
            labels = assigned(points, centroids)
            centroids = _kmeans(points[_resample(points, centroids, labels)], k, random)
        present, labels = np.unique(assigned(points, centroids), return_inverse=True)
        parents.append(labels.astype(np.int32))
        points = centroids[present]
    return Tree(tuple(parents))


def _resample(points: np.ndarray, centroids: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of each cluster (``labels``, int [n]) the points nearest to its centroid, half the mean size: bool [n]."""
    quota = np.full(len(centroids), max(1, len(points) // (2 * len(centroids))))
    distance = np.empty(len(points))
    for at in range(0, len(points), _LEAST_SAMPLE):
        block = slice(at, at + _LEAST_SAMPLE)
        distance[block] = ((points[block] - centroids[labels[block]]) ** 2).sum(axis=1)
    return first_of_each(-distance, labels, quota, np.zeros(len(points), dtype=bool))


def _kmeans(points: np.ndarray, k: int, random: np.random.Generator) -> np.ndarray:
    """Centroids (float32 [min(k, n), d]) of points (float32 [n, d]): k-means++, then rounds on a sample and on all."""
    from threadpoolctl import threadpool_limits

    k = min(k, len(points))
    count = min(len(points), max(_LEAST_SAMPLE, _SAMPLED * k))
    sample = points if count == len(points) else points[np.sort(random.choice(len(points), count, replace=False))]
    with threadpool_limits(1):
        seen = sample if sample.shape[1] <= _COMPONENTS else pca(sample, _COMPONENTS)
        start = sample[seeded(seen, k, random)]
        centroids = lloyd(sample, start, _ROUNDS, least=0)
        return centroids if sample is points else lloyd(points, centroids, _LAST_ROUNDS, least=0)


def balanced(tree: Tree, size: int, seed: int) -> np.ndarray:
    """Rows by lot such that every branch of a tree has an equal share as far as it holds so many, int64 [size].

    From the top down: what a cluster may keep is split among the clusters in it by ``water_filled``; in the lowest
    clusters rows are drawn by lot (hierarchical sampling, Vo et al. 2024, §3.4).
    """
    rows = len(tree.parents[0])
    sizes = [np.bincount(tree.parents[0])]
    for parent in tree.parents[1:]:
        sizes.append(np.bincount(parent, sizes[-1]).astype(np.int64))
    quota = water_filled(sizes[-1], size)
    for below, parent in zip(reversed(sizes[:-1]), reversed(tree.parents[1:]), strict=True):
        own = np.zeros(len(below), dtype=np.int64)
        order = np.argsort(parent, kind="stable")
        bounds = np.searchsorted(parent[order], np.arange(len(quota) + 1))
        for cluster, (first, end) in enumerate(pairwise(bounds.tolist())):
            inside = order[first:end]
            own[inside] = water_filled(below[inside], int(quota[cluster]))
        quota = own
    lot = np.random.default_rng(seed).random(rows)
    return np.flatnonzero(first_of_each(lot, tree.parents[0], quota, np.zeros(rows, dtype=bool)))


def water_filled(sizes: np.ndarray, total: int) -> np.ndarray:
    """How many each of some clusters keeps so that ``total`` do: one level for all, or all that it has (int64 [c]).

    Args:
        sizes: int [c]; where a level leaves a rest, the largest have one more, of equals the first.
        total: at most their sum.
    """
    sizes = np.asarray(sizes, dtype=np.int64)
    ascending = np.sort(sizes)
    # What all would keep with the level at each size in turn: those below it all that they have.
    kept = np.concatenate([[0], np.cumsum(ascending)[:-1]]) + ascending * (len(sizes) - np.arange(len(sizes)))
    full = int(np.searchsorted(kept, total, side="right"))  # so many keep all
    if full == len(sizes):
        return np.array(sizes)
    level, rest = divmod(total - int(ascending[:full].sum()), len(sizes) - full)
    found = np.minimum(sizes, level)
    more = np.argsort(-sizes, kind="stable")[:rest]
    found[more] += 1
    return np.asarray(found)
