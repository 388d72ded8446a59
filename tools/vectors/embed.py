"""Texts to unit vectors, each distinct text once, cached on disk by content and model.

A vector's last bits depend on which texts share its batch (padding changes the shapes of the matrix products).
Therefore the texts still to embed are put in one order and cut into shards of fixed size, and a shard is
encoded and written whole: after a kill the missing texts fall into the same shards and batches, and the bytes
come out the same.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ...state.canonical import sha256_bytes, sha256_file
from ...state.config import EmbedParams
from ...state.errors import InputError, storage_error
from ...state.phrases import Advance, counted, printable, silent
from ...state.store import put_in_place
from ..read.columns import sound_vectors
from ..repeats.shared import shared_passages, without
from ..table_tool import Noted, TableTool
from .encoder import Encoder, open_encoder
from .neighbors import unit

__all__ = ["EmbedResult", "Encoder", "VectorCache", "embed", "open_encoder", "table_vectors"]

_CALL_BATCHES = 4  # batches in one call of the encoder, which sorts them by tokens; also the grain of the progress
_SHARD_CALLS = 8  # such calls in a shard: 2048 texts at the default batch size
_CHARACTERS_PER_TOKEN = 512  # text beyond max_tokens times this is cut off before the tokeniser sees it
_READ_ROWS = 65_536


class VectorCache:
    """Vectors on disk, found by the content of a text and the name of a model.

    A shard is one ``.npy`` table of (key: first 16 bytes of the text's SHA-256, vector: float32), named by the
    SHA-256 of its bytes. A shard whose bytes do not have the hash in its name (torn, altered) is passed over, and its
    texts are embedded anew. One process writes at a time.
    """

    def __init__(self, folder: Path, model_name: str, dimensions: int) -> None:
        """Open or make the cache; every shard is read once and verified.

        Raises:
            StorageError: the folder cannot be made or read.
        """
        self.folder = folder / sha256_bytes(f"{model_name} {dimensions}".encode())[:32]
        self.dimensions = dimensions
        self._record = np.dtype([("key", "S16"), ("vector", "<f4", (dimensions,))])
        self._shards: list[Path] = []
        self._keys = np.empty(0, dtype="S16")  # ascending
        self._shard_of = np.empty(0, dtype=np.int32)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            whole = [path for path in sorted(self.folder.glob("*.npy")) if sha256_file(path) == path.stem]
            self._index([(path, np.load(path, mmap_mode="r")["key"].copy()) for path in whole])
        except OSError as error:
            raise storage_error(error, self.folder, "reading the vector cache") from error

    def _index(self, shards: list[tuple[Path, np.ndarray]]) -> None:
        """Make the keys of further shards known; of a key that stands in several, the first counts."""
        first = len(self._shards)
        self._shards += [path for path, _ in shards]
        keys = np.concatenate([self._keys, *(keys for _, keys in shards)])
        numbers = [np.full(len(keys), first + at, dtype=np.int32) for at, (_, keys) in enumerate(shards)]
        self._keys, kept = np.unique(keys, return_index=True)
        self._shard_of = np.concatenate([self._shard_of, *numbers])[kept]

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Positions of ``keys`` (S16 [n]) among the keys that have a vector, int64 [n]; −1 where a key has none."""
        if not len(self._keys):
            return np.full(len(keys), -1, dtype=np.int64)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, at, -1)

    def write(self, shards: Iterator[tuple[np.ndarray, np.ndarray]]) -> None:
        """Store shards of (keys S16 [m], vectors float32 [m, d]) one by one as they come.

        Raises:
            StorageError: the disk is full or not writable; the shards before stay.
        """
        written = []
        try:
            for keys, vectors in shards:
                table = np.empty(len(keys), dtype=self._record)
                table["key"], table["vector"] = keys, vectors
                written.append((self._write(table), keys))
        finally:
            self._index(written)

    def _write(self, table: np.ndarray) -> Path:
        temporary = self.folder / f"{os.getpid()}.tmp"
        try:
            with temporary.open("wb") as file:
                np.save(file, table, allow_pickle=False)
            target = self.folder / f"{sha256_file(temporary)}.npy"
            put_in_place(temporary, target)
        except OSError as error:
            raise storage_error(error, self.folder, "writing the vector cache") from error
        return target

    def gather(self, keys: np.ndarray) -> np.ndarray:
        """The vectors of ``keys`` (S16 [n], all known): float32 [n, dimensions].

        The array lies in an unnamed temporary file beside the shards, so that the operating system can page it out:
        10 million rows are 15 GB. The file goes when the array goes.

        Raises:
            StorageError: the disk is full or a shard cannot be read.
        """
        if not len(keys):
            return np.empty((0, self.dimensions), dtype=np.float32)
        shard_of = self._shard_of[self.find(keys)]
        order = np.argsort(shard_of, kind="stable")
        bounds = np.searchsorted(shard_of[order], np.arange(len(self._shards) + 1))
        try:
            out = self._unnamed_array(len(keys))
            for shard in np.unique(shard_of):
                rows = order[bounds[shard] : bounds[shard + 1]]
                table = np.load(self._shards[shard], mmap_mode="r")
                sorter = np.argsort(table["key"], kind="stable")
                out[rows] = table["vector"][sorter[np.searchsorted(table["key"], keys[rows], sorter=sorter)]]
        except OSError as error:
            raise storage_error(error, self.folder, "reading the vector cache") from error
        return out

    def _unnamed_array(self, rows: int) -> np.ndarray:
        with tempfile.TemporaryFile(dir=self.folder) as file:
            # Claimed at once: a sparse file on a full disk would end in a bus error.
            if hasattr(os, "posix_fallocate"):  # macOS has none
                os.posix_fallocate(file.fileno(), 0, rows * self.dimensions * 4)
            return np.memmap(file, dtype=np.float32, mode="r+", shape=(rows, self.dimensions))


