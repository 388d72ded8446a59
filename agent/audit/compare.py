"""Every event derived again by its own step, and the whole event compared with the draft, tables by content.

A step's event must be the one that comes next. A note changes nothing and is held to rules of its own. What only the
clock, the chain or a server knows is bounded here; ``TAKEN`` says what of it is taken as logged.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

import orjson

from ...state.canonical import Json, canonical_json, plain
from ...state.errors import IntegrityError, RecrystError
from ...state.events import EVENT, Event, StepEvent
from ...state.notes import EVENT_VERSION, Base, Chat, Error, LlmCall, Resume, Start
from ...state.rows import check_ledger
from ...state.values import Role, RunState
from ...tools.vectors.encoders.remote import sent_to
from ..llm.client import Model
from ..llm.open import offline_model
from ..session import runs_on
from ..steps.base import Content, Draft, Step
from ..steps.cycle import STEPS, following
from ..view import View
from .bills import TALK, lost
from .contents import difference, differences, short, unlike_leaves
from .files import outside, where

#: What no step derives, and why it cannot be: the page ``docs/audit.md`` tells more.
TAKEN = (
    "ts, seconds: a clock's word; no figure but a budget of minutes rests on them",
    "run_id, code: name the run and the program; the same in all events of a process",
    "attempt: follows from the resumes; torn_bytes: of a line that is gone",
    "llm: what the model answered; attempts, and tokens that may have been lost, are a server's word, bounded",
    "sent: how many texts an embedding model on another machine was sent",
    "error, said_sha, tools: a sentence, the hash of a person's message, and what was called in conversation",
)
_ENVELOPE = ("v", "seq", "prev_hash", "run_id", "attempt", "ts", "seconds", "llm", "sent")
_ASKED = ("provider", "model", "kind", "prompt", "request_sha", "response_sha", "stop_reason", "problem")


class Replay:
    """The events of one log, each to be compared with what its step makes of those before it."""

    def __init__(self, view: View, source: str) -> None:
        """``view``: the run as its log ends; the events' views share its tables. ``source``: as in ``run.yaml``."""
        self._whole, self.events, self._source = view, view.events, source
        self._states = list(accumulate(self.events, RunState.after, initial=RunState()))

    def view(self, number: int) -> View:
        """The run as it stood before an event, with the language model as that event recorded it."""
        whole, event = self._whole, self.events[number]
        before, state = self.events[:number], self._states[number]
        return View(
            whole.run, whole.store, whole.config, state, before, lambda: recorded_model(whole, event), whole.held
        )

    def failures(self, number: int, with_files: bool = True) -> Iterator[str]:
        """What an event says that does not follow, ``with_files`` also what it wrote; sentences that name the place."""
        view, event = self.view(number), self.events[number]
        place = where(view.run, event)
        try:
            for wrong in wrongs(view, event, self._source):
                yield f"{place}: {wrong}"
            if with_files:
                for wrong in outside(view, replace(view, state=view.state.after(event)), event):
                    yield f"{place}: {wrong}"
        except RecrystError as error:
            yield f"{place}: {error}"
        except Exception as error:  # evidence is missing, of another kind or of another shape
            yield f"{place}: cannot be derived again ({type(error).__name__}: {str(error)[:100]})"


def recorded_model(view: View, event: Event) -> Model | None:
    """The language model as it answered the questions of one event; None where the run has none."""
    if view.config.llm.model is None:
        return None
    return offline_model(view.run.llm, view.config, [call for call in event.llm if not lost(call)])


def wrongs(view: View, event: Event, source: str) -> Iterator[str]:
    """What is wrong with an event, seen from the run as it stood before it. Each sentence begins with the leaf.

    ``source`` is the input that ``run.yaml`` names.

    Raises:
        RecrystError: the evidence is not there, or contradicts itself.
        Exception: it is of another kind or shape.
    """
    yield from _envelope(view, event)
    if not isinstance(event, StepEvent):
        yield from _note(view, event, source)
        yield from unlike_questions([], event)
        return
    step = following(view)
    if step is None or step.name != event.type:
        yield f"type is {event.type}, but {'the run had ended' if step is None else f'{step.name} comes next'}"
        return
    draft, asked = derived(STEPS[event.type], view, event)
    yield from unlike(draft, view, event, step.tolerance)
    yield from unlike_questions(asked, event)
    ingested = view.values.patched(event.state.values).ingested
    for role in ("ledger", "trial_ledger"):
        if ref := event.state.artefacts.get(role):
            check_ledger(view.store.frame(ref), ingested)  # it adds up, whoever wrote it


def derived(step: Step[Any], view: View, event: Event) -> tuple[Draft, list[LlmCall]]:
    """What a step makes of the logged measurement, and the questions to the language model that it asks on the way."""
    draft = step.derive(view, step.logged(view, event))
    model = view.__dict__.get("model")  # only if the step asked for it
    return draft, [] if model is None else model.drain()


# The whole event ---------------------------------------------------------------------------------------------------


def unlike(draft: Draft, view: View, event: StepEvent, tolerance: float) -> Iterator[str]:
    """Each leaf of an event that is not what the draft says; tables, arrays and JSON are compared by content."""
    again, why = expected(draft, view, event, tolerance)
    logged = {name: value for name, value in _body(event).items() if name not in _ENVELOPE}
    for path, one, other in differences(logged, again, tolerance):
        said = f"otherwise: {why[other]}" if isinstance(other, str) and other in why else short(other)
        yield f"{path} is {short(one)}, derived again {said}"


