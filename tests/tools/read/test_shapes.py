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


# Published tables, every column of them words: the shape, the columns, and those that are read in their order.
PUBLISHED = [
    ("pair", "prompt completion label", "prompt completion"),
    ("context", "article question answer", "question answer article"),
    ("target", "inputs targets task", "inputs targets"),
    ("target", "definition inputs targets", "inputs targets definition"),
    ("pair", "id system_prompt question response", "question response system_prompt"),
    ("context", "question passage answer", "question answer passage"),
    ("letters", "premise choice1 choice2 question idx label", "question choice1 choice2 label premise"),
    ("letters", "input A B C D target", "input A B C D target"),
    ("letters", "goal sol1 sol2 label", "goal sol1 sol2 label"),
    ("letters", "context question answerA answerB answerC label", "question answerA answerB answerC label context"),
    ("letters", "sentence option1 option2 answer", "sentence option1 option2 answer"),
    (
        "letters",
        "question distractor3 distractor1 distractor2 correct_answer support",
        "question distractor1 distractor2 distractor3 correct_answer support",
    ),
    (
        "letters",
        "id question opa opb opc opd cop choice_type exp subject_name topic_name",
        "question opa opb opc opd exp cop",
    ),
    ("pair", "question answer", "question answer"),
    ("pair", "problem level type solution", "problem solution"),
    ("pair", "type query original_question response", "query response"),
    ("pair", "task_id prompt canonical_solution test entry_point", "prompt canonical_solution"),
    ("pair", "prompt completion", "prompt completion"),
    ("pair", "db_id query question query_toks question_toks", "question query"),
    ("context", "answer question context", "question answer context"),
    ("together", "document summary id", "document summary"),
    ("together", "article highlights id", "article highlights"),
    ("together", "id dialogue summary", "dialogue summary"),
    ("together", "article abstract", "article abstract"),
    ("together", "en de", "en de"),
    ("together", "source target", "source target"),
    ("together", "premise hypothesis label", "premise hypothesis"),
    ("together", "sentence1 sentence2 score", "sentence1 sentence2"),
    ("together", "question1 question2 label idx", "question1 question2"),
    ("context", "question sentence label idx", "question sentence"),
    ("triplet", "anchor positive negative", "anchor positive negative"),
    ("together", "claim evidence label", "claim evidence"),
    ("preference", "system question chosen rejected", "question chosen rejected system"),
    (
        "letters",
        "prompt response_0 response_1 is_response_0_safe is_response_1_safe better_response_id safer_response_id",
        "prompt response_0 response_1 better_response_id",
    ),
    (
        "letters",
        "prompt response_1 response_2 preference_strength preference_statement",
        "prompt response_1 response_2",
    ),
    ("dialogue", "system chat", "chat system"),
    ("target", "kind input target", "input target"),
    ("together", "sentence_A sentence_B score", "sentence_A sentence_B"),
    ("text", "text timestamp url", "text"),
    ("text", "id url title text", "text"),
    ("text", "title text summary url", "text"),
    ("text", "title url date text summary author", "text"),
    ("text", "title body description published", "body"),
    ("text", "prompt text_token_length text seed_data format audience", "text"),
    ("text", "title text domain date description url image_url", "text"),
    ("text", "text summary title", "text"),
    ("", "Class_Index Title Description", ""),
    ("", "pmid title abstract journal", ""),
    ("pair", "question_title question_body answer_body score tags", "question_body answer_body"),
    ("", "Frage Antwort", ""),
    ("", "left right", ""),
    ("", "commit old_file new_file old_contents new_contents subject message lang license repos", ""),
]


@pytest.mark.parametrize(("kind", "columns", "read"), PUBLISHED, ids=[columns for _, columns, _ in PUBLISHED])
def test_published_tables_are_read_for_what_they_are_or_refused(kind: str, columns: str, read: str) -> None:
    row = dict.fromkeys(columns.split(), "words")
    if kind:
        shape = recognise(row, None, {"id", "source"}, (), has_vectors=False)
        assert (shape.kind, [name for name in shape.columns if name]) == (kind, read.split())
    else:
        with pytest.raises(InputError, match=f"among .*{columns.split()[-1]}.*--text-column NAME"):
            recognise(row, None, {"id", "source"}, (), has_vectors=False)


@pytest.mark.parametrize(
    ("row", "kind", "text"),
    [
        ({"input": {"messages": [{"role": "user", "content": "q"}]}, "preferred_output": "a",
          "non_preferred_output": "b"}, "preference",
         "### Prompt:\n### User:\nq\n\n### Chosen:\na\n\n### Rejected:\nb"),
        ({"conversations": [{"from": "human", "value": "q"}], "chosen": {"from": "gpt", "value": "a"},
          "rejected": "b"},
         "preference", "### Prompt:\n### User:\nq\n\n### Chosen:\n### Assistant:\na\n\n### Rejected:\nb"),
        ({"conversation": [{"input": "q", "output": "a"}]}, "messages", "### User:\nq\n\n### Assistant:\na"),
        ({"prompt": {"role": "prompter", "text": "q", "replies": [{"role": "assistant", "text": "a", "replies": []}]}},
         "chat", "### User:\nq\n\n### Assistant:\na"),
        ({"question": "q", "answers": [{"text": "a", "author": "x"}, {"text": "b", "author": "y"}]}, "pair",
         "q\n\na\n\nb"),
        ({"question": "q", "options": {"A": "a", "B": "b"}, "answer_idx": "B"}, "choice",
         "### Question:\nq\n\n### Choices:\nA. a\nB. b\n\n### Answer:\nB"),
        ({"question": "q", "answer": {"aliases": ["x"], "value": "a"}}, "pair", "q\n\na"),
    ],
)  # fmt: skip
def test_objects_and_lists_say_what_they_hold(row: dict[str, object], kind: str, text: str) -> None:
    shape, read = texts([row])
    assert (shape.kind, read) == (kind, [text])
