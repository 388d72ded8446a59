"""What a person is shown before an action, what they may answer, and what follows from it.

Pure functions of the log and the artefacts, called by the loop and again by the auditor. An answer counts only for what
was shown: it carries the hash of the proposal, and the hash of another proposal is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from ...state.canonical import sha256_json
from ...state.config import Config
from ...state.decision import Candidate, Critique, Decision, RoundRecord
from ...state.errors import UsageError
from ...state.events import Event
from ...state.report import ClusterReport, Record
from ...state.run import RunState
from ...state.store import Store
from . import undo
from .decide import decide
from .facts import gather_budget, gather_facts
from .own_action import human_candidate
from .policy import policy

MOST_ROUNDS = 100  # that one answer approves


class Answer(Record):
    """What is answered to a proposal; ``shown_sha`` and ``interrupt_id`` say to which."""

    shown_sha: str
    interrupt_id: str
    answer: Literal["approve", "reject", "choose", "keep", "undo", "run", "finish"]
    by: Literal["person", "model"] = "person"  # a model may only `choose`, which proposes and does nothing
    candidate: str = ""  # choose: the id of one of the alternatives …
    action: Literal["change_k", "prune"] | None = None  # … or an action of one's own
    params: dict[str, Any] = Field(default_factory=dict)
    rounds: int = Field(1, ge=1, le=MOST_ROUNDS)  # run: how many rounds it approves


@dataclass(frozen=True)
class Settled:
    """What an answer makes of the run: the values it sets, and the candidate it brought in, if any."""

    values: dict[str, Any]
    candidate: Candidate | None = None


def proposal(state: RunState, events: Sequence[Event]) -> dict[str, Any]:
    """What a person is shown: the decision that waits, who made it, and the other candidates.

    Args:
        state: the fold of ``events``.
        events: the log so far; later events that are no step (``chat``, ``resume``) change nothing.
    """
    decision = Decision.model_validate(state.values["decision"])
    decided, known = _candidates(events)
    brought_in = [event for event in events[decided.seq :] if event.type == "approve" and event.candidates]
    mind = "rules" if decided.actor == "rules" else "model"
    return {
        "round": state.round,
        "state_key": state.values["state_key"],
        "decided": (brought_in or [decided])[-1].seq,
        "by": brought_in[-1].params.get("by", "person") if brought_in else mind,
        "proposal": known[decision.candidate].model_dump(mode="json", include={"id", "action", "params", "rows"}),
        "reasons": list(decision.reasons),
        "alternatives": [
            candidate.model_dump(mode="json", include={"id", "action", "params", "rows"})
            for candidate in known.values()
            if candidate.available and candidate.id != decision.candidate
        ],
        "rolled_back": None if state.values.get("offer") is None else _rolled_back(events),
    }


def _rolled_back(events: Sequence[Event]) -> dict[str, Any]:
    """The last trial that was rolled back, which a person may keep all the same."""
    last = next(event for event in reversed(events) if event.type == "measure" and event.outcome == "rolled_back")
    record = RoundRecord.model_validate(last.metrics["record"])
    gain = None if record.after is None else round(record.after.value - record.before.value, 6)
    return {"round": record.round, "action": record.action, "params": record.params, "gain": gain}


def shown_sha(shown: dict[str, Any]) -> str:
    """The hash of what a person was shown."""
    return sha256_json(shown)


def _candidates(events: Sequence[Event]) -> tuple[Event, dict[str, Candidate]]:
    """The last ``decide`` event, and every candidate since by its id."""
    decided = next(event for event in reversed(events) if event.type == "decide")
    known = [Candidate.model_validate(item) for event in events[decided.seq :] for item in event.candidates]
    return decided, {candidate.id: candidate for candidate in known}


def granted(state: RunState, events: Sequence[Event]) -> bool:
    """Whether the action that waits was approved beforehand by ``run``.

    Ending the run is asked about, and so is whatever comes after a stop of the process.
    """
    if state.values.get("auto_rounds", 0) < 1 or state.values["decision"]["action"] == "stop":
        return False
    last = next(event for event in reversed(events) if event.type == "resume" or event.human is not None)
    return last.type == "approve"


def settle(config: Config, store: Store, state: RunState, events: Sequence[Event], answer: Answer) -> Settled:
    """What an answer to the proposal that waits makes of the run.

    Raises:
        UsageError: the answer is to another proposal, or it cannot be carried out; nothing is changed.
    """
    if any(event.human is not None and event.human.interrupt_id == answer.interrupt_id for event in events):
        raise UsageError("this proposal was answered before; nothing was done")
    shown = proposal(state, events)
    if answer.shown_sha != shown_sha(shown):
        raise UsageError("what was shown is no longer what is proposed; nothing was done, look at it again")
    if answer.by == "model" and answer.answer != "choose":
        raise UsageError("only a person may approve; nothing was done")
    values: dict[str, Any] = {"answer": answer.answer, "rejected": False, "auto_rounds": 0}
    stops = shown["proposal"]["action"] == "stop"
    go_on = {"stop_reason": None, "converged": False} if stops else {}
    match answer.answer:
        case "approve":
            return Settled(values)
        case "reject" | "run" if stops:
            raise UsageError("the proposal is to stop: /finish, or choose another action; /help tells how")
        case "reject":
            return Settled(values | {"rejected": True})
        case "run":
            return Settled(values | {"auto_rounds": answer.rounds - 1})
        case "keep":
            undo.kept(state)
            return Settled(values | go_on)
        case "undo":
            undo.undone(state, events)
            return Settled(values | go_on)
        case "finish":
            return Settled(values) if stops else _finish(config, store, state, events, values)
        case "choose":
            return _choose(config, store, state, events, answer, values | go_on)


def _finish(config: Config, store: Store, state: RunState, events: Sequence[Event], values: dict[str, Any]) -> Settled:
    _, known = _candidates(events)
    stop = next(candidate for candidate in known.values() if candidate.action == "stop")
    decision = _decide(config, store, state, events, tuple(known.values()), stop)
    reason = "; ".join(decision.reasons)
    return Settled(values | _decided(decision, stop) | {"stop_reason": reason, "converged": False})


def _choose(
    config: Config,
    store: Store,
    state: RunState,
    events: Sequence[Event],
    answer: Answer,
    values: dict[str, Any],
) -> Settled:
    """Another decision takes the place of the one that waits; it is shown and waits in its turn."""
    _, known = _candidates(events)
    if answer.action is not None:
        report = ClusterReport.model_validate(store.json(state.artefacts["report"]))
        facts = gather_facts(config, state.values, store.frame(state.artefacts["ledger"]))
        mine = human_candidate(answer.action, answer.params, report, facts, config.caps)
    elif answer.candidate in known and known[answer.candidate].available:
        mine = known[answer.candidate]
    else:
        raise UsageError("there is no such alternative")
    known[mine.id] = mine
    decision = _decide(config, store, state, events, tuple(known.values()), mine)
    if decision.candidate != mine.id:
        raise UsageError(f"{'; '.join(decision.reasons)}: nothing more can be tried; /keep, /undo or /finish")
    if answer.by == "model":
        decision = decision.model_copy(update={"reasons": ("put forward by the language model in conversation",)})
    return Settled(values | _decided(decision, mine), mine)


def _decide(
    config: Config,
    store: Store,
    state: RunState,
    events: Sequence[Event],
    candidates: tuple[Candidate, ...],
    chosen: Candidate,
) -> Decision:
    """The decision for what a person chose; the budget still has the last word."""
    report = ClusterReport.model_validate(store.json(state.artefacts["report"]))
    critiques = tuple(Critique.model_validate(item) for item in store.json(state.artefacts["critiques"]))
    measured = [event.metrics["record"] for event in events if event.type == "measure"]
    history = tuple(RoundRecord.model_validate(record) for record in measured)
    budget = gather_budget(config, history, events)
    return decide(policy("rules", None), report, critiques, candidates, history, budget, human=chosen.id)


def _decided(decision: Decision, chosen: Candidate) -> dict[str, Any]:
    return {"decision": decision.model_dump(mode="json"), "decision_key": chosen.key}
