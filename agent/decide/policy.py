"""Who picks among the candidates: a policy is a function of the evidence, and of recorded answers, to a choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from ...state.decision import Budget, Candidate, Critique, Look, RoundRecord
from ...state.report import ClusterReport

if TYPE_CHECKING:
    from ..llm.client import Model
    from .looking import Looking


@dataclass(frozen=True)
class Case:
    """What is decided on: the clusters in figures, a verdict for each, and what may be chosen, ``stop`` always among
    it; the finished rounds, and what is left.

    ``untried``: the kinds of action that the evidence calls for and that were neither measured nor tried on these rows.
    """

    report: ClusterReport
    critiques: tuple[Critique, ...]
    candidates: tuple[Candidate, ...]
    history: tuple[RoundRecord, ...]
    budget: Budget
    untried: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Choice:
    """The id of the chosen candidate, the reasons, and for the others (by id) why not.

    ``candidates``: those of the case and what was found out since; empty: those of the case. ``looks``: what was looked
    at on the way.
    """

    candidate: str
    reasons: tuple[str, ...]
    rejected: dict[str, str]
    candidates: tuple[Candidate, ...] = ()
    looks: tuple[Look, ...] = ()


#: Chooses; no clock, no randomness, and the same answer on record gives the same choice.
Policy: TypeAlias = Callable[[Case], Choice]


def policy(model: Model | None, looking: Looking | None = None) -> Policy:
    """The policy that asks ``model`` (in the audit, the recorded one), or where there is none the rules.

    ``looking``: what the model may look at before it chooses.
    """
    if model is not None:
        from . import model_policy

        return partial(model_policy.choose, model, looking)
    from . import rules_policy

    return rules_policy.choose
