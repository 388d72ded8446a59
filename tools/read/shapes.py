"""How a row of a known shape reads as one text, whether its answer is empty, and how a new row of it is written."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl
import pyarrow as pa

from .columns import as_text, column_of, first_nested, json_bytes, values_of
from .forms import CHATS, Form, Shape, is_languages
from .turns import conversation, said_in, turns_of


def render(shape: Shape, batch: pa.RecordBatch) -> pl.Series:
    """The text of each row (String, [n]), null where it is missing, empty or only white space.

    Numbers are spelled out, conversations are read turn by turn, other nested values are JSON; columns that the batch
    lacks are null. Parts that say nothing are left out, but for an answer.
    """
    form, parts = (
        shape.form,
        pl.DataFrame(
            {f"part{at}": said_of(batch, name, shape.kind != "text") for at, name in enumerate(shape.columns) if name}
        ),
    )
    if parts.width == 0:
        return pl.Series("text", [None] * batch.num_rows, dtype=pl.String)
    said = [pl.col(name).fill_null("").str.strip_chars() != "" for name in parts.columns]
    whole = pl.concat_str(list(_pieces(shape, form, parts)), separator="")
    whole = whole.str.strip_prefix("\n\n")
    return parts.select(pl.when(pl.any_horizontal(said)).then(whole).alias("text"))["text"]


def _pieces(shape: Shape, form: Form, parts: pl.DataFrame) -> Iterator[pl.Expr]:
    """Each part that a row reads, in order, with a blank line before it and its heading; nothing where it is empty."""
    order = form.order if shape.kind != "letters" else (3, 0, *range(5, len(shape.columns)), 2)
    many = len(parts.columns) > 1
    for at in order:
        if f"part{at}" not in parts.columns:
            continue
        text = pl.col(f"part{at}").fill_null("")
        heading = form.parts[at].heading
        bare = not many or not form.headed or (shape.is_chat and at == 0)
        piece = pl.format("\n\n{}", text) if bare else pl.format(f"\n\n### {heading}:\n{{}}", text)
        if at == form.answer and not bare:
            yield piece
        else:
            yield pl.when(text.str.strip_chars() != "").then(piece).otherwise(pl.lit(""))


def empty_answers(shape: Shape, batch: pa.RecordBatch) -> pl.Series:
    """Whether the answer of a row says nothing (Boolean, [n]); null where rows of the shape have no answer.

    It is read from the data: in a rendered text an answer that ends with a heading would look like an empty one.
    """
    at = shape.form.answer
    if shape.is_chat:
        spoken = map(turns_of, values_of(*column_of(batch, shape.columns[0])))
        empty = [None if turns is None else not said_in(turns[-1]).strip() for turns in spoken]
        return pl.Series("empty_answer", empty, dtype=pl.Boolean)
    if at is None or at >= len(shape.columns) or not shape.columns[at]:
        return pl.Series("empty_answer", [None] * batch.num_rows, dtype=pl.Boolean)
    return (said_of(batch, shape.columns[at]).fill_null("").str.strip_chars() == "").alias("empty_answer")


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
    if (nested := first_nested(column, field)) is not None:
        raise NestedText(name, nested)
    return pl.Series(name, as_text(column, field), dtype=pl.String)


def said_of(batch: pa.RecordBatch, name: str, parsed: bool = True) -> pl.Series:
    """What a column says (String, [n]): text as it is, turns read one by one, lists line by line, the rest as JSON.

    ``parsed``: JSON text of turns is read as turns.
    """
    column, field = column_of(batch, name)
    strings = pl.Series(name, as_text(column, field), dtype=pl.String)
    nested = first_nested(column, field) is not None
    if not nested and not (parsed and strings.str.contains(r"^\s*\[\s*\{").any()):
        return strings
    spelled = [_said(value, text) for value, text in zip(values_of(column, field), strings.to_list(), strict=True)]
    return pl.Series(name, spelled, dtype=pl.String)


def _said(value: Any, text: str | None) -> str | None:
    """A value as text; ``text`` is how it is spelled otherwise."""
    if (turns := turns_of(value)) is not None:
        return conversation(turns)
    if isinstance(value, str) or not isinstance(value, list | dict):
        return text
    if not value:
        return None
    texts, labels = (value.get(name) for name in ("text", "label")) if isinstance(value, dict) else (None, None)
    if isinstance(texts, list):  # SQuAD's answers, ARC's choices
        named = isinstance(labels, list) and len(labels) == len(texts)
        marks = [f"{label}. " for label in labels or ()] if named else [""] * len(texts)
        return "\n".join(f"{mark}{one}" for mark, one in zip(marks, texts, strict=True))
    if isinstance(value, dict) and is_languages(value):
        return "\n\n".join(value.values())
    if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        return "\n".join(map(str, value))
    return json_bytes(value).decode()


# New rows ----------------------------------------------------------------------------------------------------------

Parts = dict[str, str]  # field → what it says


def fields_of(shape: Shape) -> tuple[str, ...]:
    """The fields of rows of a shape, in order; none where no new row of it can be written."""
    if shape.kind == "alpaca":
        return ("instruction", "input", "output") if shape.columns[1] else ("instruction", "output")
    if shape.kind in (*CHATS, "pair", "two"):
        return ("instruction", "output")
    return ("text",) if shape.kind == "text" and shape.columns else ()


def _written(shape: Shape) -> list[str]:
    """The columns of the fields of ``fields_of``."""
    return [column for column in shape.columns[: 3 if shape.kind == "alpaca" else 2] if column]


def parts_of(shape: Shape, row: Mapping[str, Any]) -> Parts | None:
    """What a row says by its fields; None where it is not of that shape, or one of them but ``input`` is empty."""
    if shape.kind in CHATS:
        said = _first_exchange(shape, row.get(shape.columns[0]))
    else:
        said = tuple(_spelled(row.get(column)) for column in _written(shape))
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
    return {column: parts[field] for column, field in zip(_written(shape), fields_of(shape), strict=True)}


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
