"""Who picks among the candidates: a policy is a function of the evidence, and of recorded answers, to a choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from ...state.decision import Budget, Candidate, Critique, RoundRecord
from ...state.report import ClusterReport

if TYPE_CHECKING:
    from ..llm.client import Model


@dataclass(frozen=True)
class Case:
    """What is decided on: the clusters in figures, a verdict for each, and what may be chosen, ``stop`` always among
    it; the finished rounds, and what is left."""

    report: ClusterReport
    critiques: tuple[Critique, ...]
    candidates: tuple[Candidate, ...]
    history: tuple[RoundRecord, ...]
    budget: Budget


@dataclass(frozen=True)
class Choice:
    """The id of the chosen candidate, the reasons, and for the others (by id) why not."""

    candidate: str
    reasons: tuple[str, ...]
    rejected: dict[str, str]


#: Chooses; no clock, no randomness, and the same answer on record gives the same choice.
Policy: TypeAlias = Callable[[Case], Choice]


def policy(model: Model | None) -> Policy:
    """The policy that asks ``model`` (in the audit, the recorded one), or where there is none the rules."""
    if model is not None:
        from . import model_policy

        return partial(model_policy.choose, model)
    from . import rules_policy

    return rules_policy.choose
