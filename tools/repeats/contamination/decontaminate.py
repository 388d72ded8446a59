"""Decontamination: rows that hold a benchmark's text, with the span they share.

n-gram overlap: Brown et al. 2020, "Language Models are Few-Shot Learners", appendix C (13 words, as in EleutherAI's
lm-evaluation-harness). Longest span: Singh et al. 2024, "Evaluation data contamination in LLMs: how do we measure it
and (when) does it matter?" (ConTAM), metric LONGEST-MATCH: the longest contiguous run of matched n-grams as a share of
the benchmark's text, here within one row.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ....state.errors import UsageError
from ....state.params.preparation import DecontaminateParams
from ....state.phrases import Advance, silent
from ....state.rows import Removal
from ...table_tool import TableTool
from ...text.batches import batches
from .benchmarks import LEAST_WORDS, Benchmarks, open_benchmarks
from .folded import folded, unfolded

if TYPE_CHECKING:
    from ...text.ngrams import Words

#: The columns of ``Contamination.matches``.
MATCHES = {
    "row": pl.UInt32,
    "benchmark": pl.String,  # the file's name
    "benchmark_id": pl.String,
    "column": pl.String,
    "words": pl.UInt32,  # in the span
    "share": pl.Float64,  # of the benchmark text's words
    "whole": pl.Boolean,  # the text is shorter than an n-gram, and the span is whole lines of the row
    "start": pl.UInt32,  # in characters of the row's text …
    "end": pl.UInt32,  # … and the one after the last
    "span": pl.String,
    "text": pl.String,  # of the benchmark
}
_MAX_SPAN = 1000  # characters of a span, or of a benchmark's text, that stand in the table
_BATCH_BYTES = 4 << 20


@dataclass(frozen=True)
class Contamination:
    """The rows that hold a benchmark's text, by reason, and what each of them shares (``MATCHES``, a line a row)."""

    removals: list[Removal]
    matches: pl.DataFrame


def contaminated(
    text: pl.Series, rows: np.ndarray, benchmarks: Benchmarks, params: DecontaminateParams, advance: Advance = silent
) -> Contamination:
    """Rows that share words with a benchmark's text: lower-cased runs of letters and digits, whatever is between them.

    Full-width and other forms of a letter are the letter, and HTML references what they stand for; zero-width and other
    invisible characters do not count (``folded``). The rows are left as they are, and spans are those of the rows.

    Each row by itself. ``benchmark_ngram``: the row has an n-gram of the text. ``benchmark_span``: their
    longest run in common covers ``min_coverage`` of the text. ``benchmark_text``: the text is shorter than an n-gram,
    has 5 words or more, and is whole lines of the row, as a question in a conversation is.

    Args:
        text: strings, [n]; a null holds nothing.
        rows: positions, uint32 [n], ascending; ``text[i]`` belongs to ``rows[i]``.
        benchmarks: opened with the same parameters.

    Returns:
        The removals, with the words of the longest span as score against those of an n-gram (for ``longest_span`` the
        share against ``min_coverage``), and ``FILE#ID`` of the benchmark's row as ``duplicate_of``; and the matches.
    """
    found = [pl.DataFrame(schema=MATCHES)]
    for start, count in batches(text, _BATCH_BYTES):
        batch = text.slice(start, count)
        matches = _matches(batch, benchmarks, params)
        if matches.height:
            found.append(matches.with_columns(row=pl.Series(rows[start + matches["row"].to_numpy()], dtype=pl.UInt32)))
        advance(count)
    table = pl.concat(found)
    spanned, whole = table.filter(~pl.col("whole")), table.filter("whole")
    if params.method == "ngram":
        first = _removal("benchmark_ngram", spanned, "words", benchmarks.size)
    else:
        first = _removal("benchmark_span", spanned, "share", params.min_coverage)
    return Contamination([first, _removal("benchmark_text", whole, "words", LEAST_WORDS)], table)


def _removal(reason: str, matches: pl.DataFrame, score: str, threshold: float) -> Removal:
    measured = matches[score].to_numpy().astype(np.float64)
    found_in = matches.select(pl.format("{}#{}", "benchmark", "benchmark_id")).to_series()
    rows = matches["row"].to_numpy()
    return Removal(reason, rows, measured, threshold, found_in, span=matches["span"], twin_text=matches["text"])


def _matches(text: pl.Series, benchmarks: Benchmarks, params: DecontaminateParams) -> pl.DataFrame:
    """The best match of every text that has one; ``row`` is its place in ``text``."""
    from ...text.ngrams import words_of
    from .overlap import longest

    seen, known = folded(text), benchmarks.known
    words = words_of(seen)
    share = params.min_coverage if params.method == "longest_span" else 0.0
    found = longest(words, known, benchmarks.size, LEAST_WORDS, share)
    rows = np.flatnonzero(found[:, 0])
    if not len(rows):
        return pl.DataFrame(schema=MATCHES)
    length, of, at, to = found[rows].T
    start, end = _in_characters(words, rows, words.start[at], words.end[at + length - 1])
    own = text.gather(rows)
    for other in (own != seen.gather(rows)).arg_true():
        start[other], end[other] = unfolded(own[other], int(start[other]), int(end[other]))
    texts = benchmarks.texts[known.text_of[to]]
    frame = pl.DataFrame({
        "row": rows, "benchmark": texts["file"], "benchmark_id": texts["id"], "column": texts["column"],
        "words": length, "share": length / of, "whole": of < benchmarks.size, "start": start, "end": end,
        "span": own.str.slice(pl.Series(start), pl.Series(np.minimum(end - start, _MAX_SPAN))),
        "text": texts["text"].str.slice(0, _MAX_SPAN),
    })  # fmt: skip
    return frame.cast(MATCHES)  # type: ignore[arg-type]


def _in_characters(words: Words, rows: np.ndarray, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions in bytes of the batch as characters of their own rows; all int64 [m]."""
    begins = np.concatenate([[0], np.cumsum((words.data & 0xC0) != 0x80)])  # characters that begin before a byte
    first = begins[words.offsets[rows]]
    return begins[start] - first, begins[end] - first


@functools.lru_cache(maxsize=1)
def _opened(params: DecontaminateParams) -> Benchmarks:
    """The benchmarks of a tool's parameters, opened once for all batches of a table."""
    if not params.against:
        raise UsageError("decontaminate needs benchmark files to hold the rows against: --set against=[FILE, …]")
    return open_benchmarks(params.against, params)


def _annotate(rows: pl.DataFrame, params: DecontaminateParams) -> pl.DataFrame:
    """``contaminated``, and for those rows the ``benchmark``'s row as FILE#ID and the ``span`` they share."""
    positions = np.arange(rows.height, dtype=np.uint32)
    matches = contaminated(rows["content"], positions, _opened(params), params).matches
    found = matches.select(
        "row", contaminated=True, benchmark=pl.format("{}#{}", "benchmark", "benchmark_id"), span="span"
    )
    frame = pl.DataFrame({"row": positions})
    joined = frame.join(found, on="row", how="left", maintain_order="left")
    return joined.drop("row").with_columns(pl.col("contaminated").fill_null(False))


def _removals(rows: pl.DataFrame, params: DecontaminateParams, advance: Advance) -> list[Removal]:
    positions = np.arange(rows.height, dtype=np.uint32)
    return contaminated(rows["content"], positions, _opened(params), params, advance).removals


TOOL = TableTool("decontaminate", annotate=_annotate, removals=_removals)
