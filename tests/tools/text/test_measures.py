"""What is measured on a text, and that its row depends on nothing else."""

import math
import re
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recryst.tools.text import measures, segments
from recryst.tools.text.compiled import kernel
from recryst.tools.text.measures import MEASURES, annotate
from recryst.tools.text.segments import maxima, occurrences, repeated_ngrams, sums

PAGE = """Crystals of the crude salt are dissolved in a little hot water and the solution is filtered.
As it cools, the pure compound comes out first, and what does not belong to the lattice stays behind."""


def measured(text: str) -> dict[str, float]:
    return annotate(pl.Series([text])).row(0, named=True)


def test_basic_measures_of_a_known_text():
    text = "The cat's 9 lives...\n- the cat's dog\n\n- the cat's dog #1"
    row = measured(text)
    words = text.split()
    assert row["basic.words"] == len(words) == 13
    assert row["basic.characters"] == len(text)
    assert row["basic.longest_word"] == 8
    assert row["basic.alpha_words"] == pytest.approx(9 / 13)
    assert row["basic.repeated_word"] == pytest.approx(2 / 13)  # "the", three times
    assert row["basic.duplicate_lines"] == 0
    assert row["basic.top_pair_characters"] == pytest.approx(3 * len("the cat's") / len(text))
    assert row["basic.non_alphanumeric_characters"] == pytest.approx(9 / sum(map(len, words)))


def test_gopher_measures_of_a_known_text():
    text = "The cat's 9 lives...\n- the cat's dog\n\n- the cat's dog #1"
    plain = re.findall(r"'s|\w+", text)  # and the tokens that are symbols alone: ... - - #
    row = measured(text)
    assert row["gopher.words"] == len(plain) == 14
    assert row["gopher.mean_word_length"] == pytest.approx(sum(map(len, plain)) / 14)
    assert row["gopher.symbol_ratio"] == pytest.approx(1 / 18)
    assert row["gopher.alpha_words"] == pytest.approx(12 / 18)
    assert row["gopher.bullet_lines"] == 0.5
    assert row["gopher.ellipsis_lines"] == 0.25
    assert row["gopher.stop_words"] == 1
    assert row["gopher.top_2gram_characters"] == pytest.approx(3 * len("cat 's") / len(text))
    assert row["gopher.top_4gram_characters"] == pytest.approx(2 * len("- the cat 's") / len(text))
    assert row["gopher.duplicate_5gram_characters"] == pytest.approx(len("-thecat'sdog") / len(text))
    assert row["gopher.duplicate_6gram_characters"] == 0


def test_line_measures_of_a_known_page():
    page = "Read on.\n\nIt is late. It is dark!\nRead on.\nWe use cookies here, as you know.\n"
    page += "The {x} of it, said he.[1]\n\nx"
    row = measured(page)
    assert row["gopher.duplicate_lines"] == pytest.approx(1 / 6)
    assert row["gopher.duplicate_line_characters"] == pytest.approx(8 / len(page))
    assert row["gopher.duplicate_paragraphs"] == 0
    assert row["c4.sentences"] == 3  # "Read on." has two words, and the line on cookies is dropped
    assert row["c4.curly_brackets"] == 1
    assert row["c4.boilerplate_lines"] == pytest.approx(1 / 6)
    assert row["fineweb.line_punctuation"] == pytest.approx(4 / 6)
    assert row["fineweb.short_lines"] == pytest.approx(5 / 6)
    assert row["fineweb.newlines_per_word"] == pytest.approx(page.count("\n") / 34)


def test_headings_of_turns_are_not_what_a_row_says():
    row = measured("### User:\nhello there\n\n### Assistant:\n")
    assert (row["basic.words"], row["gopher.words"]) == (2, 4)


def test_an_answer_is_empty_where_the_data_say_so_and_not_where_the_text_looks_so():
    outline = "### User:\noutline\n\n### Assistant:\n# Name\n\n### Results:\n"
    text = pl.Series([outline, "### User:\nhello\n\n### Assistant:\n", "prose"])
    found = annotate(text, pl.Series([False, True, None]))
    assert found["basic.empty_answers"].to_list() == [0, 1, 0]
    assert annotate(text)["basic.empty_answers"].to_list() == [0, 0, 0]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.none() | st.text("ab.#-•…{!\n\r\t \x1c\u2028\ufffd5é", max_size=40), max_size=6))
def test_annotations_are_finite_and_row_wise(text):
    series = pl.Series(text, dtype=pl.String)
    table = annotate(series)
    assert table.columns == list(MEASURES)
    assert set(table.dtypes) == {pl.Float32}
    assert table.height == len(text)
    assert all(math.isfinite(value) for row in table.iter_rows() for value in row)
    assert [annotate(series[at : at + 1]).row(0) for at in range(len(text))] == table.rows()


def test_batches_do_not_change_the_measures(monkeypatch):
    monkeypatch.setattr(measures, "_BATCH_BYTES", 1000)
    text = pl.Series([PAGE, "x " * 700, "a", "b " * 400, PAGE])
    seen: list[int] = []
    table = annotate(text, advance=seen.append)
    assert sum(seen) == 5
    assert len(seen) > 1
    assert table["basic.words"].to_list() == [len(one.split()) for one in text]
    assert table.row(0) == table.row(4) == annotate(pl.Series([PAGE])).row(0)


segmented = st.lists(st.lists(st.integers(0, 4), max_size=12), max_size=5)


@settings(deadline=None)
@given(segmented, st.integers(1, 4))
def test_segments_count_as_plain_loops_do(segments, size):
    values = np.array([value for segment in segments for value in segment], dtype=np.uint64)
    offsets = np.cumsum([0, *map(len, segments)], dtype=np.int64)
    assert sums(values, offsets).tolist() == [sum(segment) for segment in segments]
    assert maxima(values, offsets).tolist() == [max(segment, default=0) for segment in segments]
    expected = [
        Counter(segment)[value] if segment.index(value) == at else 0
        for segment in segments
        for at, value in enumerate(segment)
    ]
    assert occurrences(values, offsets[:-1], offsets[1:]).tolist() == expected
    begins = []
    for segment in segments:
        seen, behind = set(), 0
        for at, value in enumerate(segment):
            begins.append(at >= behind and at <= len(segment) - size and value in seen)
            if begins[-1]:
                behind = at + size
            elif at >= behind:
                seen.add(value)
    assert repeated_ngrams(values, offsets[:-1], offsets[1:] - size + 1, size).tolist() == begins


def test_without_a_folder_for_compiled_code_repeats_are_counted_all_the_same(monkeypatch):
    """Numba refuses to keep what it compiled where neither the package's folder nor the user's can be written."""
    from numba.core import caching

    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    compiled = kernel()(segments._walk.__wrapped__)
    keys, ends = np.array([7, 9, 7], dtype=np.uint64), np.array([3])
    assert compiled(keys, ends - 3, ends, np.empty(8, dtype=np.int64), 1).tolist() == [2, 1, -1]
