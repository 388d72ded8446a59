"""Which rows are conversations for a chat template, and who says what in them."""

import pyarrow as pa
import pytest

from recryst.tools.read.chats import conversations, may_converse
from recryst.tools.read.forms import Shape


def said(kind, columns, *rows):
    batch = pa.RecordBatch.from_pylist(list(rows))
    found = conversations(Shape(kind, columns), batch)
    return [None if one is None else [(turn["role"], turn["content"]) for turn in one] for one in found]


def test_a_pair_is_a_question_and_its_answer_with_what_goes_before():
    row = {"instruction": "Add.", "input": "1 and 2", "output": "3", "system": "You reckon.", "history": [["Hi", "Ho"]]}
    less = {"instruction": "Sing.", "input": "", "output": "La.", "system": None, "history": []}
    none = {**less, "output": " "}
    columns = ("instruction", "input", "output", "system", "", "history")
    assert said("alpaca", columns, row, less, none) == [
        [
            ("system", "You reckon."),
            ("user", "Hi"),
            ("assistant", "Ho"),
            ("user", "Add.\n\n1 and 2"),
            ("assistant", "3"),
        ],
        [("user", "Sing."), ("assistant", "La.")],
        None,
    ]
    in_context = {"question": "Where?", "answer": "There.", "context": "A text."}
    assert said("context", ("question", "", "answer", "", "context"), in_context) == [
        [("user", "A text.\n\nWhere?"), ("assistant", "There.")]
    ]


def test_a_chat_keeps_its_turns_and_one_that_calls_or_shows_something_is_none():
    chat = [{"from": "system", "value": "Be brief."}, {"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]
    assert said("sharegpt", ("c",), {"c": chat}, {"c": chat[:2]}, {"c": None}) == [
        [("system", "Be brief."), ("user", "Hi"), ("assistant", "Ho")],
        None,
        None,
    ]
    parts = [{"type": "text", "text": "What is it?"}]
    shown = [{"role": "user", "content": [*parts, {"type": "image_url", "text": None}]}]
    answer = [{"role": "assistant", "content": [{"type": "text", "text": "A cat."}]}]
    tool = [{"role": "tool", "content": [{"type": "text", "text": "cat"}]}]
    rows = [{"m": turns + answer} for turns in ([{"role": "user", "content": parts}], shown, tool)]
    assert said("messages", ("m",), *rows) == [[("user", "What is it?"), ("assistant", "A cat.")], None, None]


@pytest.mark.parametrize(
    ("kind", "columns", "may"),
    [
        ("text", ("text",), False),
        ("together", ("en", "de"), False),
        ("choice", ("question", "choices", "", "answer"), False),
        ("pair", ("prompt", "completion"), True),
        ("preference", ("prompt", "", "chosen", "rejected"), True),
        ("chat", ("messages",), True),
    ],
)
def test_which_shapes_may_converse(kind, columns, may):
    assert may_converse(Shape(kind, columns)) is may


def test_a_rejected_answer_is_no_part_of_a_conversation():
    row = {"prompt": "Say it.", "chosen": "Yes.", "rejected": "No."}
    assert said("preference", ("prompt", "", "chosen", "rejected"), row, {**row, "rejected": ""}) == [
        None,
        [("user", "Say it."), ("assistant", "Yes.")],
    ]