@dataclass(frozen=True)
class EmbedResult:
    """``vectors``: float32 [n, d], unit length. ``embedded`` texts went through the model, ``cached`` rows did not."""

    vectors: np.ndarray
    embedded: int
    cached: int


def embed(
    texts: pl.Series, encoder: Encoder, cache: VectorCache, params: EmbedParams, advance: Advance = silent
) -> EmbedResult:
    """Vectors of ``texts`` in their order, each distinct text embedded once and found in the cache ever after.

    Args:
        texts: strings, [n]; a null counts as an empty text. Only the first 512 · ``max_tokens`` characters of a
            text are read, for its vector and for its key.
        encoder: the model; ``cache`` must be one of its name and dimensions.
        params: ``batch_size`` fixes how texts are grouped, ``max_tokens`` how much of them is read.

    Raises:
        InputError: the model gave vectors that are not finite numbers.
        StorageError: the cache cannot be read or written; finished shards stay and are found by the next call.
    """
    limit = params.max_tokens * _CHARACTERS_PER_TOKEN
    keys, lengths = _keys_and_lengths(texts, limit)
    unique, first, counts = np.unique(keys, return_index=True, return_counts=True)
    missing = np.flatnonzero(cache.find(unique) < 0)
    rows_of_missing = int(counts[missing].sum())
    advance(len(keys) - rows_of_missing)
    # Longest first: equal lengths share a batch, and the largest demand for memory comes at the start. ``unique``
    # ascends by key and the sort is stable, so the order depends on the texts alone, not on where they stand.
    missing = missing[np.argsort(-lengths[first[missing]], kind="stable")]

    def shards() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        call = params.batch_size * _CALL_BATCHES
        for start in range(0, len(missing), call * _SHARD_CALLS):
            shard = missing[start : start + call * _SHARD_CALLS]
            vectors = np.empty((len(shard), encoder.dimensions), dtype=np.float32)
            for at in range(0, len(shard), call):
                chosen = shard[at : at + call]
                vectors[at : at + call] = encoder.encode(_text(texts.gather(first[chosen]), limit).to_list())
                advance(int(counts[chosen].sum()))
            if not np.isfinite(vectors).all():
                raise InputError(f"the model {encoder.name!r} gave vectors that are not finite: choose another model")
            yield unique[shard], vectors

    cache.write(shards())
    return EmbedResult(vectors=cache.gather(keys), embedded=len(missing), cached=len(keys) - rows_of_missing)


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


def _with_vectors(frame: pl.DataFrame, params: EmbedParams, seed: int) -> Noted:
    """The frame with a ``vector`` column, of what is said beside the passages that many rows share."""
    if "text" not in frame.columns:
        raise InputError("the table has no column `text`: name the text column so")
    encoder = open_encoder(params)
    with tempfile.TemporaryDirectory() as folder:
        cache = VectorCache(Path(folder), encoder.name, encoder.dimensions)
        passages = shared_passages(frame["text"])
        vectors = embed(without(frame["text"], passages), encoder, cache, params).vectors
        column = pl.Series("vector", np.asarray(vectors), dtype=pl.Array(pl.Float32, encoder.dimensions))
        said = (left_out(passages), encoder.reading.said(params.max_tokens))
        return Noted(frame.with_columns(column), [one for one in said if one])


TOOL = TableTool("embed", on_table=_with_vectors)
