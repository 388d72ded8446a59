"""Measures of a text's quality: one number each, which the rules of ``filters`` bound.

They are computed once for every row and kept, so that other thresholds need no new pass over the text. What they count
follows MassiveText's filters (Gopher, Rae et al. 2021, arXiv 2112.11446, §A.1.1 and Table A1) and C4's (Raffel et al.
2020, arXiv 1910.10683, §2.2).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from ..state.progress import Advance, silent

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")  # Gopher's eight
_BATCH_BYTES = 1 << 22

# The heading of a rendered turn ("### Response:"): a form, not something the row says.
_HEADING = r"(?m)^### \w+:"

MEASURES = {
    "words": "words, split at blank space",
    "characters": "characters",
    "empty_answers": "1 where the last turn of a rendered conversation is empty",
    "replacement_characters": "share of characters that are U+FFFD, the mark of a wrong decoding",
    "non_alphanumeric_characters": "share of non-blank characters that are neither letter, mark nor digit",
    "repeated_word": "share of words that repeat the most frequent word (its occurrences but one)",
    "mean_word_length": "characters per word",
    "longest_word": "characters of the longest word",
    "alpha_words": "share of words with a letter",
    "symbol_word_ratio": "`#` or ellipses per word, whichever are more",
    "bullet_lines": "share of lines that start with a bullet",
    "ellipsis_lines": "share of lines that end with an ellipsis",
    "duplicate_lines": "share of lines that repeat an earlier one",
    "duplicate_line_characters": "share of characters in lines that repeat an earlier one",
    "top_2gram_characters": "share of characters in the repeated word pair that covers most",
    "stop_words": f"how many of {', '.join(STOP_WORDS)} occur",
    "lorem_ipsum": "occurrences of `lorem ipsum`",
}


def annotate(text: pl.Series, advance: Advance = silent) -> pl.DataFrame:
    """Every measure of every text; each row depends on its own text alone.

    The headings of rendered turns are left out of all but ``empty_answers``. Words are split at blank space (datatrove
    tokenises); lines are the non-blank ones; `-` is a bullet beside Gopher's `•`; distinct stop words count.
    Where nothing is there to divide by, a measure is 0.

    Args:
        text: strings, [n]; a null counts as empty.
        advance: told the rows done.

    Returns:
        Float32 columns named as ``MEASURES``, n rows in the same order.
    """
    batches = [pl.DataFrame(schema=dict.fromkeys(MEASURES, pl.Float32))]
    for start, size in _batches(text):
        batches.append(_measure(text.slice(start, size)))
        advance(size)
    return pl.concat(batches)


def _batches(text: pl.Series) -> Iterator[tuple[int, int]]:
    """``(start, size)`` of consecutive runs of about ``_BATCH_BYTES``; a longer text makes a longer run."""
    batch = text.str.len_bytes().fill_null(0).cast(pl.Int64).cum_sum().to_numpy() // _BATCH_BYTES
    starts = np.flatnonzero(np.diff(batch, prepend=-1))
    for start, size in zip(starts, np.diff(starts, append=len(text)), strict=True):
        yield int(start), int(size)


def _measure(text: pl.Series) -> pl.DataFrame:
    """``annotate`` for one batch."""
    raw = pl.col("raw")
    frame = pl.DataFrame({"raw": text.fill_null("")}).select(
        pl.int_range(pl.len(), dtype=pl.UInt32).alias("doc"),
        raw.str.replace_all(_HEADING, "").alias("text"),
        raw.str.count_matches(_HEADING + r"\s*\z").alias("empty_answers"),
    )
    body = pl.col("text").str
    counts = frame.select(
        "doc",
        "empty_answers",
        body.len_chars().alias("characters"),
        body.count_matches("\ufffd", literal=True).alias("replacement"),
        body.count_matches(r"[^\s\p{L}\p{M}\p{N}]").alias("symbols"),
        body.count_matches("#", literal=True).alias("hashes"),
        body.count_matches(r"\.\.\.|…").alias("ellipses"),
        body.count_matches(r"(?i)lorem ipsum").alias("lorem_ipsum"),
        pl.sum_horizontal([body.contains(rf"(?i)\b{word}\b").cast(pl.UInt32) for word in STOP_WORDS]).alias(
            "stop_words"
        ),
    )
    counts = counts.join(_word_counts(frame), on="doc", how="left", maintain_order="left")
    counts = counts.join(_line_counts(frame), on="doc", how="left", maintain_order="left").fill_null(0)
    column = pl.col
    return counts.with_columns(
        (column("replacement") / column("characters")).alias("replacement_characters"),
        (column("symbols") / column("word_characters")).alias("non_alphanumeric_characters"),
        (column("top_word_repeats") / column("words")).alias("repeated_word"),
        (column("word_characters") / column("words")).alias("mean_word_length"),
        (column("alpha") / column("words")).alias("alpha_words"),
        (pl.max_horizontal("hashes", "ellipses") / column("words")).alias("symbol_word_ratio"),
        (column("bullets") / column("lines")).alias("bullet_lines"),
        (column("trailing_off") / column("lines")).alias("ellipsis_lines"),
        (column("repeats") / column("lines")).alias("duplicate_lines"),
        (column("repeat_characters") / column("characters")).alias("duplicate_line_characters"),
        (column("top_pair") / column("characters")).clip(upper_bound=1).alias("top_2gram_characters"),
    ).select(pl.col(*MEASURES).cast(pl.Float32).fill_nan(0.0))


def _word_counts(frame: pl.DataFrame) -> pl.DataFrame:
    """Per ``doc`` with a word: words, their characters, the longest, those with a letter, the top word and pair."""
    words = frame.select("doc", pl.col("text").str.to_lowercase().str.extract_all(r"\S+").alias("word"))
    words = words.explode("word").drop_nulls()
    pairs = words.select(
        "doc",
        pl.concat_str("word", pl.col("word").shift(-1), separator=" ").alias("pair"),
        (pl.col("doc") == pl.col("doc").shift(-1)).alias("within"),
    )
    repeated = pairs.filter("within").group_by("doc", "pair").len().filter(pl.col("len") > 1)
    top_pair = repeated.group_by("doc").agg((pl.col("pair").str.len_chars() * pl.col("len")).max().alias("top_pair"))
    top_word = (
        words.group_by("doc", "word").len().group_by("doc").agg((pl.col("len").max() - 1).alias("top_word_repeats"))
    )
    length = pl.col("word").str.len_chars()
    totals = words.group_by("doc").agg(
        pl.len().alias("words"),
        length.sum().alias("word_characters"),
        length.max().alias("longest_word"),
        pl.col("word").str.contains(r"\p{L}").sum().alias("alpha"),
    )
    return totals.join(top_word, on="doc", how="left").join(top_pair, on="doc", how="left")


def _line_counts(frame: pl.DataFrame) -> pl.DataFrame:
    """Per ``doc`` with a non-blank line: lines, those that repeat, are bullets, or trail off."""
    lines = frame.select("doc", pl.col("text").str.split("\n").alias("line")).explode("line")
    lines = lines.with_columns(pl.col("line").str.strip_chars()).filter(pl.col("line") != "")
    repeat = ~pl.struct("doc", "line").is_first_distinct()
    line = pl.col("line").str
    return (
        lines.with_columns(repeat.alias("repeat"))
        .group_by("doc")
        .agg(
            pl.len().alias("lines"),
            pl.col("repeat").sum().alias("repeats"),
            line.len_chars().filter(pl.col("repeat")).sum().alias("repeat_characters"),
            line.contains("^[•-]").sum().alias("bullets"),
            line.contains(r"(\.\.\.|…)$").sum().alias("trailing_off"),
        )
    )
