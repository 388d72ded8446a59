"""Batches of Arrow columns, cut so that each is small when decoded.

A few bytes of a column can stand for gigabytes: one long value, and how often it comes. So a column with a dictionary
stays one until its rows are cut into batches that are small when every value is written out.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ....state.errors import InputError
from ..records import Reading, Records, distinct_names

#: Bytes of the batches that are handed on.
BATCH_BYTES = 16 << 20
#: Most bytes of what can only be unpacked whole: a page of Parquet or a batch of Arrow.
MAX_UNPACKED = 1 << 30
_UNSUSPECTED = 64 << 20  # what unpacks to less needs no excuse …
_RATIO = 1000  # … and what is more packs by less than this, unless it was made to harm
_ROW_BYTES = 64  # what a row costs that holds nothing
_UNREAD = (
    pa.types.is_union, pa.types.is_run_end_encoded, pa.types.is_list_view, pa.types.is_large_list_view,
    pa.types.is_interval,
)  # fmt: skip


def refuse_bomb(unpacked: int, packed: int, name: str, remedy: str) -> None:
    """Refuse what unpacks to too much at once.

    Raises:
        InputError: it does, by its size or by its ratio.
    """
    if unpacked > MAX_UNPACKED or (unpacked > _UNSUSPECTED and unpacked > _RATIO * packed):
        raise InputError(f"{name} holds {packed} bytes that unpack to {unpacked >> 20} MB at once; {remedy}")


def read_arrow(
    batches: Iterable[pa.RecordBatch],
    name: str,
    reading: Reading,
    schema: pa.Schema | None = None,
    file_bytes: int | None = None,
) -> Iterator[Records]:
    """Batches of rows that are Arrow already, cut so that each is small when decoded; ``line`` is a row's position.

    A row longer than a line may be goes to the quarantine.

    Args:
        schema: what the columns are to be cast to, for batches whose strings are dictionaries; None: as they are.
        file_bytes: size of the file they come from, to tell whether they unpack to far more.

    Raises:
        InputError: the bytes behind the batches are damaged or cannot be reached.
    """
    position = unpacked = 0
    names: list[str] | None = None
    iterator = iter(batches)
    while True:
        try:
            batch = next(iterator, None)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{name} cannot be read after row {position}: {first_line(error)}") from error
        if batch is None:
            return
        names = names or distinct_names(batch.schema.names, reading)
        for piece in _pieces(batch, name, position, reading):
            unpacked += piece.bytes
            if file_bytes and unpacked > max(MAX_UNPACKED, _RATIO * file_bytes):
                raise InputError(f"{name} unpacks to more than {_RATIO} times its size, {file_bytes} bytes")
            ready = piece.rows if schema is None else _cast(piece.rows, schema)
            yield from _sound(ready.rename_columns(names), name, piece.positions, reading)
        position += batch.num_rows


def _cast(rows: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Rows in the types of a schema; what has them stays (casting lists of nulls to what they are breaks them)."""
    own = pa.array(np.arange(rows.num_rows))
    columns = [
        # Taken, a part of a column of lists holds its own values alone; cast as it is, those of the whole column.
        column if column.type == field.type else column.take(own).cast(field.type)
        for column, field in zip(rows.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


class _Piece(NamedTuple):
    rows: pa.RecordBatch
    positions: list[int]  # 1-based, in the file
    bytes: int  # when decoded


def _pieces(batch: pa.RecordBatch, name: str, before: int, reading: Reading) -> Iterator[_Piece]:
    """The rows of a batch in parts that are small when decoded, without those that are too long."""
    sizes = sum((_sizes(column) for column in batch.columns), np.full(batch.num_rows, _ROW_BYTES, np.int64))
    start = 0
    while start < batch.num_rows:
        total = np.cumsum(sizes[start : start + reading.batch_rows()])
        count = max(1, int(np.searchsorted(total, BATCH_BYTES, side="right")))
        if sizes[start] > reading.max_line:
            limit = f"{reading.max_line >> 20} MB"
            reading.refuse(name, before + start + 1, f"the row is longer than {limit} (load.max_line_mb)", "")
            count = 1
        else:
            long = np.flatnonzero(sizes[start : start + count] > reading.max_line)
            count = int(long[0]) if len(long) else count
            positions = list(range(before + start + 1, before + start + count + 1))
            yield _Piece(batch.slice(start, count), positions, int(total[count - 1]))
        start += count


def _sizes(array: pa.Array) -> np.ndarray:
    """The bytes of each value when it is decoded (int64, [n])."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return _sizes(array.storage)
    if pa.types.is_dictionary(kind):
        sizes = np.append(_sizes(array.dictionary), 0)
        indices = array.indices.fill_null(len(sizes) - 1) if array.null_count else array.indices
        return np.asarray(sizes[indices.to_numpy(zero_copy_only=False).astype(np.int64)])
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        views = np.frombuffer(array.buffers()[1], np.int32).reshape(-1, 4)
        return views[array.offset : array.offset + len(array), 0].astype(np.int64)
    if _is_bytes(kind):
        return _numbers(pc.binary_length(array))
    if pa.types.is_struct(kind):
        fields = (_sizes(one) for one in array.flatten())
        return np.asarray(sum(fields, np.full(len(array), 8, np.int64)))
    if pa.types.is_fixed_size_list(kind):
        values = array.values.slice(array.offset * kind.list_size, len(array) * kind.list_size)
        return np.asarray(_sizes(values).reshape(len(array), kind.list_size).sum(axis=1))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_map(kind):
        ends = np.asarray(array.offsets).astype(np.int64)
        values = (
            pa.StructArray.from_arrays([array.keys, array.items], ["k", "v"]) if pa.types.is_map(kind) else array.values
        )
        inner = _sizes(values.slice(ends[0], ends[-1] - ends[0]))
        total = np.append(0, np.cumsum(inner))
        return np.asarray(total[ends[1:] - ends[0]] - total[ends[:-1] - ends[0]] + 8)
    return np.full(len(array), 1 if pa.types.is_null(kind) else max(1, kind.bit_width // 8), np.int64)


def _numbers(lengths: pa.Array) -> np.ndarray:
    return np.asarray(pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False).astype(np.int64))


def _is_bytes(kind: pa.DataType) -> bool:
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in tests)


def refuse_types(schema: pa.Schema, name: str) -> None:
    """Refuse columns that Parquet cannot hold, or whose decoded size cannot be told.

    Raises:
        InputError: there is one.
    """
    for field in schema:
        kinds = [field.type]
        for kind in kinds:
            kinds += [kind.field(at).type for at in range(kind.num_fields)] if pa.types.is_nested(kind) else []
            if any(test(kind) for test in _UNREAD):
                raise InputError(f"{name}: column {field.name!r} is of type {kind}, which cannot be read; cast it")


def _sound(batch: pa.RecordBatch, name: str, positions: list[int], reading: Reading) -> Iterator[Records]:
    """The rows of a batch whose text is UTF-8; Parquet writers do not all check it."""
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        good = []
        for at in range(batch.num_rows):
            try:
                batch.slice(at, 1).validate(full=True)
                good.append(at)
            except pa.ArrowInvalid as error:
                reading.refuse(name, positions[at], f"not storable: {first_line(error)}", "")
        batch, positions = batch.take(pa.array(good, pa.int64())), [positions[at] for at in good]
    if positions:
        yield Records(name, batch, positions)


def first_line(error: Exception) -> str:
    """What an error of Arrow says, without the trace it brings."""
    return (str(error).splitlines() or [type(error).__name__])[0]
