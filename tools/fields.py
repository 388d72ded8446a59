"""The parts of a row of a known shape, by which new rows are asked for, and the way back to the row's own columns.

An Alpaca row has ``instruction``, ``input`` (where the data have such a column) and ``output``; so has a pair of prompt
and completion, and a conversation by its first question and answer. Any other row has its ``text``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .shapes import CHATS, Shape

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
