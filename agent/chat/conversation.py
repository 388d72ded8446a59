"""One person and one run: what waits for an answer, and the only door by which an answer reaches the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ...state.decision import Answer, Proposal, RowAnswer, RowNote
from ...state.errors import UsageError
from ..decide.approval import settle, shown_sha
from ..decide.proposals import PutForward, Refusal
from ..graph import Cycle
from ..session import Session

if TYPE_CHECKING:
    from langgraph.types import Interrupt

ENDED = "nothing waits for an answer: the run has ended"

AnswerKind = Literal["approve", "reject", "choose", "keep", "undo", "run", "finish", "apply"]


class Conversation:
    """A run that a person talks about. The run directory must be locked and the cycle begun by the caller.

    ``who``: the person's name, which stands beside each of their answers. ``show_rows``: the language model may have
    rows read, by a question of its own that has no tools.
    """

    def __init__(self, session: Session, cycle: Cycle, who: str = "", show_rows: bool = False) -> None:
        self.session = session
        self.show_rows = show_rows
        self._who = who
        self._cycle = cycle
        self._seen: tuple[str, str] | None = None
        self.reviewed: int | None = None  # position of the row in doubt that was shown last

    @property
    def proposal(self) -> Proposal | None:
        """The proposal that waits for an answer; one waits until the run has ended."""
        return None if self.waiting is None else self.waiting[0]

    @property
    def waiting(self) -> tuple[Proposal, str] | None:
        """The proposal that waits, and the id by which an answer says that it is to this one."""
        found = self._cycle.waiting
        return None if found is None else (Proposal.model_validate(found.value), found.id)

    @property
    def unseen(self) -> bool:
        """Whether the proposal that waits was not shown yet."""
        return self._cycle.waiting is not None and self._seen != self._key(self._cycle.waiting)

    def shown(self) -> None:
        """The person has seen the proposal that waits: what they answer from now on is an answer to it."""
        self._seen = None if self._cycle.waiting is None else self._key(self._cycle.waiting)

    @staticmethod
    def _key(waiting: Interrupt) -> tuple[str, str]:
        return shown_sha(Proposal.model_validate(waiting.value)), waiting.id

    def reply(self, answer: AnswerKind, instead: PutForward | None = None, rounds: int = 1) -> None:
        """Answer the proposal that was shown last.

        Args:
            answer: what to do.
            instead: ``choose``: what takes the place of the proposal.
            rounds: ``run``: how many rounds are approved.

        Raises:
            Refusal: as ``answer``.
        """
        if self._seen is None:
            raise Refusal(ENDED if self.proposal is None else "nothing was shown yet that could be answered")
        sha, interrupt_id = self._seen
        chosen = dict(instead or PutForward())
        self.answer(Answer(shown_sha=sha, interrupt_id=interrupt_id, answer=answer, rounds=rounds, **chosen))

    def tell(self, about: RowAnswer | RowNote) -> None:
        """Say what a row is that was shown, or write a note on a row; the proposal that was shown goes on waiting.

        Raises:
            Refusal: as ``answer``.
        """
        noted = isinstance(about, RowNote)
        if self._seen is None or self._cycle.waiting is None:
            raise Refusal(ENDED if noted else f"{ENDED}; `--answers` reads what you write into review.csv")
        sha, interrupt_id = self._seen
        said = {"answer": "note", "note": about} if noted else {"answer": "review", "about": about}
        self.answer(Answer.model_validate({"shown_sha": sha, "interrupt_id": interrupt_id, **said}))
        if self._cycle.waiting is not None and self._key(self._cycle.waiting)[0] == sha:
            self.shown()

    def put_forward(self, by: Literal["person", "model"], instead: PutForward) -> None:
        """Put another action in place of the one that waits; it waits in its turn. A model sees no proposal: what it
        puts forward goes before the person whatever waits now.

        Raises:
            Refusal: as ``answer``.
        """
        if by == "person" or self._cycle.waiting is None:
            self.reply("choose", instead)
            return
        sha, interrupt_id = self._key(self._cycle.waiting)
        self.answer(Answer(shown_sha=sha, interrupt_id=interrupt_id, answer="choose", by="model", **dict(instead)))

    def answer(self, answer: Answer) -> None:
        """Hand an answer to the loop, which goes on to the next proposal or to the end of the run.

        It is judged before it is handed over: LangGraph ignores a second answer without a word, and keeps one that a
        step has refused.

        Raises:
            Refusal: the answer is to something else than what waits, or cannot be carried out; nothing was done.
            RecrystError: a step of the run failed.
        """
        self.judge(answer)
        if answer.by == "person":
            answer = answer.model_copy(update={"who": self._who})
        self._cycle.go_on(answer.model_dump(mode="json"))

    def judge(self, answer: Answer) -> None:
        """Whether an answer would be taken; nothing is done.

        Raises:
            Refusal: as ``answer``.
        """
        waiting = self._cycle.waiting
        if waiting is None:
            raise Refusal(ENDED)
        try:
            settle(self.session.view, answer)
        except UsageError as error:
            raise Refusal(str(error)) from error
        if answer.interrupt_id != waiting.id:
            raise Refusal("this proposal no longer waits for an answer; nothing was done")

    def note(self, tools: list[str], said_sha: str | None = None) -> None:
        """Leave in the log what was asked of the language model since the last event.

        Args:
            tools: names of the tools that were used.
            said_sha: of the person's message, where the model was told one.
        """
        model = self.session.model
        calls = [] if model is None else [call.model_dump() for call in model.drain()]
        if calls or said_sha is not None:
            self.session.append("chat", llm=calls, said_sha=said_sha, tools=tools)
