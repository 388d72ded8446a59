"""What the log says of questions to the language model, held against the questions that follow and the record.

A call is derived again from the evidence (kind, prompt, model, what was wrong with the answer) and its cost from the
recorded answer. What was sent and never answered is the provider's word against the log's; it is only bounded here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from ...state.config import Config
from ...state.errors import RecrystError
from ...state.events import Event
from ...state.notes import LlmCall, Resume, Start
from ..llm import Provider, Usage
from ..llm.answers import Answers, Stored
from ..llm.budget import BUDGET
from ..llm.live import understood
from ..llm.open import open_provider
from ..llm.prices import Price, price_of
from ..session import code_version
from ..view import View
from .files import where

TALK = ("chat", "describe", "read")  # asked in conversation, which is not derived again
_CENT = 1e-6  # dollars, for sums of rounded parts


def lost(call: LlmCall) -> bool:
    """Whether a question may have been billed and its answer is unknown; nothing is derived from it."""
    return call.response_sha is None and call.problem != BUDGET


@dataclass
class _Bills:
    """What is known while the log is read from its beginning."""

    answers: Answers
    provider: Provider
    config: Config
    price: Price | None
    price_known: bool = False  # whether this code has the price that the run went by
    resumed: bool = False
    logged: set[str] = field(default_factory=set)  # questions whose answer an earlier event has …
    paid: set[str] = field(default_factory=set)  # … this event pays for …
    later: set[str] = field(default_factory=set)  # … or this or a later event has


def unpaid(view: View) -> Iterator[str]:
    """What the log of a run says of each question and its cost that the recorded answer contradicts, as sentences."""
    config, events = view.config, view.events
    if config.llm.model is None:
        for event in events:
            if event.llm:
                yield f"{where(view.run, event)}: it logs a question, but the run has no language model"
        return
    provider = open_provider(config.llm)
    price = price_of(provider.name, provider.model, config.llm, provider.local)
    book = _Bills(Answers(view.run.llm), provider, config, price)
    answered = [{call.request_sha for call in event.llm if call.response_sha} for event in events]
    for number, event in enumerate(events):
        place = where(view.run, event)
        if isinstance(event, Start | Resume):
            book.resumed = isinstance(event, Resume)
            book.price_known = config.llm.usd_per_million is not None or event.code == code_version()
        book.paid = set()
        unanswered = any(call.response_sha is None for call in event.llm)
        book.later = set().union(*answered[number:]) if unanswered else set()
        for at, call in enumerate(event.llm):
            if wrong := _contradicted(book, event, call):
                yield f"{place}: llm.{at} (question {call.request_sha[:12]}…): {wrong}"
        if missing := answered[number] - book.paid - book.logged:
            question = f"llm (question {min(missing)[:12]}…)"
            yield f"{place}: {question}: its answer is logged as known, but no event had it before"
        book.logged |= answered[number]


def _contradicted(book: _Bills, event: Event, call: LlmCall) -> str:
    """What is wrong with one call; empty where nothing is."""
    sha = call.request_sha
    if (call.provider, call.model) != (book.provider.name, book.provider.model):
        return "it is not the run's language model that is said to have answered"
    if call.kind in TALK and call.prompt.partition("@")[0] != call.kind:
        return "its prompt is not that of its kind"
    try:
        stored = book.answers.get(sha)
    except RecrystError:
        stored = None
    if call.response_sha is None:
        return _unanswered(book, event, call, stored is not None and (sha in book.logged or sha not in book.later))
    if call.cache_hit:
        free = call.usage == Usage().model_dump() and not call.usd and not call.attempts and not call.unsure_tokens
        if free and (not book.price_known or (book.price is None) == (call.usd is None)):
            return ""
        return "an answer from the record is logged with a cost, or its cost as unknown"
    again = sha in book.logged or sha in book.paid
    book.paid.add(sha)
    if again:
        return "an answer is paid for twice"
    return "" if stored is None else _paid(book, call, stored)  # a missing answer is told of where all are verified


def _unanswered(book: _Bills, event: Event, call: LlmCall, on_record: bool) -> str:
    """What is wrong with a question that is logged without an answer; ``on_record`` says that there is one."""
    params = book.config.llm
    if any(call.usage.values()) or call.cache_hit:
        return "it has no answer, but usage"
    if lost(call):
        # A failed attempt ends the process, but not a conversation; a batch may run out of time.
        if call.kind == "lost":
            return "" if book.resumed or params.batch else "it is logged as lost, but no process was stopped"
        failed = event.type in ("chat", "approve", "error") and call.attempts and not on_record
        return "" if failed else "it is logged as failed, but the run went on, or its answer is on record"
    if params.max_usd is None and params.max_tokens is None:
        return "it has no answer, and the run has no budget that could have been spent"
    return "it is logged without an answer, but the answer is on record" if on_record else ""


def _paid(book: _Bills, call: LlmCall, stored: Stored) -> str:
    """What is wrong with the cost of an answer that no event had before."""
    named = understood(book.provider, stored.answer).usage
    if call.usage != (named if named.total else stored.usage).model_dump():
        return "its usage is not that of the recorded answer"
    if call.unsure_tokens > stored.unsure.total:
        return "it counts more tokens as lost than its record"
    if not call.attempts and not stored.batched and not book.resumed:
        return "it was answered, but never sent"
    if not book.price_known:
        return ""
    if (book.price is None) != (call.usd is None):
        return "it costs something where the price is unknown, or nothing is said of the cost"
    if book.price is None or call.usd is None:
        return ""
    # Which of the tokens billed in vain went in and which came out is not logged.
    least = book.price.of(Usage(**call.usage), stored.batched)
    vain = [book.price.worst(*parts) for parts in ((call.unsure_tokens, 0), (0, call.unsure_tokens))]
    dearest = max(vain) * book.price.long_factor
    if not least + min(vain) / book.price.long_factor - _CENT <= call.usd <= least + dearest + _CENT:
        return "its dollars do not follow from its tokens"
    return ""
