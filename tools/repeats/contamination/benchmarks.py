"""Benchmark files, read and indexed so that rows can be held against them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from ....state.errors import InputError, storage_error
from ....state.params.preparation import CleanParams, DecontaminateParams, LoadParams
from ....state.phrases import counted
from ...read.columns import as_text, is_json_text, is_text, strings_in, values_of
from ...read.records import Quarantine, Reading, Records
from ...read.sources import read_source
from ...text.clean import normalise
from ...text.kinds import UNSPACED
from .folded import folded

if TYPE_CHECKING:
    from ...text.ngrams import Words
    from .overlap import GramIndex, Known

#: Words that a benchmark's text must have to be looked for at all. Shorter ones are labels and figures of speech.
LEAST_WORDS = 5
# An n-gram that more rows of its benchmark hold is the benchmark's template. The second bound keeps a passage that a
# hundred questions of a large benchmark are about.
_COMMON_ROWS = 10
_COMMON_SHARE = 0.01
_PLACES = 16  # where one text repeats one n-gram over and over, so many places of it are looked at
_SIZES = {"ngram": 13, "longest_span": 8}


@dataclass(frozen=True)
class Benchmarks:
    """The texts of benchmark files, ready to be found.

    ``texts`` has a row per text: ``file`` (its name), ``id``, ``column`` and ``text``, strings. ``size``: words of an
    n-gram.
    """

    texts: pl.DataFrame
    size: int
    known: Known


def open_benchmarks(paths: Sequence[str], params: DecontaminateParams) -> Benchmarks:
    """``read_benchmarks``, then ``index_benchmarks``."""
    return index_benchmarks(read_benchmarks(paths)[0], params)


def read_benchmarks(paths: Sequence[str]) -> tuple[pl.DataFrame, list[str]]:
    """The texts of benchmarks, and what a person should know of them; all of them are held in memory.

    Every text of a row counts by itself, because data may hold a question without its answer: the strings of every
    column but ``id``, those in lists and objects too. Values without blank space are names, labels or addresses.

    Returns:
        A row per text: ``row`` (Int64, the number of the benchmark's row), ``id``, ``column``, ``text`` and ``file``
        (its name), strings; and the notes.

    Raises:
        InputError: a benchmark cannot be read, or holds no text; it is named.
        StorageError: a file cannot be opened.
    """
    paths = list(dict.fromkeys(paths))
    frames, notes, rows = [], list[str](), 0
    for path, name in zip(paths, _names(paths), strict=True):
        frame, note = _read(path, name)
        frames.append(frame.with_columns(row=pl.col("row") + rows))
        rows += frame["row"][-1] + 1
        notes += note
    return pl.concat(frames), notes


def index_benchmarks(texts: pl.DataFrame, params: DecontaminateParams) -> Benchmarks:
    """The texts of ``read_benchmarks`` ready to be found.

    GPT-3 ignored the n-grams that stood in more than 10 training documents, as too common to tell anything. That would
    pass over a benchmark that is in the data eleven times; here an n-gram (or a short text) is ignored that stands in
    more than 10 rows, and more than 1 %, of its own benchmark; and one of numbers and single letters alone, such as
    counting to sixteen.
    """
    size = params.ngram_size or _SIZES[params.method]
    return Benchmarks(texts.drop("row"), size, _known(texts, size))


def _names(paths: Sequence[str]) -> list[str]:
    """The file names; with their folders where two are the same."""
    names = Counter(Path(path).name for path in paths)
    return [Path(path).name if names[Path(path).name] == 1 else "/".join(Path(path).parts[-2:]) for path in paths]


def _read(path: str, name: str) -> tuple[pl.DataFrame, list[str]]:
    """The texts of one benchmark: ``file``, ``id``, ``column``, ``text`` and the number of their ``row``."""
    from ...text.ngrams import words_of

    found: list[tuple[int, str, str, str]] = []
    try:
        with Path(os.devnull).open("wb") as nowhere:
            reading, numbers = Reading(LoadParams(), Quarantine(nowhere), every_split=True), count()
            with closing(read_source(path, reading)) as batches:
                for batch in batches:
                    found += _texts_of(batch, numbers)
    except OSError as error:
        raise storage_error(error, path, "reading the benchmark") from error
    except InputError as error:
        raise InputError(f"the benchmark {name} cannot be used: {error}") from error
    frame = pl.DataFrame(found, schema={"row": pl.Int64, "id": pl.String, "column": pl.String, "text": pl.String},
                         orient="row")  # fmt: skip
    frame = frame.with_columns(normalise(frame["text"], CleanParams()))
    seen = folded(frame["text"])
    words = np.diff(words_of(seen).first)
    frame = frame.filter(pl.Series(words >= LEAST_WORDS) & seen.str.contains(rf"\s|{UNSPACED}"))
    broken = reading.quarantine
    why = f"; {counted(broken.count, 'record')} could not be read, the first at {broken.first}" if broken.count else ""
    if frame.is_empty():
        raise InputError(f"the benchmark {path} holds no text of {LEAST_WORDS} words or more{why}; name another file")
    return frame.with_columns(file=pl.lit(name)), [f"{name}{why}"] if why else []


def _texts_of(batch: Records, numbers: Iterator[int]) -> list[tuple[int, str, str, str]]:
    """The row's number, its id, the column and the text of every string in a batch.

    The id is that of the column ``id``; without one it is the line, or position, in the file.
    """
    table = batch.table
    rows = [next(numbers) for _ in batch.lines]
    ids = [str(line) for line in batch.lines]
    at = table.schema.get_field_index("id")
    if at >= 0:
        own = as_text(table.column(at), table.schema.field(at)).to_pylist()
        ids = [value if value and value.strip() else line for value, line in zip(own, ids, strict=True)]
    return [
        (row, name, field.name, text)
        for column, field in zip(table.columns, table.schema, strict=True)
        if field.name != "id" and _may_hold_text(field)
        for row, name, value in zip(rows, ids, values_of(column, field), strict=True)
        for text in strings_in(value)
    ]


def _may_hold_text(field: pa.Field) -> bool:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    return bool(is_text(kind) or is_json_text(field) or pa.types.is_nested(kind))


def _known(texts: pl.DataFrame, size: int) -> Known:
    """The index of texts: n-grams of those that have one, and the others whole."""
    from ...text.ngrams import alphabet_table, gram_hashes, run_hashes, words_of
    from .overlap import Known

    words = words_of(folded(texts["text"]))
    lengths, first = np.diff(words.first), words.first[:-1]
    text_of = np.repeat(np.arange(texts.height, dtype=np.int32), lengths)
    owners = texts.select("row", file=pl.col("file").rle_id(), new=pl.col("text").is_first_distinct())
    short = np.flatnonzero(lengths < size)
    telling = _telling(words)
    hashes, at = gram_hashes(words.hashes, words.first, size)
    grams = _gram_index(hashes, at, telling[at + size] > telling[at], text_of, owners)
    hashes, at = run_hashes(words.hashes, first[short], first[short] + lengths[short]), first[short]
    whole = _gram_index(hashes, at, telling[at + lengths[short]] > telling[at], text_of, owners)
    listed = np.zeros(len(text_of), dtype=np.bool_)
    listed[grams.at] = True
    return Known(words, text_of, listed, grams, whole, int(lengths[short].max(initial=0)), alphabet_table())


def _telling(words: Words) -> np.ndarray:
    """How many words before each (int64 [m + 1]) are more than a number or a single letter."""
    spelled = np.concatenate([[0], np.cumsum((words.data < ord("0")) | (words.data > ord("9")))])  # bytes but digits
    return np.concatenate([[0], np.cumsum(spelled[words.end] - spelled[words.start] > 1)])


def _gram_index(
    hashes: np.ndarray, at: np.ndarray, telling: np.ndarray, text_of: np.ndarray, owners: pl.DataFrame
) -> GramIndex:
    """The index of the runs (uint64 [p], from the word ``at``) that are ``telling`` and not common in their file.

    ``owners``: ``file`` and ``row`` of each text, and whether it is ``new``: of equal texts the first is found.
    """
    from .overlap import index_of

    runs = pl.DataFrame({"hash": hashes, "at": at, "text": text_of[at]}).filter(pl.Series(telling)).sort("hash", "at")
    held = owners.group_by("file").agg(rows=pl.col("row").n_unique())
    runs = runs.with_columns(owners[runs["text"]]).join(held, on="file", how="left", maintain_order="left")
    common = pl.col("row").n_unique().over("hash", "file") > pl.max_horizontal(
        _COMMON_ROWS, _COMMON_SHARE * pl.col("rows")
    )
    runs = runs.filter(~common & pl.col("new") & (pl.int_range(pl.len()).over("hash", "text") < _PLACES))
    return index_of(runs["hash"].to_numpy(), runs["at"].to_numpy())