def expected(draft: Draft, view: View, event: StepEvent, tolerance: float) -> tuple[Json, dict[str, str]]:
    """The event as a draft says it, without its envelope. Contents have the references that ``event`` logs for them.

    A content that is not the logged one has a name of its own, and what that stands for comes second: how it differs.
    """
    evidence: Mapping[Role, str] = getattr(event, "evidence", {})
    unlike: dict[str, str] = {}

    def put(role: Role, content: Content) -> str | None:
        """The reference that the event logs for a content, where that is of the same content; else its name."""
        if content is None or isinstance(content, str):
            return content
        found = "there is none in the log"
        for ref in (event.state.artefacts.get(role), evidence.get(role)):
            if ref is not None:
                try:
                    found = difference(view.store, ref, content, tolerance)
                except IntegrityError as error:
                    found = str(error)
                if not found:
                    return ref
        stand_in = f"<{len(unlike)}>"
        unlike[stand_in] = found
        return stand_in

    blank = {"seq": 0, "prev_hash": "", "run_id": "", "ts": "", "seconds": 0.0, "type": event.type}
    body = _body(EVENT.validate_python({**plain(draft.event(view, put)), **blank}))
    return {name: value for name, value in body.items() if name not in _ENVELOPE}, unlike


def _body(event: Base) -> Json:
    """The event as a reader of the log sees it."""
    body: Json = orjson.loads(canonical_json(event.body()))
    return body


# What no step derives ----------------------------------------------------------------------------------------------


def _envelope(view: View, event: Event) -> Iterator[str]:
    """What an event has of the clock, the chain and the process: it must be possible."""
    first = view.events[0] if view.events else event
    attempts = 1 + sum(isinstance(one, Resume) for one in [*view.events, event])
    wanted = {"v": EVENT_VERSION, "seq": view.seq, "run_id": first.run_id, "attempt": attempts}
    yield from unlike_leaves(event.model_dump(include=set(wanted)), wanted)
    if not _is_utc(event.ts):
        yield f"ts is {short(event.ts)}, which is no time in UTC"
    if not isinstance(event, StepEvent):
        return
    if not 0 <= event.seconds < float("inf"):
        yield f"seconds is {event.seconds}, which is no span of time"
    if event.sent is not None:
        yield from unlike_leaves({"to": event.sent.to}, {"to": sent_to(view.config.embed)}, "sent")
        if event.sent.texts <= 0:
            yield f"sent.texts is {event.sent.texts}, which is no number of texts that were sent"


def _is_utc(ts: str) -> bool:
    try:
        when = datetime.fromisoformat(ts)
    except ValueError:
        return False
    return when.utcoffset() == timedelta(0) and when.isoformat(timespec="milliseconds") == ts


def _note(view: View, event: Event, source: str) -> Iterator[str]:
    """A note begins the run or goes on with it on the same settings, or tells of a failure or a conversation."""
    if (view.seq == 0) != isinstance(event, Start):
        yield f"type is {event.type}, but a run begins with start, once"
    if event.state is not None:
        yield "state is set, but a note changes nothing"
    if isinstance(event, Start | Resume):
        wanted: Json = {"config_sha": view.config.sha(), "seed": view.config.seed}
        if isinstance(event, Start):
            wanted |= {"input": source, "runs_on": runs_on(view.config), "config": view.config.written()}
        else:
            wanted["after"] = view.state.last
        if event.defaults:  # one that has changed since is not what the run was made with
            now = view.config.unwritten()
            wanted["defaults"] = {key: now[key] for key in event.defaults if key in now}
        yield from unlike_leaves(_body(event), plain(wanted))
        if not event.code.get("version") or set(event.code) - {"version", "commit"}:
            yield "code names no version of the program, or something else beside it"
    if isinstance(event, Resume) and event.torn_bytes < 0:
        yield f"torn_bytes is {event.torn_bytes}, which is no number of bytes"
    if isinstance(event, Error) and not event.error.strip():
        yield "error is empty"


def unlike_questions(asked: Sequence[LlmCall], event: Event) -> Iterator[str]:
    """Each question of an event that does not follow from the evidence, and each that follows and is not there.

    A conversation is not derived again, nor a step that failed: it asks the same once it is repeated.
    """
    if isinstance(event, Error):
        return
    talked = TALK if isinstance(event, Chat) or event.type == "approve" else ()
    wanted = [call.request_sha for call in asked if not lost(call)]
    waiting, met = Counter(wanted), list[str]()
    by_sha = {call.request_sha: call for call in asked}
    for number, call in enumerate(event.llm):
        sha = call.request_sha
        if lost(call) or (call.kind in talked and not waiting[sha]):
            continue
        if not waiting[sha]:
            yield f"llm.{number} (question {sha[:12]}…) does not follow from the evidence"
            continue
        waiting[sha] -= 1
        met.append(sha)
        again = {name: getattr(by_sha[sha], name) for name in _ASKED}
        yield from unlike_leaves(call.model_dump(), again, f"llm.{number}")
    if sorted(met) == sorted(wanted) and met != wanted:
        yield "llm stands in another order than the questions that follow from the evidence"
    for sha in waiting.elements():
        yield f"llm lacks the question {sha[:12]}…, which follows from the evidence"
