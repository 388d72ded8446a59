"""Whether an action paid: two scales, measured apart. Pure functions, called by the loop and again by the audit.

What the rows are worth is the mean of the probes' scores over the held-out rows, compared row by row, so that a
difference of two states has a standard error of its own (that of a weighted mean of paired differences). Looks at the
held-out rows are counted, and what a gain must exceed grows with them (a Bonferroni bound on the chance that noise
passes; Dwork et al. 2015 on why a holdout wears out). Rows have a price: an action gains in proportion to what it
takes.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from ...state.actions import Action, ChangeK, EditRows, Refilter, RemoveMarked, Stop, Synthesise
from ...state.decision import Change, Verdict
from ...state.params.rounds import ObjectiveParams
from ...state.report import Objective

# Share of the confirmed anchor rows that an action may uncover beyond what as many rows out by chance would.
COVERAGE_TOLERANCE = 0.02
_CHANCE = 0.025  # that noise passes for a gain in any of the looks taken so far
NEAR_DUPLICATE = "near_duplicate"


def class_weights(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """One weight per held-out row, float64 [m], that sum to 1: every class weighs the same, and within it every group.

    The weighted mean of 0 and 1 is then the macro-averaged recall. ``labels`` and ``groups``: integers [m]; a negative
    label stands for none and weighs nothing.
    """
    weights = np.zeros(len(labels))
    known = np.flatnonzero(labels >= 0)
    if not len(known):
        return weights
    pairs = np.stack([labels[known].astype(np.int64), groups[known].astype(np.int64)])
    _, inverse, sizes = np.unique(pairs, axis=1, return_inverse=True, return_counts=True)
    single = 1.0 / sizes[inverse.ravel()]
    total = np.bincount(labels[known], single)
    weights[known] = single / total[labels[known]] / (total > 0).sum()
    return weights


def group_weights(groups: np.ndarray) -> np.ndarray:
    """One weight per held-out row, float64 [m], that sum to 1: every group (integers [m]) weighs the same."""
    _, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / sizes[inverse.ravel()] / max(1, len(sizes)))


class Weights(NamedTuple):
    """What held-out rows weigh, float64 [m] each: confirmed ones by group; the same class by class; and all, ``raw``.

    A gain is looked for over rows, where it stands out soonest: a class of one held-out row, and that one junk, would
    outweigh a hundred others. A harm is looked for over classes as well, or a rare one could be given up for the rest:
    in the mean over the probes, each of which is blind to a part of what the other sees. Rows that nobody confirms have
    no vote: a model that is rid of wrong labels agrees less with those of others.
    """

    confirmed: np.ndarray
    by_class: np.ndarray
    raw: np.ndarray


def mean_score(scores: np.ndarray, weights: np.ndarray) -> float:
    """The weighted mean of scores (float [m], NaN where there is none); ``weights`` float [m]."""
    there = ~np.isnan(scores)
    return float(np.average(scores[there], weights=weights[there])) if weights[there].sum() > 0 else 0.0


def change(name: str, before: np.ndarray, after: np.ndarray, weights: np.ndarray) -> Change:
    """How a mean score moved, and the standard error of that: paired, row by row.

    Args:
        name: of the figure.
        before: float [m], NaN where there is none; ``after`` alike.
        weights: float [m].
    """
    difference = after - before
    there = ~np.isnan(difference)
    share = weights[there] / max(weights[there].sum(), 1e-12)
    moved = difference[there]
    gain = float((share * moved).sum())
    error = math.sqrt(float((share**2 * (moved - gain) ** 2).sum()))
    return Change(name=name, gain=round(gain, 6), error=round(error, 6))


def sure_after(looks: int, params: ObjectiveParams) -> float:
    """How many standard errors stand out from noise in one of ``looks`` looks; ``noise_multiplier`` at least."""
    return max(params.noise_multiplier, NormalDist().inv_cdf(1.0 - _CHANCE / max(1, looks)))


class Look(NamedTuple):
    """One look at the held-out rows: what the probes made of them before an action and after it.

    ``before`` and ``after``: float64 [probes, m], NaN where a probe says nothing of a row; ``names``: of the probes.
    ``coverage``: how the share of confirmed rows of the anchor that are covered moved, beside as many rows out by
    chance; ``removed``: share of the kept rows that went. ``looks``: how many there were so far, this one among them.
    """

    before: np.ndarray
    after: np.ndarray
    weights: Weights
    names: Sequence[str]
    coverage: Change
    removed: float
    looks: int


def pays_on_rows(action: Action, look: Look, params: ObjectiveParams) -> Verdict:
    """Whether an action on rows paid.

    It pays when the mean over the probes gains more than the price of the rows it takes and more than noise, when no
    probe falls by more than its noise over rows alike, nor their mean over classes alike, and the anchor stays covered.
    One probe by itself is not enough: nearest neighbours gain by tidier rows whatever other models learn of them.
    Verified near-duplicates are the exception: the harm they do is known (memorisation, leaks between splits; Lee et
    al. 2022), so that they go where nothing falls.
    """
    sure = sure_after(look.looks, params)
    scores = list(zip(look.names, look.before, look.after, strict=True))
    changes = tuple(change(name, was, now, look.weights.confirmed) for name, was, now in scores)
    before, after = look.before.mean(axis=0), look.after.mean(axis=0)
    mean = change("mean", before, after, look.weights.confirmed)
    by_class = change("mean over classes", before, after, look.weights.by_class)
    price = round(params.price * look.removed, 6)
    needed = round(max(params.min_gain, sure * mean.error, price), 6)
    against = []
    duplicates = isinstance(action, RemoveMarked) and action.mark == NEAR_DUPLICATE
    if not duplicates and mean.gain <= price:
        against.append(
            f"probes {mean.gain:+.4f}, needs more than {price:.4f}, the price of {look.removed:.1%} of the rows"
        )
    elif not duplicates and mean.gain <= needed:
        against.append(f"probes {mean.gain:+.4f}, needs more than {needed:.4f}, what stands out from noise")
    for one in (*changes, by_class):
        allowed = max(params.min_gain, params.noise_multiplier * one.error)
        if -one.gain > allowed:
            against.append(f"{one.name} falls by {-one.gain:.4f}, more than its noise of {allowed:.4f}")
    uncovered, noise = -look.coverage.gain, params.noise_multiplier * look.coverage.error
    if uncovered - noise > COVERAGE_TOLERANCE:
        against.append(
            f"coverage falls by {uncovered:.4f} beyond chance, more than {COVERAGE_TOLERANCE} and its noise of "
            f"{noise:.4f}"
        )
    kept = f"probes {mean.gain:+.4f}, more than {needed:.4f}"
    if duplicates:
        kept = f"verified near-duplicates, and no probe falls by more than its noise ({mean.gain:+.4f})"
    return Verdict(
        outcome="rolled_back" if against else "kept",
        reasons=tuple(against) or (kept,),
        changes=(*changes, mean),
        gain=mean.gain,
        needed=0.0 if duplicates else needed,
        price=price,
        looks=look.looks,
    )


def may_pay_on_clustering(before: Objective, quality: float, params: ObjectiveParams) -> bool:
    """Whether a clustering of this quality could pay if re-seeding did not move it at all."""
    return _clustering_moved(before, quality, 0.0).gain > _needed_of_clustering(before.clustering_sd, params)


def decided_by_a_person(measured: Verdict) -> Verdict:
    """What was measured of an action on single rows, which stays because a person wants it: they know the rows."""
    pays = "it pays" if measured.outcome == "kept" else "by itself it would not pay"
    reason = f"a person said so; {pays}: {'; '.join(measured.reasons)}"
    return measured.model_copy(update={"outcome": "kept", "reasons": (reason,)})


def pays_on_clustering(before: Objective, after: Objective, looks: int, params: ObjectiveParams) -> Verdict:
    """Whether another clustering of the same rows is a better one: by more than re-seeding moves it."""
    error = math.hypot(before.clustering_sd, after.clustering_sd)
    moved = _clustering_moved(before, after.clustering, error)
    needed = _needed_of_clustering(error, params)
    if moved.gain > needed:
        outcome, reason = "kept", f"clustering {moved.gain:+.4f}, above the noise of {needed:.4f}"
    else:
        outcome, reason = "rolled_back", f"clustering {moved.gain:+.4f}, needs more than {needed:.4f}"
    return Verdict.model_validate(
        {"outcome": outcome, "reasons": (reason,), "changes": (moved,), "gain": moved.gain, "needed": needed,
         "price": 0.0, "looks": looks}
    )  # fmt: skip


def _clustering_moved(before: Objective, quality: float, error: float) -> Change:
    return Change(name="clustering", gain=round(quality - before.clustering, 6), error=round(error, 6))


def _needed_of_clustering(error: float, params: ObjectiveParams) -> float:
    """The gain that another clustering must exceed, whose difference has this standard error."""
    return round(max(params.min_gain, params.noise_multiplier * error), 6)


def on_rows(action: Action) -> bool:
    """Whether an action is about rows, and not about how they are grouped."""
    return not isinstance(action, ChangeK)


def appraised(action: Action) -> bool:
    """Whether an action is measured before it is decided on: what takes rows out or gives them other labels."""
    return not isinstance(action, ChangeK | EditRows | Refilter | Synthesise | Stop)
