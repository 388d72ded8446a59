"""Lloyd's algorithm (1982) over all processors, with the same result for any number of them.

Rows are worked on in blocks that depend on the data alone, each product by one thread; what the blocks add up to is
summed in their order. Every bit is therefore the same whoever computed which block, and when.
"""

from collections.abc import Callable

import numpy as np

from ...threads import in_threads

_BLOCK = 8192  # rows whose sums are taken at once
_SCORES = 1 << 22  # scores held by each thread: 16 MB


def assigned(vectors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The nearest centroid of each row by Euclidean distance, of equal ones the first: int32 [n].

    Args:
        vectors: float32 [n, d]; may be a memory map.
        centroids: float [k, d].
    """
    across = np.ascontiguousarray(centroids.T, dtype=np.float32)
    half = ((centroids.astype(np.float64) ** 2).sum(axis=1) / 2).astype(np.float32)
    step = max(1, min(_BLOCK, _SCORES // max(len(centroids), 1)))
    labels = np.empty(len(vectors), dtype=np.int32)

    def work(at: int) -> None:
        scores = np.asarray(vectors[at : at + step], dtype=np.float32) @ across
        scores -= half
        labels[at : at + step] = scores.argmax(axis=1)

    for _ in in_threads(work, range(0, len(vectors), step)):
        pass
    return labels


def label_sums(
    vectors: np.ndarray, labels: np.ndarray, k: int, scale: Callable[[np.ndarray], np.ndarray] = np.asarray
) -> np.ndarray:
    """The sum of the rows of each label (int [n], −1 for none), float64 [k, d]; ``scale`` is applied to them before."""
    from scipy.sparse import csr_array

    def work(at: int) -> np.ndarray:
        own = labels[at : at + _BLOCK]
        rows = np.flatnonzero(own >= 0)
        member = csr_array((np.ones(len(rows)), (own[rows], rows)), shape=(k, len(own)))
        return np.asarray(member @ scale(np.asarray(vectors[at : at + _BLOCK], dtype=np.float64)))

    sums = np.zeros((k, vectors.shape[1]))
    starts = range(0, len(labels), _BLOCK)
    for part in in_threads(work, starts) if len(starts) > 1 else map(work, starts):
        sums += part
    return sums


def lloyd(vectors: np.ndarray, centroids: np.ndarray, rounds: int, least: float) -> np.ndarray:
    """Centroids (float32 [k, d]) after so many rounds, or when one takes a share below ``least`` off the inertia.

    A centroid that no row is nearest to stays where it is.

    Args:
        vectors: float32 [n, d], of unit length or zero, with ``least`` = 0 of any length; may be a memory map.
        centroids: float [k, d], to start from.
    """
    before = np.inf
    for _ in range(rounds):
        labels = assigned(vectors, centroids)
        counts = np.bincount(labels, minlength=len(centroids))[:, None]
        sums = label_sums(vectors, labels, len(centroids))
        means = np.divide(sums, counts, out=centroids.astype(np.float64), where=counts > 0)
        centroids = means.astype(np.float32)
        inertia = len(vectors) - float((sums * means)[counts[:, 0] > 0].sum())
        if before - inertia <= least * inertia:
            break
        before = inertia
    return centroids
