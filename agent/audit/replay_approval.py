"""What follows from a person's answers, derived again for the audit.

What they were shown was the proposal, an answer stands before each action, and `keep` and `undo` put in force what
follows from the log.
"""

from __future__ import annotations

from ...state.config import Config
from ...state.decision import RoundRecord
from ...state.rows import kept_rows
from ...state.run import RunState
from ..decide import undo
from ..decide.approval import Answer, granted, proposal, settle
from ..decide.facts import state_key
from ..llm.answers import Answers
from ..llm.open import open_provider
from .logged import Claim, Logged


def approval_claims(at: Logged) -> list[Claim]:
    """The person was shown this very proposal, answered it once, and the answer was followed; or approved it before.

    Raises:
        UsageError: the answer is not to this proposal.
    """
    by_model = at.event.params.get("by") == "model"
    if by_model and not _put_forward(at):
        return [("tool call behind what the language model put forward", True, False)]
    if at.event.human is None and not by_model:
        alone = {"answer": "approve", "rejected": False, "auto_rounds": at.state.values.get("auto_rounds", 0) - 1}
        return [("approval", True, granted(at.state, at.before)), ("answer", alone, at.patch.values)]
    said = {"interrupt_id": ""} if at.event.human is None else at.event.human.model_dump()
    answer = Answer.model_validate({**at.event.params, **said})
    settled = settle(at.config, at.store, at.state, at.before, answer)
    brought_in = [] if settled.candidate is None else [settled.candidate.model_dump(mode="json")]
    return [
        ("actor", "agent" if at.event.human is None else "human", at.event.actor),
        ("answer", settled.values, at.patch.values),
        ("candidates", brought_in, at.event.candidates),
    ]


def _put_forward(at: Logged) -> bool:
    """Whether a recorded answer of the conversation holds the tool call that put this forward.

    One answer may hold several calls; it is logged with the first that is carried out.
    """
    from ..chat.conversation import Refusal  # here: it loads the graph
    from ..chat.tools import MODEL_TOOLS, put_forward

    provider, answers = open_provider(at.config.llm), Answers(at.store.root.parent / "llm")
    wanted = {name: at.event.params[name] for name in ("candidate", "action", "params") if name in at.event.params}
    alternatives = proposal(at.state, at.before)["alternatives"]
    for earlier in [at.event, *reversed(at.before)]:
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


def override_claims(at: Logged) -> list[Claim]:
    """A person asked for it, and it put in force what follows from the log, nothing else.

    Raises:
        UsageError: there was nothing to keep or to undo.
    """
    change = undo.kept(at.state) if at.event.type == "keep" else undo.undone(at.state, at.before)
    return [
        ("approval", ("approve", at.event.type), (at.state.last, at.state.values.get("answer"))),
        ("artefacts", change.artefacts, at.patch.artefacts),
        ("values", change.values, at.patch.values),
    ]


def end_claims(at: Logged) -> list[Claim]:
    """The loop ended because it was decided, and approved where a person approves."""
    return [("stop", "stop", at.state.values["decision"]["action"]), approved(at.config, at.state)]


def approved(config: Config, state: RunState) -> Claim:
    """In a run with a person an answer to it stands directly before an action."""
    answered = state.last == "approve" and state.values["answer"] in ("approve", "reject", "run", "finish")
    return ("approval", True, answered or not config.approve)


def offer_claims(at: Logged, record: RoundRecord) -> list[Claim]:
    """What a person may keep is the trial that was rolled back, and nothing where none was."""
    assert record.after is not None
    offer = at.patch.values["offer"]
    claims: list[Claim] = [("trial that may be kept", record.outcome == "rolled_back", offer is not None)]
    if offer is not None:
        rows = kept_rows(at.store.frame(at.state.artefacts["trial_ledger"]))
        values = offer["values"]
        claims += [
            ("ledger that may be kept", at.state.artefacts["trial_ledger"], offer["artefacts"]["ledger"]),
            ("objective that may be kept", record.after.model_dump(mode="json"), values["objective"]),
            ("state that may be kept", state_key(rows, values["clustering"]), values["state_key"]),
        ]
    return claims
