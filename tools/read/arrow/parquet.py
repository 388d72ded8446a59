"""Parquet, whose pages say what they unpack to before they are unpacked."""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from ....state.errors import InputError
from ..records import Reading, Records
from .batches import BATCH_BYTES, MAX_UNPACKED, first_line, read_arrow, refuse_bomb, refuse_types


def read_parquet(path: Path, name: str, reading: Reading) -> Iterator[Records]:
    """A Parquet file, in batches that are small when decoded.

    Raises:
        InputError: not a Parquet file, or a damaged one, or one that unpacks to far more than its size.
    """
    with path.open("rb") as file:
        try:
            plain = pq.ParquetFile(file)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{name} is not a readable Parquet file: {first_line(error)}") from error
        refuse_types(plain.schema_arrow, name)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            rows, dictionaries = _bounds(plain, data, name)
        parquet = pq.ParquetFile(file, buffer_size=1 << 20, read_dictionary=dictionaries)
        batches = parquet.iter_batches(min(rows, reading.batch_rows()))
        yield from read_arrow(batches, name, reading, plain.schema_arrow, path.stat().st_size)


def _bounds(parquet: pq.ParquetFile, data: mmap.mmap, name: str) -> tuple[int, list[str]]:
    """How many rows may be unpacked at once, and the columns to be read as dictionaries.

    Raises:
        InputError: a page unpacks to more than is allowed, or its header is damaged.
    """
    footer, dictionaries = parquet.metadata, []
    stored = sum(footer.row_group(at).total_byte_size for at in range(footer.num_row_groups))
    most = max(1, BATCH_BYTES * footer.num_rows // max(1, stored))
    for at in range(footer.num_columns):
        column = parquet.schema.column(at)
        width, values = max(8, column.length or 0), 0
        for group in range(footer.num_row_groups):
            try:
                pages = list(_pages(data, footer.row_group(group).column(at)))
            except (IndexError, struct.error) as error:
                raise InputError(f"{name} is a damaged Parquet file: column {column.path!r} breaks off") from error
            for page in pages:
                refuse_bomb(page.unpacked, page.packed, name, "write it with smaller pages")
                if page.deltas:  # a value may repeat nearly the whole of the one before
                    most = min(most, max(1, (MAX_UNPACKED >> 4) // max(1, page.unpacked)))
            values += sum(page.values for page in pages if not page.is_dictionary)
            if column.physical_type == "BYTE_ARRAY" and pages and pages[0].is_dictionary:
                dictionaries.append(column.path)
        most = min(most, max(1, BATCH_BYTES * footer.num_rows // max(1, width * values)))
    return most, sorted(set(dictionaries))


class _Page(NamedTuple):
    """What the header of a page says: its bytes unpacked and packed, and its values."""

    is_dictionary: bool
    unpacked: int
    packed: int
    values: int
    deltas: bool  # strings by what they differ from the one before


def _pages(data: mmap.mmap, column: pq.ColumnChunkMetaData) -> Iterator[_Page]:
    """The headers of a column's pages; they are found as Parquet's own reader finds them.

    Raises:
        IndexError: a header lies beyond the end of the file.
    """
    first, dictionary = column.data_page_offset, column.dictionary_page_offset
    at = dictionary if column.has_dictionary_page and dictionary and 0 < dictionary < first else first
    end, seen = at + column.total_compressed_size, 0
    while at < end and seen < column.num_values:
        header, at = _thrift(data, at)
        kind, unpacked, packed = (_number(header.get(field, 0)) for field in (1, 2, 3))
        about = header.get({0: 5, 2: 7, 3: 8}.get(kind, 0), {})
        if not isinstance(about, dict):
            raise IndexError("a number where a structure belongs")
        values, encoding = _number(about.get(1, 0)), about.get(4 if kind == 3 else 2)
        if min(unpacked, packed, values) < 0:
            raise IndexError("a negative size")
        seen += values if kind != 2 else 0
        at += packed
        yield _Page(kind == 2, unpacked, packed, values, kind != 2 and encoding == 7)


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise IndexError("a structure where a number belongs")
    return value


def _thrift(data: mmap.mmap, at: int) -> tuple[dict[int, Any], int]:
    """A structure in Thrift's compact protocol, field number to value (integers and structures), and where it ends."""

    def varint() -> int:
        nonlocal at
        shift = value = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise IndexError("an endless number")

    def value_of(kind: int, depth: int) -> Any:
        nonlocal at
        if kind in (1, 2):
            return kind == 1
        if kind in (3, 7):
            at += 1 if kind == 3 else 8
        elif kind in (4, 5, 6):
            number = varint()
            return (number >> 1) ^ -(number & 1)
        elif kind == 8:
            length = varint()
            at += length
        elif kind == 12 and depth < 8:
            return structure(depth + 1)
        else:
            raise IndexError("a field that no header of a page has")
        return None

    def structure(depth: int) -> dict[int, Any]:
        nonlocal at
        fields: dict[int, Any] = {}
        number = 0
        while (byte := data[at]) & 15:
            at += 1
            if byte >> 4:
                number += byte >> 4
            else:
                unsigned = varint()
                number = (unsigned >> 1) ^ -(unsigned & 1)
            fields[number] = value_of(byte & 15, depth)
        at += 1
        return fields

    return structure(0), at
