"""Rows that leave no other far away: k-center greedy, and facility location."""

import heapq
from itertools import pairwise

import numpy as np

from ..coreset import PART, representative
from .places import free, strata

#: Rows times rows to choose up to which k-center greedy looks at all rows at once.
WHOLE = 50_000_000


def k_center(vectors: np.ndarray, size: int, labels: np.ndarray | None = None) -> np.ndarray:
    """Rows such that the furthest other row is near one of them, int64 [size].

    The greedy k-center (Gonzalez 1985; for training sets Sener and Savarese 2018, arXiv 1708.00489): always the row
    that is furthest from all chosen so far, which comes within twice the best radius. It begins with the row nearest to
    the mean. With ``labels`` distances are looked at within clusters alone: each step takes the row that is furthest
    from those of its own cluster, so that rows on either side of a border may stand near each other; all clusters
    reach the same radius.

    Args:
        vectors: float32 [n, d], of any length.
        size: how many stay.
        labels: int [n], or None.
    """
    own = np.zeros(len(vectors), dtype=np.int64) if labels is None else strata(labels)
    order = np.argsort(own, kind="stable")
    rows = np.asarray(vectors[order], dtype=np.float32)
    squares = np.einsum("nd,nd->n", rows, rows)
    bounds = np.searchsorted(own[order], np.arange(int(own.max(initial=-1)) + 2))
    gap = np.full(len(rows), np.inf, dtype=np.float32)  # squared, to the nearest chosen row of the cluster
    heap = []  # of each cluster its widest gap, and the row there
    for cell, (first, end) in enumerate(pairwise(bounds.tolist())):
        mean = rows[first:end].mean(axis=0, dtype=np.float64).astype(np.float32)
        start = first + int(np.argmin(squares[first:end] - 2 * (rows[first:end] @ mean)))
        heap.append((-np.inf, cell, start))
    heapq.heapify(heap)
    chosen = list[int]()
    while len(chosen) < size:
        _, cell, row = heapq.heappop(heap)
        chosen.append(row)
        part = slice(bounds[cell], bounds[cell + 1])
        distance = squares[part] - 2 * (rows[part] @ rows[row]) + squares[row]
        np.minimum(gap[part], distance, out=gap[part])
        gap[row] = -1  # no row is chosen twice, not even where all are alike
        following = int(bounds[cell] + np.argmax(gap[part]))
        if gap[following] > -1:
            heapq.heappush(heap, (-float(max(gap[following], 0)), cell, following))
    return np.sort(order[np.array(chosen, dtype=np.int64)])


def facility_location(vectors: np.ndarray, size: int, labels: np.ndarray, seed: int) -> np.ndarray:
    """Rows that stand for the others by the sum of cosines to the nearest of them, int64 [size].

    Greedy, among up to 512 rows over all of them (within 1 − 1/e of the best), above within parts of clusters
    (``coreset.representative``).

    Args:
        vectors: float32 [n, d], unit length.
        size: how many stay.
        labels: int [n], the cluster of each row.
        seed: of the parts that large clusters are cut into.
    """
    whole = np.zeros(len(vectors), dtype=np.int64)
    cells = whole if len(vectors) <= PART else strata(labels)
    bounds = free(size, whole)
    return np.flatnonzero(representative(vectors, cells, bounds, bounds.fixed, seed)[0])
