"""Questions to a language model about several rows at once, and the rule that each row is answered exactly once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import Field

from .critics.shown import marked, opaque
from .llm import Request
from .llm.asking import asked
from .llm.reading import Unusable

ROWS_PER_QUESTION = 10

Sheet = dict[str, str]  # opaque id → the text of a row as the model sees it
ShortText = Annotated[str, Field(max_length=400)]


class HasId(Protocol):
    """An entry of an answer: it says which row it is about."""

    id: str


A = TypeVar("A")
E = TypeVar("E", bound=HasId)


def sheets(kind: str, texts: list[str]) -> list[Sheet]:
    """The texts, ten to a question, in their order."""
    groups = [texts[start : start + ROWS_PER_QUESTION] for start in range(0, len(texts), ROWS_PER_QUESTION)]
    seen = [[marked(text) for text in group] for group in groups]
    return [_sheet(kind, group) for group in seen]


def _sheet(kind: str, texts: list[str]) -> Sheet:
    """One sheet. Two rows of it get the same six digits once in 400,000 sheets; then all of them get others."""
    for salt in itertools.count():
        salted = (salt,) if salt else ()
        sheet = {opaque(kind, at, *texts, *salted): text for at, text in enumerate(texts)}
        if len(sheet) == len(texts):
            return sheet
    raise AssertionError


def request(kind: str, sheet: Sheet, answer: dict[str, Any], system: str | None = None) -> Request:
    """The question about the rows of one sheet; ``answer`` is its JSON schema, ``system`` as in ``asked``."""
    return asked(kind, {"rows": [{"id": one, "text": text} for one, text in sheet.items()]}, answer, system)


def each_row_once(shown: Sequence[Sheet], entries: Callable[[A], Sequence[HasId]]) -> Callable[[A], None]:
    """A check of the answers to several questions: one entry for each row of a question, and no other.

    The ids of a row hang on all the rows shown with it, so that those of one question fit no other. That the answer is
    to its own question is seen by ``by_row``.
    """
    known = {frozenset(sheet) for sheet in shown}

    def check(answer: A) -> None:
        ids = [entry.id for entry in entries(answer)]
        if len(set(ids)) < len(ids) or frozenset(ids) not in known:
            raise Unusable("each row needs exactly one entry under the id it was given, and there are no other rows")

    return check


def by_row(shown: Sequence[Sheet], answers: Sequence[A | None], entries: Callable[[A], Sequence[E]]) -> list[E | None]:
    """The entry on each row of several questions, in order; None where the answer is not usable or to another sheet."""
    found: list[E | None] = []
    for sheet, answer in zip(shown, answers, strict=True):
        said = {} if answer is None else {entry.id: entry for entry in entries(answer)}
        found += [said.get(row) for row in sheet]
    return found
