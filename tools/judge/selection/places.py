"""Rows by their place in their cluster: furthest from its centroid, closest to it, or any; each cluster in proportion.

Far rows are the hard and unlike ones, near rows the typical ones. Which to keep depends on how many rows there are:
hard ones where data is plentiful, easy ones where it is scarce (Sorscher et al. 2022, arXiv 2206.14486, §3).
"""

import numpy as np

from ...threads import in_threads
from ...vectors.neighbors import unit
from ...vectors.partition.lloyd import label_sums
from ..coreset import Bounds, in_proportion

_BLOCK = 8192


def furthest(likeness: np.ndarray, labels: np.ndarray, size: int) -> np.ndarray:
    """The rows least like the centroid of their cluster, int64 [size].

    Args:
        likeness: float [n], to the centroid: a cosine, or a distance with its sign turned.
        labels: int [n]; every cluster, and the noise (−1) as one, keeps its share, by largest remainders.
        size: how many stay.
    """
    return _in_clusters(-np.asarray(likeness, dtype=np.float64), labels, size)


def closest(likeness: np.ndarray, labels: np.ndarray, size: int) -> np.ndarray:
    """The rows most like the centroid of their cluster, int64 [size]; the arguments are those of ``furthest``."""
    return _in_clusters(np.asarray(likeness, dtype=np.float64), labels, size)


def any_of_each(labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Rows of each cluster (``labels``, int [n]) by lot, in proportion: int64 [size]."""
    return _in_clusters(np.random.default_rng(seed).random(len(labels)), labels, size)


def to_centroid(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The cosine of each row to the mean direction of its cluster, float32 [n].

    Args:
        vectors: float32 [n, d], unit length.
        labels: int [n]; the rows of a label are a cluster, those of the noise (−1) another.
    """
    own = strata(labels)
    centroids = unit(label_sums(vectors, own, int(own.max(initial=-1)) + 1)).astype(np.float32)
    found = np.empty(len(vectors), dtype=np.float32)

    def work(at: int) -> None:
        block = slice(at, at + _BLOCK)
        found[block] = np.einsum("nd,nd->n", vectors[block], centroids[own[block]])

    for _ in in_threads(work, range(0, len(vectors), _BLOCK)):
        pass
    return found


def strata(labels: np.ndarray) -> np.ndarray:
    """Labels (int [n], any) as numbers from 0 without gaps, in their order: int64 [n]."""
    return np.asarray(np.unique(labels, return_inverse=True)[1], dtype=np.int64)


def free(size: int, own: np.ndarray) -> Bounds:
    """The bounds of a choice that has to keep nothing but a size and the shares of strata (int [n] from 0)."""
    return Bounds(size, own, (), np.zeros(len(own), dtype=bool))


def top(rank: np.ndarray, size: int) -> np.ndarray:
    """The rows of the highest ``rank`` (float [n]), of equals the first: int64 [size], ascending."""
    return np.sort(np.argsort(-np.asarray(rank, dtype=np.float64), kind="stable")[:size])


def _in_clusters(rank: np.ndarray, labels: np.ndarray, size: int) -> np.ndarray:
    return np.flatnonzero(in_proportion(rank, free(size, strata(labels))))
