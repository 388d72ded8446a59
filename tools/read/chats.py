"""Rows as conversations: who says what in turn, for the chat template of a model."""

from collections.abc import Iterator, Mapping

import pyarrow as pa

from .columns import column_of, values_of
from .forms import Part, Shape
from .shapes import ASKING, said_of
from .turns import Turn, alternating, plain_message, turns_of

#: What is said by ``user``, ``assistant`` or ``system``, as the keys ``role`` and ``content`` have it.
Conversation = list[dict[str, str]]


def may_converse(shape: Shape) -> bool:
    """Whether rows of a shape are conversations, or ask and answer; some of them may still be none."""
    headings = {part.heading for part, name in zip(shape.form.columns, shape.columns, strict=False) if name}
    return shape.is_chat or bool(shape.form.answer in headings and headings & {*ASKING})


def conversations(shape: Shape, batch: pa.RecordBatch) -> Iterator[Conversation | None]:
    """Each row as a conversation, or None where it is none that a template could spell without loss.

    None are rows without an answer, turns of tools, calls, reasoning and media, and columns that are neither a prompt
    nor its answer, such as a rejected answer, unless they are empty.
    """
    columns = {part.heading: name for part, name in zip(shape.form.columns, shape.columns, strict=False) if name}
    turned = {heading: columns.pop(heading) for heading in ("Conversation", "History") if heading in columns}
    turns = {heading: values_of(*column_of(batch, name)) for heading, name in turned.items()}
    said = {heading: said_of(batch, name).fill_null("").to_list() for heading, name in columns.items()}
    for row in range(batch.num_rows):
        parts = {heading: texts[row] for heading, texts in said.items() if texts[row].strip()}
        spoken = {heading: turns_of(values[row]) or alternating(values[row]) for heading, values in turns.items()}
        yield _conversation(shape, parts, [turn for said in spoken.values() for turn in said or ()])


def _conversation(shape: Shape, parts: Mapping[str, str], turns: list[Turn]) -> Conversation | None:
    """What a row says: a system prompt, the turns before, then what is asked and the answer."""
    found = [plain_message(turn) for turn in turns]
    answer = shape.form.answer or ""
    asking = () if shape.is_chat else tuple(part.heading for part in _in_order(shape) if part.heading in ASKING)
    if None in found or {*parts} - {"System", answer, *asking}:
        return None
    messages = [message for message in found if message is not None]
    if "System" in parts:
        messages.insert(0, {"role": "system", "content": parts["System"]})
    if not shape.is_chat:
        if answer not in parts or not parts.keys() & {*asking}:
            return None
        asked = "\n\n".join(parts[heading] for heading in asking if heading in parts)
        messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": parts[answer]}]
    answered = any(message["role"] == "assistant" and message["content"].strip() for message in messages)
    return messages if answered else None


def _in_order(shape: Shape) -> Iterator[Part]:
    """The parts of a shape in the order in which they are read: its context first."""
    yield from shape.form.before
    yield from shape.form.parts
