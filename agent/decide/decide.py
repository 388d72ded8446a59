"""The decision and the verdict: two pure functions, called by the loop and again by the auditor."""

import math
import statistics

from ...state.actions import Stop
from ...state.config import ObjectiveParams, StopParams
from ...state.decision import Budget, Decision, Rejected, RoundRecord, Verdict
from ...state.report import Objective
from .policy import Case, Choice, Policy

ROUNDS_DONE = "the rounds allowed are done"
TIME_OVER = "the time allowed is over"
MONEY_SPENT = "the money allowed is spent"
TOKENS_USED = "the tokens allowed are used"
SPENT = frozenset((ROUNDS_DONE, TIME_OVER, MONEY_SPENT, TOKENS_USED))
STILL = ("labels, keep-set and objective held still",)
COVERAGE_TOLERANCE = 0.02  # share of the anchor that an action may uncover, whatever else it gains


def decide(policy: Policy, case: Case, human: str | None = None) -> Decision:
    """The decision of one round: the person's candidate if there is one, otherwise the policy's.

    Pure: no clock, no randomness, no input or output. A spent budget means ``stop``; so do data that no longer move,
    unless a person goes on. A choice that is not an available candidate becomes ``stop`` too, the safe default.

    ``human``: id of the candidate a person chose.
    """
    stop = next(candidate for candidate in case.candidates if isinstance(candidate.action, Stop))
    if spent := _spent(case.budget):
        choice = Choice(stop.id, spent, {})
    elif human is not None:
        choice = Choice(human, ("chosen by a person",), {})
    elif case.budget.held_still:
        choice = Choice(stop.id, STILL, {})
    else:
        choice = policy(case)
    open_ones = {candidate.id: candidate for candidate in case.candidates if candidate.available}
    chosen, reasons = open_ones.get(choice.candidate), choice.reasons
    if safe_default := chosen is None:
        said = reasons if not choice.candidate else (f"the choice {choice.candidate!r} is not an available candidate",)
        chosen, reasons = stop, (*said, "safe default: stop")
    rejected = tuple(
        Rejected(
            id=candidate.id,
            action=candidate.action.action,
            reason=candidate.unavailable_because or choice.rejected.get(candidate.id, "not chosen"),
        )
        for candidate in case.candidates
        if candidate.id != chosen.id
    )
    return Decision(
        candidate=chosen.id, action=chosen.action, reasons=reasons, rejected=rejected, safe_default=safe_default
    )


def ends_converged(decision: Decision) -> bool:
    """Whether a ``stop`` means that the data no longer move, and not that a budget or the policy gave out."""
    return SPENT.isdisjoint(decision.reasons) and not decision.safe_default


def _spent(budget: Budget) -> tuple[str, ...]:
    """What there is nothing left of: of ``SPENT`` all that apply."""
    left = (
        (ROUNDS_DONE, budget.rounds_left),
        (TIME_OVER, budget.minutes_left),
        (MONEY_SPENT, budget.usd_left),
        (TOKENS_USED, budget.tokens_left),
    )
    return tuple(sentence for sentence, amount in left if amount is not None and amount <= 0)


def pays(before: Objective, after: Objective, params: ObjectiveParams) -> Verdict:
    """Whether an action paid: ``kept`` or ``rolled_back``.

    It pays when the objective gains more than ``noise_multiplier`` standard errors (and ``min_gain``), the probe does
    not fall by more than its own, and the anchor stays covered. The probe's standard error is that of its paired
    differences, seed by seed: both sides trained on the same draws (see ``tools/judge/probe.py``). Each clustering
    enters with the spread of its re-seeded likes.
    """
    pairs = zip(before.probe_by_seed, after.probe_by_seed, strict=True)
    differences = [later - earlier for earlier, later in pairs]
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    scale = 1.0 if before.probe_kind == "macro_f1" else 1.0 / 8.0
    noise = math.hypot(params.probe * scale * error, math.hypot(before.clustering_sd, after.clustering_sd))
    needed = max(params.min_gain, params.noise_multiplier * noise)
    gain = after.value - before.value
    worse = before.probe - after.probe if before.probe_kind == "macro_f1" else after.probe - before.probe
    allowed = max(params.min_gain / scale, params.noise_multiplier * error)
    lost = before.coverage - after.coverage
    against = []
    if gain <= needed:
        against.append(f"objective {gain:+.4f}, needs more than {needed:.4f} to stand out from noise")
    if worse > allowed:
        against.append(f"probe worse by {worse:.4f}, more than its noise of {allowed:.4f}")
    if lost > COVERAGE_TOLERANCE:
        against.append(f"coverage falls by {lost:.4f}, more than {COVERAGE_TOLERANCE}")
    return Verdict(
        outcome="rolled_back" if against else "kept",
        reasons=tuple(against) or (f"objective {gain:+.4f}, above the noise of {needed:.4f}",),
        objective_noise=round(needed, 6),
        probe_noise=round(allowed, 6),
    )


LABELS_AGREE = 0.95  # adjusted mutual information on the rows kept in both rounds
KEEP_AGREES = 0.99  # Cohen's κ of the keep-sets
REJECTED = "rejected by a person"  # why a round was refused that says nothing about the data


def held_still(record: RoundRecord, params: ObjectiveParams) -> bool:
    """Whether labels, keep-set and objective of the data in force stayed put over this round."""
    if record.outcome != "kept" or record.after is None:
        return True
    return (
        record.label_agreement >= LABELS_AGREE
        and record.keep_agreement >= KEEP_AGREES
        and abs(record.after.value - record.before.value) <= max(params.min_gain, record.before.noise_sd)
    )


def converged(history: tuple[RoundRecord, ...], stop: StopParams, objective: ObjectiveParams) -> bool:
    """Whether the last ``patience`` rounds all held still; those a person rejected were never tried."""
    last = [record for record in history if record.reasons != (REJECTED,)][-stop.patience :]
    return len(last) == stop.patience and all(held_still(record, objective) for record in last)
