"""Talking to a server: what can go wrong, and the one place where it is tried again.

Vendors' clients are told never to retry; stacked on each other, two layers of retries turn one question into nine
calls. A server that drips one byte a second never times out by itself, so an attempt runs in a thread of its own
and is given up when its time is over.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Literal, TypeVar

T = TypeVar("T")

FaultKind = Literal["permanent", "busy", "unsure"]

_SHORTEST = 0.1  # seconds of an attempt, where the wait before it took a little longer than it was to


class Fault(Exception):
    """One failed attempt.

    ``permanent``: another attempt would fail alike (400, 401, 403, 404, 413, 422). ``busy``: the server did not take
    the work up (429, 5xx, connection refused). ``unsure``: it may have done the work (timeout, reset, an answer that is
    not JSON), so that it may be billed.
    """

    def __init__(self, kind: FaultKind, sentence: str, status: int | None = None, retry_after: float | None = None):
        super().__init__(sentence)
        self.kind = kind
        self.status = status
        self.retry_after = retry_after  # seconds, as the server asked


@dataclass(frozen=True)
class Retries:
    """How often and how long: ``attempts`` within ``deadline`` seconds, each wait ``longest_wait`` at most."""

    attempts: int = 4
    deadline: float = 120.0
    first_wait: float = 0.5
    longest_wait: float = 30.0


def with_retries(
    attempt: Callable[[float], T],
    retries: Retries,
    on_fault: Callable[[Fault], None] = lambda fault: None,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """The first result of ``attempt(seconds left)``; waits double, or are what the server asks for, up to the cap.

    Args:
        attempt: one attempt; it raises ``Fault``. It is given up once the seconds are over, whatever it does.
        on_fault: told of every failed attempt, before the wait.

    Raises:
        Fault: the last one, when attempts or time are spent; a permanent one at once.
    """
    begun = time.monotonic()
    for number in range(1, retries.attempts + 1):
        left = retries.deadline - (time.monotonic() - begun)
        try:
            return _within(max(left, _SHORTEST), attempt)
        except Fault as fault:
            on_fault(fault)
            pause = retries.first_wait * 2 ** (number - 1) if fault.retry_after is None else fault.retry_after
            pause = min(pause, retries.longest_wait)
            left = retries.deadline - (time.monotonic() - begun)
            if fault.kind == "permanent" or number == retries.attempts or pause >= left:
                raise
            sleep(pause)
    raise AssertionError("unreachable")


def _within(seconds: float, attempt: Callable[[float], T]) -> T:
    """The result of ``attempt(seconds)``; a thread that has not come back by then is left to itself."""
    result: Future[T] = Future()

    def work() -> None:
        try:
            result.set_result(attempt(seconds))
        except BaseException as raised:
            result.set_exception(raised)

    threading.Thread(target=work, daemon=True, name="recryst-attempt").start()
    if not wait([result], seconds).done:
        raise Fault("unsure", f"no answer within {seconds:.0f} s")
    return result.result()
