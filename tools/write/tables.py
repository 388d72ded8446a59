"""What a tool makes of a table: the rows that stay, and under which columns.

Tables are written batch by batch, as Parquet or JSON Lines: whole in their place, or not there at all.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...state.errors import UsageError
from ...state.store import whole_file
from ..read.columns import free_name, is_json_text, json_lines
from ..read.load import LoadResult, row_note

_GROUP_BYTES = 32 << 20  # of Arrow columns in a Parquet row group
_LINES = (".jsonl", ".ndjson")
_OLDEST = pl.CompatLevel.oldest()  # strings as every reader of Parquet knows them


def check_target(target: Path) -> None:
    """Refuse what no table can be written to, before hours of work.

    Raises:
        UsageError: the name ends in neither ``.parquet`` nor ``.jsonl``, or its folder is not there.
    """
    if target.suffix not in (".parquet", *_LINES):
        raise UsageError(f"{target}: the output is written as .parquet or .jsonl")
    if not target.parent.is_dir():
        raise UsageError(f"{target}: there is no folder {target.parent}; make it first")


@contextmanager
def table_writer(target: Path, schema: pa.Schema) -> Iterator[Callable[[pa.RecordBatch], None]]:
    """Yields how to write the next batch; ``target`` is replaced when the last is written, and only then.

    Args:
        target: ``.parquet`` (Zstandard) or ``.jsonl``; JSON text (``columns.JSON_TEXT``) becomes values there.
        schema: the columns of every batch.

    Raises:
        StorageError: the disk is full or not writable; no half file is left.
    """
    own = target.with_name(f".{target.name}.{os.getpid()}.tmp")  # another process may write the same table
    with whole_file(target, temporary=own) as temporary:
        if target.suffix in _LINES:
            with temporary.open("wb") as file:
                yield lambda batch: file.writelines([json_lines(batch)])
        else:
            with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
                groups = _RowGroups(writer)
                yield groups.add
                groups.flush()


class _RowGroups:
    """Batches gathered into row groups: small ones, as a strict filter leaves them, compress badly and read slowly."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._batches: list[pa.RecordBatch] = []
        self._bytes = 0

    def add(self, batch: pa.RecordBatch) -> None:
        self._batches.append(batch)
        self._bytes += batch.nbytes
        if self._bytes >= _GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._batches:
            self._writer.write_table(pa.Table.from_batches(self._batches))
        self._batches, self._bytes = [], 0


class Layout:
    """Where the columns go; made once, used for every batch.

    A column that the table has already keeps its name, and the tool's gets an underscore. Only ``text`` is the text
    anew: it takes the place of the column that holds the text, where a single column of strings does.
    """

    def __init__(self, loaded: LoadResult, annotation: pl.DataFrame | None = None) -> None:
        """``annotation``: some rows of what the tool gives, for the types; None: it gives no columns."""
        row, *stored = pq.read_schema(loaded.originals)
        # The loader took the row number's name from a column, if it had it.
        originals = [field.with_name(row.name) if field.name == loaded.row_column else field for field in stored]
        fields = list(originals)
        self._types = annotation.schema if annotation is not None else pl.Schema()
        self._places: dict[str, int] = {}
        for field in annotation.to_arrow(compat_level=_OLDEST).schema if annotation is not None else ():
            at = _text_at(loaded, originals) if field.name == "text" else None
            if at is None:
                at = len(fields)
                fields.append(field.with_name(free_name(field.name, [known.name for known in fields])))
            self._places[field.name] = at
        self.schema = pa.schema(fields)

    def fill(self, batch: pa.RecordBatch, annotation: pl.DataFrame | None = None) -> pa.RecordBatch:
        """A batch of the originals table, its row numbers left out, with the tool's columns of the same rows."""
        columns = batch.columns[1:]
        if annotation is not None:
            table = annotation.cast(pl.Schema(self._types)).to_arrow(compat_level=_OLDEST).combine_chunks()
            for name, at in self._places.items():
                array = table[name].combine_chunks().cast(self.schema.field(at).type)
                if at < len(columns):
                    columns[at] = pc.coalesce(array, columns[at])  # a row without text keeps what it has
                else:
                    columns.append(array)
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def own_notes(loaded: LoadResult) -> list[str]:
    """What the loader has to say of the table, but for a name that the layout gives back."""
    return [note for note in loaded.notes if loaded.row_column is None or note != row_note(loaded.row_column)]


def _text_at(loaded: LoadResult, fields: list[pa.Field]) -> int | None:
    """The position of the column that holds the text as plain strings, or ``None``."""
    for at, field in enumerate(fields):
        plain = pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        if loaded.shape == "text" and loaded.text_columns == (field.name,) and plain and not is_json_text(field):
            return at
    return None
