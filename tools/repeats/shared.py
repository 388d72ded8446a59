"""Passages that much of a data set shares (system prompts, templates, boilerplate), left out where rows are compared.

A long passage that many rows hold outweighs what the rows say: near-duplicates by their shingles, and vectors, would
then tell the passage apart from others and not the rows.
"""

import numpy as np
import polars as pl

from ..text.batches import batches
from ..text.kinds import UNSPACED

_SAMPLE_ROWS, _SAMPLE_BYTES, _TEXT_CHARACTERS = 20_000, 32 << 20, 65_536  # that passages are counted in, at most
# Of the rows: from here on a passage is shared. Copies of one document seldom make up so much of a set.
_SHARE = 0.1
_LEAST_ROWS = 3
_LEAST_CHARACTERS = 40  # shorter ones outweigh nothing
_MOST = 64  # passages: those that take up most of the set
_BATCH_BYTES = 4 << 20
_REST_CHARACTERS = 1_000  # of what is left, by which a copy is known

# A unit is a sentence or a line with the blank space after it; units put one after the other are the text.
_END = r"\n.:;?!。：；？！"
_UNIT = rf"[^{_END}]*[{_END}]+\s*|[^{_END}]+$"
# What stands between the turns and columns of a row belongs to none of them.
_MARK = r"^(### \w+:|[\u241e\u241f\u2400])\s*$"
_HEADING, _SAYS = r"(?m)^### \w+:$", r"[^\s\p{P}\u241e\u241f\u2400]"
_WORD = rf"{UNSPACED}|[\p{{L}}\p{{M}}\p{{N}}--{UNSPACED}]+"
_COPIED = 0.4  # of the runs of three words in what is left, from which on it is a passage over again


def shared_passages(text: pl.Series) -> list[str]:
    """What stands word for word in a tenth of the rows or more, three at the least; the longest first, 64 at most.

    A passage is whole sentences or lines that go together, 40 characters or more. Counted in a sample, drawn the same
    way every time. ``text``: strings, [n], as they are rendered or compared; nulls hold nothing.
    """
    sample = _sample(text)
    least = max(_LEAST_ROWS, _SHARE * len(sample))
    units = (
        pl.DataFrame({"row": pl.int_range(len(sample), eager=True), "unit": sample.str.extract_all(_UNIT)})
        .explode("unit", empty_as_null=True, keep_nulls=True)
        .with_row_index("at")
    )
    common = _rows_of(units, "unit").filter((pl.col("rows") >= least) & ~pl.col("unit").str.contains(_MARK))
    units = units.join(common, on="unit", maintain_order="left")
    follows = (pl.col("at") == pl.col("at").shift() + 1) & (pl.col("row") == pl.col("row").shift())
    units = units.with_columns(follows=follows.fill_null(False), before=pl.col("unit").shift())
    pairs = _rows_of(units.filter("follows"), "before", "unit").rename({"rows": "together"})
    # Units go together where one seldom stands without the other: a template and what fills its slots do not.
    apart = pl.col("together") * 2 < pl.max_horizontal("rows", pl.col("rows").shift())
    runs = units.join(pairs, on=["before", "unit"], how="left", maintain_order="left").with_columns(
        run=(~pl.col("follows") | apart).fill_null(True).cum_sum()
    )
    passages = runs.group_by("run").agg(pl.col("row").first(), passage=pl.col("unit").str.join("").str.strip_chars())
    length = pl.col("passage").str.len_chars()
    counted = _rows_of(passages.filter(length >= _LEAST_CHARACTERS), "passage").filter(pl.col("rows") >= least)
    heaviest = counted.sort(pl.col("rows") * length, "passage", descending=[True, False]).head(_MOST)
    return heaviest.sort(length, "passage", descending=[True, False])["passage"].to_list()


def _sample(text: pl.Series) -> pl.Series:
    """At most so many texts, drawn by chance, and so much of each that they can be held in memory."""
    held = np.minimum(text.str.len_bytes().fill_null(0).to_numpy(), _TEXT_CHARACTERS)
    share = min(1.0, _SAMPLE_ROWS / max(1, len(text)), _SAMPLE_BYTES / max(1, int(held.sum())))
    drawn = np.random.default_rng(0).random(len(text)) < share
    return text.filter(pl.Series(drawn)).drop_nulls().str.head(_TEXT_CHARACTERS)


def _rows_of(frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """In how many rows the values of some columns stand: the columns and ``rows``."""
    return frame.lazy().unique(["row", *columns]).group_by(columns).agg(rows=pl.len().cast(pl.Int64)).collect()


def without(text: pl.Series, passages: list[str]) -> pl.Series:
    """Texts (strings, [n]) without some passages (as ``shared_passages`` gives them).

    A text stays whole that would say nothing else, and one whose rest is a passage over again, a few words changed: it
    is a copy, and is to be known for one.
    """
    if not passages or not len(text):
        return text
    known = _triples(pl.Series(passages))["triple"].unique()
    return pl.concat([_left(text.slice(*part), passages, known) for part in batches(text, _BATCH_BYTES)])


def _left(text: pl.Series, passages: list[str], known: pl.Series) -> pl.Series:
    left = text.str.replace_many(passages, [""], leftmost=True)  # of two that begin at one place the longer
    changed = (left != text).fill_null(False).arg_true()
    if not len(changed):
        return text
    rest = left.gather(changed)
    triples = _triples(rest.str.head(_REST_CHARACTERS)).with_columns(pl.col("triple").is_in(known.implode()))
    copied = triples.group_by("row").agg(pl.col("triple").mean()).filter(pl.col("triple") >= _COPIED)["row"]
    says = rest.str.replace_all(_HEADING, "").str.contains(_SAYS).scatter(copied, False)
    at = changed.filter(says)
    return text.clone().scatter(at, left.gather(at))  # which works in place


def _triples(text: pl.Series) -> pl.DataFrame:
    """The hash of every three words in a row (``triple``, UInt64), and the ``row`` of ``text`` they stand in."""
    words = (
        pl.DataFrame({"row": pl.int_range(len(text), dtype=pl.UInt32, eager=True), "word": text})
        .with_columns(pl.col("word").str.to_lowercase().str.extract_all(_WORD))
        .explode("word", empty_as_null=True, keep_nulls=True)
    )
    word = pl.col("word").hash()
    triple = (word * 3 + word.shift(-1)) * 3 + word.shift(-2)
    return words.select("row", triple=triple).filter(words["row"] == words["row"].shift(-2))
