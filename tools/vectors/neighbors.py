"""The nearest neighbours of every row by cosine: one graph that every tool shares; and rows of unit length."""

from dataclasses import dataclass

import numpy as np

from ...state.params.vectors import NeighborParams
from ...state.phrases import Advance, silent
from ..threads import in_threads

_BLOCK_VALUES = 1 << 24  # similarities held at a time: 64 MB
_QUERIES = 1024  # queries taken at a time,
_COLUMNS = 1 << 16  # and vectors that they meet at a time


@dataclass(frozen=True)
class NeighborGraph:
    """The k nearest neighbours of each row, itself excluded, nearest first.

    ``indices`` int32 [n, k]; ``similarities`` float32 [n, k], cosine. Where a row has fewer than k neighbours,
    index and similarity are −1.
    """

    indices: np.ndarray
    similarities: np.ndarray


def unit(rows: np.ndarray) -> np.ndarray:
    """The rows (float [n, d]) scaled to length one, in their own precision; rows of zeros stay."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0))


def neighbor_graph(vectors: np.ndarray, params: NeighborParams, seed: int, advance: Advance = silent) -> NeighborGraph:
    """The graph of ``params.k`` nearest neighbours by cosine.

    Exact, by blocks of the similarity matrix, up to ``params.exact_rows`` rows; approximate above, by cells and local
    joins (``partition.descent``). Equal similarities go to the lower index. All processors work on it; how many they
    are changes nothing.

    Args:
        vectors: float32 [n, d], unit length; may be a memory map. The approximation reads all of it into memory.
        params: k and the row count up to which the graph is exact.
    """
    from threadpoolctl import threadpool_limits

    # Each product by one thread: what several make of it depends on how many they are.
    with threadpool_limits(1):
        if len(vectors) <= params.exact_rows:
            return _exact(vectors, params.k, advance)
        from .partition.descent import neighbor_lists

        graph = NeighborGraph(*neighbor_lists(vectors, params.k, seed))
    advance(len(vectors))
    return graph


def _exact(vectors: np.ndarray, k: int, advance: Advance) -> NeighborGraph:
    """The graph by comparing every row with every other."""
    from .partition.descent import offer

    indices, similarities = _table(len(vectors), k)
    similarities[:] = -np.inf
    names = np.arange(len(vectors), dtype=np.int32)
    step = max(1, _BLOCK_VALUES // (4 * max(1, len(vectors))))

    def work(start: int) -> int:
        own = names[start : start + step]
        offer(_cosines(vectors[start : start + step], vectors), own, names, indices, similarities)
        return len(own)

    for count in in_threads(work, range(0, len(vectors), step)):
        advance(count)
    similarities[indices < 0] = -1
    return NeighborGraph(indices, similarities)


def restrict(graph: NeighborGraph, kept: np.ndarray) -> NeighborGraph:
    """The neighbours that kept rows (bool [n]) have among themselves, by their place among these.

    Any other neighbour becomes −1 where it stood.
    """
    indices = graph.indices[kept]
    stays = (indices >= 0) & kept[indices]
    place = np.cumsum(kept, dtype=np.int32) - 1
    return NeighborGraph(
        indices=np.where(stays, place[indices], np.int32(-1)),
        similarities=np.where(stays, graph.similarities[kept], np.float32(-1)),
    )


def nearest(
    vectors: np.ndarray, queries: np.ndarray, k: int, kept: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest vectors of each query by cosine, exact.

    Args:
        vectors: float32 [n, d], unit length.
        queries: float32 [m, d], unit length.
        kept: bool [n], the vectors that may be found; None means all.

    Returns:
        Indices (int32 [m, k]) and cosines (float32 [m, k]), nearest first; both −1 where there are fewer. Equal
        similarities go to the lower index.
    """
    indices, similarities = _table(len(queries), k)
    for start in range(0, len(queries), _QUERIES):
        block = slice(start, start + _QUERIES)
        for left in range(0, len(vectors), _COLUMNS):
            columns = slice(left, left + _COLUMNS)
            cosines = _cosines(queries[block], vectors[columns])
            if kept is not None:
                cosines[:, ~kept[columns]] = -np.inf
            at, values = _best(cosines, min(k, cosines.shape[1]))
            # Found so far, then what this block adds: at equal similarity the lower index stays in front.
            at = np.hstack([indices[block], np.where(np.isinf(values), -1, at + left)])
            values = np.where(at < 0, -np.inf, np.hstack([similarities[block], values]))
            order = np.argsort(-values, axis=1, kind="stable")[:, :k]
            indices[block] = at = np.take_along_axis(at, order, axis=1)
            similarities[block] = np.where(at < 0, -1, np.take_along_axis(values, order, axis=1))
    return indices, similarities


def nearest_among(
    near: NeighborGraph, vectors: np.ndarray, queries: np.ndarray, kept: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest kept vector of each query: its index (int32 [m], −1 for none) and cosine (float32 [m]).

    As ``nearest`` finds them, and at once where one of the neighbours that are known is kept.

    Args:
        near: the nearest vectors of each query, nearest first.
        vectors: float32 [n, d]; ``queries``: float32 [m, d]; ``kept``: bool [n].
    """
    there = (near.indices >= 0) & kept[near.indices]
    first = there.argmax(axis=1)[:, None]
    found, cosines = (np.take_along_axis(part, first, axis=1)[:, 0] for part in (near.indices, near.similarities))
    alone = ~there.any(axis=1)
    if alone.any():
        found[alone], cosines[alone] = (part[:, 0] for part in nearest(vectors, queries[alone], 1, kept))
    return found, cosines


def _table(rows: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices and similarities of a graph without neighbours."""
    return np.full((rows, k), -1, dtype=np.int32), np.full((rows, k), -1, dtype=np.float32)


def _cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Cosines of unit vectors, float32 [rows of left, rows of right], rounding kept out of [−1, 1]."""
    product = np.asarray(left, dtype=np.float32) @ np.asarray(right, dtype=np.float32).T
    return np.clip(product, -1, 1, out=product)


def _best(cosines: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns and values of the k largest of each row, largest first, equal values by lower column."""
    rows, columns = cosines.shape
    if k < 1:
        return np.empty((rows, 0), dtype=np.int32), np.empty((rows, 0), dtype=np.float32)
    if k == 1:
        chosen = cosines.argmax(axis=1)[:, None]
        return chosen.astype(np.int32), np.take_along_axis(cosines, chosen, axis=1)
    limit = np.partition(cosines, columns - k, axis=1)[:, columns - k, None]
    taken = cosines >= limit
    # Rows in which more than one value stands at the limit take only as many of them as there is room for.
    for row in np.flatnonzero(taken.sum(axis=1) > k):
        tied = np.flatnonzero(cosines[row] == limit[row])
        room = k - int((cosines[row] > limit[row]).sum())
        taken[row, tied[room:]] = False
    chosen = np.nonzero(taken)[1].reshape(rows, k)
    values = np.take_along_axis(cosines, chosen, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(chosen, order, axis=1).astype(np.int32), np.take_along_axis(values, order, axis=1)
