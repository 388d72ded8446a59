"""Which rows to take: the anchor and the sealed rows, and pruning within a cluster by distance to its centroid."""

import numpy as np

from ...state.actions import Strategy
from ...state.params.preparation import AnchorParams, SealedParams


def choose_anchor(rows: np.ndarray, params: AnchorParams, seed: int, groups: np.ndarray | None = None) -> np.ndarray:
    """A uniform sample of positions by whole groups, ascending: close to ``fraction`` of them, ``max_rows`` at most.

    No group stands in the sample and outside it, so that one larger than the sample is never in it, and the sample is
    smaller than asked for where no group fits any more.

    Args:
        rows: the positions to choose from, uint32 [n].
        params: the size.
        seed: the sample depends on it, on the rows and on the groups alone.
        groups: the group of each row, integers [n]; None: each is one of its own.
    """
    size = anchor_size(len(rows), params)
    return _whole_groups(rows, size, np.random.default_rng([seed, 0xA2C402]), groups)


def choose_sealed(rows: np.ndarray, size: int, seed: int, groups: np.ndarray) -> np.ndarray:
    """The same of ``size`` positions at the most, drawn apart from the anchor: uint32, ascending.

    Args:
        rows: the positions to choose from, uint32 [n], of which none is in the anchor.
        size: how many at the most.
        seed: as for the anchor; the draws are not the same.
        groups: the group of each row, integers [n].
    """
    return _whole_groups(rows, size, np.random.default_rng([seed, 0x5EA1ED]), groups)


def _whole_groups(rows: np.ndarray, size: int, rng: np.random.Generator, groups: np.ndarray | None) -> np.ndarray:
    """A uniform sample of ``rows`` by whole groups, ascending: ``size`` at the most."""
    group, counts = np.unique(
        np.arange(len(rows)) if groups is None else groups, return_inverse=True, return_counts=True
    )[1:]
    fitting = np.flatnonzero(counts <= size)
    drawn = rng.choice(fitting, size=min(size, len(fitting)), replace=False)
    if counts[drawn].max(initial=1) > 1:  # so many groups may not do
        drawn = np.concatenate([drawn, rng.permutation(np.setdiff1d(fitting, drawn))])
    chosen = np.zeros(len(counts), dtype=bool)
    while len(drawn := drawn[counts[drawn] <= size]):
        fits = int(np.searchsorted(np.cumsum(counts[drawn]), size, side="right"))
        chosen[drawn[:fits]] = True
        size -= int(counts[drawn[:fits]].sum())
        drawn = drawn[fits:]
    return np.sort(rows[chosen[group]])


def anchor_size(rows: int, params: AnchorParams) -> int:
    """How many of so many rows are to be held out."""
    return min(params.max_rows, max(1, round(rows * params.fraction)))


def sealed_size(rows: int, params: SealedParams) -> int:
    """How many of so many rows are to be sealed, if they are enough."""
    return min(params.max_rows, round(rows * params.fraction))


def prune_cluster(
    similarity: np.ndarray, strategy: Strategy, keep_fraction: float, seed: int, quality: np.ndarray | None = None
) -> np.ndarray:
    """Which members of one cluster to remove, as indices [m] into its members.

    ``keep_furthest`` keeps the rows far from the centroid (the hard and the unlike: Sorscher et al. 2022, §3;
    SemDeDup, Abbas et al. 2023), ``keep_closest`` the typical ones, ``keep_random`` a uniform sample.

    Args:
        similarity: float [n], cosine of each member to the centroid of the cluster.
        strategy: which members stay; ``drop`` keeps none.
        keep_fraction: share of the members that stay, in [0, 1].
        quality: predicted quality of each member, float [n], or None. ``keep_furthest`` and ``keep_closest`` then go by
            ``standing``, so that quality has half a say and never the whole.
    """
    size = len(similarity)
    if strategy == "drop":
        return np.arange(size)
    remove = size - int(np.ceil(size * keep_fraction))
    if strategy == "keep_random":
        order = np.random.default_rng(seed).permutation(size)
    elif quality is not None:
        order = np.argsort(standing(similarity, strategy, quality), kind="stable")
    else:
        order = np.argsort(similarity, kind="stable")  # furthest first
        if strategy == "keep_furthest":
            order = order[::-1]
    return np.sort(order[:remove])


def standing(similarity: np.ndarray, strategy: Strategy, quality: np.ndarray) -> np.ndarray:
    """What decides who stays where quality is known: the mean of a row's two ranks, by place and by quality.

    Ranks rather than values, because cosines and scores have no common scale.

    Returns:
        float64 [n] in (0, 1], 1 for the row that is first in both; equal values share a rank.
    """
    from scipy.stats import rankdata

    place = rankdata(-similarity if strategy == "keep_furthest" else similarity)
    return np.asarray((place + rankdata(quality)) / (2 * len(similarity)))
