"""Who picks among the candidates: a policy is a pure function from the evidence to a choice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ...state.decision import Budget, Candidate, Critique, RoundRecord
from ...state.report import ClusterReport


@dataclass(frozen=True)
class Choice:
    """The id of the chosen candidate, the reasons, and for the others (by id) why not."""

    candidate: str
    reasons: tuple[str, ...]
    rejected: dict[str, str]


class Policy(Protocol):
    """Chooses; no clock, no randomness, no input or output."""

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


def policy(name: str) -> Policy:
    """The policy of that name."""
    from . import rules

    return {"rules": rules.choose}[name]
