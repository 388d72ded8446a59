"""The strategies: what holds of each whatever the rows, and known truths on sets small enough to try every choice."""

from itertools import combinations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recryst.state.params.selection import SelectParams
from recryst.tools.judge.selection import hierarchy, places, redundancy, spread, target, weighted
from recryst.tools.judge.selection.choose import chosen
from recryst.tools.judge.selection.repeated import repeats
from recryst.tools.vectors.neighbors import unit

_WORDS = ("card", "loan", "rate", "bank", "sum", "proof")


def _unit_rows(random, rows, dimensions=6):
    """Rows about a few directions, no two alike."""
    centres = random.standard_normal((3, dimensions))
    drawn = centres[random.integers(0, 3, rows)] + 0.5 * random.standard_normal((rows, dimensions))
    return unit(drawn.astype(np.float32))


def _by_place(vectors, labels, size):
    return places.furthest(places.to_centroid(vectors, labels), labels, size)


def _by_place_near(vectors, labels, size):
    return places.closest(places.to_centroid(vectors, labels), labels, size)


#: Name → from vectors, labels and a size to rows; the first ones do not depend on the order of the rows.
INVARIANT = {
    "furthest": _by_place,
    "closest": _by_place_near,
    "k_center": lambda vectors, labels, size: spread.k_center(vectors, size),
    "nearest": lambda vectors, labels, size: target.nearest_to(vectors, np.eye(6, dtype=np.float32)[:2], size),
}
PURE = {
    **INVARIANT,
    "k_center in cells": lambda vectors, labels, size: spread.k_center(vectors, size, labels),
    "random": lambda vectors, labels, size: places.any_of_each(labels, size, 1),
    "semdedup": redundancy.semdedup,
    "d4": lambda vectors, labels, size: redundancy.d4(vectors, labels, size, lambda left: np.arange(len(left)) % 2),
    "facility_location": lambda vectors, labels, size: spread.facility_location(vectors, size, labels, 1),
    "density": lambda vectors, labels, size: weighted.drawn(
        weighted.sparse_first(weighted.density(vectors, 1)), size, 1
    ),
    "quality": lambda vectors, labels, size: weighted.drawn(weighted.better_first(vectors[:, 0]), size, 1),
    "hierarchical": lambda vectors, labels, size: hierarchy.balanced(
        hierarchy.hierarchy(vectors, (6, 2), 1, 1), size, 1
    ),
}


@pytest.mark.parametrize("name", PURE)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(1, 40), data=st.data())
def test_so_many_rows_in_order_and_the_same_again(name, seed, rows, data):
    random = np.random.default_rng(seed)
    vectors, labels = _unit_rows(random, rows), random.integers(-1, 3, rows)
    size = data.draw(st.integers(1, rows))
    kept = PURE[name](vectors, labels, size)
    assert len(kept) == size
    assert kept[0] >= 0
    assert kept[-1] < rows
    assert (np.diff(kept) > 0).all()
    np.testing.assert_array_equal(kept, PURE[name](vectors.copy(), labels.copy(), size))


@pytest.mark.parametrize("name", INVARIANT)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(3, 40))
def test_the_order_of_the_rows_changes_nothing(name, seed, rows):
    random = np.random.default_rng(seed)
    vectors, order = _unit_rows(random, rows), random.permutation(rows)
    labels = np.zeros(rows, dtype=np.int64)
    size = rows // 2
    kept = INVARIANT[name](vectors, labels, size)
    np.testing.assert_array_equal(np.sort(order[INVARIANT[name](vectors[order], labels, size)]), kept)


def test_copies_are_chosen_when_nothing_else_is_left():
    same = np.tile(np.eye(6, dtype=np.float32)[:1], (9, 1))
    labels = np.zeros(9, dtype=np.int64)
    for name, strategy in PURE.items():
        assert len(strategy(same, labels, 8)) == 8, name


def test_clusters_shrink_in_proportion_from_the_right_end():
    labels = np.repeat([0, 1], [30, 10])
    likeness = np.tile(np.linspace(0, 1, 10), 4)
    far, near = places.furthest(likeness, labels, 8), places.closest(likeness, labels, 8)
    for kept, values in ((far, {0.0, 1 / 9}), (near, {1.0, 8 / 9})):
        assert np.bincount(labels[kept]).tolist() == [6, 2]
        assert set(np.round(likeness[kept], 6)) == {round(value, 6) for value in values}


