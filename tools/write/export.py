"""Writing the curated set: Parquet with Zstandard, the original columns untouched; and the hash of its content."""

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ...state.canonical import canonical_json, sha256_file
from ...state.errors import storage_error
from ...state.phrases import Advance, silent
from ...state.store import put_in_place, sync
from ..judge.taxonomy import LABELS, UNLABELLED
from ..read.columns import free_name

BATCH_ROWS = 8192
_HELD_BYTES = 64_000_000  # of rows that wait for their file
SPLITS = ("train", "anchor", "sealed")
PROVENANCE = ("synthetic", "seeds", "generator")
FOLDERS = ("domain", "difficulty")  # of a labelled set, outermost first

_KINDS = {
    "cluster": pa.int32(),
    "tags": pa.list_(pa.string()),
    "synthetic": pa.bool_(),
    "seeds": pa.list_(pa.string()),
    "repeat": pa.int32(),
}  # the other columns of ours are strings


@dataclass(frozen=True)
class Synthetic:
    """The rows a language model wrote: their original columns (Parquet as ``originals``), and where they come from.

    ``provenance`` has ``row`` uint32, ``seeds`` (ids of the rows that were shown, list of strings) and ``generator``.
    """

    originals: Path
    provenance: pl.DataFrame


@dataclass(frozen=True)
class Curated:
    """What the curated set is made of."""

    originals: Path  # Parquet with ``row`` (position) and the original columns, in order of position
    ledger: pl.DataFrame  # the final row ledger
    text: pl.Series  # normalised text of every position, strings [n]
    clusters: pl.DataFrame  # ``row`` uint32 and ``cluster`` int32 of the clustered rows
    labels: pl.DataFrame | None = None  # ``row`` uint32 and the columns of a label table
    relabelled: pl.DataFrame | None = None  # ``row`` uint32 and the new ``label`` of the rows in force that have one
    synthetic: Synthetic | None = None  # with it, every row says whether and how it was generated
    repeats: pl.DataFrame | None = None  # ``row`` uint32 and ``repeat`` int32 of the training rows; others stand once


@dataclass(frozen=True)
class ExportResult:
    """Where the curated files lie, with their own hashes."""

    files: dict[str, str]  # path below the folder → SHA-256 of the file
    rows: dict[str, int]  # split → rows


def export(curated: Curated, folder: Path, advance: Advance = silent) -> ExportResult:
    """Write ``<split>-00000.parquet`` for each split: original columns, then ``recryst_id/text/cluster``.

    With labels the columns ``recryst_split/domain/domain_by/tags/tags_by/difficulty/difficulty_by`` follow, and the
    files lie in hive-style folders, ``domain=…/difficulty=…/part-<split>-00000.parquet``; an axis without a single
    label makes no folders. Whoever reads the folders as one table tells the held-out rows by their split. Rows that a
    model may have written have ``recryst_synthetic/seeds/generator`` too. Where rows were given another label,
    ``recryst_label`` has it, null for all others, and the original column stays as it was. With ``repeats``,
    ``recryst_repeat`` has how often each row is to be read. A column of the input that already has such a name, or
    that of a folder's key, keeps it; ours gets an underscore more. The folder is made if absent, and files of an
    earlier export in it are replaced.

    Raises:
        StorageError: the disk is full or not writable; no half file is left.
    """
    labels, synthetic, ours = curated.labels, curated.synthetic, _said(curated)
    source = pq.ParquetFile(curated.originals)
    more = (*(PROVENANCE if synthetic else ()), *(("split", *LABELS) if labels is not None else ()))
    more = (*(("label",) if curated.relabelled is not None else ()), *more)
    more = (*(("repeat",) if curated.repeats is not None else ()), *more)
    taken = source.schema_arrow.names
    names = {column: free_name(f"recryst_{column}", taken) for column in ("id", "text", "cluster", *more)}
    splits = splits_of(curated.ledger)
    rows = dict.fromkeys(splits, 0)
    keys = _folder_keys(taken, labels)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        out = _Partitions(folder, keys) if keys else _Whole(folder)
        try:
            for batch in originals(curated.originals, None if synthetic is None else synthetic.originals):
                for split in splits:
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
    return ExportResult(files, rows)


def splits_of(ledger: pl.DataFrame) -> tuple[str, ...]:
    """The splits that are written of a ledger: that of the sealed rows where any was sealed."""
    return SPLITS if (ledger["split"] == "sealed").any() else SPLITS[:-1]


def originals(source: Path, synthetic: Path | None = None) -> Iterator[pa.RecordBatch]:
    """``row`` and the original columns of every row, the ingested ones first, then those that a model wrote.

    A column that was never empty in the input may be so here.
    """
    files = [pq.ParquetFile(path) for path in (source, synthetic) if path is not None]
    schema = pa.schema([field.with_nullable(True) for field in files[0].schema_arrow])
    for file in files:
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
        for split in self._writers:
            put_in_place(self._folder / f".{split}.tmp", self._folder / f"{split}-00000.parquet")
        return [self._folder / f"{split}-00000.parquet" for split in self._writers]

    def discard(self) -> None:
        for split in SPLITS:
            (self._folder / f".{split}.tmp").unlink(missing_ok=True)


