"""Texts to unit vectors: each distinct text once, and found again by later runs where it was embedded before."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from ...state.errors import InputError, storage_error
from ...state.params.vectors import EmbedParams, EmbedTableParams
from ...state.phrases import Advance, counted, printable, silent
from ...state.store import whole_file
from ..read.columns import sound_vectors
from ..repeats.shared import shared_passages, without
from ..table_tool import Noted, TableTool
from .cache import VectorCache, groups, open_cache
from .encoders.open import Encoder, encoder_for, open_encoder
from .neighbors import unit

__all__ = [
    "EmbedResult",
    "Encoder",
    "VectorCache",
    "embed",
    "encoder_for",
    "open_cache",
    "open_encoder",
    "table_vectors",
]

_CHARACTERS_PER_TOKEN = 512  # text beyond max_tokens times this is cut off before the tokeniser sees it
_READ_ROWS = 65_536


@dataclass(frozen=True)
class EmbedResult:
    """``vectors``: float32 [n, d], unit length. ``embedded`` texts went through the model, ``cached`` rows did not."""

    vectors: np.ndarray
    embedded: int
    cached: int


class KnownVectors(NamedTuple):
    """Vectors (float32 [m, d]) by the keys of their texts (S16 [m], ascending)."""

    keys: np.ndarray
    vectors: np.ndarray

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Where the texts of ``keys`` (S16 [n]) stand among the known, int64 [n]; −1 where they do not."""
        if not len(self.keys):
            return np.full(len(keys), -1, dtype=np.int64)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, at, -1)


NOTHING_KNOWN = KnownVectors(np.empty(0, dtype="S16"), np.empty((0, 0), dtype=np.float32))


def write_known(file: Path, texts: pl.Series, vectors: np.ndarray, params: EmbedParams) -> None:
    """Write the vectors (float32 [n, d]) of texts (strings [n]) for ``read_known``.

    Raises:
        StorageError: the disk is full or not writable.
    """
    keys, first = np.unique(_keys_and_lengths(texts, _limit(params))[0], return_index=True)
    kind = np.dtype([("key", "S16"), ("vector", "<f4", vectors.shape[1:])])
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": keys.shape}
    with whole_file(file) as made:
        file.parent.mkdir(parents=True, exist_ok=True)
        with made.open("wb") as to:  # ``np.save`` tells of no full disk
            np.lib.format.write_array_header_1_0(to, header)
            for start in range(0, len(keys), _READ_ROWS):
                part = slice(start, start + _READ_ROWS)
                table = np.empty(len(keys[part]), dtype=kind)
                table["key"], table["vector"] = keys[part], vectors[first[part]]
                to.write(table.tobytes())


def read_known(file: Path) -> KnownVectors:
    """What ``write_known`` wrote; nothing where there is no such file."""
    if not file.is_file():
        return NOTHING_KNOWN
    table = np.load(file, mmap_mode="r")
    return KnownVectors(table["key"].copy(), table["vector"])


def embed(
    texts: pl.Series,
    encoder: Encoder,
    cache: VectorCache,
    params: EmbedParams,
    advance: Advance = silent,
    room: Path | None = None,
    known: KnownVectors = NOTHING_KNOWN,
) -> EmbedResult:
    """Vectors of ``texts`` in their order, each distinct text embedded once, or found where it was kept before.

    Which texts go through the model together is decided by the texts alone (``cache.groups``), never by what is known:
    the vectors are the same bits whatever the cache holds, also after a kill.

    Args:
        texts: strings, [n]; a null counts as an empty text. Only the first 512 · ``max_tokens`` characters of a
            text are read, for its vector and for its key.
        encoder: the model; ``cache`` must be one of it.
        params: ``batch_size`` bounds how many texts are encoded together, ``max_tokens`` how much of them is read.
        room: a folder with room for the vectors; None: that of temporary files.
        known: vectors that are taken before all others, as they are.

    Raises:
        InputError: the model gave vectors that are not finite numbers.
        StorageError: there is no room for the vectors; what was embedded is found by the next call.
    """
    limit = _limit(params)
    keys, lengths = _keys_and_lengths(texts, limit)
    unique, first, inverse, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    rows_of, starts = np.argsort(inverse, kind="stable"), np.cumsum(counts) - counts
    out = _unnamed_array((len(keys), encoder.dimensions), room)
    embedded = cached = 0

    def place(chosen: np.ndarray, vectors: np.ndarray) -> int:
        """Put the vectors of some distinct texts where these stand; returns in how many rows."""
        repeats = counts[chosen]
        within = np.arange(repeats.sum()) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        out[rows_of[np.repeat(starts[chosen], repeats) + within]] = np.repeat(vectors, repeats, axis=0)
        advance(len(within))
        return len(within)

    there = known.find(unique)
    found = np.flatnonzero(there >= 0)
    for at in range(0, len(found), _READ_ROWS):
        part = found[at : at + _READ_ROWS]
        cached += place(part, known.vectors[there[part]])
    # Longest first: equal lengths share a batch, and the largest demand for memory comes at the start. ``unique``
    # ascends by key and the sort is stable, so the order depends on the texts alone, not on where they stand.
    left = np.flatnonzero(there < 0)
    left = left[np.argsort(-lengths[first[left]], kind="stable")]
    for start, end in groups(unique[left], params.batch_size):
        chosen = left[start:end]
        vectors = cache.read(unique[chosen])
        if vectors is not None:
            cached += place(chosen, vectors)
            continue
        vectors = encoder.encode(_text(texts.gather(first[chosen]), limit).to_list())
        if not np.isfinite(vectors).all():
            raise InputError(f"the model {encoder.name!r} gave vectors that are not finite: choose another model")
        cache.write(unique[chosen], vectors)
        place(chosen, vectors)
        embedded += len(chosen)
    cache.tidy()
    return EmbedResult(vectors=out, embedded=embedded, cached=cached)


