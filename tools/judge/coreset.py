"""Which rows a smaller set keeps: what each stratum may keep, and rows that stand for the others.

All functions are pure and give the same rows for the same input: where two rows rank alike, the first of them stays.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

PART = 512  # rows that are held against one another at a time
_COSINES = 1 << 24  # cosines to endorsed rows that are held at a time: 64 MB
_STEPS = 10_000  # cosines count in such parts, whole numbers that add up alike on every machine


@dataclass(frozen=True)
class Bounds:
    """What holds for every choice among n rows.

    ``total``: how many stay, at most, unless more are ``fixed`` (bool [n]), which stay in any case. ``strata``: int [n]
    from 0; each shrinks in proportion. ``floors``: int [n] each, −1 for none: of every part the best row stays.
    """

    total: int
    strata: np.ndarray
    floors: tuple[np.ndarray, ...]
    fixed: np.ndarray

    def best_fixed(self, rank: np.ndarray) -> np.ndarray:
        """Which rows stay in any case, the best of every part by ``rank`` (float [n]) among them: bool [n]."""
        found = self.fixed.copy()
        for part in self.floors:
            found[best_of(part, rank)] = True
        return found


def best_of(parts: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """The index of the best row by ``rank`` (float [n]) of each part (int [n], −1 for none)."""
    there = np.flatnonzero(parts >= 0)
    order = there[np.lexsort((there, -rank[there], parts[there]))]
    return np.asarray(order[np.unique(parts[order], return_index=True)[1]])


def quotas(sizes: np.ndarray, total: int, least: np.ndarray) -> np.ndarray:
    """How many of each stratum stay so that ``total`` do: in proportion, by largest remainders.

    Args:
        sizes: int [c] of the strata.
        total: over all; more where ``least`` adds up to more.
        least: int [c] that stay of each, at most its size.
    """
    total = int(np.clip(total, least.sum(), sizes.sum()))
    ideal = total * sizes / max(1, sizes.sum())
    found = np.clip(np.floor(ideal).astype(np.int64), least, sizes)
    while (lacking := total - int(found.sum())) != 0:
        step = 1 if lacking > 0 else -1
        open_to = np.flatnonzero(found < sizes if step > 0 else found > least)
        order = open_to[np.argsort(-step * (ideal - found)[open_to], kind="stable")]
        found[order[: abs(lacking)]] += step
    return np.asarray(found)


def in_proportion(rank: np.ndarray, bounds: Bounds, fixed: np.ndarray | None = None) -> np.ndarray:
    """The best of each stratum by ``rank`` (float [n], higher stays), which shrinks in proportion: bool [n].

    ``fixed``: rows that stay in any case, bool [n]; None: those of the bounds and the best of every part.
    """
    fixed = bounds.best_fixed(rank) if fixed is None else fixed
    sizes, least = np.bincount(bounds.strata), np.bincount(bounds.strata, fixed).astype(np.int64)
    return first_of_each(rank, bounds.strata, quotas(sizes, bounds.total, least), fixed)


def at_large(rank: np.ndarray, bounds: Bounds) -> np.ndarray:
    """The best of all by ``rank`` (float [n], higher stays) whatever their stratum, and the best of every part."""
    fixed = bounds.best_fixed(rank)
    total = np.array([min(len(rank), max(bounds.total, int(fixed.sum())))])
    return first_of_each(rank, np.zeros(len(rank), dtype=np.int64), total, fixed)


def first_of_each(rank: np.ndarray, strata: np.ndarray, quota: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """The first ``quota`` (int [c]) rows of each stratum (int [n]), ``fixed`` ones before all others: bool [n]."""
    order = np.lexsort((np.arange(len(rank)), -rank, ~fixed, strata))
    starts = np.searchsorted(strata[order], np.arange(len(quota)))
    place = np.arange(len(rank)) - starts[strata[order]]
    chosen = np.zeros(len(rank), dtype=bool)
    chosen[order[place < quota[strata[order]]]] = True
    return chosen


def representative(
    vectors: np.ndarray, cells: np.ndarray, bounds: Bounds, fixed: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows that stand for the others: in each cell those that raise most the sum over its rows of the cosine to the
    nearest that stays.

    That is facility location, maximised greedily (Wei, Iyer and Bilmes 2015, ICML, §3), which of all subsets of a size
    comes within 1 − 1/e of the best; large cells are cut into random parts of ``PART`` rows (GreeDi, Mirzasoleiman et
    al. 2013). Unlike the rows furthest apart, it does not seek out what is unlike everything.

    Args:
        vectors: float32 [n, d], unit length.
        cells: int [n]: the clusters; each has its share of what its stratum keeps.
        bounds: how many stay.
        fixed: bool [n]: rows that stay in any case.
        seed: of the parts.

    Returns:
        bool [n], the rows that stay, and float64 [n], the cosine of each row to the nearest of them in its part.
    """
    chosen, nearest = np.zeros(len(vectors), dtype=bool), np.zeros(len(vectors))
    sizes, least = np.bincount(bounds.strata), np.bincount(bounds.strata, fixed).astype(np.int64)
    for stratum, quota in enumerate(quotas(sizes, bounds.total, least)):
        parts = list(_parts(np.flatnonzero(bounds.strata == stratum), cells, seed))
        held = np.array([int(fixed[part].sum()) for part in parts], dtype=np.int64)
        for part, take in zip(parts, quotas(np.array([*map(len, parts)]), int(quota), held), strict=True):
            chosen[part], nearest[part] = _covering(vectors[part], int(take), fixed[part])
    return chosen, nearest


