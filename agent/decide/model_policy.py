"""The language model as policy: it looks at what it likes, picks one of the candidates and says why.

It sees figures, enumerations and ids that code made, never text of the data, nor words that a model wrote after reading
any. What it answers is recorded, so that the auditor's copy of this policy calls and chooses the same with the network
off. Calls are part of the answer's form, so that every vendor's models can make them (ReAct, Yao et al. 2023).
"""

from collections import Counter
from dataclasses import replace
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from ...state.actions import Action
from ...state.canonical import Json, canonical_json
from ...state.decision import Candidate, Look, RoundRecord
from ..llm import DECISION_QUESTIONS, Message, Request
from ..llm.ask import Unusable, asked, reader, schema
from ..llm.budget import BUDGET
from ..llm.client import Model
from ..registry import offered
from . import rules_policy
from .looking import NO_MORE, Call, Looking, Step, Turn, plainly
from .policy import Case, Choice

NO_ANSWER = "the language model gave no usable answer: the rules choose"

_CLUSTERS_SHOWN = 40
_ROUNDS_SHOWN = 20
_CLUSTERS_NAMED = 20  # clusters a candidate's parameters name, at most
_CALLS_AT_ONCE = 8

_ShortText = Annotated[str, Field(max_length=600)]


class RejectedChoice(BaseModel):
    """A candidate that was passed over."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(max_length=16)
    reason: _ShortText


_Id = Annotated[str, Field(max_length=16)]
_Rejected = Annotated[list[RejectedChoice], Field(max_length=20)]


class _Reasoned(BaseModel):
    """What every answer begins with: the reasons, so that they are written first."""

    model_config = ConfigDict(extra="forbid")

    reasons: list[_ShortText] = Field(min_length=1, max_length=6)


class PolicyAnswer(_Reasoned):
    """The model's choice."""

    candidate: _Id
    rejected: _Rejected


@cache
def looking_answer() -> type[BaseModel]:
    """The form of an answer that calls tools, those that the registry offers to a policy, or chooses."""
    forbid = ConfigDict(extra="forbid")
    calls: list[Any] = []
    for one in offered("policy"):
        name: Any = Literal[one.name]
        calls.append(create_model(one.name, __config__=forbid, tool=(name, ...), arguments=(one.params, ...)))
    call: Any = Annotated[reduce(or_, calls), Field(discriminator="tool")]
    looks: Any = (Annotated[list[call], Field(max_length=_CALLS_AT_ONCE)], ...)
    return create_model(
        "LookingAnswer", __base__=_Reasoned, looks=looks, candidate=(_Id, ...), rejected=(_Rejected, ...)
    )


def choose(model: Model, looking: Looking | None, case: Case) -> Choice:
    """What ``model`` chooses, once it has looked at what ``looking`` offers (None: nothing).

    A choice that names no candidate where the budget does not cover the question (``decide`` stops); the rules' choice
    where there is no usable answer.
    """
    start = Turn(question(case, looks=looking is not None), last=looking is None)
    ask = _asking(model, case, looking)
    turn = plainly(ask, _no_look, start) if looking is None else looking.drive(ask, _looking(looking), start)
    choice = turn.choice
    assert choice is not None
    if NO_ANSWER in choice.reasons:
        if looking is not None:
            looking.tools.measure_all()
        choice = rules_policy.choose(replace(case, candidates=_candidates(case, looking)))
        choice = replace(choice, reasons=(NO_ANSWER, *choice.reasons))
    elif looking is not None:  # the verdict on it is that of a measurement on all held-out rows, seen or not
        looking.tools.measure(choice.candidate)
    return replace(choice, candidates=_candidates(case, looking), looks=turn.looks)


def _candidates(case: Case, looking: Looking | None) -> tuple[Candidate, ...]:
    return case.candidates if looking is None else looking.tools.candidates


def _asking(model: Model, case: Case, looking: Looking | None) -> Step:
    def ask(turn: Turn) -> Turn:
        known = _candidates(case, looking)
        open_ones = sorted(one.id for one in known if one.available)

        def check(answer: Any) -> None:
            calls = getattr(answer, "looks", ())
            if calls and answer.candidate:
                raise Unusable("it calls tools and chooses at once; leave `candidate` empty, or `looks`")
            if not calls and answer.candidate not in open_ones:
                raise Unusable(f"{answer.candidate!r} is none of the candidates; they are {', '.join(open_ones)}")

        form: type[Any] = PolicyAnswer if turn.last else looking_answer()
        answered = model.answered(turn.request, reader(form, check))
        answer, asked = answered.value, replace(turn, questions=turn.questions + 1)
        if answer is None:
            reason = BUDGET if answered.problem == BUDGET else NO_ANSWER
            return replace(asked, choice=Choice("", (reason,), {}))
        if calls := getattr(answer, "looks", ()):
            request = _with(turn.request, "assistant", answer.model_dump(mode="json"))
            return replace(asked, request=request, calls=tuple(Call(one.tool, one.arguments) for one in calls))
        rejected = {other.id: other.reason for other in answer.rejected if other.id in {one.id for one in known}}
        return replace(asked, choice=Choice(answer.candidate, tuple(answer.reasons), rejected))

    return ask


def _no_look(turn: Turn) -> Turn:
    raise AssertionError("nothing may be looked at")


def _looking(looking: Looking) -> Step:
    def look(turn: Turn) -> Turn:
        looks, refused = list(turn.looks), ""
        for call in turn.calls:
            refused = refused or (NO_MORE if len(looks) >= looking.most else looking.tools.over(turn, len(looks)))
            given = call.arguments.model_dump(mode="json")
            looks.append(
                Look(tool=call.tool, arguments=given, refused=refused) if refused else looking.tools.look(call)
            )
        last = bool(refused) or len(looks) >= looking.most or turn.questions >= DECISION_QUESTIONS - 1
        results = [one.model_dump(mode="json", exclude_defaults=True) for one in looks[len(turn.looks) :]]
        shown: Json = {"results": results}
        if last:
            shown["choose"] = "no more looks: choose a candidate now"
        request = _with(turn.request, "user", shown)
        if last:
            request = request.model_copy(update={"answer": schema(PolicyAnswer)})
        return replace(turn, request=request, looks=tuple(looks), calls=(), last=last)

    return look


def _with(request: Request, role: Literal["user", "assistant"], said: Json) -> Request:
    message = Message(role=role, content=canonical_json(said).decode())
    return request.model_copy(update={"messages": (*request.messages, message)})


def question(case: Case, looks: bool = False) -> Request:
    """The first question of one round, made of figures; with ``looks`` it may be answered by calls of tools."""
    shown = {
        "report": case.report.model_dump(mode="json", exclude={"clusters"}),
        "clusters": _clusters(case),
        "verdicts": Counter(critique.verdict for critique in case.critiques),
        "candidates": [_candidate(candidate) for candidate in case.candidates if candidate.available],
        "history": [_round(record) for record in case.history[-_ROUNDS_SHOWN:]],
        "budget": case.budget.model_dump(mode="json"),
    }
    if looks:
        shown["tools"] = {one.name: _tool(one.description, one.params) for one in offered("policy")}
    return asked("decide", shown, schema(looking_answer() if looks else PolicyAnswer))


def _tool(description: str, params: type[BaseModel]) -> Json:
    return {"does": description, "arguments": {name: one.description for name, one in params.model_fields.items()}}


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
