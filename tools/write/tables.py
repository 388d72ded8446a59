"""Writing a table batch by batch, as Parquet or JSON Lines: whole in its place, or not there at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ...state.errors import UsageError, storage_error
from ..read.columns import json_lines

_GROUP_BYTES = 32 << 20  # of Arrow columns in a Parquet row group
_LINES = (".jsonl", ".ndjson")


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
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        if target.suffix in _LINES:
            with temporary.open("wb") as file:
                yield lambda batch: _write_lines(file.write, batch)
        else:
            with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
                groups = _RowGroups(writer)
                yield groups.add
                groups.flush()
        temporary.replace(target)
    except OSError as error:
        raise storage_error(error, target, "writing") from error
    finally:
        temporary.unlink(missing_ok=True)


def _write_lines(write: Callable[[bytes], int], batch: pa.RecordBatch) -> None:
    write(json_lines(batch))


class _RowGroups:
    """Batches gathered into row groups: small ones, as a strict filter leaves them, compress badly and read slowly."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._clear()

    def _clear(self) -> None:
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
            self._clear()
