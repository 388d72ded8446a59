"""The paired difference of two scorings, against a textbook's and against chance."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from recryst.agent.decide.verdict import group_weights
from recryst.tools.judge.paired import moved


def scored(rows=200, seed=0):
    """Two scorings of the same rows, of which the second is a little better."""
    rng = np.random.default_rng(seed)
    before = rng.random(rows)
    return before, before + rng.normal(0.02, 0.1, rows)


def test_rows_that_stand_alone_have_the_interval_of_a_paired_t_test():
    before, after = scored()
    found = moved(before, after, np.full(200, 1 / 200), np.arange(200))
    known = ttest_rel(after, before)
    interval = known.confidence_interval(0.95)
    assert (found.before, found.after) == pytest.approx((before.mean(), after.mean()), abs=1e-6)
    assert found.difference / found.error == pytest.approx(known.statistic, rel=1e-3)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-5)


def test_copies_of_a_row_make_nothing_surer():
    before, after = scored(50)
    once = moved(before, after, group_weights(np.arange(50)), np.arange(50))
    groups = np.repeat(np.arange(50), 4)
    assert moved(np.repeat(before, 4), np.repeat(after, 4), group_weights(groups), groups) == once


def test_rows_without_a_score_or_a_weight_count_for_nothing():
    before, after = scored(60)
    weights = np.where(np.arange(60) < 40, 1.0, 0.0)
    known = moved(before[:40], after[:40], np.ones(40), np.arange(40))
    assert moved(before, after, weights, np.arange(60)) == known
    after[45:] = np.nan
    assert moved(before, after, np.ones(60), np.arange(60)).after == pytest.approx(after[:45].mean(), abs=1e-6)
    assert moved(before, np.full(60, np.nan), np.ones(60), np.arange(60)) is None
    assert moved(before, before, np.ones(60), np.zeros(60, dtype=int)) is None  # one group has no error of its own


def test_the_interval_says_whether_the_difference_is_more_than_chance():
    before, _ = scored(100)
    step = np.where(np.arange(100) % 2, 0.3, 0.1)
    assert moved(before, before + step, np.ones(100), np.arange(100)).sense == "better"
    assert moved(before, before - step, np.ones(100), np.arange(100)).sense == "worse"
    assert moved(before, before + step - 0.2, np.ones(100), np.arange(100)).sense == "unsure"
    assert moved(before, before, np.ones(100), np.arange(100)).sense == "unsure"


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Groups of unequal size whose rows move together: a truth of 0.02, 95 times of 100."""
    rng, held = np.random.default_rng(1), 0
    groups = np.repeat(np.arange(60), rng.integers(1, 6, 60))
    for _ in range(800):
        shift = rng.normal(0.02, 0.1, 60)[groups]
        found = moved(np.zeros(len(groups)), shift, group_weights(groups), groups)
        held += found.low <= 0.02 <= found.high
    assert 0.93 <= held / 800 <= 0.97
