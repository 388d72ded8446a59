"""What a run may spend: tokens and money, reserved before a question is sent and settled when its answer is there."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ...state.canonical import canonical_json
from ...state.params.llm import LlmParams
from . import Usage
from .prices import Price

_FRAME_TOKENS = 512  # what a chat template and a vendor's hidden words on tools and schemas add, at most
_COUNT_SLACK = 1.05  # the provider's count is an estimate by its own words
_NONE = Usage()

#: Why a question was not asked.
BUDGET = "what is left of the budget does not cover the next question"
#: How the problem of a question begins whose answer never came although it was sent.
LOST = "no answer came, and it may have been billed"


class BudgetSpent(Exception):
    """The question might cost more than is left."""


@dataclass
class Reservation:
    """Tokens set aside for one attempt, at most ``input_tokens`` in and ``output_tokens`` out."""

    input_tokens: int
    output_tokens: int
    open: bool = True

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.input_tokens + self.output_tokens

    @property
    def worst(self) -> Usage:
        """The usage it stands for."""
        return Usage(input_tokens=self.input_tokens, output_tokens=self.output_tokens)


def bound(body: Mapping[str, Any], max_tokens: int) -> Reservation:
    """What a question may cost at most.

    No token is shorter than a byte, so the bytes of the body bound its tokens, some four times over for English.
    """
    return Reservation(len(canonical_json(body)) + _FRAME_TOKENS, max_tokens)


class Purse:
    """What was spent and what is set aside; never more than the bounds. Safe to use from several threads."""

    def __init__(self, price: Price | None, params: LlmParams, usd: float = 0.0, tokens: int = 0) -> None:
        """Open the purse; by the log, ``usd`` dollars and ``tokens`` are spent already.

        ``price`` is None where it is not known; then ``params.max_usd`` must be None.
        """
        self.price = price
        self.usd = usd
        self.tokens = tokens
        self._params = params
        self._held: list[Reservation] = []
        self._lock = threading.Lock()

    def reserve(self, body: Mapping[str, Any], max_tokens: int, count: Callable[[], int | None]) -> Reservation:
        """Set aside what a question may cost at most.

        Only where its bound does not fit is the provider asked to count, which takes a request.

        Raises:
            BudgetSpent: it does not fit in what is left.
        """
        wanted = bound(body, max_tokens)
        if not self._hold(wanted) and (counted := count()) is not None:
            wanted = Reservation(int(counted * _COUNT_SLACK) + _FRAME_TOKENS, max_tokens)
            self._hold(wanted)
        if not wanted.open:
            raise BudgetSpent(BUDGET)
        return wanted

    def _hold(self, wanted: Reservation) -> bool:
        with self._lock:
            wanted.open = self._fits([*self._held, wanted])
            if wanted.open:
                self._held.append(wanted)
        return wanted.open

    def covers(self, wanted: Iterable[Reservation]) -> bool:
        """Whether all of it fits in what is left."""
        with self._lock:
            return self._fits([*self._held, *wanted])

    def hold_earlier(self, worst: Usage) -> Reservation:
        """Set aside, whatever is left, what an earlier process has under way."""
        held = Reservation(worst.input_tokens, worst.output_tokens)
        with self._lock:
            self._held.append(held)
        return held

    def _fits(self, held: list[Reservation]) -> bool:
        max_tokens, max_usd = self._params.max_tokens, self._params.max_usd
        if max_tokens is not None and self.tokens + sum(one.tokens for one in held) > max_tokens:
            return False
        if max_usd is None or self.price is None:
            return True
        return self.usd + sum(self.price.worst(one.input_tokens, one.output_tokens) for one in held) <= max_usd

    def settle(self, held: Reservation, usage: Usage, unsure: Usage = _NONE) -> None:
        """The answer is there: what it used takes the place of what was set aside, once."""
        with self._lock:
            if held.open:
                held.open = False
                self._held.remove(held)
                self._spend(usage, unsure)

    def lose(self, held: Reservation) -> None:
        """No answer came, and it may have been billed: all that was set aside counts as spent."""
        self.settle(held, _NONE, held.worst)

    def release(self, held: Reservation) -> None:
        """The server did not take the question up: nothing was spent."""
        self.settle(held, _NONE)

    def charge(self, usage: Usage, unsure: Usage, batched: bool = False) -> None:
        """An answer, and attempts in vain, that are paid for without a reservation of this process."""
        with self._lock:
            self._spend(usage, unsure, batched)

    def cost(self, usage: Usage, unsure: Usage = _NONE, batched: bool = False) -> float | None:
        """Dollars of one answer, and of tokens that may have been billed in vain; None where the price is not known."""
        if self.price is None:
            return None
        lost = self.price.worst(unsure.input_tokens, unsure.output_tokens)
        return round(self.price.of(usage, batched) + lost, 8)

    def _spend(self, usage: Usage, unsure: Usage, batched: bool = False) -> None:
        self.tokens += usage.total + unsure.total
        self.usd += self.cost(usage, unsure, batched) or 0.0

    def __str__(self) -> str:
        said = f"{self.tokens:,} tokens"
        return said if self.price is None else f"${self.usd:.4f}, {said}"
