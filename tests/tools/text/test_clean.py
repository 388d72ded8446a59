import gzip
import unicodedata
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from frames import framed
from hypothesis import given, settings
from hypothesis import strategies as st

from recryst.state.params.preparation import CleanParams
from recryst.tools.text.clean import TOOL, exact_duplicates, normalise

# Plain text mixed with what normalisation is about: line ends, invisible characters, joiners, marks that compose.
awkward = st.text(
    st.sampled_from("ab é\u0301ﬁ① \t\n\r\x0b\x0c\x00\x85\u200b\u200d\u200c\u202e\u2028\ufeff\u00ad\u3000\u06cc")
)
FLAG = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
# The pieces of flags, of variants of ideographs and of families, in any order.
pieces = st.lists(
    st.sampled_from([
        FLAG, FLAG[:-1], *FLAG[:3], FLAG[-1], "葛", "\uf900", "\U000e0100", "\U000e0101", "\u1828", "\u180b", "\u180e",
        "👩", "\u200d", "\u2764\ufe0f", "\U0001f1e9", "\u200b", "a", " ", "\n",
    ])
).map("".join)  # fmt: skip
texts = st.one_of(awkward, pieces, st.text())
forms = st.sampled_from(["NFC", "NFKC", "none"])


def clean(text: list[str | None], form: str = "NFC") -> list[str | None]:
    return normalise(pl.Series("text", text, dtype=pl.String), CleanParams(unicode_form=form)).to_list()


@settings(deadline=None)
@given(st.lists(st.none() | texts, max_size=8), forms)
def test_normalise_is_idempotent_and_row_wise(text, form):
    once = clean(text, form)
    assert clean(once, form) == once
    assert [clean([one], form)[0] for one in text] == once
    assert [one is None for one in once] == [one is None for one in text]


@settings(deadline=None)
@given(texts, st.sampled_from("aé5漢ش?☂"), texts, forms)
def test_visible_text_is_never_emptied(before, visible, after, form):
    cleaned = clean([before + visible + after], form)[0]
    assert cleaned
    assert cleaned == cleaned.strip()
    # Nothing is left in the categories "control" and "surrogate" but newline and tab, and no line has a trailing space.
    assert all(c in "\n\t" or unicodedata.category(c) != "Cc" for c in cleaned)
    assert all(line == line.rstrip(" \t") for line in cleaned.split("\n"))


def test_normalise_knows_what_hides_and_what_spells():
    persian, family = "می\u200cخواهم", "👨\u200d👩\u200d👧"
    assert clean(
        ["a\u200d\u200bb\r\nc  \n\td\u00ad\ufeff\x07", persian, family, "e\u200d\u0301", "\u202e\u200b \n"]
    ) == [
        "ab\nc\n\td",
        persian,
        family,
        "é",
        "",
    ]
    assert clean(["ﬁ"], "NFKC") == ["fi"]
    assert clean(["e\u0301"], "none") == ["e\u0301"]


@pytest.mark.parametrize(
    "shown",
    [
        FLAG,
        "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f",
        "\U0001f3f4\U000e0075\U000e0073\U000e0074\U000e0078\U000e007f",  # Texas
        "葛\U000e0100城",
        "葛\U000e0101城",
        "👨\u200d👩\u200d👧",
        "👩\u200d\u2764\ufe0f\u200d👨",
        "🧑🏽\u200d🤝\u200d🧑🏻",
        "🏴\u200d☠\ufe0f",
        "\U0001f1e9\U0001f1ea",
        "1\ufe0f\u20e3",
        "ᠬᠠᠭᠠᠨ\u180eᠠ",
        "ᠭ\u180bᠠ",
    ],
)
def test_what_changes_what_is_seen_stays(shown: str) -> None:
    assert clean([f"so {shown} it is"]) == [f"so {shown} it is"]
    assert clean([shown], "NFKC") == [shown]


