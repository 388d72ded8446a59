"""What was judged and chosen: critiques, candidates, decisions, rounds and budgets."""

from __future__ import annotations

from typing import Any, Literal

from .report import Objective, Record

Issue = Literal["mixed", "near_duplicates", "noisy", "low_quality", "too_small", "too_large", "unstable", "none"]
ActionKind = Literal["change_k", "prune", "synthesise", "refilter", "stop"]
Outcome = Literal["kept", "rolled_back", "refused", "stopped"]


class Critique(Record):
    """A typed verdict on one cluster; the reasons come before the verdict."""

    cluster: int
    reasons: tuple[str, ...]
    issues: tuple[Issue, ...]
    verdict: Literal["keep", "split", "thin", "trim", "drop"]


class Candidate(Record):
    """A legal, capped action. ``key`` names the action and its parameters, the same in every round."""

    id: str  # opaque, new in every round
    key: str
    action: ActionKind
    params: dict[str, Any]
    rows: int  # rows it would remove, or bring back; an upper bound
    reasons: tuple[str, ...]
    available: bool = True  # False: shown, with the reason, but not to be chosen
    unavailable_because: str = ""


class Rejected(Record):
    """A candidate that was not chosen, and why."""

    id: str
    action: ActionKind
    reason: str


class Decision(Record):
    """The choice of one round."""

    candidate: str  # its id
    action: ActionKind
    params: dict[str, Any]
    reasons: tuple[str, ...]
    rejected: tuple[Rejected, ...]


class Budget(Record):
    """What is left when a decision is taken."""

    rounds_left: int
    minutes_left: float | None
    held_still: bool  # labels, keep-set and objective did not move for `patience` rounds


class Verdict(Record):
    """Whether an action paid, why, and what its gain and the probe's change were held against."""

    outcome: Outcome
    reasons: tuple[str, ...]
    objective_noise: float  # the gain in the objective that stands out from noise
    probe_noise: float  # the change of the probe that does


class RoundRecord(Record):
    """One finished round, as history for later decisions."""

    round: int
    state_key: str  # names the kept rows and the clustering the action was tried on
    key: str  # the candidate's key
    action: ActionKind
    params: dict[str, Any]
    outcome: Outcome
    reasons: tuple[str, ...]
    verdict: Verdict | None  # None where nothing was measured
    kept: int
    k: int
    embedded: int
    before: Objective
    after: Objective | None
    label_agreement: float  # AMI of labels before and after, on the rows kept in both
    keep_agreement: float  # Cohen's κ of the keep-set before and after
