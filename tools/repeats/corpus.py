"""Rows that stand in a corpus already: exact copies, and near-duplicates as ``lsh`` finds them."""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike

from ...state.errors import storage_error
from ...state.params.preparation import CleanParams, DedupParams, LoadParams
from ...state.rows import Removal
from ..read.content import BETWEEN_COLUMNS
from ..read.load import load
from ..text.clean import normalise
from .lsh import matches
from .minhash import Parts, SignedRows, signatures

_BATCH_ROWS = 8192


@dataclass(frozen=True)
class Corpus:
    """The rows of some files that have a text, m in all, as memory maps.

    ``names``: strings [m], ``FILE#ID``; ``text``: strings [m], what they are compared by, normalised;
    ``signatures``: uint32 [m, num_perm].
    """

    names: pl.Series
    text: pl.Series
    signatures: np.ndarray

    @property
    def is_plain(self) -> bool:
        """Whether its rows are texts and nothing more: rows of several columns are then compared by their text."""
        return not self.text.str.contains(BETWEEN_COLUMNS, literal=True).any()


def open_corpus(files: Iterable[str], folder: Path, params: DedupParams, clean: CleanParams) -> Corpus:
    """Read, normalise and sign the rows of ``files``, each anything that ``load`` reads.

    Args:
        files: named in ``Corpus.names`` as they are here.
        folder: for the memory maps, which last as long as it; created if missing.
        clean: how the text is normalised: as that of the rows to be compared is.

    Raises:
        RecrystError: as ``load`` says.
        StorageError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        frame = map_strings(_rows(files, folder, clean), ("name", "text"), folder / "corpus.arrow")
        shape = (frame.height, params.num_perm)
        signed = signatures(frame["text"], params, out=signature_map(folder / "corpus.npy", shape))
    except OSError as error:
        raise storage_error(error, error.filename or folder, "writing the corpus to") from error
    return Corpus(frame["name"], frame["text"], signed)


def _rows(files: Iterable[str], folder: Path, clean: CleanParams) -> Iterator[pl.DataFrame]:
    """The rows of ``files`` that have a text, by batches: name and normalised text."""
    for file in files:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            loaded = pq.ParquetFile(load(file, LoadParams(), Path(name)).rows)
            for batch in loaded.iter_batches(_BATCH_ROWS, columns=["id", "text", "content"]):
                frame = pl.DataFrame(batch).with_columns(text=pl.coalesce("content", "text"))
                yield (
                    frame.select(pl.format("{}#{}", pl.lit(file), "id").alias("name"))
                    .with_columns(normalise(frame["text"], clean))
                    .filter(pl.col("text") != "")
                )


def map_strings(batches: Iterable[pl.DataFrame], names: tuple[str, ...], file: Path) -> pl.DataFrame:
    """Write frames of string columns to an Arrow file and map it: its characters stay on disk until they are read."""
    schema = pa.schema([(name, pa.string_view()) for name in names])
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in batches:
            writer.write_table(batch.select(names).to_arrow().cast(schema))
    return pl.DataFrame(pa.ipc.open_file(pa.memory_map(str(file))).read_all())


def signature_map(file: Path, shape: tuple[int, int]) -> np.ndarray:
    """Room for signatures (uint32 [n, num_perm]) in a file; in memory where there are none, which no file can map."""
    if not shape[0]:
        return np.empty(shape, dtype=np.uint32)
    return np.lib.format.open_memmap(file, mode="w+", dtype=np.uint32, shape=shape)


def corpus_duplicates(signed: SignedRows, corpus: Corpus, params: DedupParams, left_out: ArrayLike = ()) -> Removal:
    """Rows that repeat a row of the corpus: the same text, or shingles alike to at least the threshold.

    A row, given by all that it is compared by, normalised as the corpus is, is compared with rows of the corpus alone;
    those at the positions ``left_out`` (uint32) with nothing. ``duplicate_of`` names the row of the corpus.
    """
    text, rows = signed.text, signed.rows
    standing = np.flatnonzero(~np.isin(rows, left_out))
    same, first = _copies(text, standing, corpus)
    others = np.setdiff1d(standing, same)
    settled = len(corpus.text)
    both, tables = pl.concat([corpus.text, text.alias("text")]), (corpus.signatures, signed.signatures)
    keep_order = np.concatenate([np.arange(settled), others + settled])
    parts = Parts(both, params.ngram_size)
    found = list(matches((both, parts), tables, keep_order, params, settled, closed=True))
    entries = np.concatenate([same, np.array([match.entry - settled for match in found], dtype=np.int64)])
    instead = np.concatenate([first, np.array([match.kept for match in found], dtype=np.int64)])
    score = np.concatenate([np.ones(len(same)), np.array([match.jaccard for match in found])])
    order = np.argsort(rows[entries])
    gone = rows[entries][order].astype(np.uint32)
    return Removal("in_corpus", gone, score[order], params.threshold, corpus.names.gather(instead[order]))


def _copies(text: pl.Series, entries: np.ndarray, corpus: Corpus) -> tuple[np.ndarray, np.ndarray]:
    """Those of the ``entries`` of ``text`` that stand in the corpus as they are, and where they first do (int64)."""
    known = pl.DataFrame({"hash": corpus.text.hash(), "first": pl.int_range(len(corpus.text), eager=True)})
    hashed = pl.DataFrame({"entry": entries, "hash": text.hash().gather(entries)})
    both = hashed.join(known.unique("hash", keep="first"), on="hash", maintain_order="left")
    both = both.filter(text.gather(both["entry"]) == corpus.text.gather(both["first"]))  # a null is equal to nothing
    return both["entry"].to_numpy(), both["first"].to_numpy()
