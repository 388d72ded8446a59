"""Evidence on labels: what the other rows do not bear out stands out, and copies do not vouch for one another."""

import numpy as np
import polars as pl
import pytest

from recryst.state.params.vectors import NeighborParams
from recryst.tools.judge.evidence.discriminant import Labelled
from recryst.tools.judge.evidence.mislabelled import (
    SMALL_CLASS,
    held_out_support,
    isolation,
    label_evidence,
    like_groups,
    support_of_views,
)
from recryst.tools.vectors.neighbors import neighbor_graph

CLASSES, EACH, SIZE = 4, 60, 24


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def clouds(rng):
    """Rows about the centres of four classes: vectors, and the class of each."""
    truth = np.repeat(np.arange(CLASSES), EACH)
    return unit(3.0 * np.eye(CLASSES, SIZE)[truth] + 0.5 * rng.standard_normal((len(truth), SIZE))), truth


def evidence(vectors, labels, groups=None):
    graph = neighbor_graph(vectors, NeighborParams(), 0)
    groups = like_groups(graph, np.arange(len(vectors)), 0.999) if groups is None else groups
    names = pl.Series([None if one is None else str(one) for one in labels], dtype=pl.String)
    return label_evidence(vectors, names, groups, graph, 0)


def test_flipped_labels_are_not_borne_out_and_both_views_name_the_right_one():
    rng = np.random.default_rng(0)
    vectors, truth = clouds(rng)
    labels = truth.copy()
    flipped = rng.choice(len(truth), 24, replace=False)
    labels[flipped] = (labels[flipped] + 1 + rng.integers(0, CLASSES - 1, len(flipped))) % CLASSES
    found = evidence(vectors, labels)
    support = found["label_support"].to_numpy()
    right = np.setdiff1d(np.arange(len(truth)), flipped)
    assert (support[flipped] < 0.2).mean() > 0.9
    assert np.quantile(support[flipped], 0.95) < np.quantile(support[right], 0.05)
    assert (support[right] > 0.5).mean() > 0.95
    named = found["other_label"].gather(flipped)
    assert (named == pl.Series(truth[flipped].astype(str))).sum() >= 0.9 * len(flipped)


def test_junk_with_labels_at_random_bears_no_label_out():
    rng = np.random.default_rng(1)
    vectors, truth = clouds(rng)
    away = unit(3.0 * np.eye(1, SIZE, 10) + 0.5 * rng.standard_normal((30, SIZE)))
    labels = np.concatenate([truth, rng.integers(0, CLASSES, 30)])
    found = evidence(np.concatenate([vectors, away]), labels)
    assert found["agreement"][: len(truth)].mean() > 0.9
    assert found["agreement"][len(truth) :].mean() < 0.2
    assert found["label_support"][len(truth) :].median() < found["label_support"][: len(truth)].min()


def test_a_copy_does_not_vouch_for_the_wrong_label_of_its_copy():
    vectors, truth = clouds(np.random.default_rng(2))
    copies = np.repeat(vectors[:1], 10, axis=0)  # ten times one row of class 0, all called 1
    labels = np.concatenate([truth, np.ones(10, dtype=int)])
    together = np.concatenate([vectors, copies])
    grouped = evidence(together, labels)["label_support"][-10:]
    alone = evidence(together, labels, np.arange(len(together)))["label_support"][-10:]
    assert grouped.max() < 0.05
    assert alone.min() > 0.5


def test_a_rare_class_is_not_doubted_for_being_varied():
    rng = np.random.default_rng(3)
    vectors, truth = clouds(rng)
    few = SMALL_CLASS - 2
    scattered = unit(rng.standard_normal((few, SIZE)))
    labels = np.concatenate([truth, np.full(few, 9)])
    found = evidence(np.concatenate([vectors, scattered]), labels)[-few:]
    assert found["own_probability"].min() < 0.5
    claimed = found["other_label"].is_not_null()
    assert claimed.sum() <= 2
    assert (found["label_support"].filter(~claimed) == 1).all()
    assert (found["label_margin"].filter(~claimed) >= 0).all()
    enough = np.concatenate([truth, np.full(few, 1)])
    assert evidence(np.concatenate([vectors, scattered]), enough)[-few:]["label_support"].min() < 0.5


