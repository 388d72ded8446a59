"""Asking a language model: budget, cache, retries, record and re-asks, in one place for every provider.

A question and its raw answer are written to ``RUN/llm/<request hash>.json`` before the answer is read. That file is
the cache, the record for the auditor and the cassette for a replay: equal questions are asked once in a run, and a run
that was killed asks at most the questions that were under way again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ...state.config import LlmParams
from ...state.errors import IntegrityError, ModelError
from ...state.events import LlmCall
from ...state.progress import Advance, silent
from ...tools.remote import Fault, Retries, with_retries
from . import Message, OnText, Provider, Reply, Request, Usage, batch
from .answers import Answers, Stored, request_sha
from .budget import BudgetSpent, Purse, Reservation
from .reading import Unusable

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
            provider: the vendor.
            answers: the folder of recorded answers.
            purse: what may be spent.
            params: retries, deadline and parallelism.
            earlier: the calls already in the log; their answers cost nothing again.
            replayed: None, or the calls of one logged event, which are answered from the record alone: the
                network is never touched.
        """
        self.provider = provider
        self.purse = purse
        self._answers = answers
        self._params = params
        self._retries = Retries(attempts=params.attempts, deadline=params.deadline_seconds)
        self._earlier = {call.request_sha for call in earlier if call.response_sha}
        self._replayed = None if replayed is None else {call.request_sha: call for call in replayed}
        self._calls: list[LlmCall] = []
        self.say: Callable[[str], None] = lambda text: None  # told what a person should know
        self._lock = threading.Lock()
        self._asking: dict[str, threading.Lock] = {}  # by request hash: equal questions wait for one answer
        self._counted: set[str] = set()  # questions whose lost attempts this process has counted
        self._charged: set[str] = set()  # answers on record that no event has yet, already paid out of the purse
        if replayed is None:  # of a process that was killed before its event
            self._charge(sha for sha in answers.shas() if sha not in self._earlier)

    @property
    def name(self) -> str:
        """``provider:model``."""
        return f"{self.provider.name}:{self.provider.model}"

    def drain(self) -> list[LlmCall]:
        """The calls made since the last ``drain``, for the event they belong to."""
        with self._lock:
            calls, self._calls = self._calls, []
        return calls

    def ask(self, request: Request, read: Callable[[Reply], T], on_text: OnText | None = None) -> T | None:
        """What ``read`` makes of the answer; None when two re-asks did not help either, or the budget is spent.

        Args:
            request: the question.
            read: turns a reply into a value, or raises ``Unusable`` with a sentence that the model is told.
            on_text: called with the text as it comes, where the answer is to be streamed.

        Raises:
            ModelError: the server refused, or stayed out of reach; what was answered before is on record.
        """
        return self.ask_many([request], read, on_text=on_text)[0]

    def ask_many(
        self,
        requests: Sequence[Request],
        read: Callable[[Reply], T],
        advance: Advance = silent,
        on_text: OnText | None = None,
    ) -> list[T | None]:
        """As ``ask`` for several questions, some of them at the same time; values in the order of ``requests``."""

        answers = [Answered[T](None) for _ in requests]

        def one(request: Request, answered: Answered[T]) -> None:
            self._ask(request, read, on_text, answered)
            advance(1)

        pairs = list(zip(requests, answers, strict=True))
        try:
            # On replay the order of the questions is all that counts, and threads only cost.
            if len(requests) < 2 or self._params.parallel == 1 or self._replayed is not None:
                for pair in pairs:
                    one(*pair)
            else:
                with ThreadPoolExecutor(self._params.parallel, "recryst-ask") as pool:
                    futures = [pool.submit(one, *pair) for pair in pairs]
                    try:
                        for future in futures:
                            future.result()
                    except BaseException:
                        for future in futures:
                            future.cancel()
                        raise
        finally:  # what was answered is logged, even where a question after it failed
            with self._lock:
                for answered in answers:
                    self._calls += answered.calls
        return [answered.value for answered in answers]

    def prefetch(self, requests: Sequence[Request]) -> None:
        """Have questions answered by the provider's batch API where ``llm.batch`` is set, for ``ask`` to find.

        Raises:
            ModelError: the server refused, or stayed out of reach.
            UsageError: the provider has no batches.
        """
        if not self._params.batch or self._replayed is not None or not requests:
            return
        bodies = {}
        for request in requests:
            body = self.provider.body(request)
            bodies[request_sha(self.provider.name, body)] = (body, request.max_tokens)
        batch.prefetch(self.provider, self._answers, self.purse, bodies, self._retries, self.say)
        self._charge(sha for sha in bodies if sha not in self._earlier)

    def _ask(self, request: Request, read: Callable[[Reply], T], on_text: OnText | None, answered: Answered[T]) -> None:
        """One question, and up to two more that say what was wrong with the answer; ``answered`` takes what comes."""
        for _ in range(1 + RE_ASKS):
            reply, call = self._reply(request, on_text)
            if reply is None:
                answered.problem = call.problem
                answered.calls.append(call)
                return
            try:
                answered.value = read(reply)
                answered.problem = ""
                answered.calls.append(call)
                return
            except Unusable as unusable:
                answered.problem = str(unusable)
                answered.calls.append(call.model_copy(update={"problem": answered.problem}))
            said = reply.text[:_SHOWN_BACK] or "(no answer)"
            complaint = f"That answer could not be used: {answered.problem}. Answer the question above again."
            turns = (Message(role="assistant", content=said), Message(role="user", content=complaint))
            request = request.model_copy(update={"messages": (*request.messages, *turns)})

    def _reply(self, request: Request, on_text: OnText | None) -> tuple[Reply | None, LlmCall]:
        """The reply from the record, or from the server; None when it may not be asked."""
        body = self.provider.body(request)
        sha = request_sha(self.provider.name, body)
        if self._replayed is not None:
            return self._recorded(sha)
        with self._lock:
            asking = self._asking.setdefault(sha, threading.Lock())
        with asking:
            stored = self._answers.get(sha)
            if stored is None:
                stored, call = self._send(sha, body, request, on_text)
            else:
                call = self._call_of(request, sha, stored)
        if stored is None:
            return None, call
        reply = self._read(stored.answer)
        return reply, call.model_copy(update={"stop_reason": reply.stop_reason})

    def _call_of(self, request: Request, sha: str, stored: Stored) -> LlmCall:
        """The call that an answer on record stands for: free if an event has it, otherwise paid and not yet logged."""
        known = sha in self._earlier
        usage = Usage() if known else self._usage(stored.answer) or Usage()
        if not known:  # from a batch, or from a process that was killed before its event
            self._charge([sha])
            self._earlier.add(sha)
        return LlmCall(
            kind=request.kind,
            provider=self.provider.name,
            model=self.provider.model,
            prompt=request.prompt,
            request_sha=sha,
            response_sha=stored.response_sha,
            usage=usage.model_dump(),
            usd=self.purse.cost(usage, batched=stored.batched),
            cache_hit=known,
        )

    def _charge(self, shas: Iterable[str]) -> None:
        """Pay for answers on record at once, before others reserve the money, and each only once."""
        for sha in shas:
            stored = None if sha in self._charged else self._answers.get(sha)
            if stored is not None:
                self.purse.charge(self._usage(stored.answer) or Usage(), stored.batched)
                self._charged.add(sha)

    def _read(self, answer: Mapping[str, Any]) -> Reply:
        try:
            return self.provider.read(answer)
        except ValueError as error:  # valid JSON of another shape: as useless as an empty answer
            return Reply(text="", tool_calls=(), stop_reason="other", usage=Usage(), model=str(error)[:100])

    def _usage(self, answer: Mapping[str, Any]) -> Usage | None:
        """The usage an answer names, or None where it names none."""
        usage = self._read(answer).usage
        return usage if usage.total else None

    def _recorded(self, sha: str) -> tuple[Reply | None, LlmCall]:
        """The logged call and its recorded reply.

        Raises:
            IntegrityError: the event does not have this question, or its answer was changed or is gone.
        """
        assert self._replayed is not None
        call = self._replayed.get(sha)
        if call is None:
            raise IntegrityError(
                f"the log has no question {sha[:12]}… to the language model, but the evidence asks one"
            )
        # Whether the answer could be used is for the reader to say again.
        if call.response_sha is None:
            return None, call
        stored = self._answers.get(sha)
        if stored is None or stored.response_sha != call.response_sha:
            raise IntegrityError(f"the recorded answer {sha[:12]}… is missing or was changed")
        return self._read(stored.answer), call.model_copy(update={"problem": ""})

    def _send(
        self, sha: str, body: dict[str, Any], request: Request, on_text: OnText | None
    ) -> tuple[Stored | None, LlmCall]:
        """Ask the server within the budget: the stored answer, or None where the budget is spent, and what it took.

        Raises:
            ModelError: the server refused, or attempts and time are spent.
        """
        attempts = 0
        held: Reservation | None = None
        unsure = self._answers.pending(sha)  # of a process that was killed while it asked this
        if sha not in self._counted:
            self.purse.lose_earlier(unsure)
            self._counted.add(sha)

        def attempt(seconds: float) -> dict[str, Any]:
            nonlocal attempts, held
            held = None
            until = time.monotonic() + seconds
            reserved = self.purse.reserve(body, request.max_tokens, lambda: self.provider.count(body, seconds))
            if time.monotonic() >= until:  # given up while the provider was counting
                self.purse.release(reserved)
                raise Fault("busy", "no time is left")
            held = reserved
            self._answers.pend(sha, unsure + held.worst)
            attempts += 1
            return self.provider.send(body, seconds, None if on_text is None else _until(until, on_text))

        def on_fault(fault: Fault) -> None:
            nonlocal unsure
            if held is not None and fault.kind == "unsure":
                unsure += held.worst
                self.purse.lose(held)
            elif held is not None:
                self.purse.release(held)

        stored = None
        problem = ""
        usage = Usage()
        try:
            answer = with_retries(attempt, self._retries, on_fault)
            stored = self._answers.put(sha, self.provider.name, body, answer)
            assert held is not None
            usage = self._usage(answer) or held.worst
            self.purse.settle(held, usage)
            self._earlier.add(sha)
        except BudgetSpent as spent:
            problem = str(spent)
            self._answers.unpend(sha)  # what was lost stands in this call
        except Fault as fault:
            if unsure.total:
                self._answers.pend(sha, unsure)
            else:
                self._answers.unpend(sha)
            raise ModelError(f"{self.name}: {fault}; what was answered is kept, `recryst resume` goes on") from fault
        return stored, LlmCall(
            kind=request.kind,
            provider=self.provider.name,
            model=self.provider.model,
            prompt=request.prompt,
            request_sha=sha,
            response_sha=None if stored is None else stored.response_sha,
            usage=usage.model_dump(),
            unsure_tokens=unsure.total,
            usd=self.purse.cost(usage, unsure),
            attempts=attempts,
            problem=problem,
        )


def _until(end: float, on_text: OnText) -> OnText:
    """``on_text`` until the clock reads ``end``: an attempt that was given up may go on reading, unheard."""

    def heard(text: str) -> None:
        if time.monotonic() < end:
            on_text(text)

    return heard
