"""Which columns of a table are its text, and how a row of a known shape reads as one text.

Known are Alpaca (Taori et al. 2023: ``instruction``, ``input``, ``output``), ShareGPT (``conversations`` of
``from`` and ``value``), OpenAI messages (``messages`` of ``role`` and ``content``) and plain text columns.
"""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa

from ...state.errors import InputError
from .columns import as_text, column_of, first_nested, values_of

_ALPACA_INPUTS = ("input", "context")  # Dolly calls the parts instruction, context, response
_ALPACA_OUTPUTS = ("output", "response")
_TEXT_NAMES = ("text", "content", "document", "body", "sentence")
_PAIRS = (("prompt", ("completion", "response", "output")), ("question", ("answer", "response")))
#: Chat formats and the keys of a turn: who speaks, and what is said.
CHATS = {"sharegpt": ("from", "value"), "messages": ("role", "content")}
_ROLES = {"human": "User", "user": "User", "gpt": "Assistant", "assistant": "Assistant", "system": "System"}


@dataclass(frozen=True)
class Shape:
    """How rows become text.

    ``kind`` is alpaca (``columns``: instruction, input or "", output), sharegpt or messages (the one column of
    turns) or text (one column, or two that are joined, or none where rows are vectors).
    """

    kind: str
    columns: tuple[str, ...]

    @property
    def text_column(self) -> str | None:
        """The column that holds the text, or most of it; ``None`` where several share it."""
        return None if self.kind == "alpaca" or not self.columns else self.columns[0]


def find_column(name: str, columns: Collection[str], option: str) -> str:
    """``name``, if it is a column.

    Raises:
        InputError: it is not; the nearest column is named.
    """
    if name in columns:
        return name
    nearest = difflib.get_close_matches(name, columns, n=1, cutoff=0.0)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    raise InputError(f"{option}: the data has no column {name!r}{hint}")


def recognise(samples: Mapping[str, Any], named: str | None, taken: Collection[str], has_vectors: bool) -> Shape:
    """The shape of a table.

    Args:
        samples: every column in order, with one value that is not null (``None`` where all are).
        named: the text column the user named, if any.
        taken: columns that mean something else (id, label, source).
        has_vectors: rows come with vectors and need no text.

    Raises:
        InputError: the named column does not exist, or no column can be told to be the text.
    """
    if named is not None:
        find_column(named, samples, "--text-column")
        return Shape(_chat_kind(samples[named]) or "text", (named,))
    return _known_shape(samples) or _text_shape(samples, taken, has_vectors)


def _known_shape(samples: Mapping[str, Any]) -> Shape | None:
    """Alpaca, ShareGPT or messages."""
    outputs = [name for name in _ALPACA_OUTPUTS if name in samples]
    if "instruction" in samples and outputs and not isinstance(samples[outputs[0]], list | dict):
        inputs = [name for name in _ALPACA_INPUTS if name in samples]
        return Shape("alpaca", ("instruction", (inputs or [""])[0], outputs[0]))
    for name in ("conversations", "messages"):
        kind = _chat_kind(samples.get(name))
        if kind:
            return Shape(kind, (name,))
    return None


def _chat_kind(sample: Any) -> str | None:
    """``sharegpt`` or ``messages`` where a value is a list of such turns."""
    first = sample[0] if isinstance(sample, list) and sample else None
    if isinstance(first, dict):
        for kind, keys in CHATS.items():
            if all(key in first for key in keys):
                return kind
    return None


def _text_shape(samples: Mapping[str, Any], taken: Collection[str], has_vectors: bool) -> Shape:
    """A column of text: by its name, or because it is the only one."""
    usable = [name for name, sample in samples.items() if not isinstance(sample, list | dict | bytes)]
    for name in _TEXT_NAMES:
        if name in usable and name not in taken:
            return Shape("text", (name,))
    for first, seconds in _PAIRS:
        if first in usable:
            second = [name for name in seconds if name in usable and name not in taken]
            return Shape("text", (first, *second[:1]))
    strings = [name for name in usable if isinstance(samples[name], str) and name not in taken]
    if len(strings) == 1:
        return Shape("text", (strings[0],))
    if has_vectors:
        return Shape("text", ())
    raise InputError(
        f"cannot tell which column is the text among {', '.join(map(repr, samples)) or 'none'}; say --text-column NAME"
    )


