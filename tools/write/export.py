"""Writing the curated set: Parquet with Zstandard, the original columns untouched, and a hash of its content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ...state.canonical import canonical_json, sha256_file
from ...state.errors import storage_error
from ...state.progress import Advance, silent
from .partitions import Partitions

BATCH_ROWS = 8192
SPLITS = ("train", "anchor")
PROVENANCE = ("synthetic", "seeds", "generator")
LABELS = ("domain", "tags", "difficulty", "labelled_by")
FOLDERS = ("domain", "difficulty")  # of a labelled set, outermost first

_KINDS = {
    "cluster": pa.int32(),
    "tags": pa.list_(pa.string()),
    "synthetic": pa.bool_(),
    "seeds": pa.list_(pa.string()),
}  # the other columns of ours are strings


@dataclass(frozen=True)
class Synthetic:
    """The rows a language model wrote: their original columns (Parquet as ``originals``), and where they come from.

    ``provenance`` has ``row`` uint32, ``seeds`` (ids of the rows that were shown, list of strings) and ``generator``.
    """

    originals: Path
    provenance: pl.DataFrame


@dataclass(frozen=True)
class ExportResult:
    """Where the curated files lie, with their own hashes, and the hash of what they say."""

    files: dict[str, str]  # path below the folder → SHA-256 of the file
    rows: dict[str, int]  # split → rows
    content_sha256: str


def export(
    originals: Path,
    ledger: pl.DataFrame,
    text: pl.Series,
    clusters: pl.DataFrame,
    folder: Path,
    advance: Advance = silent,
    labels: pl.DataFrame | None = None,
    synthetic: Synthetic | None = None,
) -> ExportResult:
    """Write ``<split>-00000.parquet`` for each split: original columns, then ``recryst_id/text/cluster``.

    With labels the columns ``recryst_split/domain/tags/difficulty/labelled_by`` follow, and the files lie in hive-style
    folders, ``domain=…/difficulty=…/part-<split>-00000.parquet``; an axis without a single label makes no folders.
    Whoever reads the folders as one table tells the held-out rows by their split. A column of the input that already
    has such a name, or that of a folder's key, keeps it; ours gets an underscore more.

    Args:
        originals: Parquet with ``row`` (position) and the original columns, in order of position.
        ledger: the final row ledger.
        text: normalised text of every position, strings [n].
        clusters: ``row`` uint32 and ``cluster`` int32 of the clustered rows.
        folder: made if absent; files of an earlier export are replaced.
        labels: ``row`` uint32 and the columns of a label table (``tools.labels``), or None.
        synthetic: with it, every row says by ``recryst_synthetic/seeds/generator`` whether and how it was generated.

    Raises:
        StorageError: the disk is full or not writable; no half file is left.
    """
    provenance = None if synthetic is None else synthetic.provenance
    ours = _said(ledger, text, clusters, labels, provenance)
    source = pq.ParquetFile(originals)
    more = (*(PROVENANCE if synthetic is not None else ()), *(("split", *LABELS) if labels is not None else ()))
    names = _free_names(source.schema_arrow.names, more)
    rows = dict.fromkeys(SPLITS, 0)
    keys = _folder_keys(source.schema_arrow.names, labels)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        out = Partitions(folder, keys) if keys else _Whole(folder)
        try:
            for batch in _batches(source, synthetic):
                for split in SPLITS:
                    table, known = _curated(batch, ours, split, names)
                    out.add(split, table, known)
                    rows[split] += table.num_rows
                advance(batch.num_rows)
            written = out.finish()
        finally:
            out.discard()
        files = {path.relative_to(folder).as_posix(): sha256_file(path) for path in written}
    except OSError as error:
        raise storage_error(error, folder, "writing the curated rows to") from error
    return ExportResult(files, rows, content_sha256(ledger, text, clusters, labels, provenance))


def _batches(source: pq.ParquetFile, synthetic: Synthetic | None) -> Iterator[pa.RecordBatch]:
    """The original columns of every row, the ingested ones first; a column that was never empty may be so here."""
    yielded = [source] if synthetic is None else [source, pq.ParquetFile(synthetic.originals)]
    schema = pa.schema([field.with_nullable(True) for field in source.schema_arrow])
    for file in yielded:
        for batch in file.iter_batches(BATCH_ROWS):
            yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)


class _Whole:
    """One file for each split, written as the rows come and put in place by ``finish``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[str, pq.ParquetWriter] = {}

    def add(self, split: str, table: pa.Table, values: pl.DataFrame) -> None:
        if split not in self._writers:
            temporary = self._folder / f".{split}.tmp"
            self._writers[split] = pq.ParquetWriter(temporary, table.schema, compression="zstd")
        if table.num_rows:
            self._writers[split].write_table(table)

    def finish(self) -> list[Path]:
        for writer in self._writers.values():
            writer.close()
        targets = {split: self._folder / f"{split}-00000.parquet" for split in self._writers}
        for split, target in targets.items():
            (self._folder / f".{split}.tmp").replace(target)
        return list(targets.values())

    def discard(self) -> None:
        for split in SPLITS:
            (self._folder / f".{split}.tmp").unlink(missing_ok=True)


