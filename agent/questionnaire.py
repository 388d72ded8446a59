"""Questions to a language model about several rows at once, and the rule that each row is answered exactly once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import Field

from ..prompts import Prompt
from ..state.canonical import canonical_json
from .critics.shown import marked, opaque
from .llm import ANSWER_TOKENS, Message, Request
from .llm.reading import Unusable

ROWS_PER_QUESTION = 10

Sheet = dict[str, str]  # opaque id → the text of a row as the model sees it
ShortText = Annotated[str, Field(max_length=400)]


class HasId(Protocol):
    """An entry of an answer: it says which row it is about."""

    id: str


A = TypeVar("A")


def sheets(kind: str, texts: list[str]) -> list[Sheet]:
    """The texts, ten to a question, in their order."""
    groups = [texts[start : start + ROWS_PER_QUESTION] for start in range(0, len(texts), ROWS_PER_QUESTION)]
    seen = [[marked(text) for text in group] for group in groups]
    return [{opaque(kind, at, *group): text for at, text in enumerate(group)} for group in seen]


def request(kind: str, instructions: Prompt, system: str, sheet: Sheet, answer: dict[str, Any]) -> Request:
    """The question about the rows of one sheet; ``answer`` is its JSON schema."""
    rows = {"rows": [{"id": one, "text": text} for one, text in sheet.items()]}
    return Request(
        kind=kind,
        prompt=instructions.reference,
        system=system,
        messages=(Message(role="user", content=canonical_json(rows).decode()),),
        answer=answer,
        max_tokens=ANSWER_TOKENS[kind],
    )


def each_row_once(asked: Sequence[Sheet], entries: Callable[[A], Sequence[HasId]]) -> Callable[[A], None]:
    """A check of the answers to several questions: one entry for each row of a question, and no other.

    The ids of a row hang on all the rows shown with it, so that those of one question fit no other.
    """
    known = {frozenset(sheet) for sheet in asked}

    def check(answer: A) -> None:
        ids = [entry.id for entry in entries(answer)]
        if len(set(ids)) < len(ids) or frozenset(ids) not in known:
            raise Unusable("each row needs exactly one entry under the id it was given, and there are no other rows")

    return check
