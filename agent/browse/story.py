"""What a run is and came to, its rounds with what was not chosen, and what waits for an answer."""

from __future__ import annotations

from ...state.canonical import Json
from ...state.decision import Candidate, Proposal
from ...state.errors import UsageError
from ...state.events import Act, Approve, Decide, Measure, Override
from ...state.notes import Error
from ...state.report import Objective
from ...state.rows import counts
from ...state.values import RunState
from ...tools.write.reasons import in_words
from ..account.going import going as would_go
from ..account.summary import funnel, rounds
from ..session import runs_on
from ..view import View


def status(view: View) -> Json:
    """Where the run stands, and what its data are worth now and at the start."""
    values, state = view.values, view.state
    told: Json = {
        "run": view.run.root.resolve().name,
        "source": view.source.rsplit("/", 1)[-1],
        "seq": view.seq,
        "round": state.round,
        "last": state.last,
        "finished": state.last == "publish",
        "asks": view.config.approve,
        "report": state.last == "publish" and view.run.report.is_file(),
        "runs_on": runs_on(view.config),
        "max_rounds": view.config.stop.max_rounds,
        "stop_reason": values.stop_reason,
        "label_column": values.label_column,
        "error": next((e.error for e in reversed(view.events[-3:]) if isinstance(e, Error)), None),
    }
    if view.has("ledger"):
        ledger = view.ledger()
        sizes = {"train": len(view.kept()), "anchor": len(view.anchor()), "sealed": len(view.sealed())}
        told["rows"] = {**counts(ledger), **sizes, "quarantined": values.quarantined}
        told["funnel"] = [step.model_dump() | {"words": in_words(step.reason)} for step in funnel(ledger)]
    if values.objective is not None:
        told["now"], told["first"] = (one.model_dump(mode="json") for one in (values.objective, _first(view)))
    if values.headline is not None:
        told["headline"] = values.headline.model_dump(mode="json")
    return told


def _first(view: View) -> Objective:
    """What the data were worth when the rounds began."""
    patches = (event.state.values for event in view.events if event.state is not None)
    return next(patch.objective for patch in patches if patch.objective is not None)


def timeline(view: View) -> Json:
    """The rounds, each with what was proposed, answered, measured and not chosen; and the last step."""
    told = [one.model_dump(mode="json", exclude={"rejected"}) | {"words": one.words} for one in rounds(view)]
    return {"rounds": told, "decisions": _decisions(view), "last": view.state.last}


def _decisions(view: View) -> list[Json]:
    """Every decision in order: its candidates with their evidence and worth, what was answered, what came of it."""
    found: list[Json] = []
    state = RunState()
    for event in view.events:
        state = state.after(event)
        if isinstance(event, Decide):
            decision = state.values.decision
            assert decision is not None
            why_not = {one.id: one.reason for one in decision.rejected}
            told = [candidate(one) | {"why_not": why_not.get(one.id, "")} for one in event.candidates]
            found.append({"seq": event.seq, "round": state.round, "ts": event.ts, "by": event.actor})
            found[-1] |= {"words": decision.action.in_words(), "reasons": list(decision.reasons)}
            found[-1] |= {"kept": event.counts.kept, "k": event.k, "chosen": decision.candidate, "candidates": told}
            found[-1] |= {"answers": [], "outcome": None}
        elif found and isinstance(event, Approve):
            said = event.answer
            found[-1]["answers"].append(
                {"seq": event.seq, "ts": event.ts, "actor": event.actor, "answer": said.answer, "who": said.who}
            )
        elif found and isinstance(event, Act):
            found[-1]["acted"] = event.seq
        elif found and isinstance(event, Measure):
            record = event.record
            verdict = None if record.verdict is None else record.verdict.model_dump(mode="json")
            found[-1] |= {"outcome": record.outcome, "verdict": verdict, "why": list(record.reasons)}
            found[-1] |= {"words": record.action.in_words(), "ended": event.seq + 1}
        elif found and isinstance(event, Override):
            found[-1] |= {"outcome": event.type, "ended": event.seq + 1}
    return found


def candidate(one: Candidate) -> Json:
    """A candidate with its action in words and, where it was measured, what each figure would gain against what."""
    return one.model_dump(mode="json") | {"words": one.action.in_words(), "kind": one.action.action}


def proposal(shown: Proposal) -> Json:
    """A proposal as the page shows it; all of it is what its hash stands for."""
    offered = None
    if (trial := shown.rolled_back) is not None:
        offered = {"round": trial.round, "words": trial.action.in_words(), "gain": trial.gain}
    return {
        "round": shown.round,
        "by": shown.by,
        "reasons": list(shown.reasons),
        "looks": [look.in_words() for look in shown.looks],
        "candidate": candidate(shown.candidate),
        "alternatives": [candidate(one) for one in shown.alternatives],
        "stops": shown.candidate.action.action == "stop",
        "rolled_back": offered,
    }


def going(view: View, shown: Proposal, query: Json) -> Json:
    """Some of the rows that a candidate would take out, bring back or relabel: by ``id``, ``offset`` and ``limit``.

    Raises:
        UsageError: it is none of those that are shown.
    """
    wanted = next((one for one in (shown.candidate, *shown.alternatives) if one.id == query["id"]), None)
    if wanted is None:
        raise UsageError("that is none of the actions that are shown")
    key = f"going {wanted.action.key}"
    if key not in view.memo:
        view.memo[key] = would_go(view, wanted.action)
    rows, refused = view.memo[key]
    page = rows.slice(query["offset"], query["limit"]).to_dicts()
    for row in page:
        row["why"] = in_words(row["reason"]) if row["becomes"] == "removed" else ""
    return {"total": rows.height, "rows": page, "refused": refused}
