"""Who picks among the candidates: a policy is a function of the evidence, and of recorded answers, to a choice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ...state.decision import Budget, Candidate, Critique, RoundRecord
from ...state.report import ClusterReport

if TYPE_CHECKING:
    from ..llm.client import Model


@dataclass(frozen=True)
class Choice:
    """The id of the chosen candidate, the reasons, and for the others (by id) why not."""

    candidate: str
    reasons: tuple[str, ...]
    rejected: dict[str, str]


class Policy(Protocol):
    """Chooses; no clock, no randomness, and the same answer on record gives the same choice."""

    def __call__(
        self,
        report: ClusterReport,
        critiques: tuple[Critique, ...],
        candidates: tuple[Candidate, ...],
        history: tuple[RoundRecord, ...],
        budget: Budget,
    ) -> Choice:
        """The choice among ``candidates``, of which ``stop`` is always one."""
        ...


def policy(backend: str, model: Model | None = None) -> Policy:
    """The policy of a run: ``rules``, or ``llm`` asking ``model`` (in the audit, the recorded one)."""
    if backend == "llm" and model is not None:
        from .model_policy import LlmPolicy

        return LlmPolicy(model)
    from . import rules_policy as rules

    return rules.choose