class _Partitions:
    """Rows gathered in hive-style folders and written a file at a time, so that no more than one file is open.

    A folder's name is the key, ``=`` and the value with everything but letters, digits and ``-_.~`` percent-encoded, as
    Hive, pyarrow and polars read it, so that a value such as ``../../evil`` names no other place. Files are written
    beside their place and moved there by ``finish``; ``discard`` leaves nothing behind.
    """

    def __init__(self, folder: Path, keys: Mapping[str, str]) -> None:
        """``keys``: column whose values make the folders → what the folders call it, outermost first."""
        self._folder, self._keys = folder, keys
        self._staging = folder / ".partitions.tmp"
        self._waiting: dict[tuple[str, str], list[pa.Table]] = {}  # folder, split → rows
        self._bytes: Counter[tuple[str, str]] = Counter()
        self._parts: Counter[tuple[str, str]] = Counter()
        self.discard()

    def add(self, split: str, table: pa.Table, values: pl.DataFrame) -> None:
        """Take in rows of a split; ``values`` [n] has the columns of ``keys``, null where a row has no value."""
        rows_by_values = values.select(list(self._keys)).with_row_index("at").group_by(list(self._keys))
        for named, at in rows_by_values:
            folders = zip(self._keys.values(), named, strict=True)
            place = ("/".join(f"{key}={_encoded(value)}" for key, value in folders), split)
            rows = table.take(pa.array(at["at"]))
            self._waiting.setdefault(place, []).append(rows)
            self._bytes[place] += rows.nbytes
        while self._bytes.total() > _HELD_BYTES:
            self._write(max(self._bytes, key=self._bytes.__getitem__))

    def _write(self, place: tuple[str, str]) -> None:
        """Write the rows that wait for one folder and split as its next file."""
        name, split = place
        target = self._staging / name / f"part-{split}-{self._parts[place]:05d}.parquet"
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.concat_tables(self._waiting.pop(place)), target, compression="zstd")
        sync(target)
        self._parts[place] += 1
        del self._bytes[place]

    def finish(self) -> list[Path]:
        """Write what waits and put all files in place of those of an earlier export; returns them, sorted."""
        for place in list(self._waiting):
            self._write(place)
        outermost = next(iter(self._keys.values()))
        for earlier in self._folder.glob(f"{outermost}=*"):
            shutil.rmtree(earlier)
        for made in sorted(self._staging.iterdir()) if self._staging.is_dir() else []:
            made.replace(self._folder / made.name)
        self.discard()
        return sorted(self._folder.glob(f"{outermost}=*/**/*.parquet"))

    def discard(self) -> None:
        """Remove what is not in place."""
        shutil.rmtree(self._staging, ignore_errors=True)


def _encoded(value: object) -> str:
    return quote(UNLABELLED if value is None else str(value), safe="")


def content_sha256(curated: Curated) -> str:
    """The hash of what the curated set says of every row in force: split, id, text, cluster, how often it is to
    be read, its new label, labels and provenance.

    It is taken in order of position, and does not depend on how the files are written.
    """
    said = ["split", "id", "text", "cluster", *(("repeat",) if curated.repeats is not None else ())]
    said += ["label"] if curated.relabelled is not None else []
    said += [*(LABELS if curated.labels is not None else ()), *(PROVENANCE if curated.synthetic is not None else ())]
    ours = _said(curated).filter(pl.col("status") != "removed").select(said)
    digest = hashlib.sha256()
    for part in ours.iter_slices(BATCH_ROWS):
        digest.update(canonical_json([column.to_list() for column in part]))
    return digest.hexdigest()


def _said(curated: Curated) -> pl.DataFrame:
    """Every row of the ledger, in order, with text and cluster, and what else is said of rows."""
    ours = curated.ledger.select("row", "id", "status", "split")
    ours = ours.join(curated.clusters.select("row", "cluster"), on="row", how="left")
    if curated.repeats is not None:
        ours = ours.join(curated.repeats, on="row", how="left").with_columns(pl.col("repeat").fill_null(1))
    if curated.relabelled is not None:
        ours = ours.join(curated.relabelled.select("row", "label"), on="row", how="left")
    if curated.labels is not None:
        ours = ours.join(curated.labels.select("row", *LABELS), on="row", how="left")
    if curated.synthetic is not None:
        ours = ours.join(curated.synthetic.provenance.select("row", "seeds", "generator"), on="row", how="left")
        ours = ours.with_columns(synthetic=pl.col("generator").is_not_null())
    return ours.sort("row").with_columns(text=curated.text)


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
    if labels is None:
        return {}
    named = [column for column in FOLDERS if labels[column].null_count() < labels.height]
    folded = {name.casefold() for name in taken}
    return {column: free_name(column, folded) for column in named}
