"""What is measured of a state of the data beside the probes: coverage of the anchor, redundancy, noise, clustering."""

from dataclasses import dataclass

import numpy as np

from ...state.params.rounds import ObjectiveParams
from ..vectors.neighbors import NeighborGraph

# Naeem et al. take 5 for sets of equal size. The anchor is about a ninth of the training rows: with 5 the balls are so
# wide that nothing short of emptying a region uncovers them; with 2, a set of like rows covers about 99 %.
COVERAGE_NEIGHBORS = 2
OUTLIER_MADS = 3.0


@dataclass(frozen=True)
class Clustering:
    """What the objective takes from a clustering: labels int32 [n] (−1 noise), silhouette and stability."""

    labels: np.ndarray
    silhouette: float | None
    stability: float | None


def anchor_radii(anchor: np.ndarray) -> np.ndarray:
    """Cosine similarity of each anchor row to its ``COVERAGE_NEIGHBORS``-th nearest anchor row, float32 [m]."""
    similarity = anchor @ anchor.T
    np.fill_diagonal(similarity, -1.0)
    k = min(COVERAGE_NEIGHBORS, len(anchor) - 1)
    if k < 1:
        return np.full(len(anchor), -1.0, dtype=np.float32)
    return np.asarray(np.partition(similarity, len(anchor) - k, axis=1)[:, len(anchor) - k])


def balance(labels: np.ndarray) -> float:
    """Entropy of the cluster masses over its maximum, in [0, 1]; ``labels`` int32 [n], noise left out."""
    sizes = np.bincount(labels[labels >= 0])
    if len(sizes) < 2:
        return 0.0
    share = sizes[sizes > 0] / sizes.sum()
    return float(-(share * np.log(share)).sum() / np.log(len(sizes)))


def redundancy(graph: NeighborGraph, cosine: float) -> float:
    """Share of the rows of ``graph`` with a neighbour at least ``cosine`` similar."""
    return float((graph.similarities.max(axis=1, initial=-1.0) >= cosine).mean())


def sparse_below(density: np.ndarray) -> float:
    """The density (mean neighbour cosine, float [n]) below which a row is an outlier.

    The median less three scaled median absolute deviations (Leys et al. 2013).
    """
    median = float(np.median(density))
    return median - OUTLIER_MADS * 1.4826 * float(np.median(np.abs(density - median)))


def clustering_quality(clustering: Clustering, params: ObjectiveParams) -> float:
    """The weighted sum of structure, balance and stability.

    ``structure`` is the mean silhouette times the share of rows that are in a cluster, so that calling rows noise
    does not pay; DBCV is reported beside it and does not enter (it cannot be compared across algorithms).
    """
    return (
        params.structure * (structure(clustering) or 0.0)
        + params.balance * balance(clustering.labels)
        + params.stability * (clustering.stability or 0.0)
    )


def structure(clustering: Clustering) -> float | None:
    """The mean silhouette times the share of rows in a cluster; None where there is no silhouette."""
    clustered = float((clustering.labels >= 0).mean())
    return None if clustering.silhouette is None else clustering.silhouette * clustered
