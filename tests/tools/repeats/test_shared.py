"""Passages that much of a set shares are left out of the comparison; what a row says is not, nor what makes a copy."""

import random
import time

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recryst.state.params.preparation import DedupParams
from recryst.tools.repeats.dedup import compared, near_duplicates
from recryst.tools.repeats.minhash import SignedRows, signatures
from recryst.tools.repeats.shared import shared_passages, without

WORDS = ["clock", "market", "bridge", "sailor", "violin", "garden", "harbour", "winter", "letter", "paper", "river"]
PROMPT = (
    "You are the helper of a public library, and every reader is dear to you. Be short. Never promise a book that "
    "is out. Rule 1: look at the shelf. Rule 2: look at the list."
)
QUESTIONS = ["Do you lend telescopes?", "When do you close?", "Is there a printer?", "Where are the maps of the coast?"]


def sentence(draw: random.Random, words: int) -> str:
    return " ".join(f"{draw.choice(WORDS)}{draw.randrange(40)}" for _ in range(words)).capitalize() + "."


def document(draw: random.Random, paragraphs: int = 20) -> str:
    return "\n\n".join(" ".join(sentence(draw, 12) for _ in range(3)) for _ in range(paragraphs))


def left(texts: list[str | None]) -> list[str | None]:
    column = pl.Series("text", texts, dtype=pl.String)
    return [None if text is None else text.strip() for text in without(column, shared_passages(column)).to_list()]


@pytest.mark.parametrize(
    "template",
    ["{prompt}\n\n{own}", "{prompt}\n{own}", "{prompt} Question: {own}", "{own}\n\n{prompt}", "{own} {prompt}"],
    ids=["paragraph", "line", "the same line", "after", "after in the line"],
)
def test_what_varies_is_left_wherever_the_template_stands(template: str) -> None:
    assert left([template.format(prompt=PROMPT, own=own) for own in QUESTIONS]) == QUESTIONS


def test_turns_are_told_apart_and_a_long_prompt_goes_whole() -> None:
    prompt = "\n".join(f"Rule {n}: never promise a thing.\n\nWait." for n in range(200))
    chats = [f"### system:\n{prompt}\n\n### user:\n{own}" for own in QUESTIONS]
    assert left(chats) == [f"### system:\n\n\n### user:\n{own}" for own in QUESTIONS]
    content = [f"{prompt}\n\u241f\n{own}" for own in QUESTIONS]
    assert left(content) == [f"\u241f\n{own}" for own in QUESTIONS]


def test_slots_with_few_values_do_not_hide_the_template() -> None:
    draw = random.Random(0)
    language, tone = ["German", "Dutch", "Irish"], ["warm", "dry", "stern"]
    texts = [
        f"{PROMPT}\nLanguage: {draw.choice(language)}.\nTone: {draw.choice(tone)}.\n{sentence(draw, 9)}"
        for _ in range(60)
    ]
    assert all("library" not in (text or "") and "Tone: " in (text or "") for text in left(texts))


def test_templates_in_scripts_without_spaces() -> None:
    prompt = (
        "你是公共图书馆的助手，必须诚实、友好地回答读者提出的每一个问题。"
        "不要承诺任何已经借出的书籍，也不要谈论其他读者的事情。问题："
    )
    questions = ["你们借望远镜吗？", "星期天几点关门？", "有打印机吗？", "海岸地图在哪里？"]
    assert left([prompt + own for own in questions]) == questions


def test_what_few_rows_share_or_is_short_is_no_passage() -> None:
    draw = random.Random(1)
    texts = [f"Yours sincerely. {sentence(draw, 12)}" for _ in range(60)]
    texts += [f"{PROMPT} {sentence(draw, 12)}" for _ in range(4)]  # of 64: less than a tenth
    assert shared_passages(pl.Series(texts)) == []
    assert shared_passages(pl.Series([PROMPT, PROMPT])) == []
    assert shared_passages(pl.Series([], dtype=pl.String)) == shared_passages(pl.Series([None, None, None, ""])) == []


pieces = st.lists(
    st.sampled_from([PROMPT, f"{PROMPT}\n\n", "\n### user:\n", "\n\u241f\n", "...", "No", "?", " ", "👍"]), max_size=4
)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.none() | pieces.map("".join), max_size=8))
def test_a_text_never_becomes_one_that_says_nothing(texts: list[str | None]) -> None:
    column = pl.Series("text", texts, dtype=pl.String)
    found = without(column, [PROMPT])
    assert found.name == "text"
    for before, after in zip(texts, found.to_list(), strict=True):
        if before is None or after is None:
            assert before is after
        elif before != after:
            assert before.replace(PROMPT, "") == after
            assert any(piece in after for piece in ("No", "👍"))


def near(texts: list[str]) -> set[int]:
    column, params = pl.Series(texts), DedupParams()
    text = compared(column)
    rows = np.arange(len(texts), dtype=np.uint32)
    return set(near_duplicates(SignedRows(text, rows, signatures(text, params), column), params).rows.tolist())


def edited(draw: random.Random, text: str, how: str) -> str:
    if how == "a word":
        words = text.split(" ")
        words[draw.randrange(len(words))] = "other"
        return " ".join(words)
    if how == "words everywhere":
        return " ".join("other" if draw.random() < 0.004 else word for word in text.split(" "))
    if how == "a paragraph less":
        parts = text.split("\n\n")
        del parts[draw.randrange(len(parts))]
        return "\n\n".join(parts)
    if how == "the same sentence":
        words = text.split(" ")
        words[-3] = f"other{draw.randrange(10_000)}"
        return " ".join(words)
    return f"{text}\n\nCopied for the {draw.randrange(10_000)}th time by {draw.choice(WORDS)}."


@pytest.mark.parametrize(
    ("how", "share"),
    [
        *((how, share) for how in ("a word", "words everywhere", "a paragraph less") for share in (0.05, 0.3, 1.0)),
        # Above a tenth of the rows a document of which one and the same place varies is a template and what fills it.
        ("the same sentence", 0.05),
        ("a line more", 0.05),
    ],
)
def test_near_copies_of_one_document_are_found_however_many_they_are(how: str, share: float) -> None:
    draw = random.Random(2)
    one, rows = document(draw), 200
    copies = int(rows * share)
    texts = [edited(draw, one, how) for _ in range(copies)] + [document(draw) for _ in range(rows - copies)]
    gone = near(texts)
    assert len(gone & set(range(copies))) >= copies - 1 - copies // 10
    assert not gone & set(range(copies, rows))


@pytest.mark.parametrize("words", [20, 300])
def test_chats_under_one_long_prompt_are_no_copies(words: int) -> None:
    draw = random.Random(3)
    known = [f"{draw.choice(WORDS)}{n}" for n in range(words)]

    def said(length: int) -> str:
        return " ".join(draw.choice(known) for _ in range(length)).capitalize() + "."

    prompt = " ".join(said(10) for _ in range(40))
    texts = [f"{prompt}\n{said(12)}" for _ in range(100)]
    assert near(texts) == set()
    assert sum(text is not None and len(text) < len(prompt) for text in left(texts)) >= 99


def test_passages_are_the_same_each_time_and_cost_little() -> None:
    draw = random.Random(4)
    texts = pl.Series([f"{PROMPT}\n{sentence(draw, 8)}" for _ in range(2_000)] * 25)
    began = time.perf_counter()
    passages = shared_passages(texts)
    assert passages == shared_passages(texts) == [PROMPT]
    assert PROMPT not in "".join(without(texts, passages).to_list())
    assert time.perf_counter() - began < 20
