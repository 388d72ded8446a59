"""Semantic duplicates: rows that say in other words what another row says.

After SemDeDup (Abbas et al. 2023, §3), which compares all pairs of a cluster. Only pairs of the shared neighbour graph
are looked at here: nothing is searched a second time, and no cluster border parts two like rows. Of a group of more
like rows than the graph has neighbours, a few may stay.
"""

import numpy as np
import polars as pl

from ...state.errors import InputError
from ...state.params.preparation import SemanticParams, WhichToKeep
from ...state.params.vectors import NeighborParams
from ...state.rows import Removal
from ..table_tool import TableTool
from ..text.compiled import kernel_later
from ..vectors.embed import table_vectors
from ..vectors.neighbors import NeighborGraph, neighbor_graph, unit
from .wording import same_facts

_COLUMN = {"longest": "text", "best_quality": "quality"}  # that a table must have


_Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]


def semantic_duplicates(
    graph: NeighborGraph, rows: np.ndarray, params: SemanticParams, order: np.ndarray, texts: pl.Series | None = None
) -> Removal:
    """The rows that are at least ``params.cosine`` like a row that stays.

    Rows are visited in keep order, and one goes if it is like a row before it that stays; so A ~ B ~ C never removes C
    for its likeness to a removed B. Two rows are alike if either names the other among its neighbours. With
    ``params.target_rows`` the cosine falls from 1 until no more rows than that are left, or ``params.cosine`` is
    reached; of the rows that the last step would remove, the likest go. Rows that differ in a word on which the meaning
    turns (``wording``) are not alike, whatever their cosine.

    Args:
        graph: the nearest neighbours of n rows.
        rows: their positions in the data, uint32 [n], ascending.
        order: from ``keep_order``, int [n].
        texts: theirs, strings [n]; None where there are vectors alone.

    Returns:
        The rows to remove, each with its cosine to the kept row that ``duplicate_of`` names: of those before it, the
        likest; of equals, the first by position.

    Raises:
        ValueError: graph, rows and order differ in length.
    """
    if not len(graph.indices) == len(rows) == len(order):  # the kernel checks no bounds
        raise ValueError(f"{len(graph.indices)} rows in the graph, {len(rows)} positions, {len(order)} in order")
    pairs = _pairs(graph, params.cosine, texts)
    surplus = len(rows) if params.target_rows is None else max(0, len(rows) - params.target_rows)
    instead, cosine = _thinned(pairs, np.asarray(order, dtype=np.int64), surplus)
    gone = np.flatnonzero(instead >= 0)
    likeness = cosine[gone].astype(np.float64)
    return Removal("semantic_duplicate", rows[gone], likeness, params.cosine, rows[instead[gone]])


def keep_order(
    which: WhichToKeep, size: int, measured: np.ndarray | None = None, last: np.ndarray | None = None
) -> np.ndarray:
    """The rows (int64 [n]) from the one that stays most surely to the one that goes first; equals by position.

    Args:
        which: ``first`` goes by position alone.
        measured: float or int [n], what the choice goes by: text length (``longest``), quality, higher being better
            (``best_quality``), cosine to the centroid of the row's cluster (``nearest``, ``furthest``).
        last: bool [n], rows that stand behind all others, as synthetic ones do; None: none does.
    """
    if which == "first" or measured is None:
        measured = np.zeros(size)
    wish = measured if which == "furthest" else -np.asarray(measured, dtype=np.float64)
    return np.lexsort((wish, np.zeros(size, dtype=bool) if last is None else last)).astype(np.int64)


def _pairs(graph: NeighborGraph, cosine: float, texts: pl.Series | None) -> _Pairs:
    """The pairs of a graph that are at least ``cosine`` alike, from both sides; the higher of two cosines counts.

    Those of row i stand at ``start[i]:start[i + 1]`` (int64 [n + 1]) of the other rows, by position (int64
    [pairs · 2]), and of the cosines (float32, as long).
    """
    near = (graph.indices >= 0) & (graph.similarities >= np.float64(cosine))  # no float32 below it passes
    row, column = np.nonzero(near)
    if texts is not None:
        same = same_facts(texts.gather(row), texts.gather(graph.indices[row, column]))
        row, column = row[same], column[same]
    neighbor, likeness = graph.indices[row, column].astype(np.int64), graph.similarities[row, column]
    own, other = np.concatenate([row, neighbor]), np.concatenate([neighbor, row])
    likeness = np.concatenate([likeness, likeness])
    order = np.lexsort((-likeness, other, own))
    own, other, likeness = own[order], other[order], likeness[order]
    new = np.ones(len(own), dtype=bool)
    new[1:] = (own[1:] != own[:-1]) | (other[1:] != other[:-1])
    count = np.bincount(own[new], minlength=len(graph.indices))
    return np.concatenate([[0], np.cumsum(count)]), other[new], likeness[new]


