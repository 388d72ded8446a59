"""Which column says that rows are parts of one conversation or document."""

import json

import pytest

from recryst.state.errors import InputError
from recryst.state.params.preparation import LoadParams
from recryst.tools.read.load import load


def read(tmp_path, columns, **params):
    count = len(next(iter(columns.values())))
    rows = [
        {"text": f"the text of row {n}", **{name: values[n] for name, values in columns.items()}} for n in range(count)
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load(str(tmp_path / "in.jsonl"), LoadParams(**params), tmp_path / "out")


TWICE = [n // 2 for n in range(8)]


@pytest.mark.parametrize(
    ("columns", "group"),
    [
        ({"conversation_id": TWICE}, "conversation_id"),
        ({"conversationId": [f"c{n}" for n in TWICE]}, "conversationId"),
        ({"conversation": TWICE}, "conversation"),
        ({"thread": [f"t{n}" for n in TWICE]}, "thread"),
        ({"doc_id": TWICE}, "doc_id"),
        ({"Document ID": TWICE}, "Document ID"),
        ({"url": [f"https://example.org/{n}" for n in TWICE]}, "url"),
        ({"url": [f"https://example.org/{n}" for n in TWICE], "dialog_id": TWICE}, "dialog_id"),
        ({"url": [f"https://example.org/{n}" for n in range(8)]}, None),  # each its own
        ({"conversation_id": [1] * 8}, None),  # and one for all says nothing
        ({"document": [f"a passage, number {n}" for n in TWICE]}, None),  # a text, no name
        ({"document_length": TWICE, "page": TWICE, "topic": TWICE}, None),
        ({"conversation_id": [None] * 8}, None),
        ({"session": [{"at": n} for n in TWICE]}, None),
    ],
)
def test_a_group_column_is_known_by_its_name_and_its_values_and_said(tmp_path, columns, group):
    found = read(tmp_path, columns)
    assert found.group_column == group
    assert any(f"rows of one {group!r} are held out together" in note for note in found.notes) == (group is not None)


def test_what_numbers_the_conversations_is_no_content(tmp_path):
    assert read(tmp_path, {"conversation": TWICE, "topic": TWICE}).meanings == {
        "text": "content",
        "conversation": "group",
        "topic": "content",
    }


def test_a_group_column_that_is_named_is_taken_and_stays_what_it_was(tmp_path):
    found = read(tmp_path, {"conversation_id": TWICE, "topic": TWICE}, group_column="topic")
    assert (found.group_column, found.meanings["topic"]) == ("topic", "content")
    assert not any("held out together" in note for note in found.notes)
    with pytest.raises(InputError, match=r"--group-column"):
        read(tmp_path, {"topic": TWICE}, group_column="topics")


def test_a_label_or_an_id_is_no_group(tmp_path):
    found = read(tmp_path, {"thread": TWICE, "doc_id": TWICE}, label_column="thread", id_column="doc_id")
    assert found.group_column is None
