"""Conversations as the chat template of a model spells them, so that no row can spell the template's own marks."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ..read.chats import Conversation
from .fit import Piece, pieces

# A template that asks for the date is told this one, which Llama's own templates fall back on: the same rows give the
# same tokens on any day.
_DATE = "{%- macro strftime_now(format) -%}26 Jul 2024{%- endmacro -%}"
_MARKS = range(0xE000, 0xF8FF)  # private use


class Chat(str):
    """A row as a text, and as the conversation that it is."""

    __slots__ = ("turns",)
    turns: Conversation

    def __new__(cls, text: str, turns: Conversation) -> "Chat":
        """``turns``: who says what, as the template is to spell it."""
        chat = super().__new__(cls, text)
        chat.turns = turns
        return chat


class Encoded(NamedTuple):
    """The token ids of a piece."""

    ids: list[int]


def template_of(tokenizer: Any) -> str | None:
    """The chat template of a tokenizer; where it has several, the one it calls its default."""
    found = tokenizer.chat_template
    found = found.get("default") if isinstance(found, dict) else found
    return found if isinstance(found, str) else None


class ChatEncoder:
    """Encodes rows as ``fit.encode`` asks it to: conversations by the template, everything else as text.

    The template is the model folder's. Transformers renders it in a sandbox of Jinja, which reaches neither files nor
    Python's insides. What a row says is text: a special token that it spells is taken apart before it is rendered, and
    the marks of the whole row must then be those of turns by the same speakers that say nothing. A conversation that
    the template refuses, or in which the marks are others, is encoded as plain text.

    ``chats`` and ``plain`` count the rows that went through the template, and those that did not.
    """

    def __init__(self, tokenizer: Any, template: str) -> None:
        """``tokenizer``: a fast one of Transformers, with an end of text."""
        self._tokenizer, self._backend = tokenizer, tokenizer.backend_tokenizer
        self._template = (_DATE if "strftime_now" in template else "") + template
        added = tokenizer.added_tokens_decoder
        self._added, self._special = {*added}, {at for at, token in added.items() if token.special}
        spelled = sorted((added[at].content for at in self._special), key=len, reverse=True)
        self._spelled = re.compile("|".join(map(re.escape, spelled)) or "(?!)")
        self._marks: dict[tuple[tuple[str, bool], ...], list[int]] = {}
        self.chats = self.plain = 0

    def pieces(self, rows: Iterable[str]) -> Iterator[Piece]:
        """As ``fit.pieces``; a conversation is one piece, which ends its row by itself."""
        for row in rows:
            if isinstance(row, Chat):
                yield row, False
            else:
                self.plain += bool(row)
                yield from pieces([row])

    def encode_batch_fast(self, batch: list[str], add_special_tokens: bool = False) -> list[Encoded]:
        """The token ids of pieces, as a ``tokenizers.Tokenizer`` gives them."""
        return [Encoded(self._chat(one) if isinstance(one, Chat) else self._text(one)) for one in batch]

    def _chat(self, chat: Chat) -> list[int]:
        try:
            ids = self._rendered(chat.turns)
        except Exception:  # whatever a model's template does with a row: it is of another's making
            ids = None
        if ids is None:
            self.plain += 1
            return [*self._text(chat), self._tokenizer.eos_token_id]
        self.chats += 1
        return ids

    def _rendered(self, turns: Conversation) -> list[int] | None:
        """The tokens of a conversation; None where it has other marks than one that says nothing."""
        said = "".join(turn["content"] for turn in turns)
        apart = next(chr(code) for code in _MARKS if chr(code) not in said)
        ids = self._ids([{**turn, "content": self._apart(turn["content"], apart)} for turn in turns], apart)
        key = tuple((turn["role"], bool(turn["content"].strip())) for turn in turns)
        if key not in self._marks:
            blank = self._ids([{"role": role, "content": "x" if says else ""} for role, says in key], apart)
            self._marks[key] = [one for one in blank if one in self._added]
        watched = self._special.union(self._marks[key])
        return ids if [one for one in ids if one in watched] == self._marks[key] else None

    def _apart(self, text: str, apart: str) -> str:
        """A text in which ``apart`` stands behind the first character of every special token that it spells."""
        return self._spelled.sub(lambda found: found[0][:1] + apart + found[0][1:], text)

    def _ids(self, turns: Conversation, apart: str) -> list[int]:
        rendered = self._tokenizer.apply_chat_template(turns, chat_template=self._template, tokenize=False)
        return [one for piece in rendered.split(apart) for one in self._encode(piece, False)]

    def _text(self, text: str) -> list[int]:
        return self._encode(str(text), True)

    def _encode(self, text: str, specials_are_text: bool) -> list[int]:
        self._backend.encode_special_tokens = specials_are_text
        found: list[int] = self._backend.encode(text, add_special_tokens=False).ids
        return found
