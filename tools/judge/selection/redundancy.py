"""Rows that repeat no other by meaning: SemDeDup, and D4, which takes the prototypes out of what SemDeDup leaves."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from ...threads import in_threads
from .places import strata, to_centroid, top

_ROWS = 1024  # rows held against those before them at a time,
_COLUMNS = 8192  # and so many of these
DEDUPLICATED = 0.75  # share of the rows that D4 deduplicates to, where fewer are to stay


def semdedup(vectors: np.ndarray, labels: np.ndarray, size: int) -> np.ndarray:
    """The rows that repeat others least, int64 [size].

    SemDeDup (Abbas et al. 2023, arXiv 2303.09540, §3): within each cluster rows stand from the furthest from the
    centroid to the nearest, and one goes if it is more like a row before it than a threshold. The threshold here is the
    one that leaves ``size`` rows. Time grows with the square of a cluster, memory does not.

    Args:
        vectors: float32 [n, d], unit length.
        labels: int [n], the cluster of each row; the noise (−1) is one more.
        size: how many stay.
    """
    return top(-repetition(vectors, labels), size)


def d4(vectors: np.ndarray, labels: np.ndarray, size: int, cluster: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Deduplicated rows without the most prototypical ones, int64 [size].

    D4 (Tirumala et al. 2023, arXiv 2308.12284, §3.4): SemDeDup leaves 75 % of the rows, these are clustered anew, and
    of them go those nearest to their centroid (the prototypes of Sorscher et al. 2022), whichever their cluster.
    Without the first step the prototypes would be those of copies.

    Args:
        vectors: float32 [n, d], unit length.
        labels: int [n], the cluster of each row.
        size: how many stay.
        cluster: from vectors to labels, for the second clustering.
    """
    distinct = semdedup(vectors, labels, max(size, round(DEDUPLICATED * len(vectors))))
    left = vectors[distinct]
    return np.asarray(distinct[top(-to_centroid(left, cluster(left)), size)])


def repetition(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How much each row repeats: its highest cosine to a row of its cluster that is further from the centroid.

    Float32 [n], −2 for the furthest of each cluster; of equals the first by position counts as the further.
    """
    own = strata(labels)
    order = np.lexsort((np.arange(len(own)), to_centroid(vectors, own), own))
    rows = np.asarray(vectors[order], dtype=np.float32)
    found = np.full(len(own), -2, dtype=np.float32)

    def work(span: tuple[int, int, int]) -> None:
        start, first, end = span
        best = np.full(end - first, -2, dtype=np.float32)
        for left in range(start, end, _COLUMNS):
            right = min(left + _COLUMNS, end)
            alike = rows[first:end] @ rows[left:right].T
            if right > first:  # rows do not stand before themselves, nor those behind them
                alike[np.arange(left, right)[None, :] >= np.arange(first, end)[:, None]] = -2
            np.maximum(best, alike.max(axis=1), out=best)
        found[order[first:end]] = best

    for _ in in_threads(work, _spans(own[order])):
        pass
    return found


def _spans(own: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Where a cluster starts, and the first and last + 1 of some of its rows, of sorted labels (int [n])."""
    bounds = np.searchsorted(own, np.arange(int(own.max(initial=-1)) + 2)).tolist()
    for start, end in pairwise(bounds):
        for first in range(start, end, _ROWS):
            yield start, first, min(first + _ROWS, end)