def _unnamed_array(shape: tuple[int, int], room: Path | None) -> np.ndarray:
    """Room for vectors (float32), in a file without a name so that the operating system can page it out.

    10 million rows are 15 GB. The file goes when the array goes.

    Raises:
        StorageError: the disk is full or not writable.
    """
    if not shape[0]:
        return np.empty(shape, dtype=np.float32)
    try:
        with tempfile.TemporaryFile(dir=room) as file:
            # Claimed at once: a sparse file on a full disk would end in a bus error.
            if hasattr(os, "posix_fallocate"):  # macOS has none
                os.posix_fallocate(file.fileno(), 0, shape[0] * shape[1] * 4)
            return np.memmap(file, dtype=np.float32, mode="r+", shape=shape)
    except OSError as error:
        raise storage_error(error, room or tempfile.gettempdir(), "making room for the vectors in") from error


def _limit(params: EmbedParams) -> int:
    return params.max_tokens * _CHARACTERS_PER_TOKEN


def _text(column: pl.Series, limit: int) -> pl.Series:
    """What is read of each text: at most ``limit`` characters."""
    return column.str.head(limit).fill_null("")


def _keys_and_lengths(column: pl.Series, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Key (S16 [n]) and length in characters (int64 [n]) of what is read of each text, batch by batch."""
    digests, lengths = list[bytes](), [np.empty(0, dtype=np.int64)]
    for start in range(0, len(column), _READ_ROWS):
        text = _text(column.slice(start, _READ_ROWS), limit)
        digests.append(b"".join(hashlib.sha256(one.encode()).digest()[:16] for one in text.to_list()))
        lengths.append(text.str.len_chars().to_numpy())
    # Equal-length byte strings: that numpy ignores trailing zero bytes when comparing cannot confuse two of them.
    return np.frombuffer(b"".join(digests), dtype="S16"), np.concatenate(lengths)


def table_vectors(frame: pl.DataFrame) -> np.ndarray:
    """The column ``vector`` of a table (lists or arrays of numbers), float32 [n, d] of unit length; zeros stay zeros.

    Raises:
        InputError: there is none, or a row has no vector, one of another length, or a number that is not finite.
    """
    if "vector" not in frame.columns:
        raise InputError("the table has no column `vector`: run the tool `embed` first")
    matrix, sound = sound_vectors(frame["vector"].to_arrow(), None)
    if not sound.all():
        row = int(np.argmin(sound))
        raise InputError(f"column 'vector': row {row} has no vector as long as the first, of finite numbers")
    return unit(matrix)


def left_out(passages: list[str]) -> str | None:
    """What is said of passages that are left out of what is embedded; None where there are none."""
    if not passages:
        return None
    are = "are" if len(passages) > 1 else "is"
    what = f"{counted(len(passages), 'passage')} that many rows share {are} left out of what is embedded"
    return f"{what}, the longest: “{printable(passages[0][:60])} …”"


def _with_vectors(frame: pl.DataFrame, params: EmbedTableParams, seed: int) -> Noted:
    """The frame with a ``vector`` column, of what is said beside the passages that many rows share."""
    from .axes import shortest

    if "text" not in frame.columns:
        raise InputError("the table has no column `text`: name the text column so")
    encoder = open_encoder(params)
    with tempfile.TemporaryDirectory() as folder:
        passages = shared_passages(frame["text"])
        varying, cache = without(frame["text"], passages), open_cache(encoder, Path(folder))
        by_whom = None
        if params.static:
            from .static.tier import embed_by_student

            vectors, by_whom, _ = embed_by_student(varying, encoder, cache, params, seed)
        else:
            vectors = embed(varying, encoder, cache, params).vectors
        vectors, shorter = shortest(np.asarray(vectors), params, seed)
        column = pl.Series("vector", vectors, dtype=pl.Array(pl.Float32, vectors.shape[1]))
        said = (left_out(passages), by_whom, encoder.reading.said(params.max_tokens), shorter)
        return Noted(frame.with_columns(column), [one for one in said if one])


TOOL = TableTool("embed", on_table=_with_vectors)
