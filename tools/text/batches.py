"""A column of texts, a bounded part of it at a time, and one that stays on disk."""

import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

_MOST_ROWS = 1 << 14
_SCHEMA = pa.schema(
    [
        *((name, pa.string_view()) for name in ("id", "text", "content")),
        ("empty_answer", pa.bool_()),
    ]
)


def batches(text: pl.Series, most_bytes: int) -> Iterator[tuple[int, int]]:
    """``(start, count)`` of consecutive runs of rows, bounded in bytes and rows; a longer text stands alone.

    ``text``: strings, [n]; a null has no bytes.
    """
    length = text.str.len_bytes().fill_null(0).to_numpy()
    start = 0
    while start < len(length):
        total = np.cumsum(length[start : start + _MOST_ROWS], dtype=np.int64)
        count = max(int(np.searchsorted(total, most_bytes, side="right")), 1)
        yield start, count
        start += count


def _joined(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """A column in one piece; strings (views, each part of them whole) stay where they are.

    Polars would put the parts together too, and copy the characters wherever they are few and long.
    """
    parts = [part for part in column.chunks if len(part)]
    if column.type != pa.string_view() or not parts:
        return column
    views, held = [], list[pa.Buffer]()
    for part in parts:
        _, own, *characters = part.buffers()
        # Length, first bytes, buffer and place in it; a string of 12 bytes or fewer stands in its view.
        view = np.frombuffer(own, np.int32, 4 * len(part)).reshape(-1, 4).copy()
        view[view[:, 0] > 12, 2] += len(held)
        views.append(view)
        held += characters
    valid = np.packbits(np.asarray(column.is_valid()), bitorder="little")
    buffers = [pa.py_buffer(valid), pa.py_buffer(np.concatenate(views)), *held]
    return pa.Array.from_buffers(column.type, len(column), buffers)


class MappedTexts:
    """Ids, texts and contents of all rows of a loaded table (strings, [n]), mapped from an uncompressed Arrow file.

    In memory stand 16 bytes for each string, where it begins and how long it is; the characters stay in the file.
    """

    def __init__(self, rows: Path, file: Path) -> None:
        """Write columns of ``rows`` (Parquet, row group by row group) to ``file`` and map it.

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
        frame = pl.DataFrame({name: pl.Series(name, _joined(table[name])) for name in _SCHEMA.names})
        self.ids, self.texts = frame["id"], frame["text"]
        #: What the tools are given: text, content (that of a row without is its text) and empty_answer.
        self.rows = frame.select("text", pl.coalesce("content", "text").alias("content"), "empty_answer")

    def release(self) -> None:
        """Give the pages read so far back to the system; they are read again where they are needed again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
