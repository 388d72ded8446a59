"""Which rows a smaller set keeps: shares in proportion, the best of every part, and rows that stand for the others."""

from itertools import combinations

import numpy as np
import pytest

from recryst.tools.judge import coreset
from recryst.tools.judge.coreset import Bounds, at_large, in_proportion, nearness, quotas, representative


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def bounds(total, strata, *floors, fixed=()):
    """Bounds for as many rows as ``strata`` has; ``fixed`` are indices."""
    stays = np.zeros(len(strata), dtype=bool)
    stays[list(fixed)] = True
    return Bounds(total, np.array(strata), tuple(np.array(part) for part in floors), stays)


@pytest.mark.parametrize(
    ("sizes", "total", "least", "expected"),
    [
        ([60, 30, 10], 50, [0, 0, 0], [30, 15, 5]),
        ([5, 5, 5], 8, [0, 0, 0], [3, 3, 2]),  # the first of equal remainders
        ([97, 2, 1], 10, [1, 1, 1], [8, 1, 1]),  # a floor is paid for by the largest
        ([4, 4], 1, [2, 1], [2, 1]),  # floors are more than what was asked for
        ([4, 4], 99, [0, 0], [4, 4]),
        ([10, 0], 3, [0, 0], [3, 0]),
    ],
)
def test_strata_shrink_in_proportion_down_to_their_floors(sizes, total, least, expected):
    assert quotas(np.array(sizes), total, np.array(least)).tolist() == expected


def test_the_best_of_each_stratum_stay_and_ties_go_to_the_first():
    rank = np.array([1.0, 3.0, 2.0, 2.0, 9.0, 9.0])
    chosen = in_proportion(rank, bounds(3, [0, 0, 0, 0, 1, 1]))
    assert np.flatnonzero(chosen).tolist() == [1, 2, 4]


def test_every_part_keeps_its_best_row_and_a_fixed_row_stays():
    rank = np.arange(10.0)
    parts = np.array([7, 7, 7, -1, -1, -1, -1, -1, -1, -1])  # what has no part is held by none
    for choose in (in_proportion, at_large):
        chosen = choose(rank, bounds(4, [0] * 10, parts, fixed=[4]))
        assert np.flatnonzero(chosen).tolist() == [2, 4, 8, 9]
    more = at_large(rank, bounds(1, [0] * 10, parts, fixed=[4, 5]))  # more are held than were asked for
    assert np.flatnonzero(more).tolist() == [2, 4, 5]


def test_what_is_at_large_goes_by_rank_alone_whatever_its_stratum():
    rank = np.array([1.0, 2.0, 8.0, 9.0])
    assert np.flatnonzero(at_large(rank, bounds(2, [0, 0, 1, 1]))).tolist() == [2, 3]
    assert np.flatnonzero(in_proportion(rank, bounds(2, [0, 0, 1, 1]))).tolist() == [1, 3]


def covered(vectors, chosen):
    return (vectors @ vectors[list(chosen)].T).clip(0).max(axis=1).sum()


def test_representatives_come_within_the_greedy_bound_of_the_best_subset():
    vectors = unit(np.random.default_rng(0).standard_normal((12, 4)))
    rows = bounds(3, [0] * 12)
    chosen, nearest = representative(vectors, np.zeros(12, dtype=int), rows, rows.fixed, 0)
    assert chosen.sum() == 3
    best = max(covered(vectors, subset) for subset in combinations(range(12), 3))
    assert covered(vectors, np.flatnonzero(chosen)) >= (1 - 1 / np.e) * best
    assert nearest == pytest.approx((vectors @ vectors[chosen].T).clip(0).max(axis=1), abs=1e-4)


def test_they_stand_for_every_group_and_not_for_what_is_alone(monkeypatch):
    rng = np.random.default_rng(1)
    group = np.repeat([0, 1, 2], 30)
    vectors = np.concatenate([np.eye(6)[group] + 0.05 * rng.standard_normal((90, 6)), [[0, 0, 0, 1, 0, 0]]])
    rows = bounds(3, [0] * 91)
    for part in (512, 46):  # whole, and cut into random parts
        monkeypatch.setattr(coreset, "PART", part)
        chosen, _ = representative(unit(vectors), np.zeros(91, dtype=int), rows, rows.fixed, 0)
        assert chosen.sum() == 3
        assert not chosen[90]
    monkeypatch.setattr(coreset, "PART", 512)
    chosen, _ = representative(unit(vectors), np.zeros(91, dtype=int), rows, rows.fixed, 0)
    assert sorted(group[np.flatnonzero(chosen)]) == [0, 1, 2]
    held = np.zeros(91, dtype=bool)
    held[:2] = True
    chosen, _ = representative(unit(vectors), np.zeros(91, dtype=int), rows, held, 0)
    assert chosen[:2].all()
    assert chosen.sum() == 3


def test_clusters_and_strata_have_their_shares():
    vectors = unit(np.random.default_rng(2).standard_normal((80, 5)))
    strata, cells = np.repeat([0, 1], [60, 20]), np.tile([-1, 3, 4, 5], 20)
    rows = bounds(20, strata)
    chosen, _ = representative(vectors, cells, rows, rows.fixed, 0)
    assert np.bincount(strata[chosen]).tolist() == [15, 5]
    assert set(np.unique(cells[chosen & (strata == 0)], return_counts=True)[1]) <= {3, 4}


def test_a_row_is_as_near_as_to_the_nearest_endorsed_one():
    endorsed = unit(np.array([[1.0, 0.0], [0.0, 1.0]]))
    assert nearness(unit(np.array([[1.0, 0.1], [1.0, 1.0], [-1.0, -1.0]])), endorsed) == pytest.approx(
        [0.995, 0.7071, -0.7071], abs=1e-3
    )
