"""Where k-means starts: rows that differ, and no worse than scikit-learn's k-means++."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import kmeans_plusplus

from recryst.tools.vectors.partition.seeding import seeded


def inertia(rows, centres):
    return ((rows[:, None] - centres[None]) ** 2).sum(axis=2).min(axis=1).sum()


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(1, 40), st.integers(0, 3))
def test_rows_of_equal_content_are_drawn_once(values, k, seed):
    rows = np.random.default_rng(0).standard_normal((6, 8)).astype(np.float32)[values]
    found = seeded(rows, k, np.random.default_rng(seed))
    assert len({values[at] for at in found}) == len(found) == min(k, len(set(values)))


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_the_start_is_as_good_as_that_of_scikit_learn(shift):
    random = np.random.default_rng(1)
    centres = random.standard_normal((40, 16))
    rows = (centres[random.integers(40, size=1500)] + 0.3 * random.standard_normal((1500, 16)) + shift).astype("f4")
    ours = np.mean([inertia(rows, rows[seeded(rows, 40, np.random.default_rng(trial))]) for trial in range(10)])
    theirs = np.mean([inertia(rows, kmeans_plusplus(rows, 40, random_state=trial)[0]) for trial in range(10)])
    assert ours < 1.05 * theirs
    by_lot = np.mean([inertia(rows, rows[np.random.default_rng(n).choice(1500, 40, replace=False)]) for n in range(10)])
    assert ours < 0.8 * by_lot