def _parts(members: np.ndarray, cells: np.ndarray, seed: int) -> Iterable[np.ndarray]:
    """Rows (indices, int [m]) by cell, large cells cut into random parts."""
    for cell in np.unique(cells[members]):
        inside = members[cells[members] == cell]
        if len(inside) > PART:
            shuffled = np.random.default_rng([seed, int(cell) + 1]).permutation(inside)
            yield from (np.sort(part) for part in np.array_split(shuffled, -(-len(inside) // PART)))
        else:
            yield inside


def _covering(vectors: np.ndarray, take: int, fixed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Facility location among m rows (float32 [m, d]) of which ``take`` stay, ``fixed`` (bool [m]) among them."""
    alike = np.rint(np.clip(vectors @ vectors.T, 0.0, 1.0) * _STEPS)
    chosen = fixed.copy()
    covered = alike[:, fixed].max(axis=1, initial=0.0)
    gains = np.maximum(alike - covered[:, None], 0.0).sum(axis=0, dtype=np.float64)
    for _ in range(take - int(fixed.sum())):
        best = int(np.argmax(np.where(chosen, -1.0, gains)))
        chosen[best] = True
        better = alike[:, best] > covered
        before, after = covered[better, None], alike[better, best][:, None]
        gains -= (np.maximum(alike[better] - before, 0.0) - np.maximum(alike[better] - after, 0.0)).sum(axis=0)
        covered[better] = alike[better, best]
    return chosen, covered / _STEPS


def nearness(vectors: np.ndarray, endorsed: np.ndarray) -> np.ndarray:
    """How near rows are to endorsed ones: the highest cosine to any of them, float64 [n].

    Representation-based selection (RDS+; Ivison et al. 2025, arXiv 2503.01807): rows are ranked by the cosine of their
    representation to those of a few queries. There it is the weighted mean of a language model's hidden states, and the
    queries pick in turn; here it is the run's embedding, and the nearest query counts.

    Args:
        vectors: float32 [n, d], unit length.
        endorsed: float32 [m, d], unit length.
    """
    step = max(1, _COSINES // max(1, len(endorsed)))
    found = np.empty(len(vectors))
    for at in range(0, len(vectors), step):
        found[at : at + step] = (vectors[at : at + step] @ endorsed.T).max(axis=1)
    return found
