"""Known rows of every shape read as the text a person would expect."""

from __future__ import annotations

import pytest

from recryst.state.errors import InputError
from recryst.tools.read.columns import batch_of
from recryst.tools.read.forms import Shape, recognise
from recryst.tools.read.shapes import NestedText, render, text_of


def texts(rows: list[dict[str, object]], named: str | None = None) -> tuple[Shape, list[str | None]]:
    samples = {key: row[key] for row in reversed(rows) for key in row if row[key] is not None}
    shape = recognise(samples, named, {"id"}, (), has_vectors=False)
    return shape, render(shape, batch_of(rows)).to_list()


def test_alpaca_leaves_out_an_empty_input_and_keeps_an_empty_output() -> None:
    shape, read = texts(
        [
            {"instruction": "Add.", "input": "1 2", "output": "3", "text": "a ready-made prompt"},
            {"instruction": "Greet.", "input": " ", "output": "Hi"},
            {"instruction": "Wait.", "input": None, "output": ""},
            {"instruction": "", "input": None, "output": " \n"},
        ]
    )
    assert shape == Shape("alpaca", ("instruction", "input", "output"))
    assert read == [
        "### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:\n3",
        "### Instruction:\nGreet.\n\n### Response:\nHi",
        "### Instruction:\nWait.\n\n### Response:\n",
        None,
    ]


def test_one_conversation_reads_the_same_in_both_chat_shapes() -> None:
    expected = "### System:\nBe brief.\n\n### User:\nHi?\n\n### Assistant:\nHi."
    turns = [("system", "system", "Be brief."), ("human", "user", "Hi?"), ("gpt", "assistant", "Hi.")]
    shape, read = texts([{"id": "a", "conversations": [{"from": by, "value": said} for by, _, said in turns]}])
    assert (shape.kind, read) == ("sharegpt", [expected])
    shape, read = texts([{"id": "a", "messages": [{"role": by, "content": said} for _, by, said in turns]}])
    assert (shape.kind, read) == ("messages", [expected])


def test_messages_of_parts_empty_ones_and_malformed_ones() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    _, read = texts(
        [
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "What"}, image]}]},
            {"messages": [{"role": "assistant", "content": None, "tool_calls": []}]},
            {"messages": "not a list"},
            {"messages": None},
        ]
    )
    assert read == ["### User:\nWhat\n[image]", None, "not a list", None]


def test_a_named_column_of_turns_is_rendered_as_turns() -> None:
    shape, read = texts([{"chosen": [{"role": "user", "content": "Hi"}], "rejected": []}], named="chosen")
    assert (shape.kind, shape.text_column, read) == ("messages", "chosen", ["### User:\nHi"])


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["id", "title", "body"], Shape("text", ("body",))),
        (["content", "text"], Shape("text", ("text",))),
        (["id", "utterance"], Shape("text", ("utterance",))),
        (["prompt", "completion", "id"], Shape("pair", ("prompt", "completion"))),
        (["question", "answer"], Shape("pair", ("question", "answer"))),
    ],
)
def test_text_columns_are_known_by_name_or_by_being_the_only_one(columns: list[str], expected: Shape) -> None:
    assert recognise(dict.fromkeys(columns, "words"), None, {"id"}, (), has_vectors=False) == expected


def test_a_prompt_without_a_completion_stands_alone() -> None:
    _, read = texts([{"prompt": "a", "completion": "b"}, {"prompt": "c", "completion": None}])
    assert read == ["a\n\nb", "c"]


def test_what_cannot_be_told_names_the_columns_and_the_remedy() -> None:
    with pytest.raises(InputError, match=r"'left', 'right'.*--text-column NAME"):
        recognise({"left": "a", "right": "b"}, None, set(), (), has_vectors=False)
    with pytest.raises(InputError, match="no column 'lift'; did you mean 'left'"):
        recognise({"left": "a", "right": "b"}, "lift", set(), (), has_vectors=False)


def test_numbers_become_text_lists_lines_and_objects_json() -> None:
    _, read = texts([{"text": 1}, {"text": 2.5}, {"text": "three"}, {"text": True}])
    assert read == ["1", "2.5", "three", "true"]
    _, read = texts([{"text": "a"}, {"text": ["b", 1]}, {"text": {"k": ["v"]}}, {"text": []}])
    assert read == ["a", "b\n1", '{"k":["v"]}', None]


def test_a_label_that_is_no_value_is_refused_where_it_stands() -> None:
    with pytest.raises(NestedText) as refused:
        text_of(batch_of([{"label": "a"}, {"label": ["b"]}]), "label")
    assert (refused.value.column, refused.value.position) == ("label", 1)
