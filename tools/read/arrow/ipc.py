"""Arrow files (also called Feather) and streams, and the data sets that `datasets` saved as such."""

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ....state.errors import InputError
from ..records import Reading, Records
from .batches import first_line, read_arrow, refuse_bomb, refuse_types

_SELECTED_ROWS = 256


def read_ipc(path: Path, name: str, reading: Reading, skip: int = 0, take: int | None = None) -> Iterator[Records]:
    """The batches of an Arrow file or stream, one at a time; without the first ``skip`` rows, and ``take`` at most.

    Raises:
        InputError: it is neither, or damaged, or a batch of it unpacks to far more than its size.
    """
    _check(path, name)
    with pa.OSFile(str(path)) as source:
        stream = _stream(source, name)
        refuse_types(stream.schema, name)
        batches = stream if skip == 0 and take is None else _part(stream, skip, take)
        yield from read_arrow(batches, name, reading, file_bytes=path.stat().st_size)


def _part(batches: Iterable[pa.RecordBatch], skip: int, take: int | None) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        part = batch.slice(skip, take)
        skip = max(0, skip - batch.num_rows)
        take = None if take is None else take - part.num_rows
        yield part


def _check(path: Path, name: str, plain: bool = False) -> None:
    """Read what the batches of a file unpack to; ``plain``: none may be compressed, because all stay mapped.

    Raises:
        InputError: it cannot be read, or unpacks to too much.
    """
    if not path.stat().st_size:
        raise InputError(f"{name} is empty")
    try:
        with pa.memory_map(str(path)) as source:
            _to_stream(source, name)
            for message in pa.ipc.MessageReader.open_stream(source):
                packed, unpacked = len(message.body or b""), _unpacked(message)
                refuse_bomb(unpacked, packed, name, "write it with smaller record batches")
                if plain and unpacked > packed:
                    raise InputError(f"{name} is compressed; load the data set and save it anew")
    except (pa.ArrowException, OSError, struct.error) as error:
        raise InputError(f"{name} is not a readable Arrow file: {first_line(error)}") from error


def _stream(source: pa.NativeFile, name: str) -> pa.RecordBatchStreamReader:
    try:
        return pa.ipc.open_stream(_to_stream(source, name))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{name} is not a readable Arrow stream: {first_line(error)}") from error


def _to_stream(source: pa.NativeFile, name: str) -> pa.NativeFile:
    """Go to where the stream begins: an Arrow file is one behind eight bytes."""
    head = source.read(8)
    if head[:4] == b"FEA1":
        raise InputError(f"{name} is a Feather file of the first version; write it again with pyarrow.feather")
    source.seek(8 if head[:6] == b"ARROW1" else 0)
    return source


def _unpacked(message: pa.Message) -> int:
    """The bytes a message's body unpacks to; where its buffers are compressed, each begins with its size.

    Raises:
        struct.error: it is damaged.
    """
    size = len(message.body or b"")
    if message.type not in ("record batch", "dictionary"):
        return size
    about, body = memoryview(message.metadata), memoryview(message.body)
    batch = _follow(about, _field(about, _follow(about, 0), 2))
    if message.type == "dictionary":
        batch = _follow(about, _field(about, batch, 1))
    buffers, is_compressed = _field(about, batch, 2), _field(about, batch, 3)
    if not is_compressed:
        return size
    start, size = _follow(about, buffers), 0
    for at in range(struct.unpack_from("<I", about, start)[0]):
        offset, length = struct.unpack_from("<qq", about, start + 4 + 16 * at)
        stated = struct.unpack_from("<q", body, offset)[0] if length > 0 else 0
        size += length if stated < 0 else stated
    return size


def _field(data: memoryview, table: int, number: int) -> int:
    """Where a field of a table in FlatBuffers stands, or 0 where the table lacks it."""
    known = table - int(struct.unpack_from("<i", data, table)[0])
    if 4 + 2 * number >= struct.unpack_from("<H", data, known)[0]:
        return 0
    offset = int(struct.unpack_from("<H", data, known + 4 + 2 * number)[0])
    return table + offset if offset else 0


def _follow(data: memoryview, at: int) -> int:
    return at + int(struct.unpack_from("<I", data, at)[0])


def read_saved(folder: Path, state: dict[str, Any], reading: Reading) -> Iterator[Records]:
    """What ``Dataset.save_to_disk`` wrote: its Arrow streams in their order, or the rows that its indices choose.

    ``state``: its `state.json`.

    Raises:
        InputError: a file of it is damaged, or an index leads beyond the rows.
    """
    # The names alone: they cannot lead out of the folder. Early versions of `datasets` saved parts of files.
    data, chosen = (
        [(folder / Path(one["filename"]).name, one.get("skip") or 0, one.get("take")) for one in state.get(key) or []]
        for key in ("_data_files", "_indices_data_files")
    )
    if not chosen:
        for path, skip, take in data:
            yield from read_ipc(path, str(path), reading, skip, take)
        return
    reading.notes.append(f"only the rows that the indices of {folder} choose were read, in their order")
    batches, picked = ([batch for part in parts for batch in _mapped(*part)] for parts in (data, chosen))
    yield from read_arrow(_selected(batches, picked, str(folder)), str(folder), reading)


def _mapped(path: Path, skip: int, take: int | None) -> list[pa.RecordBatch]:
    """The batches of an uncompressed stream, which stay in the file."""
    _check(path, str(path), plain=True)
    with pa.memory_map(str(path)) as source:
        return list(_part(_stream(source, str(path)), skip, take))


def _selected(data: list[pa.RecordBatch], picked: Iterable[pa.RecordBatch], name: str) -> Iterator[pa.RecordBatch]:
    """The rows of ``data`` at the positions ``picked``, some at a time."""
    starts = np.cumsum([0, *(batch.num_rows for batch in data)])
    for positions in (batch.column(0) for batch in picked):
        wanted = positions.to_numpy(zero_copy_only=False)
        if positions.null_count or (len(wanted) and not 0 <= wanted.min() <= wanted.max() < starts[-1]):
            raise InputError(f"the indices of {name} lead beyond its {starts[-1]} rows; save it anew")
        for begin in range(0, len(wanted), _SELECTED_ROWS):
            part = wanted[begin : begin + _SELECTED_ROWS].astype(np.int64)
            batch_of = np.searchsorted(starts, part, side="right") - 1
            order = np.argsort(batch_of, kind="stable")
            taken = [data[at].take(pa.array(part[batch_of == at] - starts[at])) for at in np.unique(batch_of)]
            yield pa.concat_batches(taken).take(pa.array(np.argsort(order)))
