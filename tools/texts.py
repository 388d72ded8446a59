"""The texts of a loaded table on disk, seen as one column: memory holds what is being read, not the whole."""

from __future__ import annotations

import mmap
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

_SCHEMA = pa.schema([("id", pa.string_view()), ("text", pa.string_view())])


class MappedTexts:
    """Ids and texts of all rows (strings, [n]), mapped from an uncompressed Arrow file.

    In memory stand 16 bytes for each string, where it begins and how long it is; the characters stay in the file, and
    a page of it that was read can be given back (``release``), whatever its size.
    """

    def __init__(self, rows: Path, file: Path) -> None:
        """Write the columns ``id`` and ``text`` of ``rows`` (Parquet, row group by row group) to ``file`` and map it.

        Raises:
            OSError: the disk is full or not writable.
        """
        source = pq.ParquetFile(rows)
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
            for group in range(source.num_row_groups):
                writer.write_table(source.read_row_group(group, columns=_SCHEMA.names).cast(_SCHEMA))
        with file.open("rb") as mapped:
            self._map = mmap.mmap(mapped.fileno(), 0, access=mmap.ACCESS_READ)
        table = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(self._map))).read_all()
        self.ids, self.texts = (pl.Series(name, table[name], dtype=pl.String) for name in _SCHEMA.names)

    def release(self) -> None:
        """Give the pages read so far back to the system; they are read again where they are needed again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
