"""Whether an action paid: against noise, looks and price on one scale, against re-seeding on the other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recryst.agent.decide.verdict import (
    Look,
    Weights,
    change,
    class_weights,
    group_weights,
    may_pay_on_clustering,
    mean_score,
    pays_on_clustering,
    pays_on_rows,
)
from recryst.state.actions import RemoveMarked, RemoveSuspects
from recryst.state.decision import Change
from recryst.state.params.rounds import ObjectiveParams
from recryst.state.report import Objective

PROBES = ("nearest_neighbor", "linear_discriminant")
SUSPECTS = RemoveSuspects(by="label_support", threshold=0.01)
COPIES = RemoveMarked(mark="near_duplicate")


def scores(right, rows=400):
    """One line of scores: the first ``right`` of ``rows`` held-out rows are met."""
    return np.repeat([1.0, 0.0], [right, rows - right])


def uncovered(share, error=0.0):
    return Change(name="coverage", gain=-share, error=error)


def judged(before, after, action=SUSPECTS, labels=None, **changes):
    """The verdict on scores by probe, as counts of rows that are met or as arrays."""
    before, after = (np.stack([one if isinstance(one, np.ndarray) else scores(one) for one in two])
                     for two in (before, after))  # fmt: skip
    rows = before.shape[1]
    labels = np.zeros(rows, dtype=int) if labels is None else labels
    by_class = class_weights(labels, np.arange(rows))
    weights = Weights(group_weights(np.arange(rows)), by_class, by_class)
    look = Look(before, after, weights, PROBES, **{"coverage": uncovered(0.0), "removed": 0.1, "looks": 1, **changes})
    return pays_on_rows(action, look, ObjectiveParams())


def test_a_gain_pays_where_it_is_beyond_noise_and_price():
    paid = judged((200, 250), (240, 270))
    assert (paid.outcome, paid.gain) == ("kept", pytest.approx(0.075))
    assert judged((200, 250), (203, 251)).outcome == "rolled_back"  # half a percent, of a tenth of the rows
    assert judged((200, 250), (218, 260)).outcome == "kept"
    dear = judged((200, 250), (218, 260), removed=0.8)
    assert dear.outcome == "rolled_back"
    assert "the price of 80.0% of the rows" in dear.reasons[0]


def test_the_oftener_the_anchor_was_looked_at_the_more_a_gain_needs():
    few, many = (judged((200, 200), (206, 206), removed=0.0, looks=looks) for looks in (1, 1000))
    assert few.needed < many.needed
    assert (few.outcome, many.outcome) == ("kept", "rolled_back")


def test_no_mean_gain_pays_for_a_probe_that_falls():
    verdict = judged((200, 300), (320, 270))
    assert verdict.gain > verdict.needed
    assert verdict.outcome == "rolled_back"
    assert verdict.reasons[0].startswith("linear_discriminant falls by 0.0750")


def test_no_gain_over_rows_pays_for_a_class_that_is_given_up():
    """380 rows of one class gain a little; the only 20 of another are all lost."""
    labels = np.repeat([0, 1], [380, 20])
    before = np.concatenate([scores(200, 380), np.ones(20)])
    after = np.concatenate([scores(300, 380), np.zeros(20)])
    verdict = judged((before, before), (after, after), labels=labels)
    assert verdict.gain > verdict.needed
    assert verdict.outcome == "rolled_back"
    assert "over classes falls" in verdict.reasons[0]


def test_what_one_probe_alone_sees_is_not_enough():
    shaken = np.roll(scores(200), 60)  # 60 rows up and 60 down
    verdict = judged((np.zeros(400), scores(200)), (scores(16), shaken), removed=0.01)
    assert verdict.price < verdict.gain < verdict.needed
    assert verdict.changes[0].gain > 3 * verdict.changes[0].error
    assert verdict.outcome == "rolled_back"


def test_near_duplicates_go_without_a_gain_but_not_at_a_loss():
    assert judged((200, 200), (200, 200), COPIES).outcome == "kept"
    assert judged((200, 200), (200, 200)).outcome == "rolled_back"
    assert judged((200, 200), (200, 170), COPIES).outcome == "rolled_back"
    assert judged((200, 200), (200, 200), COPIES, coverage=uncovered(0.03)).outcome == "rolled_back"


@given(st.floats(0.021, 1.0))
def test_no_gain_pays_for_coverage(lost):
    assert judged((100, 100), (400, 400), coverage=uncovered(lost)).outcome == "rolled_back"


def test_coverage_has_noise_too():
    """Six rows of 250 are 0.024, and might as well be three."""
    assert judged((100, 100), (400, 400), coverage=uncovered(0.024, 0.0097)).outcome == "kept"
    assert judged((100, 100), (400, 400), coverage=uncovered(0.060, 0.0150)).outcome == "rolled_back"


MET = st.lists(st.tuples(*[st.sampled_from((0.0, 1.0))] * 4), min_size=8, max_size=60)


@given(MET, st.floats(0, 1), st.integers(1, 500), st.randoms(use_true_random=False))
def test_what_is_kept_gains_more_than_its_price_and_harms_no_probe_whatever_the_scores(met, removed, looks, random):
    def verdict(rows, looks):
        scores = np.array(rows).T
        return judged(scores[:2], scores[2:], removed=removed, looks=looks)

    found = verdict(met, looks)
    if found.outcome == "kept":
        assert found.gain > found.price == pytest.approx(0.1 * removed, abs=1e-6)
        assert all(-one.gain <= max(0.002, 2 * one.error) for one in found.changes)
        assert any(one.gain > 2 * one.error for one in found.changes)
    assert found.outcome == verdict(random.sample(met, len(met)), looks).outcome, "the order of the rows has no say"
    assert (found.outcome, verdict(met, looks + 50).outcome) != ("rolled_back", "kept"), "looking oftener pays nothing"


def objective(clustering, **changes):
    fields = {
        "value": 0.5, "probes": (), "coverage": 1.0, "clustering": clustering, "clustering_sd": 0.004, "balance": 0.9,
        "redundancy": 0.0, "noise": 0.0, "structure": 0.1, "silhouette": 0.1, "stability": 0.8,
    }  # fmt: skip
    return Objective(**{**fields, **changes})


def test_another_clustering_is_judged_by_its_quality_alone():
    params = ObjectiveParams()  # the noise of both: 2 · √2 · 0.004 = 0.0113
    assert pays_on_clustering(objective(0.20), objective(0.21), 1, params).outcome == "rolled_back"
    assert pays_on_clustering(objective(0.20), objective(0.22), 1, params).outcome == "kept"
    better_rows = objective(0.20, value=0.9)
    assert pays_on_clustering(objective(0.20), better_rows, 1, params).outcome == "rolled_back"


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.1), st.floats(0, 0.1))
def test_a_clustering_that_may_not_pay_pays_at_no_spread_of_its_own(was, now, spread_before, spread_after):
    before, after = objective(was, clustering_sd=spread_before), objective(now, clustering_sd=spread_after)
    found = pays_on_clustering(before, after, 1, ObjectiveParams())
    assert found.outcome == "rolled_back" or may_pay_on_clustering(before, now, ObjectiveParams())
    certain = pays_on_clustering(before, objective(now, clustering_sd=0.0), 1, ObjectiveParams())
    assert may_pay_on_clustering(before, now, ObjectiveParams()) == (certain.outcome == "kept")


ROWS = st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 6)), min_size=1, max_size=60)


@given(ROWS)
def test_every_class_weighs_the_same_and_within_it_every_group(rows):
    labels, groups = np.array(rows).T
    weights = class_weights(labels, groups)
    assert (weights[labels < 0] == 0).all()
    classes = np.unique(labels[labels >= 0])
    if len(classes):
        assert np.bincount(labels[labels >= 0], weights[labels >= 0])[classes] == pytest.approx(1 / len(classes))
    assert np.bincount(groups, group_weights(groups))[np.unique(groups)] == pytest.approx(1 / len(np.unique(groups)))


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=50))
def test_a_change_is_the_difference_of_the_means_and_turns_its_sign(pairs):
    before, after = np.array(pairs).T
    weights = np.full(len(pairs), 1.0)
    there, back = change("x", before, after, weights), change("x", after, before, weights)
    assert there.gain == pytest.approx(mean_score(after, weights) - mean_score(before, weights), abs=1e-5)
    assert (back.gain, back.error) == (pytest.approx(-there.gain), pytest.approx(there.error))
    assert change("x", before, before, weights).error == 0.0


def test_rows_without_a_score_do_not_count():
    before, after = np.array([0.0, np.nan, 1.0]), np.array([1.0, 1.0, 1.0])
    assert change("x", before, after, np.ones(3)).gain == pytest.approx(0.5)
