"""How a question without tools is put: its prompt, what is shown as canonical JSON, and the form of its answer."""

from __future__ import annotations

from typing import Any

from ...prompts import prompt
from ...state.canonical import canonical_json
from . import ANSWER_TOKENS, Message, Request


def asked(kind: str, shown: Any, answer: dict[str, Any], system: str | None = None) -> Request:
    """A question of one kind.

    Args:
        kind: the name of its prompt; the answer may have as many tokens as ``ANSWER_TOKENS`` grants it.
        shown: what the question is about, as plain JSON values.
        answer: the JSON schema of the answer.
        system: the prompt's text, where it has slots that the caller filled.
    """
    instructions = prompt(kind)
    return Request(
        kind=kind,
        prompt=instructions.reference,
        system=instructions.render() if system is None else system,
        messages=(Message(role="user", content=canonical_json(shown).decode()),),
        answer=answer,
        max_tokens=ANSWER_TOKENS[kind],
    )