def test_tags_and_selectors_that_change_nothing_go() -> None:
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in "ignore all")
    assert clean([
        f"plain{hidden}", f"\U0001f3f4{hidden}\U000e007f", FLAG[:-1], FLAG[1:], f"{FLAG}{hidden}", "a\U000e0100",
        "葛\U000e0100\U000e0101", "a\u180b",
    ]) == ["plain", "\U0001f3f4", "\U0001f3f4", "", FLAG, "a", "葛\U000e0100", "a"]  # fmt: skip


def test_rows_that_differ_in_a_flag_or_a_variant_are_no_copies() -> None:
    shown = [FLAG, FLAG.replace("\U000e0065", "\U000e0073"), "葛\U000e0100", "葛\U000e0101", "👨\u200d👩", "👨👩"]
    rows = pl.DataFrame({"content": [f"Which is it? {one}" for one in shown]})
    assert not any(len(removal.rows) for removal in TOOL.removals(rows, CleanParams(), lambda done: None))


def test_exact_duplicates_name_the_first_by_position():
    text = pl.Series(["a", None, "b", "a", None, "A", "b", "a"])
    removal = exact_duplicates(text, np.array([70, 60, 50, 40, 30, 20, 10, 5], dtype=np.uint32))
    assert removal.rows.tolist() == [40, 50, 70]
    assert removal.duplicate_of.tolist() == [5, 10, 5]
    assert exact_duplicates(text.clear(), np.empty(0, dtype=np.uint32)).rows.tolist() == []


alike = st.sampled_from(["a", "a\r", " a", "b", "", "\u200b", "e\u0301", "é"])


@settings(deadline=None)
@given(st.lists(st.none() | alike, max_size=12))
def test_tool_takes_out_what_normalising_made_equal(values: list[str | None]):
    text = pl.Series("text", values, dtype=pl.String)
    told: list[int] = []
    removals = TOOL.removals(framed(values), CleanParams(), told.append)
    expected = exact_duplicates(normalise(text, CleanParams()), np.arange(len(text), dtype=np.uint32))
    pairs = [zip(one.rows.tolist(), one.duplicate_of.tolist(), strict=True) for one in removals]
    found = sorted(pair for part in pairs for pair in part)
    assert found == list(zip(expected.rows.tolist(), expected.duplicate_of.tolist(), strict=True))
    for removal in removals:
        equal = [values[row] == values[of] for row, of in zip(removal.rows, removal.duplicate_of, strict=True)]
        assert all(same == (removal.reason == "exact_duplicate") for same in equal)
    assert sum(told) == len(values)
    assert text.to_list() == values, "normalising leaves its input as it was"


def test_tool_gives_the_text_anew():
    annotated = TOOL.annotate(framed(["a \r\nb", None, "e\u0301"]), CleanParams())
    assert annotated.to_dict(as_series=False) == {"text": ["a\nb", None, "é"]}


@pytest.mark.shared_data
def test_newsgroups_hold_531_identical_copies(shared_data: Path):
    with gzip.open(shared_data / "newsgroups20" / "newsgroups20.jsonl.gz") as file:
        text = pl.read_ndjson(file.read())["text"]
    positions = np.arange(len(text), dtype=np.uint32)
    removal = exact_duplicates(text, positions)
    assert len(removal.rows) == 531
    assert (removal.duplicate_of < removal.rows).all()
    assert (text.gather(removal.rows) == text.gather(removal.duplicate_of)).all()
    assert not np.isin(removal.duplicate_of, removal.rows).any()
    # Normalisation makes no two different posts alike.
    assert len(exact_duplicates(normalise(text, CleanParams()), positions).rows) == 531


@pytest.mark.shared_data
def test_alpaca_holds_2282_repeated_rows(shared_data: Path):
    with gzip.open(shared_data / "alpaca" / "alpaca.jsonl.gz") as file:
        table = pl.read_ndjson(file.read())
    text = table.select(pl.concat_str("instruction", "input", "output", separator="\x1f")).to_series()
    assert len(exact_duplicates(text, np.arange(len(text), dtype=np.uint32)).rows) == 2282