@pytest.mark.parametrize("seed", range(5))
def test_greedy_k_center_is_within_twice_the_best_radius(seed):
    vectors = _unit_rows(np.random.default_rng(seed), 11)
    distance = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    best = min(distance[list(some)].min(axis=0).max() for some in combinations(range(11), 3))
    assert distance[spread.k_center(vectors, 3)].min(axis=0).max() <= 2 * best + 1e-6


def test_k_center_in_cells_reaches_one_radius_in_all():
    random = np.random.default_rng(0)
    wide, narrow = random.standard_normal((200, 2)) * 10, random.standard_normal((200, 2)) + 100
    vectors = np.concatenate([wide, narrow]).astype(np.float32)
    labels = np.repeat([0, 1], 200)
    kept = spread.k_center(vectors, 60, labels)
    gaps = np.linalg.norm(vectors[:, None] - vectors[kept][None], axis=2).min(axis=1)
    assert (kept < 200).sum() > 45  # where rows are far apart, more are needed
    assert gaps[:200].max() < 3 * gaps[200:].max()


@pytest.mark.parametrize("seed", range(5))
def test_greedy_facility_location_is_near_the_optimum(seed):
    vectors = _unit_rows(np.random.default_rng(seed), 12)
    alike = np.clip(vectors @ vectors.T, 0, 1)
    best = max(alike[list(some)].max(axis=0).sum() for some in combinations(range(12), 3))
    kept = spread.facility_location(vectors, 3, np.zeros(12, dtype=np.int64), 0)
    assert alike[kept].max(axis=0).sum() >= (1 - 1 / np.e) * best


