"""Asking a language model: budget, cache, retries, record and re-asks, in one place for every provider.

A question and its raw answer are written to ``RUN/llm/<request hash>.json`` before the answer is read. That file is
the cache, the record for the auditor and the cassette for a replay: equal questions are asked once in a run, and a run
that was killed asks at most the questions that were under way again.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ...state.errors import IntegrityError
from ...state.notes import LlmCall
from ...state.params.llm import LlmParams
from ...state.phrases import Advance, silent
from . import BATCHED, Message, OnText, Provider, Reply, Request
from .answers import Answers, Stored, request_sha
from .ask import Unusable
from .budget import BUDGET, Purse
from .live import Live, understood

T = TypeVar("T")

RE_ASKS = 2
_SHOWN_BACK = 2000  # characters of an unusable answer that are shown to the model again


@dataclass
class Answered(Generic[T]):
    """A usable ``value``, or None and why there is none; the calls it took, in order."""

    value: T | None
    problem: str = ""
    calls: list[LlmCall] = field(default_factory=list)


class Model:
    """The language model of a run. Safe to use from several threads; what was asked is drained into the next event."""

    def __init__(
        self,
        provider: Provider,
        answers: Answers,
        purse: Purse,
        params: LlmParams,
        earlier: Sequence[LlmCall] = (),
        replayed: Sequence[LlmCall] | None = None,
    ) -> None:
        """Make the model ready.

        Args:
            provider: who answers; ``answers``: the record; ``purse``: what may be spent.
            params: retries, deadline and parallelism.
            earlier: the calls already in the log; their answers cost nothing again.
            replayed: None, or the calls of one logged event, which are answered from the record alone: the
                network is never touched.

        What an earlier process left under way counts as lost from now on, and stands in the next event.
        """
        self.provider = provider
        self.purse = purse
        self._answers = answers
        self._params = params
        self._replayed = {call.request_sha: call for call in replayed or ()}
        self._calls: list[LlmCall] = []
        self.say: Callable[[str], None] = lambda text: None  # told what a person should know
        self._lock = threading.Lock()
        self._drained: list[str] = []  # questions without an answer that the next event has
        self._live: Live | None = None
        if replayed is None:
            self._live = Live(provider, answers, purse, params, earlier, self._note, lambda text: self.say(text))

    @property
    def name(self) -> str:
        """``provider:model``."""
        return f"{self.provider.name}:{self.provider.model}"

    def drain(self) -> list[LlmCall]:
        """The calls made since the last ``drain``, for the event they belong to; ``logged`` is to follow."""
        with self._lock:
            calls, self._calls = self._calls, []
            self._drained += [call.request_sha for call in calls if call.response_sha is None]
        return calls

    def logged(self) -> None:
        """The event with the drained calls is on disk: word of what was lost need no longer be left beside it."""
        with self._lock:
            drained, self._drained = self._drained, []
        if self._live is not None:
            self._live.logged(drained)

    def not_asked(self, kind: str) -> int:
        """Questions of a kind, among the calls not yet drained, that the budget did not cover."""
        with self._lock:
            return sum(call.kind == kind and call.problem == BUDGET for call in self._calls)

    def ask(self, request: Request, read: Callable[[Reply], T], on_text: OnText | None = None) -> T | None:
        """What ``read`` makes of the answer; None when two re-asks did not help either, or the budget is spent.

        Args:
            request: the question.
            read: turns a reply into a value, or raises ``Unusable`` with a sentence that the model is told.
            on_text: called with the text as it comes, where the answer is to be streamed.

        Raises:
            ModelError: the server refused, or stayed out of reach; what was answered before is on record.
        """
        return self._ask_all([request], read, on_text=on_text)[0].value

    def answered(self, request: Request, read: Callable[[Reply], T]) -> Answered[T]:
        """As ``ask``, with the problem where there is no usable answer: ``BUDGET`` where it was not asked."""
        return self._ask_all([request], read)[0]

    def ask_many(
        self, requests: Sequence[Request], read: Callable[[Reply], T], advance: Advance = silent
    ) -> list[T | None]:
        """As ``ask`` for several questions of a kind, some at the same time; values in the order of ``requests``.

        Where ``llm.batch`` is set, those of a kind that goes by batch are answered by the provider's batch API first.
        """
        if self._live is not None and requests and requests[0].kind in BATCHED:
            self._live.prefetch(requests)
        return [answered.value for answered in self._ask_all(requests, read, advance)]

    def _ask_all(
        self,
        requests: Sequence[Request],
        read: Callable[[Reply], T],
        advance: Advance = silent,
        on_text: OnText | None = None,
    ) -> list[Answered[T]]:
        """All questions, then those again whose answer could not be used."""
        answers = [Answered[T](None) for _ in requests]

        def one(request: Request, answered: Answered[T]) -> Request | None:
            again = self._ask(request, answered, read, on_text)
            if answered.value is not None:
                advance(1)
            return again

        try:
            waiting = list(zip(requests, answers, strict=True))
            for _ in range(1 + RE_ASKS):
                again = self._each(waiting, one)
                waiting = [(next, answered) for next, (_, answered) in zip(again, waiting, strict=True) if next]
            advance(sum(answered.value is None for answered in answers))
        finally:  # what was answered is logged, even where a question after it failed
            with self._lock:
                for answered in answers:
                    self._calls += answered.calls
        return answers

    def _each(
        self, asked: Sequence[tuple[Request, Answered[T]]], one: Callable[[Request, Answered[T]], Request | None]
    ) -> list[Request | None]:
        """``one`` of every question: at the same time where the budget covers them all, otherwise in their order.

        Which question is refused then depends on what those before it used, and on no thread; a process that comes
        after a kill refuses the same ones.
        """
        alone = self._params.parallel == 1 or len(asked) < 2
        if alone or self._live is None or not self._live.covers(request for request, _ in asked):
            return [one(*pair) for pair in asked]
        with ThreadPoolExecutor(self._params.parallel, "recryst-ask") as pool:
            futures = [pool.submit(one, *pair) for pair in asked]
            try:
                again = [future.result() for future in futures]
            except BaseException:
                for future in futures:
                    future.cancel()
                raise
        # Attempts that were lost on the way may have left too little for one while others were under way.
        for at, (request, answered) in enumerate(asked):
            if answered.problem == BUDGET:
                again[at] = one(request, answered)
                answered.calls[-2:] = [_together(*answered.calls[-2:])]
        return again

    def _note(self, call: LlmCall) -> None:
        with self._lock:
            self._calls.append(call)

    def _ask(
        self, request: Request, answered: Answered[T], read: Callable[[Reply], T], on_text: OnText | None
    ) -> Request | None:
        """One question, whose outcome ``answered`` takes; the one to ask next where the answer cannot be used."""
        reply, call = self._reply(request, on_text)
        answered.problem = "" if reply is not None else call.problem
        if reply is not None:
            try:
                answered.value = read(reply)
            except Unusable as unusable:
                answered.problem = str(unusable)
                call = call.model_copy(update={"problem": answered.problem})
        answered.calls.append(call)
        if reply is None or not answered.problem:
            return None
        said = reply.text[:_SHOWN_BACK].strip() or "(no answer)"
        complaint = f"That answer could not be used: {answered.problem}. Answer the question above again."
        turns = (Message(role="assistant", content=said), Message(role="user", content=complaint))
        return request.model_copy(update={"messages": (*request.messages, *turns)})

    def _reply(self, request: Request, on_text: OnText | None) -> tuple[Reply | None, LlmCall]:
        """The reply from the record, or from the server; None when it may not be asked."""
        stored, call = self._recorded(request) if self._live is None else self._live.reply(request, on_text)
        if stored is None:
            return None, call
        reply = understood(self.provider, stored.answer)
        return reply, call.model_copy(update={"stop_reason": reply.stop_reason})

    def _recorded(self, request: Request) -> tuple[Stored | None, LlmCall]:
        """The logged call, named as the question names it, and its recorded answer.

        Raises:
            IntegrityError: the event does not have this question, or its answer was changed or is gone.
        """
        sha = request_sha(self.provider.name, self.provider.body(request))
        call = self._replayed.get(sha)
        if call is None:
            raise IntegrityError(
                f"the log has no question {sha[:12]}… to the language model, but the evidence asks one"
            )
        names = {"provider": self.provider.name, "model": self.provider.model}
        call = call.model_copy(update={"kind": request.kind, "prompt": request.prompt, **names})
        if call.response_sha is None:
            return None, call
        stored = self._answers.get(sha)
        if stored is None or stored.response_sha != call.response_sha:
            raise IntegrityError(f"the recorded answer {sha[:12]}… is missing or was changed")
        # Whether the answer could be used is for the reader to say again.
        return stored, call.model_copy(update={"problem": ""})


def _together(refused: LlmCall, call: LlmCall) -> LlmCall:
    """A call, with the attempts that the same question took before it was refused."""
    usd = None if call.usd is None or refused.usd is None else round(call.usd + refused.usd, 8)
    unsure, attempts = call.unsure_tokens + refused.unsure_tokens, call.attempts + refused.attempts
    return call.model_copy(update={"unsure_tokens": unsure, "attempts": attempts, "usd": usd})
