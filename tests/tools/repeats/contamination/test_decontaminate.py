"""Decontamination: what holds a benchmark's text is found, with the span, and nothing else is."""

from __future__ import annotations

import gzip
import json
import re
import time
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import regex
from frames import framed
from hypothesis import given, settings
from hypothesis import strategies as st

from recryst.state.errors import InputError, StorageError, UsageError
from recryst.state.params.preparation import DecontaminateParams
from recryst.tools.repeats.contamination import decontaminate
from recryst.tools.repeats.contamination.benchmarks import open_benchmarks, read_benchmarks
from recryst.tools.repeats.contamination.decontaminate import TOOL, Contamination, contaminated
from recryst.tools.repeats.contamination.folded import folded, unfolded
from recryst.tools.text import ngrams as word_hashes

QUESTION = "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May."
OTHER = "Weng earns twelve dollars an hour for babysitting; yesterday she just did fifty minutes of it."
LEAST = 5


def written(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def held(text: list[str | None], *paths: str, **params: Any) -> Contamination:
    settings = DecontaminateParams(against=paths, **params)
    series = pl.Series("text", text, dtype=pl.String)
    rows = np.arange(len(text), dtype=np.uint32)
    return contaminated(series, rows, open_benchmarks(paths, settings), settings)


def flagged(text: list[str | None], *paths: str, **params: Any) -> list[int]:
    return held(text, *paths, **params).matches["row"].to_list()


def test_thirteen_shared_words_are_found_whatever_stands_between_them(tmp_path):
    path = written(tmp_path / "test.jsonl", {"id": "q1", "question": QUESTION, "answer": "72"})
    thirteen = "natalia SOLD clips -- to 48 of\nher friends in april and then she"
    found = held([f"Häh? {thirteen}!", thirteen.removesuffix(" she"), None, OTHER, f"{QUESTION} {OTHER}"], path)
    assert found.matches["row"].to_list() == [0, 4]
    removal = found.removals[0]
    assert (removal.reason, removal.threshold) == ("benchmark_ngram", 13)
    assert removal.rows.tolist() == [0, 4]
    assert removal.score.tolist() == [13, 20]
    assert removal.duplicate_of.to_list() == ["test.jsonl#q1"] * 2
    assert found.matches["column"].to_list() == ["question"] * 2
    assert found.matches["span"].to_list() == [thirteen, QUESTION.removesuffix(".")]
    assert found.matches["start"].to_list() == [5, 0]  # characters, not bytes


def test_longest_span_counts_the_share_of_the_benchmark_text(tmp_path):
    """ConTAM: of 20 words, 9 in a row are less than half; 5 and 8 with a break between them are 8."""
    path = written(tmp_path / "test.jsonl", {"question": QUESTION})
    words = QUESTION.split()
    rows = [" ".join(words[:9]), " ".join(words[:10]), " ".join([*words[:5], "or", *words[5:13]])]
    params = {"method": "longest_span"}
    assert flagged(rows, path, **params) == [1]
    assert flagged(rows, path, min_coverage=0.4, **params) == [0, 1, 2]
    found = held(rows, path, min_coverage=0.4, **params)
    assert found.matches["words"].to_list() == [9, 10, 8]
    assert found.removals[0].reason == "benchmark_span"
    assert found.removals[0].threshold == 0.4
    assert found.removals[0].score.tolist() == [9 / 20, 10 / 20, 8 / 20]


def test_a_short_text_must_be_whole_lines_and_a_label_is_no_text(tmp_path):
    path = written(
        tmp_path / "test.jsonl",
        {
            "id": "how do I unblock my PIN",
            "text": "How do I unblock my PIN?",
            "label": "pin_is_blocked_and_will_not_open",
        },
        {"id": "2", "text": "My card broke.", "label": "card", "url": "https://a.b/what/is/this/for/a/thing"},
    )
    rows = [
        "\nhow do i unblock my pin",
        "### Instruction:\nHow do I\nunblock my PIN?\n\n### Response:\nAt an ATM.",
        "Well, how do I unblock my PIN?",
        "My card broke.",
        "card",
        "pin is blocked and will not open",
        "https a b what is this for a thing",
    ]
    found = held(rows, path)
    assert found.matches["row"].to_list() == [0, 1]
    assert found.removals[1].reason == "benchmark_text"
    assert found.removals[1].score.tolist() == [6, 6]
    assert found.removals[1].threshold == LEAST
    assert found.matches["span"].to_list() == ["how do i unblock my pin", "How do I\nunblock my PIN"]


def test_what_every_row_of_a_benchmark_holds_is_no_contamination(tmp_path):
    template = "Answer the following question by one of the letters that stand before the four choices below: "
    rows = [{"prompt": template + " ".join(f"{word}{n}" for word in QUESTION.split())} for n in range(12)]
    question = rows[3]["prompt"]
    path = written(tmp_path / "test.jsonl", *rows)
    counting = written(tmp_path / "test2.jsonl", {"test": " ".join(map(str, range(40))) + " what comes next?"})
    assert flagged([template + OTHER, question, " ".join(map(str, range(40)))], path, counting) == [1]
    # Up to ten rows may share a passage: that is what their questions are about.
    assert flagged([template + OTHER], written(tmp_path / "few.jsonl", *rows[:10])) == [0]


def test_every_string_of_a_row_counts_by_itself(tmp_path):
    row = {"turns": [{"content": QUESTION}], "choices": ["none", OTHER], "n": 5}
    path = written(tmp_path / "a.jsonl", row, {"turns": "mixed, and no list of turns as it is above", "n": None})
    found = held([OTHER, QUESTION, "Mixed and no list of turns as it is above"], path).matches
    assert found["column"].to_list() == ["choices", "turns", "turns"]
    assert found["benchmark_id"].to_list() == ["1", "1", "2"]  # lines of the file


@pytest.mark.parametrize("method", ["ngram", "longest_span"])
def test_text_without_spaces_is_compared_by_characters(tmp_path, method):
    chinese = "娜塔莉亚在四月份向她的朋友出售了四十八个发夹"
    path = written(tmp_path / "zh.jsonl", {"question": chinese})
    rows = [f"问题：{chinese}，一共多少？", chinese[:10], f"很久以前，{chinese}。"]
    assert flagged(rows, path, method=method) == [0, 2]


CODE = "def put_in(values, step):\n    kept = []\n    for at, value in enumerate(values):\n        kept.append(value)"
BENCHMARKS = {
    "HumanEval": {"task_id": "X/1", "prompt": "def put_in(values, step):", "canonical_solution": CODE, "test": "x"},
    "SQuAD": {
        "id": "1",
        "context": QUESTION,
        "question": "What?",
        "answers": {"text": ["a clip"], "answer_start": [0]},
    },
    "MMLU": {"question": "Why?", "choices": ["No reason.", OTHER, "Luck."], "answer": 1},
    "chat": {"messages": [{"role": "user", "content": "Tell me."}, {"role": "assistant", "content": QUESTION}]},
}


@pytest.mark.parametrize(
    ("shape", "expected"), [("HumanEval", [0]), ("SQuAD", [1]), ("MMLU", [2]), ("chat", [1])], ids=str
)
def test_a_benchmark_of_any_shape_takes_the_row_that_holds_it(tmp_path, shape, expected):
    path = written(tmp_path / "bench.jsonl", BENCHMARKS[shape])
    rows = [f"I did it so:\n{CODE}\nIt works.", f"I read: {QUESTION} Yes.", f"Well: {OTHER} So.", "Nothing of it."]
    assert flagged(rows, path) == expected


def test_files_of_one_name_are_told_apart(tmp_path):
    paths = []
    for folder, text in (("gsm8k", QUESTION), ("other", OTHER)):
        (tmp_path / folder).mkdir()
        paths.append(written(tmp_path / folder / "test.jsonl", {"text": text}))
    assert held([QUESTION, OTHER], *paths).removals[0].duplicate_of.to_list() == [
        "gsm8k/test.jsonl#1",
        "other/test.jsonl#1",
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.jsonl", b""),
        ("labels.jsonl", b'{"label": "card_arrival", "n": 1}\n'),
        ("short.csv", b"text,n\nonly four words here,1\n"),
        ("broken.jsonl", b'{"text": \n\xff\xfe\x00\n'),
        ("torn.jsonl.gz", gzip.compress(b'{"text": "a"}' * 99, mtime=0)[:20]),
        ("junk.bin", bytes(range(256)) * 8),
        ("junk.parquet", b"PAR1" + bytes(64)),
        ("wide.jsonl", json.dumps({f"k{n}": "x" for n in range(3000)}).encode()),
        ("missing.jsonl", None),
    ],
)
def test_a_benchmark_that_is_of_no_use_is_named(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises((InputError, StorageError), match=name.replace(".", r"\.")):
        held([QUESTION], str(tmp_path / name))


def test_a_broken_record_of_a_benchmark_is_told(tmp_path):
    path = tmp_path / "test.jsonl"
    path.write_text(json.dumps({"text": QUESTION}) + "\n{broken\n" + json.dumps({"text": OTHER}) + "\n")
    _, notes = read_benchmarks([str(path)])
    assert len(notes) == 1
    assert notes[0].startswith("test.jsonl")
    assert "line 2" in notes[0]
    assert flagged([QUESTION, OTHER], str(path)) == [0, 1]


def test_tool_annotates_as_it_removes(tmp_path):
    path = written(tmp_path / "test.jsonl", {"id": "q1", "question": QUESTION})
    params = DecontaminateParams(against=(path,))
    rows = framed([OTHER, f"{QUESTION} How many?", None])
    assert TOOL.annotate(rows, params).to_dict(as_series=False) == {
        "contaminated": [False, True, False],
        "benchmark": [None, "test.jsonl#q1", None],
        "span": [None, QUESTION.removesuffix("."), None],
    }
    done: list[int] = []
    assert [removal.rows.tolist() for removal in TOOL.removals(rows, params, done.append)] == [[1], []]
    assert sum(done) == 3
    with pytest.raises(UsageError, match="against"):
        TOOL.removals(rows, DecontaminateParams(), done.append)


def test_batches_change_nothing(tmp_path, monkeypatch):
    path = written(tmp_path / "test.jsonl", {"text": QUESTION}, {"text": OTHER})
    text = [OTHER, None, "", QUESTION, "ü " * 50 + OTHER, "x"] * 5
    whole = held(text, path)
    monkeypatch.setattr(decontaminate, "_BATCH_BYTES", 150)
    parts = held(text, path)
    assert parts.matches.equals(whole.matches)
    assert whole.matches.height == 15
    assert held([], path).matches.is_empty()


def test_a_hostile_row_costs_no_more_than_its_length(tmp_path):
    path = written(tmp_path / "test.jsonl", {"text": "spam " * 2000 + "and " + "spam ham " * 500}, {"text": QUESTION})
    rows = ["spam " * 50_000, ("spam " * 1999 + "ham ") * 25, "spam\n" * 50_000, "spam ham " * 25_000]
    flagged(rows[:1], path)  # compiles
    begun = time.process_time()
    assert flagged(rows, path) == [0, 1, 2, 3]
    assert flagged(rows, path, method="longest_span", min_coverage=0.01) == [0, 1, 2, 3]
    assert time.process_time() - begun < 20


# What the oracle below says in plain Python.
WORD = regex.compile(r"[\p{Han}\p{Thai}]|[[\p{L}\p{M}\p{N}]--[\p{Han}\p{Thai}]]+", regex.V1)


def spelled(text: str) -> list[str]:
    return ["".join(character.lower()[0] for character in word) for word in WORD.findall(text)]


def telling(words: list[str]) -> bool:
    return any(len(regex.sub(r"[0-9]", "", word).encode()) > 1 for word in words)


def runs(row: str, text: str, size: int) -> list[int]:
    """Words of every run that a row shares with a benchmark's text, by either rule."""
    ours, theirs = spelled(row), spelled(text)
    if len(theirs) < LEAST or not regex.search(r"\s|\p{Han}", text):
        return []
    if len(theirs) < size:
        lines = [spelled(line) for line in regex.split(r"\n", row)]
        pieces = [[*chain(*lines[at:to])] for at in range(len(lines)) for to in range(at + 1, len(lines) + 1)]
        return [len(theirs)] if telling(theirs) and theirs in pieces else []
    found = []
    for at in range(len(ours)):
        for to in range(len(theirs)):
            if at and to and ours[at - 1] == theirs[to - 1]:
                continue
            length = 0
            while at + length < len(ours) and to + length < len(theirs) and ours[at + length] == theirs[to + length]:
                length += 1
            if any(telling(ours[n : n + size]) for n in range(at, at + length - size + 1)):
                found.append(length)
    return found


words = st.sampled_from(["alpha", "Beta", "bETA", "ÉTÉ", "été", "7", "48", "x", "日本", "don’t", "ǅ"])
gaps = st.sampled_from([" ", " ", ", ", "\n", "-", " — "])
texts = st.lists(st.tuples(words, gaps), max_size=14).map(lambda parts: "".join(map("".join, parts)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("benchmarks")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(texts, min_size=1, max_size=5), st.lists(texts, min_size=1, max_size=5), st.integers(2, 7),
    st.none() | st.sampled_from([0.3, 0.5, 1.0]),
)  # fmt: skip
def test_verdicts_and_spans_are_those_of_plain_python(folder, rows, benchmark, size, share):
    path = written(folder / "test.jsonl", {"text": "nothing that any row may hold"}, *({"text": t} for t in benchmark))
    spans = {} if share is None else {"method": "longest_span", "min_coverage": share}
    found = {match["row"]: match for match in held(rows, path, ngram_size=size, **spans).matches.to_dicts()}
    for at, row in enumerate(rows):
        shared = [(length, length / len(spelled(text))) for text in benchmark for length in runs(row, text, size)]
        if share is not None:
            shared = sorted(((part, length) for length, part in shared if part >= share), reverse=True)
        else:
            shared = sorted(shared, reverse=True)
        assert (at in found) == bool(shared)
        if shared:
            match = found[at]
            best = (match["words"], match["share"])
            assert best[0] == shared[0][0] if share is None else best[::-1] == shared[0]
            text = benchmark[int(match["benchmark_id"]) - 2]
            span = spelled(match["span"])
            assert row[match["start"] : match["end"]] == match["span"]
            assert len(span) == match["words"]
            assert any(spelled(text)[n : n + len(span)] == span for n in range(len(spelled(text))))
            assert match["share"] == len(span) / len(spelled(text))


@settings(max_examples=50, deadline=None)
@given(st.lists(texts, min_size=1, max_size=4), st.lists(texts, min_size=1, max_size=4))
def test_words_of_equal_hash_are_not_equal_words(folder, rows, benchmark):
    path = written(folder / "test.jsonl", {"text": "nothing that any row may hold"}, *({"text": t} for t in benchmark))
    expected = held(rows, path, ngram_size=6)
    plain = word_hashes.words_of

    def colliding(text: pl.Series) -> word_hashes.Words:
        words = plain(text)
        return words._replace(hashes=np.zeros_like(words.hashes))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(word_hashes, "words_of", colliding)
        found = held(rows, path, ngram_size=6)
    assert found.matches["row"].to_list() == expected.matches["row"].to_list()
    assert found.matches["words"].to_list() == expected.matches["words"].to_list()


HIDING = {
    "zero-width": lambda text: text.replace("a", "a\u200b"),
    "soft hyphens": lambda text: text.replace("li", "l\u00adi"),
    "joiners and marks": lambda text: text.replace(" ", " \u2060").replace("c", "\u200dc\ufe0f"),
    "tags": lambda text: text.replace("o", "o\U000e0061"),
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "mathematical letters": lambda text: re.sub("[a-z]", lambda found: chr(0x1D41A + ord(found[0]) - 97), text),
    "no-break spaces": lambda text: text.replace(" ", "\u00a0"),
    "&nbsp;": lambda text: text.replace(" ", "&nbsp;"),
    "&#160;": lambda text: text.replace(" ", "&#160;"),
    "&#xA0; escaped again": lambda text: text.replace(" ", "&amp;#xA0;"),
    "letters as references": lambda text: text.replace("a", "&#97;"),
    "&shy; and &zwnj;": lambda text: text.replace("s", "s&shy;").replace("l", "&zwnj;l"),
    "NFD": lambda text: text.replace("e", "e\u0301"),
}


@pytest.mark.parametrize("hiding", HIDING)
@pytest.mark.parametrize("method", ["ngram", "longest_span"])
def test_what_hides_words_hides_no_benchmark(tmp_path, hiding, method):
    hide = HIDING[hiding]
    question = QUESTION.replace("e", "é") if hiding == "NFD" else QUESTION
    path = written(tmp_path / "test.jsonl", {"id": "q1", "question": question})
    rows = [f"Häh &amp; {hide(question)} Anno&nbsp;1900.", f"{OTHER} &nbsp; {hide(OTHER)}", f"{question} {hide(OTHER)}"]
    found = held(rows, path, method=method)
    assert found.matches["row"].to_list() == [0, 2]
    assert found.matches["words"].to_list() == [20, 20]
    assert found.matches["share"].to_list() == [1, 1]
    for row, match in zip((rows[0], rows[2]), found.matches.to_dicts(), strict=True):
        assert row[match["start"] : match["end"]] == match["span"]
        assert match["span"].rstrip("\u200b\u00ad\ufe0f.") in row
        (seen,) = folded(pl.Series([match["span"]]))
        (asked,) = folded(pl.Series([question]))
        assert seen.strip() == asked.removesuffix(".")


def test_a_benchmark_that_is_escaped_itself_is_found_in_plain_rows(tmp_path):
    path = written(tmp_path / "test.jsonl", {"id": "q1", "question": HIDING["&nbsp;"](HIDING["zero-width"](QUESTION))})
    assert flagged([QUESTION, OTHER], path) == [0]


awkward = st.lists(
    st.sampled_from(
        ["a", "B", " ", "é", "e\u0301", "\u200b", "&nbsp;", "&amp;", "&", ";", "&#97;", "ｗ", "ﬁ", "½", "\x00", "葛"]
    ),
    max_size=12,
).map("".join)


@settings(max_examples=200, deadline=None)
@given(awkward, st.data())
def test_a_place_in_a_folded_text_is_found_in_the_text(text, data):
    (seen,) = folded(pl.Series([text]))
    letters = [at for at, letter in enumerate(seen) if letter.isalnum()]
    if not letters:
        return
    start = data.draw(st.sampled_from(letters))
    end = data.draw(st.sampled_from([at + 1 for at in letters if at >= start]))
    left, right = unfolded(text, start, end)
    assert 0 <= left < right <= len(text)
    (found,) = folded(pl.Series([text[left:right]]))
    assert seen[start:end] in found
    if not {"ﬁ", "½"} & set(text):  # of which a half is no place
        assert found == seen[start:end]


def test_rows_are_left_as_they_are(tmp_path):
    path = written(tmp_path / "test.jsonl", {"question": QUESTION})
    text = pl.Series("text", [HIDING["full width"](QUESTION), "Tom &amp; Jerry\u200b", None])
    before = text.to_list()
    held(before, path)
    assert text.to_list() == before
    assert folded(text).to_list()[1:] == ["Tom & Jerry", None]
