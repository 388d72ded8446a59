"""The loop behind the page: one thread that owns the run, carries it to each proposal, and takes a person's answers.

What LangGraph and its checkpoints are used for stays in that thread. Requests look at what waits and hand answers in.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from queue import Queue
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import StringConstraints

from ...state.canonical import Json
from ...state.decision import Answer, Proposal, RowAnswer, RowNote
from ...state.errors import RecrystError
from ...state.phrases import counted, printable
from ...state.run import RunDirectory
from ..account import tables
from ..chat.conversation import ENDED, Conversation
from ..chat.lines import Lines, spelled
from ..chat.reading import sent_to
from ..chat.talk import LONGEST
from ..cli.progress import Telling
from ..decide.approval import shown_sha
from ..decide.person import own_edit, unknown_label
from ..decide.proposals import Arguments, NewK, OwnEdit, OwnPrune, PutForward, Refusal, put_forward
from .transcript import Transcript

if TYPE_CHECKING:
    from ..session import Session


class Act(Arguments):
    """What a person does on the page: an answer to what they were shown, which its hash and id name."""

    shown_sha: str
    interrupt_id: str
    answer: Literal["approve", "reject", "choose", "keep", "undo", "run", "finish", "review", "apply", "note"]
    rounds: int = 1
    candidate: str = ""
    k: NewK | None = None
    prune: OwnPrune | None = None
    edit: OwnEdit | None = None
    about: RowAnswer | None = None
    note: RowNote | None = None
    by: Literal["person", "agent"] = "person"  # an agent may only choose, which does nothing yet


class Said(Arguments):
    """A line that a person writes beside what they were shown, which its hash and id name."""

    shown_sha: str
    interrupt_id: str
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST)]


_MOST_LINES = 8  # that wait until the language model has answered


class Desk:
    """Where what waits lies, and where answers are handed in. ``start`` begins the thread; the run must be locked."""

    def __init__(self, directory: RunDirectory, reporter: Telling, who: str = "", show_rows: bool = False) -> None:
        self.reporter, self.who, self.show_rows = reporter, who, show_rows
        self.failed: BaseException | None = None
        self.ended = False
        self._directory = directory
        self._session: Session | None = None
        self.transcript = Transcript()
        self._answers: Queue[tuple[Act | Said, Future[str] | None] | None] = Queue()
        self._lines: list[str] = []  # what is said while the language model still answers
        self._leaving = False
        self._waiting: tuple[Proposal, str] | None = None  # what is proposed, and the id of the interrupt
        self._busy = True
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="recryst-loop", daemon=True)

    def start(self) -> None:
        """Begin, or go on with, the run."""
        self._thread.start()

    def leave(self, seconds: float) -> bool:
        """Ask the thread to end once it waits for an answer; whether it has within so many seconds."""
        self._leaving = True
        self._answers.put(None)
        return self.wait(seconds)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the thread has ended, for so many seconds at most; whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def waiting(self) -> Proposal | None:
        """The proposal that waits; None while the loop works and when it has ended."""
        return None if self._waiting is None else self._waiting[0]

    def state(self) -> Json:
        """What a page has to know of the loop: whether it works, at what, what waits, and why it stopped."""
        waiting = self._waiting
        shown = None if waiting is None else {"shown_sha": shown_sha(waiting[0]), "interrupt_id": waiting[1]}
        return {
            "busy": self._busy,
            "pausing": self._busy and self._session is not None and self._session.ask_next,
            "ended": self.ended,
            "failed": None if self.failed is None else str(self.failed),
            "now": self.reporter.now,
            "said": self.reporter.lines[-5:],
            "waiting": shown,
            "said_so_far": (*self.transcript.size, len(self._lines)),
        }

    def conversation(self, first: int) -> Json:
        """What was said beside the run, from an entry on, what waits to be heard, and the language model, if any."""
        model = None if self._session is None else self._session.model
        said = {**self.transcript.since(first), "unheard": list(map(printable, self._lines))}
        return {**said, "model": None if model is None else model.name}

    def act(self, act: Act | Said, seconds: float = 60) -> str:
        """Hand in what a person does or says; returns once it is judged: what was taken up. A line that is said while
        the language model answers waits for the end of that.

        Raises:
            Refusal: the loop is at work, or this is an answer to something else than what waits, or cannot be done, or
                too many lines wait.
        """
        with self._lock:
            if isinstance(act, Said) and self._busy and self._waiting is not None:
                if len(self._lines) >= _MOST_LINES:
                    raise Refusal(f"{_MOST_LINES} lines wait already: wait for an answer")
                self._lines.append(act.text)
                self._answers.put((act, None))
                return "waiting"
            if self._busy or self._waiting is None:
                raise Refusal(ENDED if self.ended else "the run is at work: nothing waits for an answer now")
            self._busy = True
        judged: Future[str] = Future()
        self._answers.put((act, judged))
        return judged.result(seconds)

    def pause(self) -> str:
        """Have the loop ask before its next action although that was approved beforehand; what will happen, in words.

        Raises:
            Refusal: it asks anyway, or there is nothing more to ask.
        """
        if self._session is None or self.ended:
            raise Refusal(ENDED if self.ended else "the run begins")
        with self._lock:
            if not self._busy:
                raise Refusal("the run waits for you already")
            self._session.ask_next = True
        return "the run asks you before its next action"

    def _work(self) -> None:
        try:
            self._converse()
        except BaseException as error:  # the page says so; the terminal does when the server ends
            self.failed = error
            known = isinstance(error, RecrystError)
            self.reporter.say(str(error) if known else f"{type(error).__name__}: {error}", "red")
        finally:
            self._waiting, self.ended, self._busy, self._lines = None, True, False, []

    def _converse(self) -> None:
        from ..graph import placed
        from ..session import Session
        from ..start import failures_noted

        session = self._session = Session(self._directory, self.reporter)
        session.start()
        back = f"`recryst chat {self._directory.root} --page` comes back"
        with failures_noted(session, back), placed(session) as cycle:
            cycle.go_on()
            talk = Conversation(session, cycle, self.who, self.show_rows)
            if self.show_rows and session.model is not None:
                self.transcript.show(tables.line(sent_to(session.model.provider)))
            lines = Lines(talk, self.transcript.show, self.transcript.stream)
            while self._show(talk):
                given = self._answers.get()
                if given is None or self._leaving:
                    return
                did, judged = given
                if isinstance(did, Said):
                    self._hear(talk, lines, did, judged)
                elif judged is not None:
                    self._take(talk, did, judged)
            if self._lines:
                self.transcript.show(tables.line(f"{counted(len(self._lines), 'line')} not heard: {ENDED}", "yellow"))

    def _show(self, talk: Conversation) -> bool:
        """Lay out what waits; whether anything does."""
        if talk.unseen and talk.proposal is not None:
            self.transcript.show(tables.proposal(talk.proposal))
        talk.shown()
        with self._lock:
            self._waiting = talk.waiting
            talk.session.ask_next = False  # whoever wanted to be asked is asked
            self._busy = bool(self._lines)
        return self._waiting is not None

    def _hear(self, talk: Conversation, lines: Lines, said: Said, judged: Future[str] | None) -> None:
        """Do what a line says, as at the terminal: a command may answer what waits, and is to name it. ``judged``:
        None where the line had to wait."""
        command = spelled(said.text).startswith("/")
        now = None if talk.waiting is None else (shown_sha(talk.waiting[0]), talk.waiting[1])
        refused = "something else waits for an answer by now: read that first"
        late = command and (said.shown_sha, said.interrupt_id) != now
        if judged is None:
            with self._lock:
                self._lines.pop(0)
        elif late:
            judged.set_exception(Refusal(refused))
            return
        else:
            judged.set_result("heard")
        self.transcript.heard(said.text)
        if late:
            self.transcript.show(tables.line(refused, "yellow"))
            return
        if command:
            self._waiting = None
        lines.do(said.text)

    def _take(self, talk: Conversation, act: Act, judged: Future[str]) -> None:
        try:
            answer, beside = _answer(talk, act)
            talk.judge(answer)
        except Refusal as refusal:
            judged.set_exception(refusal)
            return
        except BaseException as error:
            judged.set_exception(error)
            raise
        judged.set_result("; ".join(filter(None, (_words(act), beside))))
        self._waiting = None
        talk.answer(answer)
        talk.note([act.answer])


def _answer(talk: Conversation, act: Act) -> tuple[Answer, str]:
    """The answer that an act stands for, as the terminal would give it, and which rows it is not about.

    Raises:
        Refusal: no row has the label, or nothing is put forward.
    """
    view, beside = talk.session.view, ""
    chosen = PutForward(candidate=act.candidate)
    if own := act.k or act.prune:
        chosen = put_forward(own, ())
    elif act.edit is not None:
        action, beside = own_edit(view, act.edit)
        chosen = PutForward(action=action)
    if act.about is not None and act.about.label is not None and (unknown := unknown_label(view, act.about.label)):
        raise Refusal(unknown)
    given = act.model_dump(include={"shown_sha", "interrupt_id", "answer", "by", "rounds", "about", "note"})
    try:
        return Answer(**given, **dict(chosen)), beside
    except ValueError as error:
        raise Refusal(f"that is no answer: {error}") from error


def _words(act: Act) -> str:
    done = {"approve": "approved", "reject": "rejected", "choose": "put forward", "keep": "kept", "undo": "taken back"}
    changed = act.note is not None and act.note.replaces is not None
    done |= {
        "finish": "the rounds end",
        "review": "noted; Apply brings it in force",
        "apply": "that is in force",
        "note": "the note is changed" if changed else "the note stands on the row",
    }
    return done.get(act.answer, f"{counted(act.rounds, 'round')} approved")