def render(shape: Shape, batch: pa.RecordBatch) -> pl.Series:
    """The text of each row (String, [n]), null where it is missing, empty or only white space.

    Numbers are spelled out; columns that the batch lacks are null.

    Raises:
        NestedText: a row of a text column holds a list or an object.
    """
    if shape.kind in CHATS:
        return _render_chats(batch, shape)
    parts = pl.DataFrame({f"part{at}": text_of(batch, name) for at, name in enumerate(shape.columns)})
    if parts.width == 0:
        return pl.Series("text", [None] * batch.num_rows, dtype=pl.String)
    said = [pl.col(name).fill_null("").str.strip_chars() != "" for name in parts.columns]
    texts = [pl.col(name).fill_null("") for name in parts.columns]
    if shape.kind == "alpaca":
        with_input = pl.format("### Instruction:\n{}\n\n### Input:\n{}\n\n### Response:\n{}", *texts)
        without = pl.format("### Instruction:\n{}\n\n### Response:\n{}", texts[0], texts[2])
        text = pl.when(said[1]).then(with_input).otherwise(without)
    elif len(texts) == 2:
        text = pl.when(said[1]).then(pl.format("{}\n\n{}", *texts)).otherwise(texts[0])
    else:
        text = texts[0]
    return parts.select(pl.when(pl.any_horizontal(said)).then(text).alias("text"))["text"]


class NestedText(ValueError):
    """A value that should be text is a list or an object; ``position`` is its row in the batch."""

    def __init__(self, column: str, position: int) -> None:
        super().__init__(column)
        self.column, self.position = column, position


def text_of(batch: pa.RecordBatch, name: str) -> pl.Series:
    """A column of a batch as strings (String, [n]); null throughout where the batch lacks it.

    Raises:
        NestedText: a value is a list or an object.
    """
    column, field = column_of(batch, name)
    nested = first_nested(column, field)
    if nested is not None:
        raise NestedText(name, nested)
    return pl.Series(name, as_text(column, field), dtype=pl.String)


def _render_chats(batch: pa.RecordBatch, shape: Shape) -> pl.Series:
    role, content = CHATS[shape.kind]
    conversations = values_of(*column_of(batch, shape.columns[0]))
    return pl.Series("text", [_chat_text(turns, role, content) for turns in conversations], dtype=pl.String)


def _chat_text(turns: Any, role_key: str, content_key: str) -> str | None:
    """A conversation as one text, each turn under its role; ``None`` where nobody says anything."""
    if not isinstance(turns, list):
        return None
    parts, said = [], False
    for turn in turns:
        if isinstance(turn, dict):
            content = _content_text(turn.get(content_key))
            said = said or bool(content.strip())
            role = str(turn.get(role_key) or "unknown")
            parts.append(f"### {_ROLES.get(role, role.capitalize())}:\n{content}")
    return "\n\n".join(parts) if said else None


def _content_text(content: Any) -> str:
    """What a turn says: its text, or the text parts of a list of parts (images and the like have none)."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        return "\n".join(text for text in texts if isinstance(text, str))
    return ""


Parts = dict[str, str]  # field → what it says


def fields_of(shape: Shape) -> tuple[str, ...]:
    """The fields of rows of a shape, in order; none where rows are only vectors."""
    if shape.kind == "alpaca":
        return ("instruction", "input", "output") if shape.columns[1] else ("instruction", "output")
    if shape.kind in CHATS or len(shape.columns) == 2:
        return ("instruction", "output")
    return ("text",) if shape.columns else ()


def parts_of(shape: Shape, row: Mapping[str, Any]) -> Parts | None:
    """What a row says by its fields; None where it is not of that shape, or one of them but ``input`` is empty."""
    if shape.kind in CHATS:
        said = _first_exchange(shape, row.get(shape.columns[0]))
    else:
        said = tuple(_spelled(row.get(column)) for column in shape.columns if column)
    fields = fields_of(shape)
    if len(said) != len(fields):
        return None
    parts = dict(zip(fields, said, strict=True))
    return parts if all(text for field, text in parts.items() if field != "input") else None


def row_of(shape: Shape, parts: Mapping[str, str]) -> dict[str, Any]:
    """The columns of a row that says ``parts``: the inverse of ``parts_of``."""
    if shape.kind in CHATS:
        role, content = CHATS[shape.kind]
        names = ("human", "gpt") if shape.kind == "sharegpt" else ("user", "assistant")
        turns = [{role: name, content: parts[field]} for name, field in zip(names, fields_of(shape), strict=True)]
        return {shape.columns[0]: turns}
    columns = [column for column in shape.columns if column]
    return {column: parts[field] for column, field in zip(columns, fields_of(shape), strict=True)}


def _first_exchange(shape: Shape, turns: Any) -> tuple[str, ...]:
    role, content = CHATS[shape.kind]
    said: list[str] = []
    for turn in turns if isinstance(turns, list) else []:
        wanted = ("human", "user") if not said else ("gpt", "assistant")
        if isinstance(turn, dict) and turn.get(role) in wanted and isinstance(turn.get(content), str):
            said.append(turn[content].strip())
    return tuple(said[:2])


def _spelled(value: Any) -> str:
    return "" if value is None else str(value).strip()
