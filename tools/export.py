"""Writing the curated set: Parquet with Zstandard, the original columns untouched, and a hash of its content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ..state.canonical import canonical_json, sha256_file
from ..state.errors import storage_error
from ..state.progress import Advance, silent

BATCH_ROWS = 8192
SPLITS = ("train", "anchor")


@dataclass(frozen=True)
class ExportResult:
    """Where the curated files lie, with their own hashes, and the hash of what they say."""

    files: dict[str, str]  # file name → SHA-256 of the file
    rows: dict[str, int]  # split → rows
    content_sha256: str


def export(
    originals: Path,
    ledger: pl.DataFrame,
    text: pl.Series,
    clusters: pl.DataFrame,
    folder: Path,
    advance: Advance = silent,
) -> ExportResult:
    """Write ``<split>-00000.parquet`` for each split: original columns, then ``recryst_id/text/cluster``.

    A column of the input that already has such a name keeps it; ours then gets an underscore more.

    Args:
        originals: Parquet with ``row`` (position) and the original columns, in order of position.
        ledger: the final row ledger.
        text: normalised text of every position, strings [n].
        clusters: ``row`` uint32 and ``cluster`` int32 of the clustered rows.
        folder: made if absent; files of an earlier export are replaced.

    Raises:
        StorageError: the disk is full or not writable; no half file is left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ours = _said(ledger, text, clusters)
    source = pq.ParquetFile(originals)
    names = _free_names(source.schema_arrow.names)
    rows = dict.fromkeys(SPLITS, 0)
    writers: dict[str, pq.ParquetWriter] = {}
    temporary = {split: folder / f".{split}.tmp" for split in SPLITS}
    try:
        for batch in source.iter_batches(BATCH_ROWS):
            for split in SPLITS:
                table = _curated(batch, ours, split, names)
                if split not in writers:
                    writers[split] = pq.ParquetWriter(temporary[split], table.schema, compression="zstd")
                if table.num_rows:
                    writers[split].write_table(table)
                    rows[split] += table.num_rows
            advance(batch.num_rows)
        for writer in writers.values():
            writer.close()
        files = {}
        for split in writers:
            target = folder / f"{split}-00000.parquet"
            temporary[split].replace(target)
            files[target.name] = sha256_file(target)
    except OSError as error:
        raise storage_error(error, folder, "writing the curated rows to") from error
    finally:
        for path in temporary.values():
            path.unlink(missing_ok=True)
    return ExportResult(files, rows, content_sha256(ledger, text, clusters))


def content_sha256(ledger: pl.DataFrame, text: pl.Series, clusters: pl.DataFrame) -> str:
    """The hash of what the curated set says: split, id, text and cluster of every kept row, in order of position.

    Arguments as ``export``. It does not depend on how the files are written.
    """
    ours = _said(ledger, text, clusters).filter(pl.col("status") != "removed").select("split", "id", "text", "cluster")
    digest = hashlib.sha256()
    for part in ours.iter_slices(BATCH_ROWS):
        digest.update(canonical_json([column.to_list() for column in part]))
    return digest.hexdigest()


def _said(ledger: pl.DataFrame, text: pl.Series, clusters: pl.DataFrame) -> pl.DataFrame:
    """Every row of the ledger, in order, with its text and cluster."""
    ours = ledger.select("row", "id", "status", "split").join(clusters.select("row", "cluster"), on="row", how="left")
    return ours.sort("row").with_columns(text=text)


def _curated(batch: pa.RecordBatch, ours: pl.DataFrame, split: str, names: dict[str, str]) -> pa.Table:
    """The rows of one batch of the originals that belong in a split, with our columns beside them."""
    at = batch.column("row").to_numpy(zero_copy_only=False)
    known = ours[at.astype(np.int64)]
    wanted = ((known["status"] != "removed") & (known["split"] == split)).to_numpy()
    chosen = known.filter(pl.Series(wanted))
    table = pa.Table.from_batches([batch.drop_columns(["row"])]).filter(pa.array(wanted))
    for column, name in names.items():
        kind = pa.int32() if column == "cluster" else pa.string()
        table = table.append_column(name, chosen[column].to_arrow().cast(kind))
    return table


def _free_names(taken: list[str]) -> dict[str, str]:
    names = {}
    for column in ("id", "text", "cluster"):
        name = f"recryst_{column}"
        while name in taken:
            name += "_"
        names[column] = name
    return names