def content_sha256(
    ledger: pl.DataFrame,
    text: pl.Series,
    clusters: pl.DataFrame,
    labels: pl.DataFrame | None = None,
    provenance: pl.DataFrame | None = None,
) -> str:
    """The hash of what the curated set says: split, id, text, cluster, labels and provenance of every row in force.

    Arguments as ``export``, in order of position. It does not depend on how the files are written.
    """
    said = ["split", "id", "text", "cluster"]
    said += [*(LABELS if labels is not None else ()), *(PROVENANCE if provenance is not None else ())]
    ours = _said(ledger, text, clusters, labels, provenance).filter(pl.col("status") != "removed").select(said)
    digest = hashlib.sha256()
    for part in ours.iter_slices(BATCH_ROWS):
        digest.update(canonical_json([column.to_list() for column in part]))
    return digest.hexdigest()


def _said(
    ledger: pl.DataFrame,
    text: pl.Series,
    clusters: pl.DataFrame,
    labels: pl.DataFrame | None,
    provenance: pl.DataFrame | None,
) -> pl.DataFrame:
    """Every row of the ledger, in order, with its text, its cluster, and labels and provenance where there are any."""
    ours = ledger.select("row", "id", "status", "split").join(clusters.select("row", "cluster"), on="row", how="left")
    if labels is not None:
        ours = ours.join(labels.select("row", *LABELS), on="row", how="left")
    if provenance is not None:
        ours = ours.join(provenance.select("row", "seeds", "generator"), on="row", how="left")
        ours = ours.with_columns(synthetic=pl.col("generator").is_not_null())
    return ours.sort("row").with_columns(text=text)


def _curated(
    batch: pa.RecordBatch, ours: pl.DataFrame, split: str, names: dict[str, str]
) -> tuple[pa.Table, pl.DataFrame]:
    """The rows of one batch of the originals that belong in a split, with our columns beside them, and what we say."""
    at = batch.column("row").to_numpy(zero_copy_only=False)
    known = ours[at.astype(np.int64)]
    wanted = ((known["status"] != "removed") & (known["split"] == split)).to_numpy()
    chosen = known.filter(pl.Series(wanted))
    table = pa.Table.from_batches([batch.drop_columns(["row"])]).filter(pa.array(wanted))
    for column, name in names.items():
        table = table.append_column(name, chosen[column].to_arrow().cast(_KINDS.get(column, pa.string())))
    return table, chosen


def _folder_keys(taken: list[str], labels: pl.DataFrame | None) -> dict[str, str]:
    """The label columns that make folders and what the folders call them: a key must not be a column's name as well."""
    keys = {}
    for column in FOLDERS if labels is not None else ():
        if labels is not None and labels[column].null_count() < labels.height:
            key = column
            while key.casefold() in {name.casefold() for name in taken}:
                key += "_"
            keys[column] = key
    return keys


def _free_names(taken: list[str], more: tuple[str, ...]) -> dict[str, str]:
    names = {}
    for column in ("id", "text", "cluster", *more):
        name = f"recryst_{column}"
        while name in taken:
            name += "_"
        names[column] = name
    return names
