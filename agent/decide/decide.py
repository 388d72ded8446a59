"""The decision: a pure function, called by the loop and again by the auditor."""

from ...state.actions import Stop
from ...state.decision import Budget, Candidate, Decision, Rejected, RoundRecord
from ...state.params.rounds import ObjectiveParams, StopParams
from .policy import Case, Choice, Policy

ROUNDS_DONE = "the rounds allowed are done"
TIME_OVER = "the time allowed is over"
MONEY_SPENT = "the money allowed is spent"
TOKENS_USED = "the tokens allowed are used"
SPENT = frozenset((ROUNDS_DONE, TIME_OVER, MONEY_SPENT, TOKENS_USED))
STILL = ("labels, keep-set and objective held still",)


def decide(policy: Policy, case: Case, human: str | None = None) -> Decision:
    """The decision of one round: the person's candidate if there is one, otherwise the policy's.

    Pure: no clock, no randomness, no input or output. A spent budget means ``stop``; so do data that no longer move
    when nothing that the evidence calls for is untried, unless a person goes on. A choice that is not an available
    candidate becomes ``stop`` too, the safe default.

    ``human``: id of the candidate a person chose.
    """
    return decided(case, chosen(policy, case, human))


def chosen(policy: Policy, case: Case, human: str | None = None) -> Choice:
    """What is chosen, and by whose reasons: no policy is asked where a budget is spent or the data hold still."""
    stop = _stop(case)
    if spent := _spent(case.budget):
        return Choice(stop.id, spent, {})
    if human is not None:
        return Choice(human, ("chosen by a person",), {})
    if case.budget.held_still and not case.untried and not any(_pays(candidate) for candidate in case.candidates):
        return Choice(stop.id, STILL, {})
    return policy(case)


def decided(case: Case, choice: Choice) -> Decision:
    """The decision that a choice comes to."""
    candidates = choice.candidates or case.candidates
    open_ones = {candidate.id: candidate for candidate in candidates if candidate.available}
    found, reasons = open_ones.get(choice.candidate), choice.reasons
    if safe_default := found is None:
        said = reasons if not choice.candidate else (f"the choice {choice.candidate!r} is not an available candidate",)
        found, reasons = _stop(case), (*said, "safe default: stop")
    rejected = tuple(
        Rejected(
            id=candidate.id,
            action=candidate.action.action,
            reason=candidate.unavailable_because or choice.rejected.get(candidate.id, "not chosen"),
        )
        for candidate in candidates
        if candidate.id != found.id
    )
    return Decision(
        candidate=found.id, action=found.action, reasons=reasons, rejected=rejected, safe_default=safe_default
    )


def _stop(case: Case) -> Candidate:
    return next(candidate for candidate in case.candidates if isinstance(candidate.action, Stop))


def _pays(candidate: Candidate) -> bool:
    return candidate.available and candidate.appraisal is not None and candidate.appraisal.outcome == "kept"


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
        and abs(record.after.value - record.before.value) <= params.min_gain
    )


def converged(history: tuple[RoundRecord, ...], stop: StopParams, objective: ObjectiveParams) -> bool:
    """Whether the last ``patience`` rounds all held still; those a person rejected were never tried."""
    last = [record for record in history if record.reasons != (REJECTED,)][-stop.patience :]
    return len(last) == stop.patience and all(held_still(record, objective) for record in last)
