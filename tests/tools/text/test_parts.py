"""Batches of texts, the strings that stay on disk, and the lines of texts."""

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from frames import framed

from recryst.tools.text.batches import MappedTexts, batches
from recryst.tools.text.lines import ratio, split


def test_runs_of_rows_are_bounded_and_a_longer_text_stands_alone():
    text = pl.Series(["aa", None, "b", "c" * 9, "d", "e"])
    assert list(batches(text, 3)) == [(0, 3), (3, 1), (4, 2)]
    assert list(batches(text.head(0), 3)) == []


def test_texts_on_disk_are_those_of_the_table_even_when_released(tmp_path):
    told = framed(["é" * 40, None, "c"], [None, None, "c and more"], [True, None, False])
    rows = told.with_columns(id=pl.Series(["a", "b", "c"]), other=1)
    rows.write_parquet(tmp_path / "rows.parquet")
    texts = MappedTexts(tmp_path / "rows.parquet", tmp_path / "texts.arrow")
    texts.release()
    assert (texts.ids.to_list(), texts.texts.to_list()) == (["a", "b", "c"], ["é" * 40, None, "c"])
    assert texts.rows.equals(framed(["é" * 40, None, "c"], ["é" * 40, None, "c and more"], [True, None, False]))


def mapped(folder, texts):
    """Texts in a row group each, as rows that are as long as a batch are loaded."""
    told = framed(texts, [None] * len(texts), [None] * len(texts))
    rows = told.with_columns(id=pl.Series([f"an id of more than 12 bytes: {at}" for at in range(len(texts))]))
    pq.write_table(rows.to_arrow(compat_level=pl.CompatLevel.oldest()), folder / "rows.parquet", row_group_size=1)
    return MappedTexts(folder / "rows.parquet", folder / "texts.arrow")


def test_texts_in_many_parts_are_those_of_the_table(tmp_path):
    long = ["a" * 5000, "short", None, "", "13 characters", "é" * 7, None, "b" * 13]
    texts = mapped(tmp_path, long)
    assert texts.texts.to_list() == texts.rows["content"].to_list() == long
    assert texts.ids[7] == "an id of more than 12 bytes: 7"


def test_a_few_long_texts_stay_on_disk_too(tmp_path):
    """Polars, where it puts parts together that hold one long string each, copies their characters."""
    texts = mapped(tmp_path, [letter * (1 << 22) for letter in "abcdefghij"])
    with (tmp_path / "texts.arrow").open("r+b") as file:  # what is written there is seen, so nothing was copied
        at = file.read().index(b"b" * 100)
        file.seek(at)
        file.write(b"B")
    assert texts.texts[1][:2] == texts.rows["content"][1][:2] == "Bb"


def test_lines_know_their_text_and_which_repeats_an_earlier_one():
    lines = split(pl.Series(["a\nb\na", "", "b"]))
    assert (lines.line.to_list(), lines.offsets.tolist()) == (["a", "b", "a", "", "b"], [0, 3, 4, 5])
    assert lines.repeats().tolist() == [False, False, True, False, False]
    assert ratio(np.array([1, 1]), np.array([2, 0])).tolist() == [0.5, 0.0]