def test_semdedup_keeps_one_of_each_group_of_copies_and_that_the_furthest():
    random = np.random.default_rng(0)
    distinct = _unit_rows(random, 20, 40)
    copies = unit((np.repeat(distinct, 4, axis=0) + 1e-3 * random.standard_normal((80, 40))).astype(np.float32))
    labels = np.repeat(np.arange(20) % 2, 4)
    kept = redundancy.semdedup(copies, labels, 20)
    assert set(kept // 4) == set(range(20))
    likeness = places.to_centroid(copies, labels)
    assert all(likeness[row] == likeness[row // 4 * 4 : row // 4 * 4 + 4].min() for row in kept)


@pytest.mark.parametrize("rows", [(3, 5), (1024, 5000)])
def test_repetition_in_blocks_is_that_of_all_pairs(rows, monkeypatch):
    monkeypatch.setattr(redundancy, "_ROWS", rows[0])
    monkeypatch.setattr(redundancy, "_COLUMNS", rows[1])
    random = np.random.default_rng(1)
    vectors, labels = _unit_rows(random, 60), random.integers(0, 3, 60)
    likeness, alike = places.to_centroid(vectors, labels), vectors @ vectors.T
    for row, found in enumerate(redundancy.repetition(vectors, labels)):
        before = (labels == labels[row]) & (likeness < likeness[row])
        assert found == pytest.approx(alike[row][before].max(initial=-2), abs=1e-5)


def test_d4_takes_the_prototypes_out_of_what_is_distinct():
    random = np.random.default_rng(2)
    vectors, labels = _unit_rows(random, 100, 16), np.zeros(100, dtype=np.int64)
    kept = redundancy.d4(vectors, labels, 30, lambda left: np.zeros(len(left), dtype=np.int64))
    distinct = redundancy.semdedup(vectors, labels, 75)
    likeness = places.to_centroid(vectors[distinct], np.zeros(75, dtype=np.int64))
    np.testing.assert_array_equal(kept, np.sort(distinct[np.argsort(likeness)[:30]]))


def test_density_is_that_of_the_kernel_and_sparse_rows_are_drawn_more_often():
    random = np.random.default_rng(3)
    crowd = unit((np.eye(16, dtype=np.float32)[0] + 0.05 * random.standard_normal((900, 16))).astype(np.float32))
    loose = unit(random.standard_normal((100, 16)).astype(np.float32))
    vectors = np.concatenate([crowd, loose])
    dense = weighted.density(vectors, 0)
    angle = np.arccos(np.clip(vectors @ vectors.T, -1, 1))
    kernel = ((1 - angle / np.pi) ** 12).mean(axis=1)
    assert dense[:900].mean() == pytest.approx(kernel[:900].mean(), rel=0.15)
    kept = weighted.drawn(weighted.sparse_first(dense), 100, 0)
    assert (kept >= 900).mean() > 0.5


def test_quality_tilts_the_choice_and_does_not_make_it():
    quality = np.arange(1000.0)
    kept = weighted.drawn(weighted.better_first(quality), 100, 0)
    assert 550 < quality[kept].mean() < 800


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12), st.floats(0, 1))
def test_water_finds_one_level(sizes, share):
    total = round(share * sum(sizes))
    found = hierarchy.water_filled(np.array(sizes), total)
    assert found.sum() == total
    assert (found <= sizes).all()
    below = found[found < np.array(sizes)]  # those that could keep more
    assert not len(below) or found.max() <= below.min() + 1


def test_hierarchical_k_means_balances_a_long_tail_better_than_flat():
    random = np.random.default_rng(4)
    sizes = np.round(1500 / np.arange(1, 11)).astype(int)
    classes = np.repeat(np.arange(10), sizes)
    means = np.stack([np.arange(10) % 4, np.arange(10) // 4], axis=1) * 8.0
    points = (means[classes] + random.standard_normal((len(classes), 2))).astype(np.float32)

    def entropy(levels, resampled):
        kept = hierarchy.balanced(hierarchy.hierarchy(points, levels, resampled, 0), 400, 0)
        masses = np.bincount(classes[kept], minlength=10) / 400
        return -(masses[masses > 0] * np.log(masses[masses > 0])).sum()

    assert entropy((200,), 0) + 0.02 < entropy((200, 40, 10), 10) <= np.log(10)


def test_a_tree_holds_every_row_on_every_level():
    tree = hierarchy.hierarchy(_unit_rows(np.random.default_rng(5), 300), (30, 6, 2), 2, 0)
    for level, most in ((1, 30), (2, 6), (3, 2)):
        labels = tree.labels(level)
        assert (np.bincount(labels) > 0).all()
        assert len(labels) == 300
        assert labels.max() < most
    assert hierarchy.levels_of(200_000) == (1500, 300, 60, 12)
    assert hierarchy.levels_of(5) == (1,)


def test_dsir_finds_the_texts_of_the_target():
    random = np.random.default_rng(6)
    texts = [" ".join(random.choice(_WORDS[:4] if row % 10 else _WORDS[3:], 12)) for row in range(500)]
    wanted = pl.Series([" ".join(random.choice(_WORDS[3:], 12)) for _ in range(40)])
    kept = target.dsir(pl.Series(texts), wanted, 50, 0)
    assert (kept % 10 == 0).mean() > 0.9


def test_the_nearest_are_those_of_the_highest_cosine_to_any_row_of_the_target():
    vectors = _unit_rows(np.random.default_rng(7), 50)
    wanted = vectors[[3, 8]]
    best = np.sort(np.argsort(-(vectors @ wanted.T).max(axis=1))[:5])
    np.testing.assert_array_equal(target.nearest_to(vectors, wanted, 5), best)


def test_a_size_is_a_share_or_a_number_of_rows():
    frame = pl.DataFrame({"vector": _unit_rows(np.random.default_rng(8), 60).tolist(), "cluster": [0, 1] * 30})
    for keep, size in (("10%", 6), (0.25, 15), (7, 7), ("100%", 60), (1.0, 60), (0.001, 1)):
        assert len(chosen(frame, SelectParams(strategy="furthest", keep=keep), 0)) == size
    for keep in (0, -1, 1.5, "0%", "120%", "few"):
        with pytest.raises(ValueError, match="keep"):
            SelectParams(keep=keep)


@given(st.lists(st.integers(-1, 5), max_size=60), st.integers(1, 4))
def test_repeated_rows_make_clusters_weigh_more_alike(clusters, most):
    clusters = np.array(clusters, dtype=np.int32)
    times = repeats(clusters, most)
    assert ((times >= 1) & (times <= most)).all()
    assert (times[clusters < 0] == 1).all()
    sizes = np.bincount(clusters[clusters >= 0], minlength=1)
    masses = np.bincount(clusters[clusters >= 0], weights=times[clusters >= 0], minlength=1)
    there = sizes > 0
    if there.any():
        assert masses.max() <= max(sizes.max(), 1.5 * sizes[there].mean())  # the largest is not outgrown by more
        shares, before = (one[there] / one.sum() for one in (masses, sizes))
        assert (shares**2).sum() <= (before**2).sum() + 1e-9
