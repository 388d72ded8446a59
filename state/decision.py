"""What was judged and chosen: critiques, candidates, decisions, rounds and budgets."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from .report import Objective, Record

Issue = Literal["mixed", "near_duplicates", "noisy", "low_quality", "too_small", "too_large", "unstable", "none"]
VerdictKind = Literal["keep", "split", "thin", "trim", "drop"]
ActionKind = Literal["change_k", "prune", "synthesise", "refilter", "stop"]
Outcome = Literal["kept", "rolled_back", "refused", "stopped"]


class Critique(Record):
    """A typed verdict on one cluster; the reasons come before the verdict.

    ``reasons`` are code's words, made of figures. ``theme`` and ``said`` are a language model's, written after reading
    rows: they are for people, and no other model ever sees them.
    """

    cluster: int
    reasons: tuple[str, ...]
    issues: tuple[Issue, ...]
    verdict: VerdictKind
    by: Literal["rules", "model"] = "rules"
    theme: str = ""
    said: tuple[str, ...] = ()
    coherence: int | None = None  # 1 … 5, as the model sees it
    quality: int | None = None  # 1 … 5
    review: bool = False  # a person should look: the model's judgements disagree with each other or with the figures


class Granularity(Record):
    """Answers to "same theme?" on pairs of rows: of neighbouring clusters, and within one."""

    between_asked: int
    between_same: int
    within_asked: int
    within_different: int


class Candidate(Record):
    """A legal, capped action. ``key`` names the action and its parameters, the same in every round."""

    id: str  # opaque, new in every round
    key: str
    action: ActionKind
    params: dict[str, Any]
    rows: int  # rows it would remove, or bring back; an upper bound
    reasons: tuple[str, ...]
    evidence: dict[str, float] = Field(default_factory=dict)  # the figures; all that a policy model sees of the reasons
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
    safe_default: bool = False  # stop, because there was no valid choice


class Budget(Record):
    """What is left when a decision is taken."""

    rounds_left: int
    minutes_left: float | None
    usd_left: float | None = None  # None: no bound
    tokens_left: int | None = None
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
