"""How a row of a known shape reads as one text, whether its answer is empty, and how a new row of it is written."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl
import pyarrow as pa

from .columns import as_text, column_of, first_nested, json_bytes, values_of
from .forms import CHATS, Shape, is_languages, is_segments
from .turns import alternating, conversation, is_turn, said_in, turns_of


def render(shape: Shape, batch: pa.RecordBatch) -> pl.Series:
    """The text of each row (String, [n]), null where it is missing, empty or only white space.

    Numbers are spelled out, conversations are read turn by turn, other nested values are JSON; columns that the batch
    lacks are null. Parts that say nothing are left out, but for an answer.
    """
    said = {
        at: said_of(batch, name, shape.kind != "text", _takes_turns(shape, at))
        for at, name in enumerate(shape.columns)
        if name
    }
    if not said:
        return pl.Series("text", [None] * batch.num_rows, dtype=pl.String)
    parts = pl.DataFrame({str(at): text.fill_null("") for at, text in said.items()})
    blank = [pl.col(name).str.strip_chars() == "" for name in parts.columns]
    whole = pl.concat_str(list(_pieces(shape, [*said]))).str.strip_prefix("\n\n")
    return parts.select(pl.when(~pl.all_horizontal(blank)).then(whole).alias("text")).to_series()


def _takes_turns(shape: Shape, at: int) -> bool:
    """Whether the strings of a list are turns: the user's and the assistant's, one after the other."""
    return shape.form.columns[at].heading in ("Conversation", "History")


def _pieces(shape: Shape, held: list[int]) -> Iterator[pl.Expr]:
    """Each part that a row reads, in order, with a blank line before it and its heading; nothing where it is empty."""
    form = shape.form
    first = len(form.parts)
    for at in sorted(held, key=lambda at: (at < first, at)):
        part, text = form.columns[at], pl.col(str(at))
        bare = len(held) == 1 or not form.headed or part.heading == "Conversation"
        piece = pl.format("\n\n{}" if bare else f"\n\n### {part.heading}:\n{{}}", text)
        answers = part.heading == form.answer and not bare
        yield piece if answers else pl.when(text.str.strip_chars() != "").then(piece).otherwise(pl.lit(""))


def empty_answers(shape: Shape, batch: pa.RecordBatch) -> pl.Series:
    """Whether the answer of a row says nothing (Boolean, [n]); null where rows of the shape have no answer.

    It is read from the data: in a rendered text an answer that ends with a heading would look like an empty one.
    """
    if shape.is_chat:
        values = values_of(*column_of(batch, shape.columns[0]))
        spoken = (turns_of(value) or alternating(value) for value in values)
        empty = [None if turns is None else not said_in(turns[-1]).strip() for turns in spoken]
        return pl.Series("empty_answer", empty, dtype=pl.Boolean)
    answer = next((name for name, part in zip(shape.columns, shape.form.columns, strict=False)
                   if part.heading == shape.form.answer), "")  # fmt: skip
    if not answer:
        return pl.Series("empty_answer", [None] * batch.num_rows, dtype=pl.Boolean)
    return (said_of(batch, answer).fill_null("").str.strip_chars() == "").alias("empty_answer")


def asked_and_answered(shape: Shape, batch: pa.RecordBatch) -> tuple[pl.Series, pl.Series] | None:
    """What each row asks and what it answers (String, [n] each, empty for nothing); None for a shape without answers.

    Of a conversation: all before its last turn, and that.
    """
    if shape.is_chat:
        values = values_of(*column_of(batch, shape.columns[0]))
        spoken = [turns_of(value) or alternating(value) or [] for value in values]
        before = ["\n".join(said_in(turn) for turn in turns[:-1]) for turns in spoken]
        last = [said_in(turns[-1]) if turns else "" for turns in spoken]
        return pl.Series("asked", before, dtype=pl.String), pl.Series("answered", last, dtype=pl.String)
    parts = [(name, part) for name, part in zip(shape.columns, shape.form.columns, strict=False) if name]
    answers = [name for name, part in parts if part.heading == shape.form.answer]
    asking = [name for name, part in parts if part.heading in ASKING]
    if shape.form.answer is None or not answers or not asking:
        return None
    said = pl.DataFrame({str(at): said_of(batch, name).fill_null("") for at, name in enumerate(asking)})
    asked = said.select(pl.concat_str(pl.all(), separator="\n").str.strip_chars()).to_series()
    return asked.alias("asked"), said_of(batch, answers[0]).fill_null("").alias("answered")


#: The headings of what a row asks.
ASKING = ("Context", "Prompt", "Question", "Instruction", "Input", "User", "Choices")


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


def said_of(batch: pa.RecordBatch, name: str, parsed: bool = True, takes_turns: bool = False) -> pl.Series:
    """What a column says (String, [n]): text as it is, turns read one by one, lists line by line, the rest as JSON.

    ``parsed``: JSON text of turns is read as turns; ``takes_turns``: so is a list of strings.
    """
    column, field = column_of(batch, name)
    strings = pl.Series(name, as_text(column, field), dtype=pl.String)
    nested = first_nested(column, field) is not None
    if not nested and not (parsed and strings.str.contains(r"^\s*\[\s*\{").any()):
        return strings
    values = values_of(column, field)
    turns = [alternating(value) if takes_turns else None for value in values]
    spelled = [
        conversation(said) if said else _said(value) if isinstance(value, list | dict | str) else text
        for value, text, said in zip(values, strings.to_list(), turns, strict=True)
    ]
    return pl.Series(name, spelled, dtype=pl.String)


# The key under which an object says what it has to say, the others being about it.
_SAYS = ("text", "input_text", "spans", "value", "answer", "response", "completion", "choices", "contexts", "problem")
_MARKS = ("label", "labels")  # of as many texts
_DEPTH = 8


def _said(value: Any, depth: int = 0) -> str | None:
    """A value as text."""
    if value is None or value in ([], {}):
        return None
    if (turns := turns_of(value)) is not None:
        return conversation(turns)
    if isinstance(value, str):
        return value
    said = None
    if depth < _DEPTH and isinstance(value, dict):
        said = _object_said(value, depth + 1)
    elif isinstance(value, list) and not any(isinstance(one, list | dict) for one in value):
        said = "\n".join(map(_scalar, value))
    elif depth < _DEPTH and isinstance(value, list) and is_segments(value):
        said = "".join(str(one["text"]) for one in value)
    elif depth < _DEPTH and isinstance(value, list) and all(isinstance(one, dict) and _says(one) for one in value):
        said = "\n\n".join(_said(one, depth + 1) or "" for one in value)
    return said if said and said.strip() else json_bytes(value).decode()


def _says(value: dict[str, Any]) -> str | None:
    return next((key for key in _SAYS if value.get(key) not in (None, [], {}, "")), None)


def _object_said(value: dict[str, Any], depth: int) -> str | None:
    if is_turn(value):
        return said_in(value) if value.get("role") == "system" else conversation([value])
    if (turns := turns_of(value.get("messages"))) is not None:  # OpenAI's pairs of preferences
        return "\n\n".join(filter(None, (_said(value.get("tools"), depth), conversation(turns))))
    if isinstance(value.get("parts"), list):  # Gemini's instruction of the system
        return said_in(value)
    if (key := _says(value)) is not None:
        marks = next((value[name] for name in _MARKS if isinstance(value.get(name), list)), None)
        texts = value[key]
        if isinstance(texts, list) and marks is not None and len(marks) == len(texts):
            return "\n".join(f"{_scalar(mark)}. {_scalar(one)}" for mark, one in zip(marks, texts, strict=True))
        return _said(texts, depth)
    if is_languages(value):
        return "\n\n".join(value.values())
    if all(len(name) == 1 and not isinstance(one, list | dict) for name, one in value.items()):  # choices by letter
        return "\n".join(f"{name}. {_scalar(one)}" for name, one in value.items())
    return None


def _scalar(value: Any) -> str:
    return value if isinstance(value, str) else json_bytes(value).decode()


# New rows ----------------------------------------------------------------------------------------------------------

Parts = dict[str, str]  # field → what it says


def fields_of(shape: Shape) -> tuple[str, ...]:
    """The fields of rows of a shape, in order; none where no new row of it can be written."""
    if shape.kind == "alpaca":
        return ("instruction", "input", "output") if shape.columns[1] else ("instruction", "output")
    if shape.kind in (*CHATS, "pair", "target") or (shape.kind == "together" and len(shape.columns) == 2):
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