def _thinned(pairs: _Pairs, order: np.ndarray, surplus: int) -> tuple[np.ndarray, np.ndarray]:
    """Which row stays instead of each (int64 [n], −1 where it stays itself), and their cosine (float32 [n]).

    At most ``surplus`` rows go: those of the highest cosine at which so many would, found by bisection.
    """
    levels = np.unique(pairs[2])
    if not len(levels) or not surplus:
        return np.full(len(order), -1, dtype=np.int64), np.zeros(len(order), dtype=np.float32)
    enough, too_few = 0, len(levels)
    found: tuple[np.ndarray, np.ndarray] = _greedy(*pairs, order, levels[0])
    if (found[0] >= 0).sum() <= surplus:
        return found
    while too_few - enough > 1:
        middle = (enough + too_few) // 2
        tried = _greedy(*pairs, order, levels[middle])
        if (tried[0] >= 0).sum() >= surplus:
            enough, found = middle, tried
        else:
            too_few = middle
    instead, cosine = found
    place = np.argsort(order)
    gone = np.flatnonzero(instead >= 0)
    spared = gone[np.lexsort((-place[gone], -cosine[gone]))][surplus:]
    instead[spared] = -1
    return instead, cosine


@kernel_later
def _greedy(
    start: np.ndarray, other: np.ndarray, cosine: np.ndarray, order: np.ndarray, floor: np.float32
) -> tuple[np.ndarray, np.ndarray]:
    """Visit the rows in ``order``; one at least ``floor`` like a row that stays goes for the likest of these."""
    instead = np.full(len(order), -1, dtype=np.int64)
    likeness = np.zeros(len(order), dtype=np.float32)
    stays = np.zeros(len(order), dtype=np.bool_)
    for row in order:
        for at in range(start[row], start[row + 1]):
            if cosine[at] >= floor and cosine[at] > likeness[row] and stays[other[at]]:
                instead[row], likeness[row] = other[at], cosine[at]
        stays[row] = instead[row] < 0
    return instead, likeness


def _without_repeats(frame: pl.DataFrame, params: SemanticParams, seed: int) -> pl.DataFrame:
    """The frame without the rows whose ``vector`` says what another's says."""
    vectors = table_vectors(frame)
    graph = neighbor_graph(vectors, NeighborParams(), seed)
    order = keep_order(params.which_to_keep, frame.height, _measured(frame, vectors, params.which_to_keep))
    positions = np.arange(frame.height, dtype=np.uint32)
    texts = frame["text"] if "text" in frame.columns else None
    return frame[np.delete(positions, semantic_duplicates(graph, positions, params, order, texts).rows)]


def _measured(frame: pl.DataFrame, vectors: np.ndarray, which: WhichToKeep) -> np.ndarray | None:
    """What ``keep_order`` goes by, [n]; the centroid is that of the rows of equal ``cluster``, or of all."""
    column = _COLUMN.get(which)
    if column is not None and column not in frame.columns:
        raise InputError(f"which_to_keep={which} goes by a column {column!r}; the table has {', '.join(frame.columns)}")
    if which == "longest":
        return frame["text"].str.len_chars().fill_null(0).to_numpy()
    if which == "best_quality":
        return frame["quality"].cast(pl.Float64).fill_nan(None).fill_null(-np.inf).to_numpy()
    if which == "first" or not frame.height:
        return None
    labels = np.zeros(frame.height, dtype=np.int64)
    if "cluster" in frame.columns:
        labels = frame["cluster"].rank("dense").fill_null(0).cast(pl.Int64).to_numpy()
    _, own = np.unique(labels, return_inverse=True)
    order = np.argsort(own, kind="stable")
    first = np.flatnonzero(np.diff(own[order], prepend=-1))
    centroids = unit(np.add.reduceat(vectors[order], first, axis=0, dtype=np.float64))
    return np.asarray(np.einsum("nd,nd->n", vectors, centroids[own]))


TOOL = TableTool("semantic", on_table=_without_repeats, needs="vector")
