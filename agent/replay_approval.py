"""What follows from a person's answers, derived again for the audit.

What they were shown was the proposal, an answer stands before each action, and `keep` and `undo` put in force what
follows from the log.
"""

from __future__ import annotations

from typing import Any

from ..state.config import Config
from ..state.decision import RoundRecord
from ..state.events import Event
from ..state.rows import kept_rows
from ..state.run import RunState
from ..state.store import Store
from . import undo
from .approval import Answer, granted, proposal, settle
from .facts import state_key
from .llm.answers import Answers
from .llm.registry import open_provider

Claim = tuple[str, Any, Any]  # what, as derived, as logged


def approval_claims(
    store: Store,
    config: Config,
    state: RunState,
    history: tuple[RoundRecord, ...],
    before: list[Event],
    event: Event,
) -> list[Claim]:
    """The person was shown this very proposal, answered it once, and the answer was followed; or approved it before.

    Raises:
        UsageError: the answer is not to this proposal.
    """
    assert event.state is not None
    by_model = event.params.get("by") == "model"
    if by_model and not _put_forward(store, config, state, before, event):
        return [("tool call behind what the language model put forward", True, False)]
    if event.human is None and not by_model:
        alone = {"answer": "approve", "rejected": False, "auto_rounds": state.values.get("auto_rounds", 0) - 1}
        return [("approval", True, granted(state, before)), ("answer", alone, event.state.values)]
    said = {"interrupt_id": ""} if event.human is None else event.human.model_dump()
    answer = Answer.model_validate({**event.params, **said})
    settled = settle(config, store, state, before, answer)
    brought_in = [] if settled.candidate is None else [settled.candidate.model_dump(mode="json")]
    return [
        ("actor", "agent" if event.human is None else "human", event.actor),
        ("answer", settled.values, event.state.values),
        ("candidates", brought_in, event.candidates),
    ]


def _put_forward(store: Store, config: Config, state: RunState, before: list[Event], event: Event) -> bool:
    """Whether a recorded answer of the conversation holds the tool call that put this forward.

    One answer may hold several calls; it is logged with the first that is carried out.
    """
    from .chat.conversation import Refusal  # here: it loads the graph
    from .chat.tools import MODEL_TOOLS, put_forward

    provider, answers = open_provider(config.llm), Answers(store.root.parent / "llm")
    wanted = {name: event.params[name] for name in ("candidate", "action", "params") if name in event.params}
    alternatives = proposal(state, before)["alternatives"]
    for earlier in [event, *reversed(before)]:
        talked = [call.request_sha for call in earlier.llm if call.kind == "chat" and call.response_sha]
        for sha in talked:
            stored = answers.get(sha)
            for call in () if stored is None else provider.read(stored.answer).tool_calls:
                try:
                    if put_forward(MODEL_TOOLS[call.name].check(call.arguments), alternatives) == wanted:
                        return True
                except (KeyError, Refusal):
                    continue
        if talked or earlier.human is not None:
            return False
    return False


def override_claims(
    store: Store,
    config: Config,
    state: RunState,
    history: tuple[RoundRecord, ...],
    before: list[Event],
    event: Event,
) -> list[Claim]:
    """A person asked for it, and it put in force what follows from the log, nothing else.

    Raises:
        UsageError: there was nothing to keep or to undo.
    """
    assert event.state is not None
    change = undo.kept(state) if event.type == "keep" else undo.undone(state, before)
    return [
        ("approval", ("approve", event.type), (state.last, state.values.get("answer"))),
        ("artefacts", change.artefacts, event.state.artefacts),
        ("values", change.values, event.state.values),
    ]


def end_claims(store: Store, config: Config, state: RunState, *rest: Any) -> list[Claim]:
    """The loop ended because it was decided, and approved where a person approves."""
    return [("stop", "stop", state.values["decision"]["action"]), approved(config, state)]


def approved(config: Config, state: RunState) -> Claim:
    """In a run with a person an answer to it stands directly before an action."""
    answered = state.last == "approve" and state.values["answer"] in ("approve", "reject", "run", "finish")
    return ("approval", True, answered or not config.approve)


def offer_claims(store: Store, state: RunState, record: RoundRecord, event: Event) -> list[Claim]:
    """What a person may keep is the trial that was rolled back, and nothing where none was."""
    assert event.state is not None
    assert record.after is not None
    offer = event.state.values["offer"]
    claims: list[Claim] = [("trial that may be kept", record.outcome == "rolled_back", offer is not None)]
    if offer is not None:
        rows = kept_rows(store.frame(state.artefacts["trial_ledger"]))
        values = offer["values"]
        claims += [
            ("ledger that may be kept", state.artefacts["trial_ledger"], offer["artefacts"]["ledger"]),
            ("objective that may be kept", record.after.model_dump(mode="json"), values["objective"]),
            ("state that may be kept", state_key(rows, values["clustering"]), values["state_key"]),
        ]
    return claims
