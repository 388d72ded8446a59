"""Anchor and pruning."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recryst.state.params.preparation import AnchorParams
from recryst.tools.judge.select import choose_anchor, choose_sealed, prune_cluster

similarity = st.lists(st.floats(-1, 1), min_size=1, max_size=40).map(np.array)


@given(similarity, st.sampled_from(["keep_furthest", "keep_closest", "keep_random"]), st.floats(0, 1))
def test_pruning_keeps_at_least_its_fraction_and_the_right_end(values, strategy, fraction):
    removed = prune_cluster(values, strategy, fraction, 0)
    kept = np.setdiff1d(np.arange(len(values)), removed)
    assert len(kept) == np.ceil(len(values) * fraction)
    if len(kept) and len(removed) and strategy == "keep_furthest":
        assert values[kept].max() <= values[removed].min()
    if len(kept) and len(removed) and strategy == "keep_closest":
        assert values[kept].min() >= values[removed].max()


def test_dropping_a_cluster_keeps_nothing():
    assert prune_cluster(np.zeros(4), "drop", 0.0, 0).tolist() == [0, 1, 2, 3]


def test_sealed_rows_are_drawn_by_whole_groups_and_not_as_the_anchor_is():
    rows, groups = np.arange(900, dtype=np.uint32), np.arange(900) // 3
    sealed = choose_sealed(rows, 90, 0, groups)
    assert len(sealed) == 90
    assert set(np.bincount(groups[sealed])) == {0, 3}
    assert np.array_equal(sealed, choose_sealed(rows, 90, 0, groups))
    assert not np.array_equal(sealed, choose_anchor(rows, AnchorParams(fraction=0.1), 0, groups))
    assert len(choose_sealed(rows, 2, 0, groups)) == 0


def test_the_anchor_is_a_part_of_the_rows_and_depends_on_the_seed_alone():
    rows = np.arange(1000, 3000, dtype=np.uint32)
    anchor = choose_anchor(rows, AnchorParams(fraction=0.1, max_rows=150), 1)
    assert len(anchor) == 150
    assert np.isin(anchor, rows).all()
    assert (np.diff(anchor.astype(int)) > 0).all()
    assert np.array_equal(anchor, choose_anchor(rows, AnchorParams(fraction=0.1, max_rows=150), 1))
    assert not np.array_equal(anchor, choose_anchor(rows, AnchorParams(fraction=0.1, max_rows=150), 2))
    assert anchor.mean() == pytest.approx(rows.mean(), abs=200)
