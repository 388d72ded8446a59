"""The language model as policy: it picks one of the candidates and says why.

It sees figures, enumerations and ids that code made, never text of the data, nor words that a model wrote after reading
any. What it answers is recorded, so that the auditor's copy of this policy chooses the same with the network off.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ...state.actions import Action
from ...state.canonical import Json
from ...state.decision import Budget, Candidate, Critique, RoundRecord
from ...state.report import ClusterEvidence, ClusterReport
from ..llm import Request
from ..llm.ask import Unusable, asked, reader, schema
from ..llm.budget import BUDGET
from ..llm.client import Model
from .policy import Choice

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


class LlmPolicy:
    """Asks ``model`` (the live one, or in the audit the recorded one) to choose."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __call__(
        self,
        report: ClusterReport,
        critiques: tuple[Critique, ...],
        candidates: tuple[Candidate, ...],
        history: tuple[RoundRecord, ...],
        budget: Budget,
    ) -> Choice:
        """The model's choice; one that names no candidate where there is no usable answer (``decide`` then stops)."""
        open_ones = {candidate.id for candidate in candidates if candidate.available}

        def check(answer: PolicyAnswer) -> None:
            if answer.candidate not in open_ones:
                raise Unusable(
                    f"{answer.candidate!r} is none of the candidates; they are {', '.join(sorted(open_ones))}"
                )

        asked = question(report, critiques, candidates, history, budget)
        answered = self._model.answered(asked, reader(PolicyAnswer, check))
        answer = answered.value
        if answer is None:
            not_asked = answered.problem == BUDGET
            return Choice("", (BUDGET if not_asked else "the language model gave no usable answer",), {})
        known = {candidate.id for candidate in candidates}
        return Choice(
            candidate=answer.candidate,
            reasons=tuple(answer.reasons),
            rejected={other.id: other.reason for other in answer.rejected if other.id in known},
        )


def question(
    report: ClusterReport,
    critiques: tuple[Critique, ...],
    candidates: tuple[Candidate, ...],
    history: tuple[RoundRecord, ...],
    budget: Budget,
) -> Request:
    """The question of one round, made of figures."""
    shown = {
        "report": report.model_dump(mode="json", exclude={"clusters"}),
        "clusters": _clusters(report, critiques),
        "verdicts": _tally(critiques),
        "candidates": [_candidate(candidate) for candidate in candidates if candidate.available],
        "history": [_round(record) for record in history[-_ROUNDS_SHOWN:]],
        "budget": budget.model_dump(mode="json"),
    }
    return asked("decide", shown, schema(PolicyAnswer))


def _clusters(report: ClusterReport, critiques: tuple[Critique, ...]) -> list[Json]:
    """The clusters with a verdict other than keep first, then by size; their figures and the critic's enumerations."""
    judged = zip(report.clusters, critiques, strict=True)
    ordered = sorted(judged, key=lambda both: (both[1].verdict == "keep", -both[0].size, both[0].cluster))
    return [
        {**_figures(cluster), **critique.model_dump(include={"issues", "verdict", "coherence", "quality", "review"})}
        for cluster, critique in ordered[:_CLUSTERS_SHOWN]
    ]


def _figures(cluster: ClusterEvidence) -> Json:
    """What may be shown of a cluster: everything but its terms, which are words of the data, and row positions."""
    return cluster.model_dump(mode="json", exclude={"terms", "medoid", "boundary", "random"})


def _tally(critiques: tuple[Critique, ...]) -> dict[str, int]:
    tally: dict[str, int] = {}
    for critique in critiques:
        tally[critique.verdict] = tally.get(critique.verdict, 0) + 1
    return tally


def _candidate(candidate: Candidate) -> Json:
    """A candidate without its reasons: those are for people, and name what critics said."""
    return {
        "id": candidate.id,
        "action": candidate.action.action,
        "params": _params(candidate.action),
        "rows": candidate.rows,
        "evidence": candidate.evidence,
    }


def _params(action: Action) -> Json:
    params = action.params
    if len(clusters := params.get("clusters", ())) > _CLUSTERS_NAMED:
        return {**params, "clusters": clusters[:_CLUSTERS_NAMED], "and_more_clusters": len(clusters) - _CLUSTERS_NAMED}
    return params


def _round(record: RoundRecord) -> Json:
    """One finished round: what was tried, and what came of it."""
    gain = None if record.after is None else round(record.after.value - record.before.value, 6)
    parts = None
    if record.after is not None:
        before, after = record.before.model_dump(mode="json"), record.after.model_dump(mode="json")
        parts = {
            name: round(after[name] - before[name], 6)
            for name in after
            if isinstance(after[name], float) and isinstance(before.get(name), float)
        }
    return {
        "round": record.round,
        "action": record.action.action,
        "params": _params(record.action),
        "outcome": record.outcome,
        "gain": gain,
        "changes": parts,
        "kept": record.kept,
        "k": record.k,
    }
