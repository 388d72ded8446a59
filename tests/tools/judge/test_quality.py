"""The quality score: it is learned where there is something to learn, and says so where there is not."""

import numpy as np
import pytest

from recryst.tools.judge.quality import fit_scores, predict
from recryst.tools.judge.select import prune_cluster, standing


def unit(rng, n, d=24):
    vectors = rng.normal(size=(n, d)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_score_that_lies_in_the_vectors_is_found_and_beats_the_mean():
    rng = np.random.default_rng(0)
    vectors = unit(rng, 240)
    truth = np.clip(2.5 + 6 * vectors[:, 0] + rng.normal(scale=0.4, size=240), 0, 5)
    model = fit_scores(vectors[:200], truth[:200].round(), 5, 0)
    agreement = model.agreement
    assert agreement.better_than_chance
    assert agreement.spearman > 0.7
    assert agreement.mae < 0.7 * agreement.mean_mae
    assert agreement.f1 > agreement.mean_f1
    assert agreement.within_one > agreement.mean_within_one
    unseen = predict(model.coefficients, vectors[200:])
    assert np.corrcoef(unseen, truth[200:])[0, 1] > 0.8
    assert unseen.dtype == np.float32
    assert ((unseen >= 0) & (unseen <= 5)).all()


@pytest.mark.parametrize("seed", range(5))
def test_scores_drawn_at_random_are_not_used(seed):
    rng = np.random.default_rng(seed)
    agreement = fit_scores(unit(rng, 200), rng.integers(0, 6, 200), 5, seed).agreement
    assert not agreement.better_than_chance
    assert abs(agreement.spearman) < 0.35


def test_a_teacher_that_always_says_the_same_teaches_nothing():
    agreement = fit_scores(unit(np.random.default_rng(0), 40), np.full(40, 3.0), 5, 0).agreement
    assert (agreement.better_than_chance, agreement.spearman, agreement.mae) == (False, 0.0, 0.0)


def test_endorsed_rows_are_told_from_the_rest_though_the_rest_holds_some_as_good():
    rng = np.random.default_rng(1)
    vectors = unit(rng, 300)
    good = vectors[:, 0] > 0.2
    liked = np.flatnonzero(good)[:30]
    rest = np.setdiff1d(np.arange(300), liked)[:100]
    scores = np.repeat([5.0, 0.0], [30, 100])
    model = fit_scores(np.concatenate([vectors[liked], vectors[rest]]), scores, 5, 0)
    assert model.agreement.auc > 0.8
    assert model.agreement.better_than_chance
    unseen = np.setdiff1d(np.arange(300), np.concatenate([liked, rest]))
    predicted = predict(model.coefficients, vectors[unseen])
    assert predicted[good[unseen]].mean() > predicted[~good[unseen]].mean() + 1


def test_the_score_of_a_row_does_not_hang_on_the_rows_beside_it():
    rng = np.random.default_rng(2)
    vectors, coefficients = unit(rng, 9000), rng.normal(size=25).astype(np.float32)
    whole = predict(coefficients, vectors)
    assert np.abs(whole[8190:8200] - predict(coefficients, vectors[8190:8200])).max() < 2e-4


def test_scores_beyond_the_scale_stay_in_it_and_in_order():
    raw = np.linspace(-3, 8, 400)
    scores = predict(np.array([1.0, 0.0]), raw[:, None])
    assert ((scores >= 0) & (scores <= 5)).all()
    assert (np.diff(scores) > 0).all()
    inside = (raw > 0.5) & (raw < 4.5)
    assert np.abs(scores - raw)[inside].max() < 1e-5


def test_quality_has_half_a_say_in_what_prune_keeps():
    similarity = np.array([0.9, 0.8, 0.7, 0.6])
    # The typical row stays though it is the worst but one; a row that is last in both goes.
    assert prune_cluster(similarity, "keep_closest", 0.75, 0, np.array([1.0, 4.0, 3.0, 0.5])).tolist() == [3]
    # By place alone 0 goes; as it is the best by far and 1 the worst, 1 goes instead.
    assert prune_cluster(similarity, "keep_furthest", 0.75, 0).tolist() == [0]
    assert prune_cluster(similarity, "keep_furthest", 0.75, 0, np.array([5.0, 0.0, 1.0, 2.0])).tolist() == [1]
    # Equal quality changes nothing, and quality alone never turns an order round.
    assert prune_cluster(similarity, "keep_closest", 0.5, 0, np.full(4, 3.0)).tolist() == [2, 3]
    assert standing(similarity, "keep_closest", np.array([0.0, 1.0, 2.0, 3.0])).tolist() == [0.625] * 4
