"""Rows as people publish them, after reports of people who lost some: which stay, through load and one tool."""

from pathlib import Path
from typing import Any
from unicodedata import normalize

import orjson
import polars as pl
import pytest
from frames import framed

from recryst.state.errors import InputError
from recryst.state.params.preparation import CleanParams, DecontaminateParams, DedupParams, FilterParams, LoadParams
from recryst.state.phrases import silent
from recryst.tools.read.load import load
from recryst.tools.repeats import dedup
from recryst.tools.repeats.contamination import decontaminate
from recryst.tools.table_tool import TableTool
from recryst.tools.text import clean, filters

Row = dict[str, Any]
CLEAN = (clean.TOOL, CleanParams())
CHAT = (filters.TOOL, FilterParams(profile="chat"))
INSTRUCTION = (filters.TOOL, FilterParams(profile="instruction"))
NEAR = (dedup.TOOL, DedupParams(threshold=0.7))


def user(said: str) -> Row:
    return {"role": "user", "content": said}


def assistant(said: str) -> Row:
    return {"role": "assistant", "content": said}


def call(name: str, arguments: str) -> list[Row]:
    called = {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return [user("Please see to my evening."), {"role": "assistant", "content": None, "tool_calls": [called]}]


def asked(*turns: tuple[str, str], **more: Any) -> Row:
    return {"conversations": [{"from": by, "value": said} for by, said in turns], **more}


def as_csv(rows: list[Row]) -> bytes:
    frame = pl.DataFrame([{key: orjson.dumps(value).decode() for key, value in row.items()} for row in rows])
    return frame.write_csv().encode()


OUTLINE = "Fill in what is missing.\n\n### Name:\nHedda\n\n### Results:"
CALLS = [{"messages": call("book", '{"people": 2}')}, {"messages": call("route", '{"to": "Lyon"}')}]
PAIRS = [("Air scatters the blue part.", "The sea is blue."), ("Blue light bounces.", "The sea is blue."),
         ("Blue light bounces.", "I cannot say.")]  # fmt: skip
SKY = "Why is the sky blue?"
CHOICES = [["Mitochondria make ATP.", "Ribosomes store DNA."], ["Laws never lapse.", "Treaties bind the parties."]]
SAME = (("human", "What can you do?"), ("gpt", "Whatever my tools allow."))
BEIJING = "北京市气象台今天上午发布大风蓝色预警信号，预计从今{}下午到夜间，本市大部分地区将出现四级偏北风。"
TOKYO = "東京の気象庁は今日の午前中に強風注意報を発表し、午後から夜にかけて各地で北よりの風が強まる見込みだと{}た。"
THAI = "วันนี้อากาศดีมากเราจึงไปเดินเล่นริมแม่น้ำและนั่งกินข้าวใต้ต้นไม้ใหญ่จนถึงเย็น{}กลับบ้านพร้อมกัน"
ARABIC = ["هذا تقرير قصير عن حالة الطقس في المدينة الساحلية", "تروي هذه القصة حياة صياد عجوز عاش وحيدا قرب البحر"]
JSON_TURNS = [orjson.dumps([user("Where is the lamp?"), assistant(said)]).decode() for said in ("Here.", "There.", "")]
EXTRACT = {"instruction": "Extract the person and the town.", "input": "Ada lives in Ulm."}
OBJECTS = [{"person": "Ada", "town": "Ulm"}, {"person": "Ada", "town": None}]
SOLVED = ["Add them: 50 + 7 = 57.", "She starts at 50; 7 more make 57.", "Count on from 50 by 7."]
CAFE = "Zoë and Émile walked along the façade of the café in São Paulo until the déjà vu made them stop at once."
CAFES = [CAFE, normalize("NFD", CAFE), CAFE.replace("al", "a\u00adl"), CAFE.replace(" ", "\u00a0"), CAFE.upper()]
RULES = " ".join(f"Rule {n}: never promise a book that is out, and do not speak of other readers." for n in range(40))
READERS = [("Do you lend telescopes?", "Yes, two."), ("When do you close?", "At six."), ("Any maps?", "Upstairs.")]
LONE = "The number of the house in the long street by the river is {} and the door is red."

# Case, what is done, the rows, the shape they are of, and the positions of those that go.
CASES: list[tuple[str, tuple[TableTool, Any], list[Row], str, list[int]]] = [
    ("01-calls", CLEAN, CALLS, "messages", []),
    ("01-a-call-is-an-answer", CHAT, CALLS, "messages", []),
    ("02-pairs", CLEAN, [{"prompt": SKY, "chosen": a, "rejected": b} for a, b in PAIRS], "preference", []),
    ("02-conversations", CLEAN, [
        {"prompt": SKY, "chosen": [user(SKY), assistant(a)], "rejected": [user(SKY), assistant(b)]} for a, b in PAIRS
    ], "preference", []),
    ("02-the-same-pair-twice", CLEAN, [
        {"id": n, "prompt": SKY, "chosen": "a", "rejected": "b", "score": n / 7} for n in (1, 2)
    ], "preference", [1]),
    ("04-choices", CLEAN, [{"question": "Which is true?", "choices": c, "answer": 0} for c in CHOICES], "choice", []),
    ("04-another-key", CLEAN, [
        {"question": "Which?", "options": CHOICES[0], "answer_idx": n} for n in (0, 1)
    ], "choice", []),
    ("06-system-and-tools", CLEAN, [
        asked(*SAME, system=f"Answer as a {who}.", tools=tools) for who, tools in
        (("lawyer", "[]"), ("cook", "[]"), ("cook", '[{"name": "find"}]'), ("cook", "[]"))
    ], "sharegpt", [3]),
    ("07-chinese", NEAR, [{"text": BEIJING.format(c)} for c in "天日"] + [{"text": TOKYO.format("し")}], "text", [1]),
    ("07-japanese", NEAR, [{"text": TOKYO.format(c)} for c in ("述べ", "し")], "text", [1]),
    ("09-mixed-keys", CHAT, [
        asked(("human", "How long do I boil an egg?"), ("gpt", "Seven minutes.")),
        {"conversations": [user("Which wood for a spoon?"), assistant("Maple.")]},
        {"conversations": [{"from": "human", "value": "Is basalt a rock?"}, assistant("Yes.")]},
        {"conversations": [{"from": "human", "value": "Is basalt a rock?"}, assistant("")]},
    ], "sharegpt", [3]),
    ("17-prompt-and-completion", CLEAN, [
        {"prompt": [user("What colour is coal?")], "completion": [assistant(a)]} for a in ("Black.", "Grey.", "Black.")
    ], "pair", [2]),
    ("25-arabic", NEAR, [{"text": text} for text in ARABIC], "text", []),
    ("25-thai", NEAR, [{"text": THAI.format(c)} for c in ("แล้ว", "จึง")], "text", [1]),
    ("25-a-number", (dedup.TOOL, DedupParams()), [{"text": LONE.format(n)} for n in (12, 98)], "text", []),
    ("27-json-text", CLEAN, [{"messages": text} for text in JSON_TURNS[:2]], "chat", []),
    ("27-json-text-empty-answer", CHAT, [{"messages": text} for text in JSON_TURNS], "chat", [2]),
    ("33-chats-under-one-prompt", (dedup.TOOL, DedupParams()), [
        {"messages": [{"role": "system", "content": RULES}, user(q), assistant(a)]} for q, a in READERS
    ], "messages", []),
    ("33-one-prompt-in-each-text", (dedup.TOOL, DedupParams()), [
        {"text": f"{RULES}\n{q} {a}"} for q, a in READERS
    ], "text", []),
    ("33-inputs-under-one-instruction", (dedup.TOOL, DedupParams()), [
        {"instruction": RULES, "input": q, "output": a} for q, a in READERS
    ], "alpaca", []),
    ("41-chat", CHAT, [{"messages": [user("Outline?"), assistant(a)]} for a in (OUTLINE, "")], "messages", [1]),
    ("41-alpaca", INSTRUCTION, [
        {"instruction": "Write an outline.", "input": "", "output": a} for a in (OUTLINE, "")
    ], "alpaca", [1]),
    ("42-objects", CLEAN, [{**EXTRACT, "output": one} for one in OBJECTS], "alpaca", []),
    ("42-mixed", CLEAN, [{**EXTRACT, "output": one} for one in (OBJECTS[0], "Ada, Ulm", OBJECTS[0])], "alpaca", [2]),
    ("59-solutions", CLEAN, [{"question": "50 + 7?", "generated_solution": s} for s in SOLVED], "pair", []),
    ("59-near-in-the-question-alone", NEAR, [{"prompt": LONE.format(7), "answer": s} for s in SOLVED], "pair", []),
    ("59-with-an-answer", CLEAN, [
        {"question": "50 + 7?", "generated_solution": s, "expected_answer": 57} for s in SOLVED
    ], "reasoning", []),
    ("60-forms-of-one-text", (dedup.TOOL, DedupParams()), [{"text": one} for one in CAFES], "text", [1, 2, 3, 4]),
    ("one-page-at-two-addresses", CLEAN, [
        {"text": "Basalt is a rock.", "url": f"https://{at}.example.org", "fetched_at": at} for at in "ab"
    ], "text", [1]),
    ("two-prices", CLEAN, [{"text": "A house in Ulm.", "price": price} for price in (10.5, 20.25)], "text", []),
    ("two-parents", CLEAN, [{"text": "Thanks!", "parent_id": one} for one in "ab"], "text", []),
    ("no-answer-is-an-answer", INSTRUCTION, [
        {"context": "Basalt is a rock.", "question": "Who?", "answers": {"text": [], "answer_start": []}}
    ], "context", []),
]  # fmt: skip


def lines(rows: list[Row]) -> bytes:
    return b"".join(orjson.dumps(row) + b"\n" for row in rows)


@pytest.mark.parametrize(("tool", "rows", "shape", "gone"), [one[1:] for one in CASES], ids=[one[0] for one in CASES])
def test_only_what_is_a_copy_or_says_nothing_goes(
    tool: tuple[TableTool, Any], rows: list[Row], shape: str, gone: list[int], tmp_path: Path
) -> None:
    (tmp_path / "rows.jsonl").write_bytes(lines(rows))
    result = load(str(tmp_path / "rows.jsonl"), LoadParams(), tmp_path / "out")
    assert (result.shape, result.ingested, result.quarantined, result.missing_text) == (shape, len(rows), 0, 0)
    table = pl.read_parquet(result.rows)
    told = framed(table["text"], table["content"].fill_null(table["text"]).to_list(), table["empty_answer"].to_list())
    assert tool[0].removals is not None
    removals = tool[0].removals(told, tool[1], silent)
    assert sorted(row for removal in removals for row in removal.rows.tolist()) == gone


def test_turns_in_a_csv_are_turns(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(
        as_csv([{"messages": [user("Where?"), assistant(said)]} for said in ("Here.", "")])
    )
    for named in (None, "messages"):
        result = load(str(tmp_path / "rows.csv"), LoadParams(text_column=named), tmp_path / "out")
        rows = pl.read_parquet(result.rows)
        assert (result.shape, rows["empty_answer"].to_list()) == ("chat", [False, True])
        assert rows["text"][0] == "### User:\nWhere?\n\n### Assistant:\nHere."


def test_a_named_prompt_does_not_make_two_completions_one(tmp_path: Path) -> None:
    rows = [{"prompt": [user("Colour of coal?")], "completion": [assistant(said)]} for said in ("Black.", "Grey.")]
    (tmp_path / "rows.jsonl").write_bytes(lines(rows))
    result = load(str(tmp_path / "rows.jsonl"), LoadParams(text_column="prompt"), tmp_path / "out")
    assert pl.read_parquet(result.rows)["content"].n_unique() == 2


def test_an_object_that_is_named_as_the_text_is_read_as_json(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(lines([{**EXTRACT, "output": one} for one in (*OBJECTS, "Ada, Ulm")]))
    result = load(str(tmp_path / "rows.jsonl"), LoadParams(text_column="output"), tmp_path / "out")
    expected = ['{"person":"Ada","town":"Ulm"}', '{"person":"Ada","town":null}', "Ada, Ulm"]
    assert pl.read_parquet(result.rows)["text"].to_list() == expected


@pytest.mark.parametrize("part", ["prompt", "chosen", "rejected"])
@pytest.mark.parametrize("turns", [False, True])
def test_a_benchmark_is_found_in_each_answer_of_a_pair(part: str, turns: bool, tmp_path: Path) -> None:
    question = LONE.format(7)
    (tmp_path / "bench.jsonl").write_bytes(lines([{"id": "q1", "question": question}]))
    pairs = [{"prompt": SKY, "chosen": "Air.", "rejected": said} for said in ("Sea.", "Ice.")]
    pairs[1][part] = f"Somebody asked: {question} So I said it."
    rows = [
        {name: [user(said) if name == "prompt" else assistant(said)] if turns else said for name, said in row.items()}
        for row in pairs
    ]
    (tmp_path / "rows.jsonl").write_bytes(lines(rows))
    table = pl.read_parquet(load(str(tmp_path / "rows.jsonl"), LoadParams(), tmp_path / "out").rows)
    told = framed(table["text"], table["content"].fill_null(table["text"]).to_list())
    params = DecontaminateParams(against=(str(tmp_path / "bench.jsonl"),))
    removals = decontaminate.TOOL.removals(told, params, silent)
    assert [row for removal in removals for row in removal.rows.tolist()] == [1]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [([0, 1.0, 1, 0.0], ["0", "1", "1", "0"]), ([True, False, None, True], ["true", "false", None, "true"]),
     (["a", None, " ", "b"], ["a", None, None, "b"])],
)  # fmt: skip
def test_a_class_is_one_however_it_is_spelled(labels: list[Any], expected: list[str | None], tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(lines([{"text": f"row {at}", "y": one} for at, one in enumerate(labels)]))
    result = load(str(tmp_path / "rows.jsonl"), LoadParams(label_column="y"), tmp_path / "out")
    assert pl.read_parquet(result.rows)["label"].to_list() == expected


def test_a_list_of_labels_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(lines([{"text": "a", "y": ["l0"]}]))
    with pytest.raises(InputError, match=r"line 1: column 'y' holds a list.*name another column"):
        load(str(tmp_path / "rows.jsonl"), LoadParams(label_column="y"), tmp_path / "out")
