"""Questions that go to a server: within the budget, each paid for once, recorded, and none lost by a kill."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ...state.canonical import Json
from ...state.errors import ModelError, RecrystError
from ...state.notes import LlmCall
from ...state.params.llm import LlmParams
from ...tools.vectors.net import Fault, Retries, with_retries
from . import OnText, Provider, Reply, Request, Usage
from .answers import Answers, Stored, request_sha
from .batch import Batches
from .budget import LOST, BudgetSpent, Purse, Reservation, bound
from .vendor import BatchVendor

_NONE = Usage()


def understood(provider: Provider, answer: Mapping[str, Any]) -> Reply:
    """What a recorded answer says; valid JSON of another shape is as useless as an empty answer."""
    try:
        return provider.read(answer)
    except ValueError as error:
        return Reply(text="", tool_calls=(), stop_reason="other", usage=_NONE, model=str(error)[:100])


class Live:
    """The server's side of a model. Safe to use from several threads."""

    def __init__(
        self,
        provider: Provider,
        answers: Answers,
        purse: Purse,
        params: LlmParams,
        earlier: Iterable[LlmCall],
        note: Callable[[LlmCall], None],
        say: Callable[[str], None],
    ) -> None:
        """Pay for what an earlier process left without an event: its answers, and questions that were under way.

        Args as of ``Model``, and ``note``: given the calls that brought no answer although they may be billed, for the
        log; ``say``: told what a person should know.
        """
        self.retries = Retries(attempts=params.attempts, deadline=params.deadline_seconds)
        self._provider = provider
        self._answers = answers
        self._purse = purse
        self._note = note
        self._earlier = {call.request_sha for call in earlier if call.response_sha}
        self._charged: set[str] = set()  # answers on record that no event has yet, already paid out of the purse
        self._lost: dict[str, Usage] = {}  # by request hash, what may be billed in vain and no event has yet
        self._asking: dict[str, threading.Lock] = {}  # by request hash: equal questions wait for one answer
        self._lock = threading.Lock()
        self._charge_recorded()
        for sha, usage in answers.pending().items():
            purse.charge(_NONE, usage)
            self._lose(sha, usage, f"{LOST}: it was asked before a stop")
        self._batches: Batches | None = None
        if params.batch and isinstance(provider, BatchVendor):
            self._batches = Batches(provider, answers, purse, self.retries, self._lose, say)

    def reply(self, request: Request, on_text: OnText | None) -> tuple[Stored | None, LlmCall]:
        """The answer from the record or the server, None where the budget does not cover it; and the call.

        Raises:
            ModelError: the server refused, or attempts and time are spent.
        """
        body = self._provider.body(request)
        sha = request_sha(self._provider.name, body)
        with self._lock:
            asking = self._asking.setdefault(sha, threading.Lock())
        with asking:
            stored = self._answers.get(sha)
            if stored is None:
                return self._send(sha, body, request, on_text)
            return stored, self._call_of(request, sha, stored)

    def covers(self, requests: Iterable[Request]) -> bool:
        """Whether what is left covers the worst of all the questions that have no answer yet."""
        questions = self._questions(requests)
        missing = [bound(*question) for sha, question in questions.items() if not self._answers.has(sha)]
        return self._purse.covers(missing)

    def prefetch(self, requests: Sequence[Request]) -> None:
        """Have questions answered by batch where ``llm.batch`` is set, for ``reply`` to find."""
        if self._batches is not None:
            try:
                self._batches.fetch(self._questions(requests))
            finally:
                self._charge_recorded()

    def logged(self, shas: Iterable[str]) -> None:
        """The log has the calls that brought no answer: word of them need no longer be left beside it."""
        for sha in shas:
            if self._lost.pop(sha, None) is not None:
                self._answers.unpend(sha)

    def _questions(self, requests: Iterable[Request]) -> dict[str, tuple[Json, int]]:
        """By request hash, the body and the most tokens of its answer."""
        bodies = [(self._provider.body(request), request.max_tokens) for request in requests]
        return {request_sha(self._provider.name, body): (body, most) for body, most in bodies}

    def _call_of(self, request: Request, sha: str, stored: Stored) -> LlmCall:
        """The call that an answer on record stands for: free if an event has it, otherwise paid and not yet logged."""
        known = sha in self._earlier
        usage, unsure = (_NONE, _NONE) if known else (stored.usage, stored.unsure)
        if not known:  # from a batch, or from a process that was killed before its event
            self._earlier.add(sha)
        return self._call(
            request.kind,
            request.prompt,
            sha,
            response_sha=stored.response_sha,
            usage=usage.model_dump(),
            unsure_tokens=unsure.total,
            usd=self._purse.cost(usage, unsure, stored.batched),
            cache_hit=known,
        )

    def _call(self, kind: str, prompt: str, sha: str, **fields: Any) -> LlmCall:
        asked = {"provider": self._provider.name, "model": self._provider.model, "request_sha": sha}
        return LlmCall(kind=kind, prompt=prompt, **asked, **fields)

    def _lose(self, sha: str, usage: Usage, problem: str) -> None:
        """Log tokens that were counted as spent and that no answer will account for; a file has them until then."""
        cost = self._purse.cost(_NONE, usage)
        call = self._call("lost", "", sha, unsure_tokens=usage.total, usd=cost, problem=problem)
        self._note(call)
        self._leave(sha, self._lost.get(sha, _NONE) + usage)

    def _leave(self, sha: str, unsure: Usage) -> None:
        """Leave word, for a process that comes after a kill, of what a question may be billed for in vain."""
        if unsure.total:
            self._lost[sha] = unsure
            self._answers.pend(sha, unsure)
        else:
            self._answers.unpend(sha)

    def _charge_recorded(self) -> None:
        """Pay for answers on record at once, before others reserve the money, and each only once."""
        for sha in self._answers.shas():
            stored = None if sha in self._charged or sha in self._earlier else self._answers.get(sha)
            if stored is not None:
                self._purse.charge(stored.usage, stored.unsure, stored.batched)
                self._charged.add(sha)

    def _send(self, sha: str, body: Json, request: Request, on_text: OnText | None) -> tuple[Stored | None, LlmCall]:
        """Ask the server within the budget: the stored answer, or None where the budget is spent, and what it took.

        Raises:
            ModelError: the server refused, or attempts and time are spent.
        """
        attempts = 0
        held: Reservation | None = None
        unsure = _NONE
        before = self._lost.get(sha, _NONE)  # of the same question, and in no event yet

        def attempt(seconds: float) -> Json:
            nonlocal attempts, held
            held = None
            until = time.monotonic() + seconds
            reserved = self._purse.reserve(body, request.max_tokens, lambda: self._provider.count(body, seconds))
            if time.monotonic() >= until:  # given up while the provider was counting
                self._purse.release(reserved)
                raise Fault("busy", "no time is left")
            held = reserved
            try:
                self._answers.pend(sha, before + unsure + held.worst)
                attempts += 1
                return self._provider.send(body, seconds, None if on_text is None else _until(until, on_text))
            except RecrystError:  # nothing was sent: no key, no package, no room on the disk
                self._purse.release(held)
                self._leave(sha, before + unsure)
                raise

        def on_fault(fault: Fault) -> None:
            nonlocal unsure
            if held is not None and fault.kind == "unsure":
                unsure += held.worst
                self._purse.lose(held)
            elif held is not None:
                self._purse.release(held)

        def call(problem: str = "", usage: Usage = _NONE, **fields: Any) -> LlmCall:
            fields |= {"usage": usage.model_dump(), "unsure_tokens": unsure.total, "attempts": attempts}
            fields |= {"usd": self._purse.cost(usage, unsure), "problem": problem}
            return self._call(request.kind, request.prompt, sha, **fields)

        try:
            answer = with_retries(attempt, self.retries, on_fault)
        except BudgetSpent as spent:
            self._leave(sha, before + unsure)
            return None, call(str(spent))
        except Fault as fault:
            self._leave(sha, before + unsure)
            if unsure.total:
                self._note(call(f"{LOST}: {fault}"))
            where = f"{self._provider.name}:{self._provider.model}"
            raise ModelError(f"{where}: {fault}; what was answered is kept") from fault
        assert held is not None
        named = understood(self._provider, answer).usage
        usage = named if named.total else held.worst
        stored = self._answers.put(sha, self._provider.name, body, answer, usage, before + unsure)
        self._purse.settle(held, usage)
        self._earlier.add(sha)
        return stored, call(usage=usage, response_sha=stored.response_sha)


def _until(end: float, on_text: OnText) -> OnText:
    """``on_text`` until the clock reads ``end``: an attempt that was given up may go on reading, unheard."""

    def heard(text: str) -> None:
        if time.monotonic() < end:
            on_text(text)

    return heard
