"""The tools that act: begin a run, go on with it, and put an action or an undo before a person, who alone approves.

An answer is handed in at the same desk as the page's, so that it stands in the log in the same way, and holds for
exactly what was shown: the question names the hash of the proposal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, Field

from ...state.canonical import Json
from ...state.decision import Proposal
from ...state.errors import RecrystError
from ...state.phrases import counted, printable, without_controls
from ..browse import story
from ..decide import undo as undoing
from ..decide.proposals import NewK, OwnPrune, Refusal, put_forward
from ..page.desk import Act, Desk
from . import asked
from .looking import standing
from .runs import Runs

_SHOWN = 3  # rows that would go, and alternatives, that a question shows
_TEXT = 160  # characters of a row
_SETTLES = 60  # seconds that a run has to come to rest before a person is asked


class Verdict(BaseModel):
    """What a person says to an action."""

    answer: Literal["approve", "reject", "finish", "wait"] = Field(
        description="approve: do it; reject: propose another; finish: end the rounds and write the data; wait: nothing"
    )


class AfterTrial(BaseModel):
    """What a person says to an action where the last trial was rolled back."""

    answer: Literal["approve", "reject", "keep", "finish", "wait"] = Field(
        description="as else; keep: keep the last trial, although it did not pay"
    )


class Ending(BaseModel):
    """What a person says to the end of the rounds."""

    answer: Literal["approve", "wait"] = Field(description="approve: write the curated data; wait: nothing yet")


class TakingBack(BaseModel):
    """What a person says to an undo."""

    answer: Literal["undo", "wait"] = Field(description="undo: take the last change back; wait: nothing")


_Form = type[Verdict] | type[AfterTrial] | type[Ending] | type[TakingBack]


@dataclass(frozen=True)
class Question:
    """What a person is asked, and what an answer to it has to name."""

    run: str
    message: str
    form: _Form
    shown_sha: str
    interrupt_id: str


def start_run(runs: Runs, params: asked.NewRun) -> Json:
    """Begin a run and go on to its first proposal."""
    chosen = params.model_dump(include={"text_column", "label_column", "max_rounds"}, exclude_none=True)
    run = runs.start(params.source, params.run, chosen)
    return _waited(runs, run, params.wait)


def resume(runs: Runs, params: asked.Waiting) -> Json:
    """Go on to the next proposal, or to the end."""
    runs.resume(params.run)
    return _waited(runs, params.run, params.wait)


def _waited(runs: Runs, run: str, seconds: int) -> Json:
    runs.settled(run, seconds)
    return standing(runs, run)


def propose(runs: Runs, params: asked.Forward) -> Question:
    """Put an action in place of what waits, unless it waits already, and word the question to the person.

    Raises:
        Refusal: it cannot be put forward; nothing was changed.
    """
    desk, shown = _at_rest(runs, params.run)
    given = [name for name in ("candidate", "k", "prune") if getattr(params, name)]
    if len(given) > 1:
        raise Refusal(f"put one action forward: {' or '.join(given)}")
    k = NewK.read({"k": params.k}) if params.k else None
    if given and not _waits(shown, params.candidate, k or params.prune):
        named = desk.state()["waiting"]
        desk.act(Act(**named, answer="choose", by="agent", candidate=params.candidate, k=k, prune=params.prune))
        desk, shown = _at_rest(runs, params.run)
    form: _Form = Verdict if shown.rolled_back is None else AfterTrial
    if shown.candidate.action.action == "stop":
        form = Ending
    return _question(runs, params.run, desk, _words(runs, params.run, shown), form)


def _waits(shown: Proposal, candidate: str, own: NewK | OwnPrune | None) -> bool:
    """Whether what is put forward waits already: a client that asks its person in a second step calls twice."""
    if own is None:
        return shown.candidate.id == candidate
    return put_forward(own, ()).action == shown.candidate.action


def undo(runs: Runs, params: asked.Waiting) -> Question:
    """Word the question whether the last change is to be taken back.

    Raises:
        UsageError: there is nothing to undo.
    """
    desk, _ = _at_rest(runs, params.run)
    with runs.reading(params.run) as reader:
        view = reader.view()
        undoing.undone(view)
        last = [action.in_words() for action in undoing.standing_actions(view)]
    said = f"Take the last change of the run {params.run} back? {counted(len(last), 'action')} in force"
    message = said + (f", the last of them: {last[-1]}" if last else "")
    return _question(runs, params.run, desk, [message], TakingBack)


def carry_out(runs: Runs, question: Question, answer: str, seconds: int) -> Json:
    """Do what a person has answered.

    Raises:
        Refusal: something else waits by now; nothing was done.
    """
    desk = runs.desk(question.run)
    if desk is None:
        raise Refusal("the run was left in the meantime; nothing was done")
    done = desk.act(
        Act.read({"shown_sha": question.shown_sha, "interrupt_id": question.interrupt_id, "answer": answer})
    )
    return {"done": f"by the person: {done}", **_waited(runs, question.run, seconds)}


def left(runs: Runs, question: Question, why: str) -> Json:
    """Do nothing, and leave the run to the terminal or the page."""
    runs.let_go(question.run)
    root = runs.root(question.run)
    how = f"a person answers it by `recryst chat {root}`, or `recryst chat {root} --page`"
    return {"done": "nothing", **standing(runs, question.run), "next": f"{why}: what is proposed waits; {how}"}


def _at_rest(runs: Runs, run: str) -> tuple[Desk, Proposal]:
    """The loop of a run that this process owns, taken up if need be, and the proposal that waits there.

    Raises:
        Refusal: it is at work, or has ended.
    """
    runs.resume(run)
    if not runs.settled(run, _SETTLES):
        raise Refusal("the run is at work: run_status with `wait` tells when it has come to rest")
    desk = runs.desk(run)
    if desk is None or (shown := desk.waiting) is None:
        failed = None if desk is None else desk.failed
        raise Refusal(f"the run has failed: {failed}" if failed else "nothing waits for an answer: the run has ended")
    return desk, shown


def _question(runs: Runs, run: str, desk: Desk, lines: list[str], form: _Form) -> Question:
    named = desk.state()["waiting"]
    if named is None:
        raise Refusal("the run is at work: ask again")
    lines = [*lines, f"An answer holds for exactly this (proposal {named['shown_sha'][:12]})."]
    return Question(run, without_controls("\n".join(lines)), form, **named)


def _words(runs: Runs, run: str, shown: Proposal) -> list[str]:
    """A proposal for a person: who puts it forward and why, what it is worth, what would go, and what else there is."""
    one = shown.candidate
    who = {"rules": "The rules propose", "model": "The language model proposes", "person": "You put forward"}
    rows = f" ({counted(one.rows, 'row')} at most)" if one.rows else ""
    said = f"{who.get(shown.by, 'An agent puts forward')}: {one.action.in_words()}{rows}"
    lines = [f"Run {run}, round {shown.round}. {said}"]
    lines += [f"Because: {printable(reason)}" for reason in shown.reasons]
    if (worth := one.appraisal) is not None:
        lines.append(f"Measured beforehand: gain {worth.gain:+.4f}, where {worth.needed:.4f} is needed")
    lines += _going(runs, run, shown)
    if (trial := shown.rolled_back) is not None:
        lines.append(f"The last trial was rolled back: {trial.action.in_words()}")
    others = [f"  {other.action.in_words()}" for other in shown.alternatives[:_SHOWN]]
    if len(shown.alternatives) > _SHOWN:
        others.append(f"  and {len(shown.alternatives) - _SHOWN} more")
    return [*lines, *(["Instead it could be:"] if others else []), *others]


def _going(runs: Runs, run: str, shown: Proposal) -> list[str]:
    """The first rows that the action would take out, bring back or relabel."""
    with runs.reading(run) as reader:
        found = story.going(reader.view(), shown, {"id": shown.candidate.id, "offset": 0, "limit": _SHOWN})
    if found["refused"]:
        return [f"It would be refused: {printable(found['refused'])}"]
    if not found["total"]:
        return []
    return [f"The first of {counted(found['total'], 'row')}:", *map(_row, found["rows"])]


def _row(row: Json) -> str:
    """A row that would go, come back or be relabelled, in one line."""
    beside = [f"label {row['label']}" + (f" → {row['to']}" if row["to"] else "")] if row["label"] else []
    said = "; ".join([*beside, *([row["why"]] if row["why"] else [])])
    return printable(f"  {row['becomes']}: {(row['text'] or '')[:_TEXT]}" + (f" ({said})" if said else ""))


def sentence(error: Refusal | RecrystError) -> str:
    """Why something was not done, for an agent."""
    return printable(str(error))[:600]
