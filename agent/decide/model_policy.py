"""The language model as policy: it picks one of the candidates and says why.

It sees figures, enumerations and ids that code made, never text of the data, nor words that a model wrote after reading
any. What it answers is recorded, so that the auditor's copy of this policy chooses the same with the network off.
"""

from collections import Counter
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ...state.actions import Action
from ...state.canonical import Json
from ...state.decision import Candidate, RoundRecord
from ..llm import Request
from ..llm.ask import Unusable, asked, reader, schema
from ..llm.budget import BUDGET
from ..llm.client import Model
from .policy import Case, Choice

_CLUSTERS_SHOWN = 40
_ROUNDS_SHOWN = 20
_CLUSTERS_NAMED = 20  # clusters a candidate's parameters name, at most

_ShortText = Annotated[str, Field(max_length=600)]


class RejectedChoice(BaseModel):
    """A candidate that was passed over."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(max_length=16)
    reason: _ShortText


class PolicyAnswer(BaseModel):
    """The model's answer; the reasons come first, so that they are written first."""

    model_config = ConfigDict(extra="forbid")

    reasons: list[_ShortText] = Field(min_length=1, max_length=6)
    candidate: str = Field(max_length=16)
    rejected: list[RejectedChoice] = Field(max_length=20)


def choose(model: Model, case: Case) -> Choice:
    """What ``model`` chooses; a choice that names no candidate where there is no usable answer (``decide`` stops)."""
    open_ones = sorted(candidate.id for candidate in case.candidates if candidate.available)

    def check(answer: PolicyAnswer) -> None:
        if answer.candidate not in open_ones:
            raise Unusable(f"{answer.candidate!r} is none of the candidates; they are {', '.join(open_ones)}")

    answered = model.answered(question(case), reader(PolicyAnswer, check))
    answer = answered.value
    if answer is None:
        not_asked = answered.problem == BUDGET
        return Choice("", (BUDGET if not_asked else "the language model gave no usable answer",), {})
    known = {candidate.id for candidate in case.candidates}
    rejected = {other.id: other.reason for other in answer.rejected if other.id in known}
    return Choice(answer.candidate, tuple(answer.reasons), rejected)


def question(case: Case) -> Request:
    """The question of one round, made of figures."""
    shown = {
        "report": case.report.model_dump(mode="json", exclude={"clusters"}),
        "clusters": _clusters(case),
        "verdicts": Counter(critique.verdict for critique in case.critiques),
        "candidates": [_candidate(candidate) for candidate in case.candidates if candidate.available],
        "history": [_round(record) for record in case.history[-_ROUNDS_SHOWN:]],
        "budget": case.budget.model_dump(mode="json"),
    }
    return asked("decide", shown, schema(PolicyAnswer))


def _clusters(case: Case) -> list[Json]:
    """The clusters with a verdict other than keep first, then by size; their figures and the critic's enumerations.

    Not shown are a cluster's terms, which are words of the data, and row positions.
    """
    judged = zip(case.report.clusters, case.critiques, strict=True)
    ordered = sorted(judged, key=lambda both: (both[1].verdict == "keep", -both[0].size, both[0].cluster))
    return [
        {
            **cluster.model_dump(mode="json", exclude={"terms", "medoid", "boundary", "random"}),
            **critique.model_dump(include={"issues", "verdict", "coherence", "quality", "review"}),
        }
        for cluster, critique in ordered[:_CLUSTERS_SHOWN]
    ]


def _candidate(candidate: Candidate) -> Json:
    """A candidate without its reasons: those are for people, and name what critics said."""
    return candidate.model_dump(include={"id", "rows", "evidence"}) | _action(candidate.action)


def _action(action: Action) -> Json:
    params = action.params
    if len(clusters := params.get("clusters", ())) > _CLUSTERS_NAMED:
        params |= {"clusters": clusters[:_CLUSTERS_NAMED], "and_more_clusters": len(clusters) - _CLUSTERS_NAMED}
    return {"action": action.action, "params": params}


def _round(record: RoundRecord) -> Json:
    """One finished round: what was tried, and what came of it."""
    changes = None
    if record.after is not None:
        before, after = record.before.model_dump(mode="json"), record.after.model_dump(mode="json")
        changes = {
            name: round(after[name] - before[name], 6)
            for name in after
            if isinstance(after[name], float) and isinstance(before[name], float)
        }
    figures = record.model_dump(include={"round", "outcome", "kept", "k"})
    return figures | _action(record.action) | {"gain": changes and changes["value"], "changes": changes}
