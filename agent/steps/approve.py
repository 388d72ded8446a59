"""A person between decision and action: `approve` waits for an answer, `keep` and `undo` carry two of them out."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...state import events
from ...state.decision import Answer
from ...state.errors import IntegrityError
from ...state.phrases import Advance, silent
from ...state.rows import check_ledger, counts, kept_rows
from ...state.values import Role, Values
from ..decide import undo
from ..decide.approval import granted, proposal, settle, shown_sha
from ..decide.person import with_answer
from ..decide.proposals import PutForward, called_for
from ..llm.answers import Answers
from ..llm.open import open_provider
from ..session import Session
from ..view import View
from .base import Content, Draft, Step


class Approve(Step[Answer]):
    """Show the decision and wait for an answer to it.

    LangGraph runs this from its first line again when the answer comes; what was shown is derived again, and hashed.
    """

    name = "approve"
    unit = ""
    takes = "what a person answered or noted, their name, and when; what an agent of another program put forward"

    def due(self, view: View) -> bool:
        return view.config.approve

    def measure(self, session: Session, view: View, advance: Advance) -> Answer:
        shown = proposal(view)
        if granted(view) and session.asked != shown.decided:
            if not session.ask_next:
                return Answer(shown_sha=shown_sha(shown), answer="approve")
            session.asked, session.ask_next = shown.decided, False  # when this runs again it asks again
        from langgraph.types import interrupt  # here: graph.py sets LangGraph's environment before it is loaded

        answer = Answer.model_validate(interrupt(shown.model_dump(mode="json")))
        session.rested()
        return answer

    def logged(self, view: View, event: events.Approve) -> Answer:
        """As for every step.

        Raises:
            IntegrityError: a language model is said to have put forward what it did not.
        """
        if event.answer.by == "model" and not _called_for(view, event):
            raise IntegrityError("answer: no recorded tool call of the language model put this forward")
        return event.answer

    def derive(self, view: View, measured: Answer, advance: Advance = silent) -> Draft:
        """As for every step.

        Raises:
            IntegrityError: the log says that nobody was asked, and nothing was approved beforehand.
            UsageError: the answer is to something else, or cannot be carried out.
        """
        if measured.by == "person" and not measured.interrupt_id:
            if not granted(view) or measured.shown_sha != shown_sha(proposal(view)):
                raise IntegrityError("nobody was asked, and nothing was approved beforehand")
            values = Values(answer="approve", rejected=False, auto_rounds=view.values.auto_rounds - 1)
            return Draft(values=values, fields={"answer": measured})
        values, candidates = settle(view, measured)
        told: dict[Role, Content] = {}
        if measured.about is not None:
            told["answers"] = with_answer(view, measured.about)
        return Draft(
            artefacts=told,
            values=values,
            actor="human" if measured.by == "person" else "agent",
            fields={"answer": measured, "candidates": candidates},
        )


def _called_for(view: View, event: events.Approve) -> bool:
    """Whether a recorded answer of the conversation holds the tool call that put this forward.

    One answer may hold several calls; it is logged with the first that is carried out.
    """
    provider, answers = open_provider(view.config.llm), Answers(view.run.llm)
    wanted = PutForward(candidate=event.answer.candidate, action=event.answer.action)
    alternatives = proposal(view).alternatives
    for earlier in [event, *reversed(view.events)]:
        talked = [call.request_sha for call in earlier.llm if call.kind == "chat" and call.response_sha]
        for sha in talked:
            stored = answers.get(sha)
            calls = () if stored is None else provider.read(stored.answer).tool_calls
            if any(called_for(call.name, call.arguments, alternatives) == wanted for call in calls):
                return True
        if talked or (isinstance(earlier, events.Approve) and earlier.actor == "human"):
            return False
    return False


@dataclass(frozen=True)
class _Override(Step[None]):
    """What a person puts in force against the measurement: ``change`` gives its artefacts and values."""

    name: str
    said: str
    change: Callable[[View], undo.Override]
    unit = ""

    def derive(self, view: View, measured: None, advance: Advance = silent) -> Draft:
        change = self.change(view)
        ledger = view.store.frame(change.artefacts.get("ledger") or view.ref("ledger"))
        check_ledger(ledger, view.values.ingested)
        changed = len(np.setxor1d(view.kept(), kept_rows(ledger)))
        centroids = view.store.array(change.artefacts.get("centroids") or view.ref("centroids"))
        total = counts(ledger)
        said: dict[Role, Content] = {} if change.answers is None else {"answers": change.answers}
        return Draft(
            artefacts={**change.artefacts, **said},
            values=change.values,
            actor="human",
            fields={"counts": total, "k": len(centroids)},
            changed=changed,
            lines=((f"{self.said}: {total['kept']:,} rows kept now, {changed:,} changed", ""),),
        )


KEEP = _Override("keep", "kept after all", undo.kept)
UNDO = _Override("undo", "undone", undo.undone)
