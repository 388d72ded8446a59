"""What a person is shown before an action, what they may answer, and what follows from it.

Pure functions of a view, called by the loop and again by the auditor. An answer counts only for what was shown: it
carries the hash of the proposal, and the hash of another proposal is refused.
"""

from ...state.actions import EditRows, Stop
from ...state.canonical import sha256_json
from ...state.decision import Answer, Candidate, Decision, Proposal, RolledBack
from ...state.errors import UsageError
from ...state.events import Approve, Decide
from ...state.notes import Resume
from ...state.phrases import counted
from ...state.values import Values
from ..view import View
from . import person, undo
from .candidates import own_candidate
from .decide import decide
from .facts import gather_budget, gather_facts
from .policy import Case
from .rules_policy import choose

_PUT_FORWARD = {
    "model": "put forward by the language model in conversation",
    "agent": "put forward by an agent, through MCP",
}


def proposal(view: View) -> Proposal:
    """What a person is shown: the decision that waits, who made it, and the other candidates.

    Events that are no step (``chat``, ``resume``) change nothing of it.
    """
    decision = view.decision
    decided, known = _candidates(view)
    brought_in = [e for e in view.events[decided.seq :] if isinstance(e, Approve) and e.candidates]
    return Proposal(
        round=view.state.round,
        state_key=view.values.state_key or "",
        decided=(brought_in[-1] if brought_in else decided).seq,
        by=brought_in[-1].answer.by if brought_in else "rules" if decided.actor == "rules" else "model",
        candidate=known[decision.candidate],
        reasons=decision.reasons,
        alternatives=tuple(c for c in known.values() if c.available and c.id != decision.candidate),
        rolled_back=None if not view.values.offer else _rolled_back(view),
        looks=() if brought_in else decided.looks,
    )


def _rolled_back(view: View) -> RolledBack:
    """The last trial that was rolled back, which a person may keep all the same."""
    record = next(record for record in reversed(view.history()) if record.outcome == "rolled_back")
    gain = None if record.after is None else round(record.after.value - record.before.value, 6)
    return RolledBack(round=record.round, action=record.action, gain=gain)


def shown_sha(shown: Proposal) -> str:
    """The hash of what a person was shown."""
    return sha256_json(shown.model_dump(mode="json"))


def _candidates(view: View) -> tuple[Decide, dict[str, Candidate]]:
    """The last ``decide`` event, and every candidate since by its id."""
    decided = next(event for event in reversed(view.events) if isinstance(event, Decide))
    since = [event for event in view.events[decided.seq :] if isinstance(event, Decide | Approve)]
    return decided, {candidate.id: candidate for event in since for candidate in event.candidates}


def granted(view: View) -> bool:
    """Whether the action that waits was approved beforehand by ``run``.

    Ending the run is asked about, and so is whatever comes after a stop of the process.
    """
    if view.values.auto_rounds < 1 or isinstance(view.decision.action, Stop):
        return False
    last = next(e for e in reversed(view.events) if isinstance(e, Resume) or (isinstance(e, Approve) and by_person(e)))
    return isinstance(last, Approve)


def by_person(event: Approve) -> bool:
    """Whether a person gave the answer: not a model, and not one given beforehand."""
    return event.actor == "human"


def settle(view: View, answer: Answer) -> tuple[Values, tuple[Candidate, ...]]:
    """The values that an answer to the proposal that waits sets, and the candidates that it brings in.

    Raises:
        UsageError: the answer is to another proposal, or it cannot be carried out; nothing is changed.
    """
    answered = [event for event in view.events if isinstance(event, Approve) and by_person(event)]
    if any(event.answer.interrupt_id == answer.interrupt_id for event in answered):
        raise UsageError("this proposal was answered before; nothing was done")
    shown = proposal(view)
    if answer.shown_sha != shown_sha(shown):
        raise UsageError("what was shown is no longer what is proposed; nothing was done, look at it again")
    if answer.by != "person" and answer.answer != "choose":
        raise UsageError("only a person may approve; nothing was done")
    if answer.by != "person" and isinstance(answer.action, EditRows):
        raise UsageError("only a person may say what becomes of single rows; nothing was done")
    stops = isinstance(shown.candidate.action, Stop)
    change = Values(stop_reason=None, converged=False) if stops else Values()  # where the run goes on
    brought_in: tuple[Candidate, ...] = ()
    ends = answer.answer == "finish" or (stops and answer.answer == "approve")
    if ends and (rows := person.waiting(view)):
        raise UsageError(
            f"what you said of {counted(rows, 'row')} is not in force yet: /apply puts it in force; nothing was done"
        )
    match answer.answer:
        case "approve":
            change = Values()
        case "review":
            assert answer.about is not None
            person.with_answer(view, answer.about)
            change = Values()
        case "note":
            assert answer.note is not None
            person.check_note(view, answer.note)
            change = Values()
        case "apply":
            if not person.waiting(view):
                raise UsageError("nothing that you said of single rows is still to be done")
        case "reject" | "run" if stops:
            raise UsageError("the proposal is to stop: /finish, or choose another action; /help tells how")
        case "reject":
            change = Values(rejected=True)
        case "run":
            change = Values(auto_rounds=answer.rounds - 1)
        case "keep":
            undo.kept(view)
        case "undo":
            undo.undone(view)
        case "finish":
            change = Values() if stops else _finish(view)
        case "choose":
            mine, decision = _choose(view, answer)
            change, brought_in = change.patched(Values(decision=decision)), (mine,)
    return Values(answer=answer.answer, rejected=False, auto_rounds=0).patched(change), brought_in


def _finish(view: View) -> Values:
    _, known = _candidates(view)
    stop = next(candidate for candidate in known.values() if isinstance(candidate.action, Stop))
    decision = _decide(view, tuple(known.values()), stop)
    return Values(decision=decision, stop_reason="; ".join(decision.reasons), converged=False)


def _choose(view: View, answer: Answer) -> tuple[Candidate, Decision]:
    """Another decision takes the place of the one that waits; it is shown and waits in its turn."""
    _, known = _candidates(view)
    if answer.action is not None:
        if isinstance(answer.action, EditRows):
            person.check_edit(view, answer.action)
        mine = own_candidate(answer.action, view.report(), gather_facts(view), view.config.caps)
    elif answer.candidate in known and known[answer.candidate].available:
        mine = known[answer.candidate]
    else:
        raise UsageError("there is no such alternative")
    known[mine.id] = mine
    decision = _decide(view, tuple(known.values()), mine)
    if decision.candidate != mine.id:
        raise UsageError(f"{'; '.join(decision.reasons)}: nothing more can be tried; /keep, /undo or /finish")
    if answer.by != "person":
        decision = decision.model_copy(update={"reasons": (_PUT_FORWARD[answer.by],)})
    return mine, decision


def _decide(view: View, candidates: tuple[Candidate, ...], chosen: Candidate) -> Decision:
    """The decision for what a person chose; the budget still has the last word."""
    case = Case(view.report(), view.critiques(), candidates, view.history(), gather_budget(view))
    return decide(choose, case, human=chosen.id)
