"""A person between decision and action: `approve` waits for an answer, `keep` and `undo` carry two of them out."""

from __future__ import annotations

import numpy as np

from ...state.events import Effect
from ...state.rows import check_ledger, counts, kept_rows
from ..decide import undo as undo_tool
from ..decide.approval import Answer, Settled, granted, proposal, settle, shown_sha
from ..session import Session


def approve(session: Session) -> None:
    """Show the decision and wait for an answer to it; in a run without a person nothing is asked or recorded.

    LangGraph runs this from its first line again when the answer comes; what was shown is derived again, and hashed.

    Raises:
        UsageError: the answer is to something else, or cannot be carried out.
    """
    if not session.config.approve:
        return
    state, events = session.state, session.log.events
    shown = proposal(state, events)
    if granted(state, events):
        values = {"answer": "approve", "rejected": False, "auto_rounds": state.values["auto_rounds"] - 1}
        _record(session, Settled(values), Answer(shown_sha=shown_sha(shown), interrupt_id="", answer="approve"))
        return
    from langgraph.types import interrupt  # here: graph.py sets LangGraph's environment before it is loaded

    answer = Answer.model_validate(interrupt(shown))
    session.rested()
    _record(session, settle(session.config, session.store, state, events, answer), answer)


def _record(session: Session, settled: Settled, answer: Answer) -> None:
    by_person = answer.by == "person" and answer.interrupt_id != ""
    said = answer.model_dump(mode="json", include={"shown_sha", "answer", "interrupt_id"})
    session.record(
        "approve",
        values=settled.values,
        actor="human" if by_person else "agent",
        human=said if by_person else None,
        params=answer.model_dump(mode="json", exclude_defaults=True, exclude={"interrupt_id"}),
        candidates=[] if settled.candidate is None else [settled.candidate.model_dump(mode="json")],
    )


def keep(session: Session) -> None:
    """Put a trial in force that the measurement rolled back, because a person says so."""
    _put_in_force(session, "keep", undo_tool.kept(session.state))


def undo(session: Session) -> None:
    """Bring back the data as they were before the last change, because a person says so."""
    _put_in_force(session, "undo", undo_tool.undone(session.state, session.log.events))


def _put_in_force(session: Session, name: str, change: undo_tool.Change) -> None:
    before = session.ledger()
    reference = change.artefacts.get("ledger") or session.state.artefacts["ledger"]
    ledger = session.store.frame(reference)
    check_ledger(ledger, session.state.values["ingested"])
    changed = len(np.setxor1d(kept_rows(before), kept_rows(ledger)))
    centroids = change.artefacts.get("centroids") or session.state.artefacts["centroids"]
    effect = Effect(kind="ledger", before_sha=session.state.artefacts["ledger"], after_sha=reference, rows=changed)
    session.record(
        name,
        artefacts=change.artefacts,
        values=change.values,
        actor="human",
        metrics={**counts(ledger), "k": len(session.store.array(centroids))},
        effects=[effect.model_dump()],
    )
    said = "kept after all" if name == "keep" else "undone"
    session.reporter.say(f"{said}: {counts(ledger)['kept']:,} rows kept now, {changed:,} changed")