def test_a_varied_class_is_judged_by_its_own_measure():
    """Its rows are hard to tell and few of them go; of another class's row that was called so as much is seen."""
    rng = np.random.default_rng(5)
    vectors, truth = clouds(rng)
    varied = unit(rng.standard_normal((40, SIZE)))
    labels = np.concatenate([truth, np.full(40, 9)])
    labels[:4] = 1
    found = evidence(np.concatenate([vectors, varied]), labels)
    alone = support_of_views(*(found[name].to_numpy() for name in ("own_probability", "own_vote", "agreement")))
    beside = found["label_support"].to_numpy()
    assert np.median(beside[-40:]) == pytest.approx(np.median(alone), abs=0.05)
    assert np.median(alone[-40:]) < 0.9 * np.median(alone)
    assert (beside[-40:] < 0.2).sum() < (alone[-40:] < 0.2).sum()
    assert beside[:4].max() < 0.1
    assert beside[4 : len(truth)] == pytest.approx(alone[4 : len(truth)], abs=0.05)


def test_the_margin_ranks_wrong_labels_before_the_varied_rows_of_a_class():
    """Rows of a class of many kinds are all hard to tell; of wrong labels another class is the likelier one."""
    rng = np.random.default_rng(6)
    vectors, truth = clouds(rng)
    varied = unit(vectors[:40] + 0.4 * rng.standard_normal((40, SIZE)))
    together, labels = np.concatenate([vectors, varied]), np.concatenate([truth, np.full(40, truth[0])])
    flipped = rng.choice(len(truth), 30, replace=False)
    right = labels.copy()
    labels[flipped] = (labels[flipped] + 1 + rng.integers(0, CLASSES - 1, len(flipped))) % CLASSES
    found = evidence(together, labels)
    margin, support = (found[name].to_numpy() for name in ("label_margin", "label_support"))
    wrong = labels != right
    assert (margin[wrong] < 0).mean() > 0.9
    assert (margin[~wrong] > 0).mean() > 0.8
    least = np.argsort(margin)[: wrong.sum()]
    assert wrong[least].sum() >= wrong[np.argsort(support)[: wrong.sum()]].sum()


def test_a_class_of_one_row_has_a_finite_margin_and_so_have_the_others():
    vectors, truth = clouds(np.random.default_rng(7))
    labels = np.zeros(len(truth), dtype=int)
    labels[5] = 1
    margin = evidence(vectors, labels)["label_margin"]
    assert margin.is_finite().all()
    assert 0 <= margin[5] < margin.median()


def test_a_row_of_a_rare_class_is_doubted_where_another_class_claims_it():
    vectors, truth = clouds(np.random.default_rng(3))
    few = SMALL_CLASS - 2
    tight = unit(np.eye(1, SIZE, SIZE - 1) + 0.02 * np.random.default_rng(4).standard_normal((few, SIZE)))
    labels = np.concatenate([truth, np.full(few, 9)])
    labels[0] = 9
    found = evidence(np.concatenate([vectors, tight]), labels)
    assert found["label_support"][0] < 0.05
    assert found["other_label"][0] == str(truth[0])
    assert found["label_margin"][0] < 0 <= found["label_margin"][-few:].min()
    assert (found["label_support"][-few:] == 1).all()


def test_rows_without_a_label_have_no_evidence_and_the_rest_is_the_same_twice():
    vectors, truth = clouds(np.random.default_rng(4))
    labels = [None if at % 10 == 0 else one for at, one in enumerate(truth.tolist())]
    found = evidence(vectors, labels)
    blank = pl.Series(labels).is_null()
    for name in ("own_probability", "label_support", "label_margin", "other_label"):
        assert found[name].is_null().filter(blank).all()
    assert found["label_support"].is_not_null().filter(~blank).all()
    assert found.equals(evidence(vectors, labels))


def test_held_out_labels_are_borne_out_by_the_rows_that_are_known():
    rng = np.random.default_rng(5)
    vectors, truth = clouds(rng)
    held = rng.random(len(truth)) < 0.3
    wrong = (truth[held] + 1) % CLASSES
    known = Labelled(vectors[~held], truth[~held])
    assert held_out_support(known, Labelled(vectors[held], truth[held])).min() > 0.3
    assert held_out_support(known, Labelled(vectors[held], wrong)).max() < 0.1


def test_a_row_far_from_all_others_is_isolated_and_its_copies_do_not_hide_it():
    vectors, _ = clouds(np.random.default_rng(6))
    lonely = unit(np.eye(1, SIZE, 20))
    together = np.concatenate([vectors, np.repeat(lonely, 8, axis=0)])
    graph = neighbor_graph(together, NeighborParams(), 0)
    alone = isolation(graph, like_groups(graph, np.arange(len(together)), 0.999))
    assert alone[-8:].min() > max(5.0, np.quantile(alone[:-8], 0.99))
    assert np.median(alone) == pytest.approx(0.0, abs=0.2)
